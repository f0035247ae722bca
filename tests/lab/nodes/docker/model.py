"""What dockerd knows about a container, and how ``docker inspect`` shows it."""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.lab.nodes.docker.images import Image

ZERO_TIME = "0001-01-01T00:00:00Z"
LOG_LIMIT = 4_000_000


def now() -> str:
    """The time as dockerd writes it: RFC 3339 with nanoseconds, trailing zeros cut."""
    nanoseconds = time.time_ns()
    head = datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{nanoseconds % 10**9:09d}".rstrip("0")
    return f"{head}.{fraction}Z" if fraction else f"{head}Z"


def seconds_since(stamp: str) -> float:
    """Seconds since a time written by ``now``."""
    then = datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC)
    return max(0.0, time.time() - then.timestamp())


@dataclass(frozen=True)
class Bind:
    """A host directory shown in a container; ``spec`` is what the caller wrote."""

    spec: str
    source: str
    real: Path
    target: str
    mode: str

    @property
    def writable(self) -> bool:
        """Whether the bind is not read-only."""
        return "ro" not in self.mode.split(",")


@dataclass(frozen=True)
class Spec:
    """What ``docker create`` was told."""

    name: str
    image: Image
    reference: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    binds: tuple[Bind, ...] = ()
    network: str = "default"
    restart: str = "no"
    labels: dict[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    memory: int = 0
    privileged: bool = False
    auto_remove: bool = False
    open_stdin: bool = False
    read_only: bool = False
    volumes_from: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        """Entry point and command together."""
        return (
            [*self.entrypoint, *self.command] if self.entrypoint else list(self.command or self.image.default_command)
        )

    @property
    def restart_name(self) -> str:
        """The restart policy without its count."""
        return self.restart.partition(":")[0]

    @property
    def restart_limit(self) -> int:
        """How often ``on-failure`` restarts; 0 means without limit."""
        return int(self.restart.partition(":")[2] or 0)


@dataclass
class State:
    """The changing part of a container."""

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = ZERO_TIME
    finished_at: str = ZERO_TIME
    restart_count: int = 0
    stopped_by_hand: bool = False

    @property
    def running(self) -> bool:
        """Docker counts a container that waits for its restart as running."""
        return self.status in {"running", "restarting"}


@dataclass
class Container:
    """One container."""

    id: str
    name: str
    spec: Spec
    address: str
    scratch: Path
    created: str = field(default_factory=now)
    state: State = field(default_factory=State)
    restart: str = ""
    logs: deque[tuple[int, bytes, str]] = field(default_factory=deque)
    log_bytes: int = 0

    def __post_init__(self) -> None:
        self.restart = self.restart or self.spec.restart

    @property
    def short_id(self) -> str:
        """The id as ``docker ps`` shows it."""
        return self.id[:12]

    def write_log(self, stream: int, data: bytes) -> None:
        """Keep output for ``docker logs``; the oldest is dropped beyond a limit."""
        self.logs.append((stream, data, now()))
        self.log_bytes += len(data)
        while self.log_bytes > LOG_LIMIT and len(self.logs) > 1:
            self.log_bytes -= len(self.logs.popleft()[1])

    def status_text(self) -> str:
        """The Status column of ``docker ps``."""
        state = self.state
        if state.status == "created":
            return "Created"
        if state.status == "running":
            return f"Up {human_duration(seconds_since(state.started_at))}"
        ago = human_duration(seconds_since(state.finished_at))
        word = "Restarting" if state.status == "restarting" else "Exited"
        return f"{word} ({state.exit_code}) {ago} ago"

    def inspect(self, driver_root: str = "/var/lib/docker") -> dict[str, object]:
        """The object ``docker inspect`` prints."""
        spec, argv = self.spec, self.spec.argv
        return {
            "Id": self.id,
            "Created": self.created,
            "Path": argv[0] if argv else "",
            "Args": argv[1:],
            "State": self._state(),
            "Image": spec.image.id,
            "LogPath": f"{driver_root}/containers/{self.id}/{self.id}-json.log",
            "Name": f"/{self.name}",
            "RestartCount": self.state.restart_count,
            "Driver": "overlay2",
            "Platform": "linux",
            "HostConfig": self._host_config(),
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": b.source,
                    "Destination": b.target,
                    "Mode": b.mode,
                    "RW": b.writable,
                    "Propagation": "rprivate",
                }
                for b in spec.binds
            ],
            "Config": self._config(),
            "NetworkSettings": {"IPAddress": "", "Networks": {spec.network: {"IPAddress": ""}}, "Ports": {}},
        }

    def _state(self) -> dict[str, object]:
        state = self.state
        return {
            "Status": state.status,
            "Running": state.running,
            "Paused": False,
            "Restarting": state.status == "restarting",
            "OOMKilled": False,
            "Dead": False,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": state.started_at,
            "FinishedAt": state.finished_at,
        }

    def _host_config(self) -> dict[str, object]:
        spec = self.spec
        name, _, count = self.restart.partition(":")
        return {
            "Binds": [b.spec for b in spec.binds] or None,
            "NetworkMode": spec.network,
            "RestartPolicy": {"Name": name, "MaximumRetryCount": int(count or 0)},
            "AutoRemove": spec.auto_remove,
            "VolumesFrom": list(spec.volumes_from) or None,
            "Privileged": spec.privileged,
            "ReadonlyRootfs": spec.read_only,
            "Memory": spec.memory,
            "PidMode": "",
            "LogConfig": {"Type": "json-file", "Config": {}},
        }

    def _config(self) -> dict[str, object]:
        spec = self.spec
        return {
            "Hostname": self.short_id,
            "User": spec.user,
            "OpenStdin": spec.open_stdin,
            "Tty": False,
            "Env": [*spec.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": list(spec.command) or list(spec.image.default_command),
            "Image": spec.reference,
            "WorkingDir": spec.workdir,
            "Entrypoint": list(spec.entrypoint) or None,
            "Labels": dict(spec.labels),
        }


def human_duration(seconds: float) -> str:
    """A duration in Docker's words (go-units HumanDuration)."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 46:
        return f"{minutes} minutes"
    hours = round(seconds / 3600)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 14:
        return f"{hours // 24} days"
    return f"{hours // 24 // 7} weeks"
