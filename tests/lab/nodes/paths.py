"""Where a machine's paths really are.

A lab machine has no file system of its own, so the paths that matter to RKE are rewritten to a directory below the
machine's root. Two views exist:

* root's view, ``<root>/fs``: the real files; what ``sudo`` and containers see;
* the SSH user's view, ``<root>/user``: the same tree, in which everything only root may read on a real node
  (snapshots, etcd's data, private keys) leads to a directory without permissions.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

REWRITTEN = (
    "/opt/rke",
    "/var/lib/etcd",
    "/etc/kubernetes",
    "/var/lib/rancher",
    "/etc/cni",
    "/opt/cni",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
"""Absolute paths of a real node that exist per machine in the lab."""

SNAPSHOTS = "/opt/rke/etcd-snapshots"
ETCD_DATA = "/var/lib/etcd"
KUBERNETES = "/etc/kubernetes"

_ALTERNATIVES = "|".join(re.escape(p) for p in REWRITTEN)
_NODE_PATH = re.compile(rf"(?<![\w./-])(?:{_ALTERNATIVES})(?![\w-])")
_BELOW = rf"(?=(?:{_ALTERNATIVES})(?![\w-]))"


@dataclass(frozen=True)
class MachinePaths:
    """The directories of one machine below its root."""

    root: Path

    @property
    def fs(self) -> Path:
        """Root's view of the machine's file system."""
        return self.root / "fs"

    @property
    def user_view(self) -> Path:
        """The SSH user's view of the rewritten paths."""
        return self.root / "user"

    @property
    def locked(self) -> Path:
        """A directory nobody unprivileged may enter."""
        return self.root / "locked"

    @property
    def home(self) -> Path:
        """HOME of the SSH user."""
        return self.fs / "home/rke"

    @property
    def tmp(self) -> Path:
        """TMPDIR of every command on the machine."""
        return self.fs / "tmp"

    @property
    def bin(self) -> Path:
        """Programs of the SSH user that come before the system's."""
        return self.root / "bin"

    @property
    def root_bin(self) -> Path:
        """Programs that come before the system's in commands run by ``sudo`` and in containers."""
        return self.root / "sbin"

    @property
    def df_switch(self) -> Path:
        """The file that makes ``df`` report its figures."""
        return self.root / "df"

    def create(self) -> None:
        """Make the directories of a fresh machine; harmless when they exist."""
        for directory in (self.home, self.tmp, self.fs / "root", self.bin, self.root_bin, self.user_view):
            directory.mkdir(parents=True, exist_ok=True)
        self.locked.mkdir(exist_ok=True)
        self.locked.chmod(0)

    def real(self, path: str) -> Path:
        """Where ``path`` of the machine really is (root's view)."""
        canonical = self.canonical(path)
        if Path(canonical).is_relative_to(self.fs):
            return Path(canonical)
        return self.fs / canonical.lstrip("/")

    def canonical(self, text: str) -> str:
        """Undo the rewriting: both views become the paths of a real node again."""
        prefixes = "|".join(re.escape(str(p)) for p in (self.fs, self.user_view))
        return re.sub(rf"(?:{prefixes}){_BELOW}", "", text)

    def as_root(self, text: str) -> str:
        """``text`` with every node path leading to root's view."""
        return _NODE_PATH.sub(lambda m: f"{self.fs}{m.group()}", self.canonical(text))

    def as_user(self, text: str) -> str:
        """``text`` with every node path leading to the SSH user's view."""
        return _NODE_PATH.sub(lambda m: f"{self.user_view}{m.group()}", self.canonical(text))

    def refresh_user_view(self) -> None:
        """Bring the SSH user's view up to date; called before each of the user's commands."""
        for path in REWRITTEN:
            if path not in ("/opt/rke", ETCD_DATA, KUBERNETES):
                _link(self.user_view / path.lstrip("/"), self.fs / path.lstrip("/"))
        self._mirror_lockable(SNAPSHOTS)
        self._mirror_lockable(ETCD_DATA)
        _mirror_tree(self.real(KUBERNETES), self.user_view / KUBERNETES.lstrip("/"), self.locked)

    def _mirror_lockable(self, path: str) -> None:
        """Show a root-only directory to the user: it exists, and cannot be entered."""
        shown, exists = self.user_view / path.lstrip("/"), self.real(path).is_dir()
        if exists and not shown.exists():
            shown.mkdir(parents=True)
            shown.chmod(0)
        elif not exists and shown.exists():
            shown.rmdir()
        above = self.real(path).parent
        shown_above = shown.parent
        if above.is_dir():
            shown_above.mkdir(parents=True, exist_ok=True)
        elif path == SNAPSHOTS and shown_above.exists():
            shown_above.rmdir()


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


def _mirror_tree(real: Path, shown: Path, locked: Path) -> None:
    """Mirror a directory as symbolic links; private keys lead into ``locked``."""
    if not real.is_dir():
        _remove_tree(shown)
        return
    shown.mkdir(parents=True, exist_ok=True)
    wanted = {e.name: e for e in os.scandir(real)}
    for stale in [e for e in os.scandir(shown) if e.name not in wanted]:
        _remove_tree(Path(stale.path))
    for name, entry in wanted.items():
        if entry.is_dir(follow_symlinks=False):
            _mirror_tree(Path(entry.path), shown / name, locked)
        else:
            _link(shown / name, locked / name if name.endswith("-key.pem") else Path(entry.path))


def _remove_tree(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        for entry in os.scandir(path):
            _remove_tree(Path(entry.path))
        path.rmdir()
