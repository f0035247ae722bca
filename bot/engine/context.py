"""What every step is given, and the few things most steps do."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from bot.core.cluster import Cluster
from bot.core.events import Data
from bot.core.facts import ClusterYml, NodeFacts, NodeSpec, RkeFacts
from bot.core.job import Job
from bot.core.plans import Plan
from bot.engine.ports import Node, Side, Site, Store
from bot.errors import Fatal, Retryable

Result = TypeVar("Result")
_log = structlog.get_logger()


@dataclass(slots=True)
class Context:
    """One job at work. `now` is Redis' time in seconds; `seen` caches what the RKE host answered in this run."""

    job: Job
    cluster: Cluster
    site: Site
    store: Store
    side: Side
    now: Callable[[], Awaitable[float]]
    seen: dict[str, tuple[RkeFacts, ClusterYml]] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The job's plan; Fatal without one."""
        if self.job.plan is None:
            raise Fatal(f"job {self.job.id} has no plan")
        return self.job.plan

    async def look(self) -> tuple[RkeFacts, ClusterYml]:
        """rke and the yml, read once per run."""
        if "host" not in self.seen:
            facts = await self.site.host.look()
            self.seen["host"] = facts, self.site.read_yml(facts)
        return self.seen["host"]

    async def say(self, key: str, words: str) -> None:
        """Show a progress line; nothing depends on it, so that a silent Redis is no reason to stop."""
        try:
            await self.side.line(self.job.id, key, words)
        except Retryable as error:
            _log.info("line_lost", job=self.job.id, key=key, error=str(error))

    async def nodes(self, role: str = "") -> tuple[Node, ...]:
        """The cluster's nodes, only those with `role` if given, in the order of the yml."""
        _, yml = await self.look()
        return tuple(self.site.node(spec) for spec in (yml.with_role(role) if role else yml.nodes))

    async def facts(self, specs: Sequence[NodeSpec]) -> tuple[NodeFacts, ...]:
        """What these nodes answer, all at once."""
        return tuple(await asyncio.gather(*(self.site.node(spec).look() for spec in specs)))


Attached = Callable[[Context], Awaitable[Data]]


class Detached(Protocol):
    """A step that is one rke command, run detached on the RKE host."""

    def arguments(self, context: Context) -> Sequence[str]:
        """What follows `rke`."""

    async def before(self, context: Context) -> None:
        """What is done on the nodes right before the launch; idempotent."""

    def progress(self, output: str) -> Mapping[str, str]:
        """Progress lines from the output so far."""

    def result(self, status: int, output: str, etcd_nodes: Collection[str]) -> Data:
        """The step's result; `etcd_nodes` are those of the plan. Raises BotError when the command failed."""


async def each(nodes: Sequence[Node], act: Callable[[Node], Awaitable[Result]]) -> dict[str, Result | Exception]:
    """Act on all nodes at once; the result or the error of each, by address. Cancellation is passed on."""
    results = await asyncio.gather(*(act(node) for node in nodes), return_exceptions=True)
    answers: dict[str, Result | Exception] = {}
    for node, result in zip(nodes, results, strict=True):
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
        answers[node.spec.address] = result
    return answers
