"""The worker: claims leases of both lanes and works on them, and lets the clock end what waited too long."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from bot.core import approvals
from bot.core.events import CLOCK
from bot.core.transitions import Phase
from bot.engine.heartbeat import Heartbeat
from bot.engine.ports import Index, Lane, Lease, Queue
from bot.engine.reads import Reader
from bot.engine.runner import Runner, Tools
from bot.errors import BotError, Fatal, Fenced

_log = structlog.get_logger()
_IDLE: Final = 0.5  # an idle worker tries twice a second; the wake list is only a hint
_SWEEP: Final = 2.0


@dataclass(slots=True)
class Worker:
    """`run` works until `stopping` is set, then drains: leases in hand are worked on for at most `grace` seconds."""

    queue: Queue
    index: Index
    tools: Tools
    reader: Reader
    monotonic: Callable[[], float]
    parallel_runs: int
    parallel_reads: int
    grace: float

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop."""
        loops = [self._lane(Lane.RUN, stopping) for _ in range(self.parallel_runs)]
        loops += [self._lane(Lane.READ, stopping) for _ in range(self.parallel_reads)]
        tasks = [asyncio.create_task(loop) for loop in (*loops, self._sweep(stopping))]
        await stopping.wait()
        _, pending = await asyncio.wait(tasks, timeout=self.grace)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _lane(self, lane: Lane, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                lease = await self.queue.claim(lane)
                if lease is None:
                    await self.queue.wait(lane, _IDLE)
                    continue
                await self._work(lease)
            except BotError as error:
                _log.warning("worker_waits", lane=lane.value, error=str(error))
                await asyncio.sleep(_IDLE)
            except Exception:  # noqa: BLE001 - one broken job must not stop the lane for the others
                _log.exception("worker_failed", lane=lane.value)
                await asyncio.sleep(_IDLE)

    async def _work(self, lease: Lease) -> None:
        """Work under a lease and give it back. A lease that was lost is left alone: its new owner goes on."""
        async with Heartbeat(self.queue, lease, self.monotonic) as heart:
            try:
                if lease.lane is Lane.RUN:
                    await Runner(self.tools, heart).run()
                else:
                    await self.reader.read(heart)
            except Fenced as error:
                _log.warning("lease_lost", scope=lease.scope, job=lease.job, error=str(error))
                return
            await self.queue.release(heart.lease)

    async def _sweep(self, stopping: asyncio.Event) -> None:
        """Expire what nobody decided in time. The deadline holds anyway; this makes the message timely."""
        while not stopping.is_set():
            try:
                for job_id in await self.index.due():
                    await self._expire(job_id)
            except BotError as error:
                _log.info("sweep_waits", error=str(error))
            try:
                await asyncio.wait_for(stopping.wait(), _SWEEP)
            except TimeoutError:
                continue

    async def _expire(self, job_id: str) -> None:
        try:
            page = await self.tools.journal.read(job_id)
        except Fatal as error:  # one broken journal must not keep the others from expiring
            _log.error("journal_broken", job=job_id, error=str(error))
            return
        job = page.job
        if job.phase is not Phase.RUNNING and (over := approvals.expired(job, page.now)):
            await self.tools.journal.decide(page, CLOCK, [over])
