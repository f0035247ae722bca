"""What stands in for a container's namespaces: paths and loopback addresses are rewritten.

Paths below a bind's target lead to its source, the usual writable places of an image to a private directory, and
loopback addresses to the node's address (host network) or to an address of the container's own.
"""

import re
from pathlib import Path

from tests.lab.nodes.docker.images import SHELL_PATH, STANDINS, Programs
from tests.lab.nodes.docker.model import Bind, Container

_PRIVATE = (
    "/tmp",
    "/backup",
    "/data",
    "/restore",
    "/snapshot",
    "/opt",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/run",
    "/root",
    "/home",
    "/mnt",
    "/srv",
    "/etc/kubernetes",
    "/etc/cni",
)
_PROGRAM_DIRECTORIES = ("/usr/local/bin", "/opt/rke-tools")
_STANDARD_DIRECTORIES = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", *_PROGRAM_DIRECTORIES)
_LOOPBACK = re.compile(r"(?<![\w.-])(?:127\.0\.0\.1|0\.0\.0\.0|localhost)(?![\w.-]*[\w-])")
_STAY_UP = ("/bin/sleep", "sleep", "2147483647")


class NotExecutableError(Exception):
    """The program is not in the image; the text is the container runtime's."""


class Sandbox:
    """Rewrites what runs in one container."""

    def __init__(self, container: Container, programs: Programs) -> None:
        self._container = container
        self._bin = programs.of(container.spec.image)
        binds = {_tidy(b.target): b.real for b in container.spec.binds}
        private = {p: container.scratch / p.lstrip("/") for p in _PRIVATE if p not in binds}
        own = {p: self._bin for p in _PROGRAM_DIRECTORIES if p not in binds}
        self._places: dict[str, Path] = {**private, **own, **binds}
        self._binds = binds
        longest_first = sorted(self._places, key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w./~-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])")
        container.scratch.mkdir(parents=True, exist_ok=True)
        for place in private.values():
            if place.name == "tmp":
                place.mkdir(exist_ok=True)

    def text(self, text: str) -> str:
        """An argument, an environment value or a shell text as it must read outside the container."""
        text = self._pattern.sub(lambda m: str(self._places[m.group()]), text)
        return _LOOPBACK.sub(self._container.address, text)

    def path(self, path: str) -> Path:
        """Where a path of the container really is."""
        rewritten = self.text(path)
        return Path(rewritten) if rewritten != path else self._container.scratch / path.lstrip("/")

    def ensure_private(self, text: str) -> None:
        """Make the private directories a command names, as an image has them."""
        for match in self._pattern.finditer(text):
            place = self._places[match.group()]
            if place.is_relative_to(self._container.scratch):
                place.mkdir(parents=True, exist_ok=True)

    def argv(self, words: list[str]) -> list[str]:
        """The command to start: element 0 is the file, the rest its argument list. Raises NotExecutableError."""
        for word in words:
            self.ensure_private(word)
        name = Path(words[0]).name
        if name == "entrypoint.sh" and len(words) > 1:
            name = words[1]
        if name in STANDINS or (name == "bash" and len(words) == 1):
            return list(_STAY_UP)
        return [str(self._program(words[0])), *(self.text(word) for word in words)]

    def _program(self, word: str) -> Path:
        directory, _, name = word.rpartition("/")
        if directory and directory not in _STANDARD_DIRECTORIES:
            return self.path(word)
        for candidate in self._search():
            if (candidate / name).exists():
                return candidate / name
        if directory:
            raise NotExecutableError(f"stat {word}: no such file or directory")
        raise NotExecutableError(f'exec: "{word}": executable file not found in $PATH')

    def _search(self) -> list[Path]:
        system = [Path(p) for p in SHELL_PATH.split(":")] if self._container.spec.image.shell else []
        return [self._bin, *system]

    def environment(self, extra: list[str], mark: dict[str, str]) -> dict[str, str]:
        """The environment of a process in the container."""
        given = dict(e.partition("=")[::2] for e in [*self._container.spec.env, *extra] if "=" in e)
        return {
            "HOSTNAME": self._container.short_id,
            "HOME": str(self._container.scratch),
            "TMPDIR": str(self._container.scratch / "tmp"),
            **{k: self.text(v) for k, v in given.items()},
            "PATH": ":".join(map(str, self._search())),
            "LAB_ADDRESS": self._container.address,
            "LAB_TAR": "\n".join(
                f"--transform=s,^/*{str(p).lstrip('/')},{t.lstrip('/')}," for t, p in self._binds.items()
            ),
            **mark,
        }


def _tidy(path: str) -> str:
    return path.rstrip("/") or "/"


def make_bind(spec: str, source: str, real: Path, target: str, mode: str) -> Bind:
    """A bind whose source exists afterwards, as dockerd makes missing ones."""
    if not real.exists():
        real.mkdir(parents=True)
    return Bind(spec, source, real, target, mode)
