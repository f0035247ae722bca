"""Starting processes on the lab's machines, and ending all of them.

Every process carries the lab's mark in its environment (see ``watcher``), so that none outlives the lab.
"""

import asyncio
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.lab.nodes import watcher

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_libc = ctypes.CDLL(None)
_SETPRIV = shutil.which("setpriv")

Stream = int | None
"""A file descriptor, or one of subprocess's constants."""


class Warden:
    """Owns the lab's mark, its runtime directory (short paths, for sockets) and its watcher process."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.directory = Path(tempfile.mkdtemp(prefix="etcd-lab-"))
        script = Path(watcher.__file__)
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), self.token, str(self.directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def mark(self, machine: str) -> dict[str, str]:
        """The environment entry every process of ``machine`` must carry."""
        return {watcher.MARK: f"{self.token}/{machine}/"}

    def sweep(self, machine: str) -> None:
        """Kill all processes of one machine at once, as cutting its power would."""
        watcher.sweep(f"{self.token}/{machine}/")

    async def close(self) -> None:
        """Kill whatever is left of the lab and remove the runtime directory."""
        assert self._watcher.stdin is not None
        self._watcher.stdin.close()
        await asyncio.to_thread(self._watcher.wait)


def _drop_root_sight() -> None:
    """In a child process: make permission bits hold for root too, as they do for an ordinary user."""
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _without_root_sight(argv: Sequence[str]) -> tuple[list[str], Callable[[], None] | None]:
    """The same command as an ordinary user would run it; setpriv does it without copying this process's memory."""
    if os.geteuid() != 0:
        return list(argv), None
    if _SETPRIV is None:
        return list(argv), _drop_root_sight
    return [_SETPRIV, "--bounding-set=-dac_override,-dac_read_search", "--", *argv], None


async def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.PIPE,
    stderr: Stream = subprocess.PIPE,
    unprivileged: bool = False,
    executable: str | None = None,
) -> asyncio.subprocess.Process:
    """Start a process as the leader of its own group; ``unprivileged`` makes mode bits hold even under root.

    Raises OSError when the program cannot be started.
    """
    words, before = _without_root_sight(argv) if unprivileged else (list(argv), None)
    return await asyncio.create_subprocess_exec(
        *words,
        executable=executable,
        env=dict(env),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=before,
    )


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process group; a group that is gone is no error."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
