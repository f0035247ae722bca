"""The read lane: gathering for a plan, and queries. Nothing here changes a cluster."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bot.core import snapshots
from bot.core.events import Data, Draft, EventType, Json
from bot.core.facts import Copy
from bot.core.findings import Level
from bot.core.gather import cannot_plan
from bot.core.job import Job
from bot.core.transitions import Phase
from bot.engine.context import Context, each
from bot.engine.gather import gather, read_back
from bot.engine.heartbeat import Heartbeat
from bot.engine.ports import Index, Node, Query
from bot.engine.runner import Tools
from bot.errors import BotError, Fatal, Fenced

_log = structlog.get_logger()
_GATHER_SECONDS = 120
_LIST_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Answers what the read lane hands out."""

    tools: Tools
    index: Index

    async def read(self, heart: Heartbeat) -> None:
        """Plan the job, or answer the query, that the lease is for."""
        query = await self.index.query(heart.lease.job)
        if query is None:
            await self._plan(heart)
        elif query.result is None:
            await self.index.answer(heart.lease, query, await heart.guard(self._answer(query)))

    async def _plan(self, heart: Heartbeat) -> None:
        page = await self.tools.journal.read(heart.lease.job)
        if page.job.phase is not Phase.GATHERING:
            return
        cluster = self.tools.clusters.get(page.job.cluster)
        if cluster is None:
            raise Fatal(f"job {page.job.id} is for cluster {page.job.cluster!r}, which is not configured")
        await self.tools.side.clear(page.job.id)
        occupancy = await self.index.occupancy(cluster.name)
        async with self.tools.sites.open(cluster, None) as site:
            context = Context(page.job, cluster, site, self.tools.store, self.tools.side, self._clock(page.job.id))
            try:
                async with asyncio.timeout(_GATHER_SECONDS):
                    plan = await heart.guard(gather(context, run_active=bool(occupancy.job)))
            except Fenced:
                raise
            except (BotError, TimeoutError) as error:
                _log.warning("gather_failed", job=page.job.id, error=str(error))
                plan = cannot_plan(cluster, page.job.snapshot, error)
        fresh = await self.tools.journal.read(page.job.id)
        if fresh.job.version != page.job.version:
            return
        red = any(finding.level is Level.RED for finding in plan.findings)
        data: dict[str, Json] = {
            "plan": plan.to_json(),
            "policy": cluster.approvals.to_json(),
            "expires_at": fresh.now + cluster.approvals.approval_lifetime,
        }
        event = EventType.BLOCKED if red else EventType.PLANNED
        await self.tools.journal.progress(heart.lease, fresh, [Draft(event, data)])

    def _clock(self, key: str) -> Callable[[], Awaitable[float]]:
        """Redis' time; a read of any journal, also of one that does not exist, tells it."""

        async def now() -> float:
            return (await self.tools.journal.read(key)).now

        return now

    async def _answer(self, query: Query) -> Data:
        """The result of `list`: {"copies": [...], "answered": {place: error or ""}, "at", "etcd_nodes": [...], "error",
        "todo", "at": seconds since the epoch}.
        """
        cluster = self.tools.clusters.get(query.cluster)
        if cluster is None:
            return {"error": f"{query.cluster} is not configured any more.", "todo": ""}
        try:
            async with self.tools.sites.open(cluster, None) as site, asyncio.timeout(_GATHER_SECONDS):
                context = Context(
                    Job(query.id, cluster=cluster.name),
                    cluster,
                    site,
                    self.tools.store,
                    self.tools.side,
                    self._clock(query.id),
                )
                result = await list_copies(context)
                return {**result, "at": (await self.tools.journal.read(query.id)).now}
        except (BotError, TimeoutError) as error:
            what, todo = (
                (error.what, error.todo) if isinstance(error, BotError) else ("No answer in time.", "Try again.")
            )
            return {"error": what, "todo": todo}


async def list_copies(context: Context, seconds: float = _LIST_SECONDS) -> Data:
    """Every copy on every etcd node and off-site, those on nodes read back as far as there is time; with the error of
    each place that did not answer.
    """
    until = asyncio.get_running_loop().time() + seconds
    _, yml = await context.look()
    etcd = [context.site.node(spec) for spec in yml.with_role("etcd")]

    async def look(node: Node) -> list[Copy]:
        return await read_back(node, until)

    stored, answers = await asyncio.gather(_off_site(context, until), each(etcd, look))
    copies, error = stored
    answered: dict[str, Json] = {"s3": error}
    for address, answer in answers.items():
        answered[address] = str(answer) if isinstance(answer, Exception) else ""
        copies += answer if isinstance(answer, list) else []
    return {
        "copies": [snapshots.copy_to_json(copy) for copy in copies],
        "answered": answered,
        "at": await context.now(),
        "etcd_nodes": [node.spec.address for node in etcd],
        "error": "",
        "todo": "",
    }


async def _off_site(context: Context, until: float) -> tuple[list[Copy], str]:
    try:
        async with asyncio.timeout_at(until):
            return list(await context.store.copies(context.cluster.name)), ""
    except TimeoutError:
        return [], "S3 did not answer in time."
    except BotError as error:
        return [], str(error)
