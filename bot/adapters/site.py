"""The machines of a cluster, reached as its configuration and its yml say."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bot.adapters.fence import FencedMachine
from bot.adapters.node import SshNode
from bot.adapters.rke import SshRkeHost
from bot.adapters.ssh import Machine, Machines, SshKeys
from bot.core import cluster_yml
from bot.core.cluster import Cluster, SshTarget
from bot.core.facts import ClusterYml, NodeSpec, RkeFacts
from bot.engine.ports import Fence, RkeHost, Site


class SshOptions(Protocol):
    """What the configuration says of SSH."""

    @property
    def known_hosts(self) -> Path:
        """The file with the machines' host keys."""

    @property
    def keys(self) -> tuple[Path, ...]:
        """The bot's private keys."""

    @property
    def agent(self) -> str:
        """The socket of an SSH agent, or ""."""

    @property
    def connect_timeout(self) -> float:
        """Seconds until a machine counts as not answering."""


class SshSites:
    """Implements the port Sites over SSH."""

    def __init__(self, keys: SshKeys) -> None:
        self._keys = keys

    @staticmethod
    def of(options: SshOptions) -> "SshSites":
        """The sites the configuration gives access to. Raises Fatal when a file cannot be used."""
        keys, timeout = options.keys, options.connect_timeout
        return SshSites(SshKeys.load(options.known_hosts, keys, agent=options.agent, connect_timeout=timeout))

    def open(self, cluster: Cluster, fence: Callable[[], Fence] | None) -> AbstractAsyncContextManager[Site]:
        """See the port. Connections are made when they are needed."""
        return self._open(cluster, fence)

    @contextlib.asynccontextmanager
    async def _open(self, cluster: Cluster, fence: Callable[[], Fence] | None) -> AsyncIterator[Site]:
        async with Machines(self._keys) as machines:
            yield SshSite(machines, cluster, fence)


class SshSite:
    """Implements the port Site over SSH."""

    def __init__(self, machines: Machines, cluster: Cluster, fence: Callable[[], Fence] | None) -> None:
        self._machines, self._cluster, self._fence = machines, cluster, fence
        jump = _machine(cluster.jump_host) if cluster.jump_host else None
        self._rke_host = replace(_machine(cluster.rke_host), via=jump)
        fenced = FencedMachine(machines, self._rke_host, cluster.name, fence, marked=True)
        self.host: RkeHost = SshRkeHost(fenced, cluster)
        self._yml = ClusterYml(())
        self._nodes: dict[NodeSpec, SshNode] = {}

    def read_yml(self, facts: RkeFacts) -> ClusterYml:
        """See the port."""
        yml = cluster_yml.read(facts.yml)
        if (yml.bastion, yml.prefix_path) != (self._yml.bastion, self._yml.prefix_path):
            self._nodes.clear()
        self._yml = yml
        return yml

    def node(self, spec: NodeSpec) -> SshNode:
        """See the port. The same spec gives the same node, which knows what it has found out about itself."""
        if spec not in self._nodes:
            via = self._rke_host if self._cluster.nodes_via_rke_host else None
            if bastion := self._yml.bastion:
                via = Machine(bastion.address, bastion.user, bastion.port, via)
            machine = Machine(spec.address, spec.user, spec.port, via)
            host = FencedMachine(self._machines, machine, self._cluster.name, self._fence)
            self._nodes[spec] = SshNode(spec, host, self._yml.prefix_path)
        return self._nodes[spec]


def _machine(target: SshTarget) -> Machine:
    return Machine(target.address, target.user, target.port)
