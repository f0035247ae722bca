"""A cluster's machines in memory, for what the engine makes of their answers and of their silence."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from bot.core.facts import ClusterYml, Copy, Integrity, Member, NodeFacts, NodeSpec, RkeFacts
from bot.core.job import Job
from bot.engine.context import Context
from bot.engine.ports import Node, RkeHost, Side, Site, Store
from tests.unit import clusters


@dataclass
class MemoryNode:
    """A node of all roles. `files` are as they are when read back; a check of `hangs` never ends, of `errors` it fails.

    `checked` are the names asked for, in that order, `most` how many at once.
    """

    address: str
    files: Sequence[Copy] = ()
    hangs: frozenset[str] = frozenset()
    errors: Mapping[str, Exception] = field(default_factory=dict)
    etcd: str = ""
    checked: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0

    @property
    def spec(self) -> NodeSpec:
        """See the port."""
        return clusters.spec(self.address)

    async def look(self) -> NodeFacts:
        """See the port."""
        return clusters.node(self.address)

    async def member(self) -> Member:
        """See the port: `etcd` is its error."""
        return clusters.member(self.address, error=self.etcd)

    async def copies(self) -> tuple[Copy, ...]:
        """See the port."""
        unknown = {"sha256": "", "file_sha256": "", "revision": None, "integrity": Integrity.UNKNOWN}
        return tuple(replace(copy, **unknown) for copy in self.files)  # type: ignore[arg-type]  # fields by name

    async def check_copy(self, name: str) -> Copy | None:
        """See the port."""
        self.checked.append(name)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0)
            if name in self.hangs:
                await asyncio.Event().wait()
            if name in self.errors:
                raise self.errors[name]
            return next((copy for copy in self.files if copy.name == name), None)
        finally:
            self.running -= 1


@dataclass
class _Machines:
    nodes: Mapping[str, MemoryNode]

    @property
    def host(self) -> RkeHost:
        return cast(RkeHost, self)

    async def look(self) -> RkeFacts:
        return clusters.RKE

    def read_yml(self, _facts: RkeFacts) -> ClusterYml:
        return clusters.yml(*(node.spec for node in self.nodes.values()))

    def node(self, spec: NodeSpec) -> Node:
        return cast(Node, self.nodes[spec.address])


@dataclass
class _Stored:
    found: Sequence[Copy]

    async def copies(self, _cluster: str) -> tuple[Copy, ...]:
        return tuple(self.found)


class _Lines:
    async def line(self, job: str, key: str, words: str) -> None:
        """Nobody looks."""


async def _now() -> float:
    return clusters.NOW


def context(*nodes: MemoryNode, snapshot: str = "before-upgrade", off_site: Sequence[Copy] = ()) -> Context:
    """A restore of that snapshot on these nodes."""
    site = cast(Site, _Machines({node.address: node for node in nodes}))
    job = Job("j1", cluster=clusters.CLUSTER.name, snapshot=snapshot)
    return Context(job, clusters.CLUSTER, site, cast(Store, _Stored(off_site)), cast(Side, _Lines()), _now)
