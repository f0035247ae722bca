"""What was seen on machines and in stores: plain values, handed from adapters to decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

S3: Final = "s3"  # the place of an off-site copy; other places are node addresses


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """An entry of `nodes:` in rancher-cluster.yml, with rke's own defaults filled in (rke v0.1.20 and
    v1.0.16).
    """

    address: str
    user: str
    roles: frozenset[str]  # controlplane, etcd, worker
    port: int = 22
    internal_address: str = ""  # never empty once read: defaults to address
    hostname: str = ""  # hostname_override, else address; the etcd member is etcd-<hostname>
    docker_socket: str = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Bastion:
    """`bastion_host:` of rancher-cluster.yml: every node is reached through it."""

    address: str
    user: str
    port: int = 22


@dataclass(frozen=True, slots=True)
class ClusterYml:
    """What the bot needs of a rancher-cluster.yml."""

    nodes: tuple[NodeSpec, ...]
    bastion: Bastion | None = None
    kubernetes_version: str = ""
    prefix_path: str = ""  # "" is /; /opt/rke is below it
    ssh_agent_auth: bool = False
    rolling_snapshots: bool | None = None  # services.etcd.snapshot, None when not set
    backup_config: bool = False  # services.etcd.backup_config is there
    s3_backup_config: bool = False  # ... with s3backupconfig
    enable_v2: bool = False  # services.etcd.extra_args.enable-v2

    def with_role(self, role: str) -> tuple[NodeSpec, ...]:
        """The nodes that have that role, in the order of the file."""
        return tuple(node for node in self.nodes if role in node.roles)


class Integrity(StrEnum):
    """What is known of a copy. Intact: read back, and the sha256 etcd wrote at the file's end matches."""

    INTACT = "intact"
    CORRUPT = "corrupt"
    UNKNOWN = "not checked"


class Form(StrEnum):
    """How rke keeps the file: v0.1.x the database itself, v0.2.5 and later NAME.zip with the database inside."""

    PLAIN = "plain"
    ZIP = "zip"


@dataclass(frozen=True, slots=True)
class Copy:
    """One file of a snapshot in one place (`where`: node address or S3). `sha256` and `size` (bytes) are of
    the etcd database inside, `file_sha256` and `file_size` of the file itself; they are equal for the plain
    form. `taken_at` is seconds since the epoch. `problem` says in a few words why a copy is corrupt or could
    not be read.
    """

    name: str
    where: str
    form: Form
    size: int
    file_size: int
    taken_at: float
    sha256: str = ""
    file_sha256: str = ""
    integrity: Integrity = Integrity.UNKNOWN
    revision: int | None = None
    version_id: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A copy on a node that may be there: reading it back failed, `why` is the node's answer."""

    name: str
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Container:
    """A docker container. `started_at` is Docker's RFC 3339 text; `status` is running, exited, created,
    restarting, ...
    """

    name: str
    image: str
    status: str
    started_at: str

    @property
    def running(self) -> bool:
        """Docker says that its process runs."""
        return self.status == "running"


class Access(StrEnum):
    """How files of root are read on a node: as root, by `sudo -n`, or in a container of an image that is
    there.
    """

    ROOT = "root"
    SUDO = "sudo"
    CONTAINER = "container"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What one node answered. `error` is empty when it answered; then `docker` is its server version,
    `free_snapshots` and `free_data` are free bytes on the file systems of /opt/rke and of etcd's data,
    `clock` its time in seconds since the epoch.
    """

    node: NodeSpec
    error: str = ""
    docker: str = ""
    access: Access = Access.NONE
    containers: Mapping[str, Container] = field(default_factory=dict)
    free_snapshots: int = 0
    free_data: int = 0
    clock: float = 0

    @property
    def reachable(self) -> bool:
        """SSH and docker both answered."""
        return not self.error


@dataclass(frozen=True, slots=True)
class RkeFacts:
    """What the RKE host answered. `version` as in `rke --version` (v0.1.20); hashes are sha256 in hex;
    `state_sha256` is of the .rkestate file, empty when there is none; `kube_config` says whether
    kube_config_<name>.yml is there.
    """

    version: str
    binary_sha256: str
    yml: bytes
    yml_sha256: str
    state_sha256: str = ""
    kube_config: bool = False

    @property
    def family(self) -> tuple[int, int, int]:
        """The version as numbers; (0, 0, 0) when it cannot be read."""
        parts = self.version.removeprefix("v").split("-")[0].split(".")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            return (0, 0, 0)
        return (int(parts[0]), int(parts[1]), int(parts[2]))

    @property
    def legacy(self) -> bool:
        """v0.1.x: state in the cluster, plain snapshot files, nothing distributed or compared by rke."""
        return self.family < (0, 2, 0)


@dataclass(frozen=True, slots=True)
class Member:
    """One etcd member as seen from itself. `error` is empty when it answered; `hash` is hashkv at a common
    revision, if asked.
    """

    address: str
    error: str = ""
    member_id: int = 0
    leader: int = 0
    revision: int = 0
    version: str = ""
    alarms: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # members it knows, as etcd-<hostname>
