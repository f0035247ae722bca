"""Where a machine's paths really are.

A lab machine has no file system of its own, so the paths that matter to RKE are rewritten to a directory below the
machine's root. Two views exist:

* root's view, ``<root>/fs``: the real files; what ``sudo`` and containers see;
* the SSH user's view, ``<root>/user``: the same tree, in which everything only root may read on a real node
  (snapshots, etcd's data, private keys) leads to a directory without permissions.
"""

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
