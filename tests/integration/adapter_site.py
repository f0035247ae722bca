"""One lab machine, and the adapters' way to it, for the tests of the adapters."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from bot.adapters.fence import FencedMachine
from bot.adapters.ssh import Machine, Machines, SshKeys
from bot.engine.ports import Fence
from tests.lab.nodes.hosts import Host, Site
from tests.lab.nodes.processes import Warden
from tests.lab.process import random_subnet

CLUSTER = "prod"


async def until(look: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition, at most 20 s."""
    end = time.monotonic() + 20
    while not await look():
        assert time.monotonic() < end, f"never: {what}"
        await asyncio.sleep(0.02)


async def exists(path: Path) -> None:
    """Wait for a file."""

    async def look() -> bool:
        return path.exists()

    await until(look, f"{path.name} appeared")


def fence(token: int = 1, owner: str = "worker-a", job: str = "job1", version: int = 1, mac: str = "aa") -> Fence:
    """A right to act."""
    return Fence(CLUSTER, token, owner, job, version, mac)


def machine(host: Host, via: Machine | None = None) -> Machine:
    """How the bot reaches a lab machine."""
    return Machine(host.address, host.user, host.port, via)


class OneHost:
    """A machine without docker, and connections to it."""

    def __init__(self, base: Path, host: Host, machines: Machines, keys: SshKeys) -> None:
        self.base, self.host, self.machines, self.keys = base, host, machines, keys
        self.machine = machine(host)

    def fenced(self, right: Fence | Callable[[], Fence] | None, *, marked: bool = False) -> FencedMachine:
        """The machine as a worker with that right sees it."""
        source = (lambda: right) if isinstance(right, Fence) else right
        return FencedMachine(self.machines, self.machine, CLUSTER, source, marked=marked)

    @property
    def state(self) -> Path:
        """The bot's state directory there."""
        return self.host.home / ".etcd-snapshot-bot" / CLUSTER


@asynccontextmanager
async def one_host(base: Path) -> AsyncIterator[OneHost]:
    """Start a machine, stop it and all its processes at the end."""
    key, warden = asyncssh.generate_private_key("ssh-ed25519"), Warden()
    host = Host(Site(base, warden, key), "host", f"{random_subnet()}.1")
    try:
        await host.start()
        keys = write_keys(base, key, host)
        async with Machines(keys) as machines:
            yield OneHost(base, host, machines, keys)
    finally:
        await host.stop()
        await warden.close()


def write_keys(base: Path, key: asyncssh.SSHKey, *hosts: Host) -> SshKeys:
    """The bot's key files, as an operator would make them."""
    (base / "id_ed25519").write_bytes(key.export_private_key())
    (base / "known_hosts").write_text("".join(host.known_hosts_line for host in hosts))
    return SshKeys.load(base / "known_hosts", [base / "id_ed25519"])
