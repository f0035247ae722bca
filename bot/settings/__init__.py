"""One YAML file, plus secrets from the environment, as frozen values. Every error at once, each with its path.

`config/etcd-snapshot-bot.example.yaml` explains every key. A secret NAME may also come as NAME_FILE, the path of a file
that holds it (Docker and Kubernetes secrets).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from bot.core import strict_yaml
from bot.core.cluster import Cluster
from bot.core.events import Keyring
from bot.errors import Refused
from bot.settings.file import ConfigFile, explain
from bot.settings.secrets import Secrets, read_secrets


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """How Slack is reached. `mode` is socket or http; `listen` (host, port) and `path` are for http; `app_token` is
    empty in http mode, `signing_secret` in socket mode.
    """

    mode: str
    api_url: str
    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    listen: tuple[str, int]
    path: str


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """`durability` is aof, replicas or none: what an append waits for."""

    url: str = field(repr=False)
    durability: str


@dataclass(frozen=True, slots=True)
class SshSettings:
    """Files are readable; `agent` is the socket of an SSH agent ("" for none); `connect_timeout` is in seconds."""

    known_hosts: Path
    keys: tuple[Path, ...]
    agent: str
    connect_timeout: float


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where off-site copies go. Without keys (both empty) boto3 looks for credentials itself, e.g. an instance role."""

    bucket: str
    prefix: str
    endpoint_url: str
    region: str
    path_style: bool
    ca: Path | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`lease` and `grace` (how long a worker that is told to stop goes on) are in seconds."""

    lease: float
    parallel_reads: int
    grace: float


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the bot is told."""

    slack: SlackSettings
    redis: RedisSettings
    ssh: SshSettings
    s3: S3Settings
    worker: WorkerSettings
    clusters: Mapping[str, Cluster]
    keyring: Keyring = field(repr=False)


class SettingsError(Refused):
    """The configuration cannot be used; `problems` has one line for each thing that is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"The configuration has {count}:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the file and the environment. Raises SettingsError with everything that is wrong in both."""
    problems: list[str] = []
    config = _read(path, problems)
    secrets = read_secrets(environ, config.slack.mode if config else "", problems)
    if config:
        _check_files(config, path.parent, problems)
        url = secrets.redis_url or config.redis.url
        if not url:
            problems.append("redis.url is missing: set it here or in the environment variable REDIS_URL")
    if problems or config is None:
        raise SettingsError(tuple(problems))
    return _build(config, secrets, path.parent, environ)


def _read(path: Path, problems: list[str]) -> ConfigFile | None:
    try:
        return ConfigFile.model_validate(strict_yaml.load(path.read_bytes(), str(path)) or {})
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror}")
    except Refused as error:
        problems.append(str(error))
    except ValidationError as error:
        problems.extend(explain(error))
    return None


def _check_files(config: ConfigFile, base: Path, problems: list[str]) -> None:
    wanted = {"ssh.known_hosts": config.ssh.known_hosts, "s3.ca": config.s3.ca}
    wanted |= {f"ssh.keys[{index}]": key for index, key in enumerate(config.ssh.keys)}
    for key, name in wanted.items():
        if name:
            try:
                with _path(base, name).open("rb"):
                    pass
            except OSError as error:
                problems.append(f"{key}: {name} cannot be read: {error.strerror}")


def _path(base: Path, name: str) -> Path:
    """A path of the file: relative ones start where the file is."""
    return base / Path(name).expanduser()


def _build(config: ConfigFile, secrets: Secrets, base: Path, environ: Mapping[str, str]) -> Settings:
    slack, ssh, s3 = config.slack, config.ssh, config.s3
    return Settings(
        slack=SlackSettings(
            slack.mode,
            slack.api_url.rstrip("/") + "/",
            secrets.bot_token,
            secrets.app_token,
            secrets.signing_secret,
            slack.http.listen,
            slack.http.path,
        ),
        redis=RedisSettings(secrets.redis_url or config.redis.url, config.redis.durability),
        ssh=SshSettings(
            _path(base, ssh.known_hosts),
            tuple(_path(base, key) for key in ssh.keys),
            environ.get("SSH_AUTH_SOCK", "") if ssh.agent else "",
            ssh.connect_timeout,
        ),
        s3=S3Settings(
            s3.bucket,
            s3.prefix.strip("/"),
            s3.endpoint_url,
            s3.region,
            s3.path_style,
            _path(base, s3.ca) if s3.ca else None,
            secrets.s3_access_key,
            secrets.s3_secret_key,
        ),
        worker=WorkerSettings(config.worker.lease, config.worker.parallel_reads, config.worker.grace),
        clusters={name: cluster.value(name) for name, cluster in config.clusters.items()},
        keyring=secrets.keyring,
    )
