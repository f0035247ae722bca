"""Docker's command line as the bot uses it; works with docker 1.13 to 20.10 (no `{{.State}}` in `docker ps`)."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from bot.adapters.ssh import Completed
from bot.core.facts import Container
from bot.errors import Fatal

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_GONE: Final = re.compile(r"No such (?:container|object): (?P<name>\S+)")
_DEFAULT_SOCKET: Final = "/var/run/docker.sock"

# Every container, one a line. One that vanishes between the two commands is no error.
LIST: Final = (
    "docker ps -aq --no-trunc | xargs -r docker inspect --type container 2>/dev/null --format "
    "'{{.Name}}|{{.Config.Image}}|{{.State.Status}}|{{.State.StartedAt}}'"
)


# Run a command at most so long, in seconds. A busybox before 1.30 has another timeout: then without a limit.
LIMIT: Final = 'limit=$1; shift; if timeout 1 true 2>/dev/null; then exec timeout "$limit" "$@"; fi; exec "$@"'


def environment(socket: str) -> list[str]:
    """What precedes a command line so that docker in it talks to `docker_socket` of the yml."""
    return [] if socket == _DEFAULT_SOCKET else ["env", f"DOCKER_HOST=unix://{socket}"]


def containers(output: str) -> Mapping[str, Container]:
    """The containers that LIST wrote, by name."""
    rows = (line.split("|") for line in output.splitlines() if line.count("|") == 3)
    return {name.lstrip("/"): Container(name.lstrip("/"), *rest) for name, *rest in rows}


def checked(names: Sequence[str]) -> list[str]:
    """The names, if each is one docker could have given."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise Fatal(f"{name!r} is no container name.")
    return list(names)


def judged(names: Sequence[str], done: Completed) -> Mapping[str, str]:
    """Docker's verdict per container of a command on several: "" where it worked or the container is gone, else why.

    Docker goes on after a failure, names what worked on stdout, and exits 1 (observed with 18.09 and 20.10).
    """
    worked = set(done.stdout.decode(errors="replace").split())
    errors = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    worked |= {found["name"] for line in errors if (found := _GONE.search(line))}
    return {name: "" if name in worked else _why(name, errors, done.said) for name in names}


def _why(name: str, errors: Sequence[str], otherwise: str) -> str:
    return next((line for line in errors if name in line), otherwise)
