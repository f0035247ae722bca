"""All machines of one lab: the nodes, the RKE host, on request a bastion; on loopback addresses of their own."""

import contextlib
import itertools
import random
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

from tests.lab.nodes.bringup import bring_up
from tests.lab.nodes.certs import Pki
from tests.lab.nodes.hosts import Host, Site
from tests.lab.nodes.node import Node
from tests.lab.nodes.processes import Warden
from tests.lab.nodes.rkehost import RkeHost

RKE_HOST = 100
BASTION = 101
_FIRST_PRIVATE = 130
_PRIVATE_ADDRESSES = 110
_PROBED_PORTS = (2222, 2379, 2380, 6443)


class Bastion(Host):
    """A machine that only forwards."""


class Machines:
    """Starts and stops the machines of a lab; ``rke`` is the version of the double on the RKE host."""

    def __init__(
        self,
        base: Path,
        *,
        nodes: int = 3,
        spares: int = 0,
        rke: str = "v0.1.20",
        bastion: bool = False,
    ) -> None:
        self.base = base
        self.rke = rke
        self.subnet = free_subnet()
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.warden = Warden()
        self.site = Site(base, self.warden, self.client_key)
        private = itertools.cycle(range(_FIRST_PRIVATE, _FIRST_PRIVATE + _PRIVATE_ADDRESSES))

        def node(number: int) -> Node:
            return Node(self.site, f"node{number}", self.address(number), lambda: self.address(next(private)))

        self.nodes = [node(n) for n in range(1, nodes + 1)]
        self.spares = [node(n) for n in range(nodes + 1, nodes + spares + 1)]
        self.bastion = Bastion(self.site, "bastion", self.address(BASTION)) if bastion else None
        self.rke_host = RkeHost(self.site, "rke-host", self.address(RKE_HOST), rke, self.bastion)
        self.pki = Pki([n.address for n in [*self.nodes, *self.spares]])
        self._started: list[Host] = []

    def address(self, number: int) -> str:
        """The loopback address with that last number in this lab's subnet."""
        return f"{self.subnet}.{number}"

    @property
    def hosts(self) -> list[Host]:
        """Every machine."""
        extra: list[Host] = [self.bastion] if self.bastion else []
        return [*self.nodes, *self.spares, self.rke_host, *extra]

    @property
    def ssh_key(self) -> Path:
        """The client key that every machine accepts."""
        return self.base / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of every machine."""
        return self.base / "known_hosts"

    async def start(self) -> Self:
        """Start every machine; the cluster does not run yet."""
        self.base.mkdir(parents=True, exist_ok=True)
        self.client_key.write_private_key(self.ssh_key)
        self.ssh_key.chmod(0o600)
        try:
            for host in self.hosts:
                self._started.append(host)
                await host.start()
        except BaseException:
            await self.stop()
            raise
        for node in self.nodes:
            node.has_images()
        self.write_known_hosts()
        self.rke_host.install(self.ssh_key)
        self.rke_host.write_config(self.nodes)
        return self

    async def stop(self) -> None:
        """End every process of this lab."""
        for host in reversed(self._started):
            with contextlib.suppress(OSError):
                await host.stop()
        self._started.clear()
        await self.warden.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def write_known_hosts(self) -> None:
        """Write all host keys; call again after a host key was changed on purpose."""
        self.known_hosts.write_text("".join(h.known_hosts_line for h in self.hosts))

    async def bring_up(self) -> None:
        """Make the nodes a healthy cluster, in the state a finished ``rke up`` leaves."""
        await bring_up(self.nodes, self.rke_host, self.pki)


def free_subnet() -> str:
    """Three numbers of a loopback subnet on which nobody listens."""
    while True:
        subnet = f"127.{random.randint(10, 250)}.{random.randint(1, 250)}"
        if not any(_taken(f"{subnet}.{last}", port) for last in (1, 2, 3, RKE_HOST) for port in _PROBED_PORTS):
            return subnet


def _taken(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
        return False
