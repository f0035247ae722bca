"""The SSH user's view of a machine: what only root may read is there, and cannot be entered."""

import os
from pathlib import Path

from tests.lab.nodes.paths import ETCD_DATA, KUBERNETES, REWRITTEN, SNAPSHOTS, MachinePaths


class UserView:
    """Keeps the view of one machine up to date; cheap when nothing changed."""

    def __init__(self, paths: MachinePaths) -> None:
        self._paths = paths
        self._mirrored: dict[Path, int] = {}

    def refresh(self) -> None:
        """Bring the view up to date; called before each of the user's commands."""
        for path in REWRITTEN:
            if path not in {"/opt/rke", ETCD_DATA, KUBERNETES}:
                _link(self._shown(path), self._paths.fs / path.lstrip("/"))
        self._lock(SNAPSHOTS)
        self._lock(ETCD_DATA)
        if not self._mirrored or any(_changed(path) != stamp for path, stamp in self._mirrored.items()):
            self._mirrored.clear()
            self._mirror(self._paths.real(KUBERNETES), self._shown(KUBERNETES))

    def _shown(self, path: str) -> Path:
        return self._paths.user_view / path.lstrip("/")

    def _lock(self, path: str) -> None:
        """Show a root-only directory: it exists, and cannot be entered."""
        shown, real = self._shown(path), self._paths.real(path)
        if real.is_dir() and not shown.exists():
            shown.mkdir(parents=True)
            shown.chmod(0)
        elif not real.is_dir() and shown.exists():
            shown.rmdir()
        if real.parent.is_dir():
            shown.parent.mkdir(parents=True, exist_ok=True)
        elif path == SNAPSHOTS and shown.parent.exists():
            shown.parent.rmdir()

    def _mirror(self, real: Path, shown: Path) -> None:
        """Mirror a directory as symbolic links; private keys lead to where nobody may go."""
        self._mirrored[real] = _changed(real)
        if not real.is_dir():
            _remove_tree(shown)
            return
        shown.mkdir(parents=True, exist_ok=True)
        wanted = {entry.name: entry for entry in os.scandir(real)}
        for stale in [entry for entry in os.scandir(shown) if entry.name not in wanted]:
            _remove_tree(Path(stale.path))
        for name, entry in wanted.items():
            if entry.is_dir(follow_symlinks=False):
                self._mirror(Path(entry.path), shown / name)
            else:
                _link(shown / name, self._paths.locked / name if name.endswith("-key.pem") else Path(entry.path))


def _changed(path: Path) -> int:
    """When the directory's entries last changed, in nanoseconds; 0 when there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


def _remove_tree(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        for entry in os.scandir(path):
            _remove_tree(Path(entry.path))
        path.rmdir()
