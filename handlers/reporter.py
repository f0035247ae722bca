"""The reporter: Slack shows `render(state)`, and a job never waits for it.

One process reports at a time. It reads what changed and has it shown, decisions first. Trouble with Slack delays
what is shown and nothing else; trouble with one job does not touch the others.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from bot.core.job import Job
from bot.engine.heartbeat import obey_cancel
from bot.engine.ports import Change, Index, Journal, Outbox, Page, Query, Side
from bot.errors import BotError, Retryable
from handlers import around
from handlers.blocks.message import View
from handlers.directory import Directory
from handlers.poster import Impossible, Later, Poster
from handlers.projector import WATCHED, Item, Known, Projector

LEASE: Final = 15.0  # seconds; another process takes over that long after a reporter died
_RENEW: Final = 3.0  # renewed when older: a call to Slack takes 10 s at most and must end within the lease
_IDLE: Final = 5.0
_TICK: Final = 1.0  # while jobs run: their worker's lease and their place in the queue are no events
_LOOKS: Final = 2  # that many looks in a row without a living worker, and it is said
_LONGEST_PAUSE: Final = 60.0
_KEPT: Final = 500

_log = structlog.get_logger()


class LostLead(Exception):
    """Another process reports now."""


class Reporter:
    """Projects jobs and queries into Slack. `owner` names this process; `clock` is monotonic. `problem` says what is
    wrong now, "" when nothing is.
    """

    def __init__(
        self,
        poster: Poster,
        journal: Journal,
        index: Index,
        outbox: Outbox,
        side: Side,
        directory: Directory,
        owner: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._projector = Projector(poster, journal, outbox, directory, self._still_leading, clock)
        self._journal = journal
        self._index = index
        self._outbox = outbox
        self._side = side
        self._owner = owner
        self._clock = clock
        self._renewed = -math.inf
        self._leading = False
        self._known: dict[str, Known] = {}
        self._watched: set[str] = set()
        self.problem = ""

    async def run(self) -> None:
        """Report until cancelled; nothing else ends it."""
        try:
            while True:
                pause = await self._guarded_round()
                obey_cancel()
                await self._wait(pause)
                obey_cancel()
        finally:
            await self._resign()

    async def round(self) -> float:
        """One pass over what changed; for how many seconds nothing is due unless something changes."""
        if not await self._lead():
            return LEASE / 5
        changes = {change.id: change for change in await self._outbox.changed()}
        if not self._leading:
            await self._begin_term(changes)
        pause = _TICK if self._watched else _IDLE
        items: list[Item] = []
        for key in [*changes, *sorted(self._watched - changes.keys())]:
            due = self._known.setdefault(key, Known()).not_before - self._clock()
            if due > 0:
                pause = min(pause, due)
            elif (item := await self._load(key, changes.get(key))) is not None:
                items.append(item)
        self.problem = ""
        self._prune(changes)
        for item in sorted(items, key=lambda one: one.rank):
            pause = min(pause, await self._show(item, changes.get(item.job.id)))
        return pause

    # --- the right to speak

    async def _lead(self) -> bool:
        now = self._clock()
        if await self._outbox.lead(self._owner, LEASE):
            self._renewed = now
            return True
        self._leading = False
        return False

    async def _begin_term(self, changes: Mapping[str, Change]) -> None:
        """Whoever reported before may have been half-way through any of these."""
        open_jobs = await self._index.open_jobs()
        self._leading = True
        self._watched = set(open_jobs)
        self._known = {key: Known(doubt=True) for key in (*open_jobs, *changes)}
        _log.info("reporter.leading", owner=self._owner, open_jobs=len(open_jobs))

    async def _still_leading(self) -> None:
        if self._clock() - self._renewed > _RENEW and not await self._lead():
            raise LostLead

    async def _resign(self) -> None:
        if self._leading:
            self._leading = False
            try:
                await self._outbox.lead(self._owner, 0.001)
            except BotError as error:
                _log.info("reporter.resign_failed", error=str(error))

    async def _wait(self, seconds: float) -> None:
        """Until something changes. Without Redis there is no hint, only the pause."""
        try:
            await self._outbox.wait(max(seconds, 0.05))
        except BotError:
            await asyncio.sleep(min(max(seconds, 0.05), _TICK))

    async def _guarded_round(self) -> float:
        try:
            return await self.round()
        except LostLead:
            self._leading = False
        except BotError as error:
            self.problem = str(error)
            _log.warning("reporter.round_failed", error=str(error))
        except Exception:  # noqa: BLE001 - reporting goes on whatever one round meets
            self.problem = "The reporter met an unexpected error. Look into the log."
            _log.exception("reporter.round_broken")
        await asyncio.sleep(_TICK)
        return _TICK

    # --- one job or query

    async def _load(self, key: str, change: Change | None) -> Item | None:
        """The job to show; a query is shown at once. None when there is nothing (more) to do."""
        try:
            page = await self._journal.read(key)
            if page.job.version:
                return Item(page, await self._view(page), await self._outbox.projection(key))
            query = await self._index.query(key)
        except Retryable:
            raise
        except BotError as error:
            self._known[key].not_before = self._clock() + _LONGEST_PAUSE
            _log.error("reporter.unreadable", job=key, error=str(error))
            return None
        await self._show_query(key, query, change)
        return None

    async def _view(self, page: Page) -> View:
        job = page.job
        if job.phase not in WATCHED:
            return View(page.now)
        about = await self._index.occupancy(job.cluster)
        known = self._known[job.id]
        known.lost = known.lost + 1 if around.lost(job, about) else 0
        lines = await self._side.lines(job.id)
        return around.view(job, about, lines, page.now, worker_alive=known.lost < _LOOKS)

    async def _show(self, item: Item, change: Change | None) -> float:
        known = self._known[item.job.id]
        wait = await self._try(item.job.id, known, lambda: self._projector.job(item, known))
        if wait:
            return wait
        self._watch(item.job)
        if change is not None:
            await self._outbox.settled(change)
        return math.inf

    async def _show_query(self, key: str, query: Query | None, change: Change | None) -> None:
        known = self._known[key]
        if query is not None:
            projection = await self._outbox.projection(key)
            if await self._try(key, known, lambda: self._projector.query(query, projection, known)):
                return
        self._watched.discard(key)
        if change is not None:
            await self._outbox.settled(change)

    async def _try(self, key: str, known: Known, show: Callable[[], Awaitable[None]]) -> float:
        """0 when all is shown, else for how long to leave it alone."""
        try:
            await show()
        except Later as later:
            known.doubt |= later.doubt
            known.failures += later.doubt
            wait = min(later.seconds * 2.0 ** max(0, known.failures - 1), _LONGEST_PAUSE)
            if later.doubt:
                self.problem = f"Slack does not answer: {later}"
                _log.warning("reporter.slack_failed", job=key, error=str(later))
        except Impossible as error:
            wait = _LONGEST_PAUSE
            self.problem = f"Slack refuses a message: {error}. Invite the bot to the channel, or check its scopes."
            _log.error("reporter.refused", job=key, error=str(error))
        except (BotError, LostLead):
            raise
        except Exception:  # noqa: BLE001 - one job that cannot be rendered must not silence the others
            wait = _LONGEST_PAUSE
            self.problem = f"Job {key} cannot be shown. Look into the log."
            _log.exception("reporter.show_failed", job=key)
        else:
            known.failures = 0
            return 0
        known.not_before = self._clock() + wait
        return wait

    def _prune(self, changes: Mapping[str, Change]) -> None:
        for key in [key for key in self._known if key not in self._watched and key not in changes][:-_KEPT]:
            del self._known[key]

    def _watch(self, job: Job) -> None:
        if job.phase in WATCHED:
            self._watched.add(job.id)
        else:
            self._watched.discard(job.id)
