"""Processes and waiting, as every part of the lab needs them."""

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout's root: what PYTHONPATH must name for `python -m tests.lab…` to work from anywhere."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1  # prctl(2), Linux


class LabError(Exception):
    """The lab itself cannot do what it was asked; never a fault of the program under test."""


def random_subnet() -> str:
    """A loopback /24 of one's own, as `127.A.B`: several labs on one machine do not meet."""
    return f"127.{random.randint(10, 250)}.{random.randint(1, 250)}"


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    piped: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a server that is killed by the kernel when this process ends, however it ends.

    Its stderr (and stdout, unless `piped` asks for pipes on stdin and stdout) is appended to `log`.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the kernel knew whom to watch
            os._exit(1)

    with log.open("ab") as sink:
        return subprocess.Popen(
            [os.fspath(part) for part in argv],
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else sink,
            stderr=sink,
            env=None if env is None else dict(env),
            # Runs prctl and getppid only, so it is safe even when other threads exist.
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the standard library has no other way to set this
            start_new_session=True,  # Ctrl-C in a terminal reaches the lab alone, which then stops in order
        )


async def reap(process: subprocess.Popen[bytes], *, gently: float = 5.0) -> None:
    """End a process: TERM, then KILL after `gently` seconds; returns when it is gone."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, gently)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


async def until(what: str, condition: Callable[[], Awaitable[bool]], *, timeout: float = 20.0) -> None:
    """Wait until `condition` holds; after `timeout` seconds raise TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain until {what}")
        await asyncio.sleep(0.01)
