"""The bot under test, as a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tests.lab.process import ROOT, LabError, reap, spawn

Command = Literal["run", "worker", "slack", "check"]


def bot_argv() -> list[str]:
    """How a user starts the bot: the installed script, or the source tree where BOT_INSTALLED is not set."""
    if os.environ.get("BOT_INSTALLED"):
        return [str(Path(sys.executable).parent / "etcd-snapshot-bot")]
    return [sys.executable, "-m", "bot"]


def bot_env(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with what the source tree needs where the wheel is not used."""
    return dict(env) if os.environ.get("BOT_INSTALLED") else {**env, "PYTHONPATH": str(ROOT)}


class Bot:
    """One process of the bot; it is killed with the lab, however the lab ends."""

    def __init__(self, log: Path, command: Command, *, config: Path, env: Mapping[str, str]) -> None:
        """Nothing is started yet; all output is appended to `log`."""
        self.log, self.command, self.config, self.env = log, command, config, dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again after `kill` or `stop`."""
        argv = [*bot_argv(), self.command, "--config", str(self.config)]
        self._process = spawn(argv, log=self.log, env=bot_env(self.env))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        process = self._running()
        process.kill()
        process.wait()

    def stall(self) -> None:
        """Freeze it, as a paused virtual machine; `resume` lets it go on."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stalled bot go on."""
        self._running().send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """Ask it to end and wait; kill it after 15 seconds."""
        if self._process is not None and self._process.poll() is None:
            await reap(self._process, gently=15)

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise LabError(f"the bot does not run; the end of its output:\n{self.output()[-2000:]}")
        return self._process
