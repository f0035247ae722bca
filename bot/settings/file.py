"""The shape of the configuration file: every key there is. Unknown keys and wrong types are refused."""

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from bot.core import cluster_yml
from bot.core.cluster import Cluster, SshTarget
from bot.core.policy import Action, ApprovalPolicy, Grant

_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_LISTEN: Final = re.compile(r"(.*):(\d{1,5})")


def seconds(value: object) -> float:
    """A duration like 90s, 30m, 1h or 1h30m in seconds; ValueError if it is none."""
    if isinstance(value, str) and re.fullmatch(r"(\d+(\.\d+)?[smh])+", value):
        return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smh])", value))
    raise ValueError(f"{value!r} is not a duration: write a number and s, m or h, like 90s or 1h30m")


def _listen(value: object) -> object:
    """`host:port` as a pair."""
    if isinstance(value, str) and (found := _LISTEN.fullmatch(value)) and 0 < int(found[2]) < 65536:
        return (found[1].strip("[]") or "0.0.0.0", int(found[2]))  # noqa: S104  # an empty host means: on all addresses
    raise ValueError(f"{value!r} is not an address to listen on: write host:port, like 0.0.0.0:3000")


def _id(pattern: str, what: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not {what}")
        return value

    return BeforeValidator(check)


def _without_password(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"((rediss?|unix)://[^@]+)?", value):
        raise ValueError("is not a Redis address without a password: put one with a password into REDIS_URL")
    return value


def _everybody(value: object) -> object:
    if isinstance(value, str):
        if value != "everybody":
            raise ValueError(f"{value!r} is not a role: write everybody, or users: [...] and groups: [...]")
        return {"everybody": True}
    return value


Duration = Annotated[float, BeforeValidator(seconds)]
Positive = Annotated[Duration, Field(gt=0)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Channel = Annotated[
    str, _id(r"[CGD][A-Z0-9]{2,}", "a channel id: open the channel's details in Slack, it looks like C0123456789")
]
User = Annotated[str, _id(r"[UW][A-Z0-9]+", "a user id: open the profile in Slack, it looks like U0123456789")]
Group = Annotated[str, _id(r"S[A-Z0-9]+", "a user group id: it looks like S0123456789")]
ClusterName = Annotated[
    str, _id(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}", "a cluster name: 1 to 48 letters, digits, dots, dashes")
]
Address = Annotated[str, _id(cluster_yml.ADDRESS.pattern, "a host name or address")]
Login = Annotated[str, _id(cluster_yml.USER.pattern, "a user name")]
Url = Annotated[str, _id(r"https?://\S+", "an http(s) address")]
OptionalUrl = Annotated[str, _id(r"(https?://\S+)?", "an http(s) address")]
RedisUrl = Annotated[str, BeforeValidator(_without_password)]
RemotePath = Annotated[str, _id(r"/[^\x00-\x1f]+", "an absolute path")]
Program = Annotated[str, _id(r"rke|/[^\x00-\x1f]+", "rke or an absolute path")]


class Model(BaseModel):
    """Strict: a number in quotes is no number, and an unknown key is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class HttpModel(Model):
    """Where Slack's requests arrive in HTTP mode."""

    listen: Annotated[tuple[str, int], BeforeValidator(_listen)] = ("127.0.0.1", 3000)
    path: RemotePath = "/slack/events"


class SlackModel(Model):
    """`slack:`."""

    mode: Literal["socket", "http"] = "socket"
    api_url: Url = "https://slack.com/api/"
    http: HttpModel = HttpModel()


class RedisModel(Model):
    """`redis:`."""

    url: RedisUrl = ""
    durability: Literal["aof", "replicas", "none"] = "aof"


class SshModel(Model):
    """`ssh:`."""

    known_hosts: Text
    keys: list[Text] = []
    agent: bool = False
    connect_timeout: Positive = 10

    @model_validator(mode="after")
    def _some_key(self) -> "SshModel":
        if not self.keys and not self.agent:
            raise ValueError("name at least one key, or set agent: true")
        return self


class S3Model(Model):
    """`s3:`."""

    bucket: Text
    prefix: str = ""
    endpoint_url: OptionalUrl = ""
    region: Text = "us-east-1"
    path_style: bool = False
    ca: str = ""


class WorkerModel(Model):
    """`worker:`."""

    lease: Annotated[Duration, Field(ge=1, le=300)] = 15
    parallel_reads: Annotated[int, Field(ge=1, le=64)] = 4
    grace: Annotated[Duration, Field(ge=0, le=600)] = 20


class MachineModel(Model):
    """A machine reached over SSH."""

    address: Address
    user: Login
    port: Annotated[int, Field(ge=1, le=65535)] = 22

    def value(self) -> SshTarget:
        """As core knows it."""
        return SshTarget(self.address, self.user, self.port)


class ApprovalsModel(Model):
    """`approvals:` of a cluster."""

    required: Annotated[int, Field(ge=1, le=20)] = 2
    users: list[User] = []
    groups: list[Group] = []
    requester_counts: bool = False
    approval_lifetime: Positive = 3600
    execution_lifetime: Positive = 1800

    @model_validator(mode="after")
    def _within_reach(self) -> "ApprovalsModel":
        users = len(set(self.users))
        if not self.groups and users < self.required:
            raise ValueError(
                f"{self.required} approvals are required of {users} users and no group: nobody can reach that"
            )
        return self

    def value(self) -> ApprovalPolicy:
        """As core knows it."""
        return ApprovalPolicy(
            self.required,
            tuple(self.users),
            tuple(self.groups),
            self.requester_counts,
            self.approval_lifetime,
            self.execution_lifetime,
        )


class WhoModel(Model):
    """Who has a role."""

    everybody: bool = False
    users: list[User] = []
    groups: list[Group] = []

    def value(self) -> Grant:
        """As core knows it."""
        return Grant(self.everybody, tuple(self.users), tuple(self.groups))


Who = Annotated[WhoModel, BeforeValidator(_everybody)]


class RolesModel(Model):
    """`roles:` of a cluster; what is not set belongs to the approvers, reading to everybody."""

    read: Who = WhoModel(everybody=True)
    save: Who | None = None
    restore: Who | None = None
    cancel: Who | None = None

    def value(self, approvers: Grant) -> dict[Action, Grant]:
        """As core knows it."""
        named = {
            Action.READ: self.read,
            Action.SAVE: self.save,
            Action.RESTORE: self.restore,
            Action.CANCEL: self.cancel,
        }
        return {action: who.value() if who else approvers for action, who in named.items()}


class ClusterModel(Model):
    """One entry of `clusters:`."""

    channels: Annotated[list[Channel], Field(min_length=1)]
    rke_host: MachineModel
    config: RemotePath
    approvals: ApprovalsModel
    roles: RolesModel = RolesModel()
    rke: Program = "rke"
    jump_host: MachineModel | None = None
    nodes_via: Literal["direct", "rke_host"] = "direct"

    def value(self, name: str) -> Cluster:
        """As core knows it."""
        approvals = self.approvals.value()
        return Cluster(
            name=name,
            channels=tuple(self.channels),
            rke_host=self.rke_host.value(),
            yml=self.config,
            approvals=approvals,
            grants=self.roles.value(Grant(users=approvals.users, groups=approvals.groups)),
            rke=self.rke,
            jump_host=self.jump_host.value() if self.jump_host else None,
            nodes_via_rke_host=self.nodes_via == "rke_host",
        )


class ConfigFile(Model):
    """The whole file."""

    ssh: SshModel
    s3: S3Model
    clusters: Annotated[dict[ClusterName, ClusterModel], Field(min_length=1)]
    slack: SlackModel = SlackModel()
    redis: RedisModel = RedisModel()
    worker: WorkerModel = WorkerModel()

    @model_validator(mode="after")
    def _one_name_per_cluster(self) -> "ConfigFile":
        seen: dict[tuple[str, int, str], str] = {}
        for name, cluster in self.clusters.items():
            place = (cluster.rke_host.address, cluster.rke_host.port, cluster.config)
            if (first := seen.setdefault(place, name)) != name:
                raise ValueError(f"clusters.{name} and clusters.{first} are the same file on the same RKE host")
        return self


def explain(error: ValidationError) -> tuple[str, ...]:
    """One line per error: the path in the file and what is wrong there."""
    return tuple(f"{_where(item['loc'])}{_what(item['type'], item['msg'])}" for item in error.errors(include_url=False))


def _where(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc if part != "[key]")
    return f"{path.removeprefix('.')}: " if path else ""


def _what(kind: str, message: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known key"
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message if message.startswith("should") else message[:1].lower() + message[1:]
