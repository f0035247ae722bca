"""One run of rke: the cluster, the connections to its nodes, and who was left out.

A host that cannot be reached is a warning and drops out of every list; only a run without any etcd host fails
[v0.1.20-save-ssh-port-refused.txt, v0.1.20-key-not-accepted.txt, v1.0.16-save-one-node-unreachable.txt].
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from .config import Cluster, Host
from .containers import Containers
from .log import Log, RkeError
from .plan import Images, Plan
from .settings import Settings
from .transport import DURING_CONNECT, NO_SOCKET, dial

SUPPORTED_DOCKER = {
    True: "1.11.x 1.12.x 1.13.x 17.03.x 17.06.x 17.09.x 18.06.x 18.09.x 19.03.x".split(),
    False: "1.13.x 17.03.x 17.06.x 17.09.x 18.06.x 18.09.x 19.03.x".split(),
}


@dataclass
class Session:
    """Mutable state of one run; `cluster` shrinks when hosts are dropped."""

    cluster: Cluster
    settings: Settings
    log: Log
    reached: dict[str, Containers] = field(default_factory=dict)
    inactive: list[Host] = field(default_factory=list)
    existing: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    authority: bytes = b""
    refused: dict[str, str] = field(default_factory=dict)
    _whole: Cluster | None = None

    @property
    def plan(self) -> Plan:
        """Container descriptions for the hosts that are left."""
        images = Images.of(self.cluster, self.settings)
        return Plan(self.cluster, self.settings, images, self.existing, self.ready)

    def forget(self) -> None:
        """Start over as a new cluster object of the same yml: connections go, dropped hosts come back."""
        self.close()
        self.reached.clear()
        self.inactive.clear()
        self.cluster = self._whole or self.cluster

    def on(self, host: Host) -> Containers:
        """Containers of a host; raises RkeError for one that was dialled in vain."""
        if host.address in self.refused:
            raise RkeError(self.refused[host.address])
        return self.reached[host.address]

    async def wait(self, seconds: float) -> None:
        """One of rke's fixed waits, scaled down."""
        await asyncio.sleep(seconds * self.settings.wait_scale)

    async def tunnel(self) -> None:
        """Dial every host; drop those that do not answer. Raises RkeError when docker is of an unknown version."""
        self._whole = self._whole or self.cluster
        hosts = random.sample(self.cluster.hosts, len(self.cluster.hosts))
        if self.settings.legacy:
            for host in hosts:
                await self._try(host)
        else:
            await gather(self._try(host) for host in hosts)
        for host in self.inactive:
            self.log.warning(f"Removing host [{host.address}] from node lists")
        self.cluster = self.cluster.without(host.address for host in self.inactive)
        if not self.cluster.etcd_hosts:
            first = [host.address for host in self.inactive[:1] if host.is_etcd]
            raise RkeError(
                "Cluster must have at least one etcd plane host: failed to connect to the following etcd "
                f"host(s) [{' '.join(first)}]"
            )

    async def _try(self, host: Host) -> None:
        try:
            await self.tunnel_up(host)
        except UnsupportedDocker:
            raise
        except RkeError as error:
            self.log.warning(f"Failed to set up SSH tunneling for host [{host.address}]: {error}")
            self.inactive.append(host)

    async def tunnel_up(self, host: Host) -> Containers:
        """Connect to one host and look at its docker; raises RkeError with rke's reason."""
        if host.address in self.reached:
            return self.reached[host.address]
        self.log.info(f"[dialer] Setup tunnel for host [{host.address}]")
        use_agent = bool(self.cluster.tree.get("ssh_agent_auth"))
        transport = await dial(host, self.cluster.bastion, use_agent)
        containers = Containers(host, transport, self.log, self.settings)
        await self._check_docker(containers)
        self.reached[host.address] = containers
        return containers

    async def _check_docker(self, containers: Containers) -> None:
        hung = self.settings.response_timeout
        try:
            info = await containers.transport.docker("info", "--format", "{{.ServerVersion}}", timeout=hung)
        except RkeError as error:
            raise RkeError(f"Can't retrieve Docker Info: {error}") from error
        if info.status != 0 or not info.text:
            text = DURING_CONNECT.format(path="info", error=NO_SOCKET)
            raise RkeError(f"Can't retrieve Docker Info: {text}")
        known = SUPPORTED_DOCKER[self.settings.legacy]
        if [int(part) for part in info.text.split(".")[:2]] in [_major_minor(version) for version in known]:
            return
        text = f"Unsupported Docker version found [{info.text}], supported versions are [{' '.join(known)}]"
        if not self.cluster.ignore_docker_version:
            raise UnsupportedDocker(text)
        self.log.warning(text)

    def close(self) -> None:
        """Drop all connections."""
        for containers in self.reached.values():
            containers.transport.close()


class UnsupportedDocker(RkeError):
    """Ends the run at the first such host, whatever the others are [v0.1.20-unsupported-docker.txt]."""


def _major_minor(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:2]]


async def gather(work: Iterable[Awaitable[None]]) -> None:
    """All at once; every one is let finish, then the first error is raised, as Go's errgroup does."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def each(session: Session, hosts: Iterable[Host], work: Callable[[Host], Awaitable[None]]) -> None:
    """`work` for every host at once."""
    await gather(work(host) for host in hosts)
