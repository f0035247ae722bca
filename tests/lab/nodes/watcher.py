"""Ends every process of a lab, also when the lab itself was killed.

Run as ``python -I -S watcher.py TOKEN DIRECTORY`` with a pipe from the lab as stdin: when the pipe closes, for whatever
reason, all processes carrying the lab's mark in their environment are killed and the lab's runtime directory removed.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

MARK = "ETCD_SNAPSHOT_LAB"
"""Environment variable of every process of a lab; its value is ``<token>/<machine>``."""

_ROUNDS = 200


def marked(value_prefix: str) -> list[int]:
    """Process ids whose mark begins with ``value_prefix``; processes of other users are not seen."""
    wanted = f"{MARK}={value_prefix}".encode()
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and _carries(pid, wanted)]


def sweep(value_prefix: str) -> None:
    """Kill everything that carries the mark until nothing new appears; never raises for a vanished process."""
    for _ in range(_ROUNDS):
        pids = marked(value_prefix)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return any(entry.startswith(wanted) for entry in environ.split(b"\0"))


def main() -> None:
    """Wait for the lab's end, then sweep."""
    token, directory = sys.argv[1:3]
    while os.read(0, 4096):
        pass
    sweep(f"{token}/")
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
