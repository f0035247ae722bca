"""How one job or query gets into Slack: the living message, then the replies of its thread, then the direct messages.

Each call to Slack is followed by remembering it. What may have been told without being remembered is looked up
first (`doubt`).
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from bot.core.job import Job, StepState, apply
from bot.core.plans import Kind
from bot.core.transitions import Phase
from bot.engine.ports import Journal, Outbox, Page, Projection, Query
from handlers.blocks import approver_dm, job_message, query_message, replies
from handlers.blocks.message import METADATA_EVENT, Message, Reply, View
from handlers.directory import Directory
from handlers.poster import Gone, Impossible, Later, Poster

COALESCE: Final = 1.2  # seconds between two edits of one message
HEARTBEAT: Final = 30.0  # a running message is edited that often, so that a reader sees that it lives
MOST_DMS: Final = 20
LIVE: Final = frozenset({Phase.GATHERING, Phase.RUNNING, Phase.AGAIN, Phase.GIVING_UP})
WATCHED: Final = LIVE | {Phase.QUEUED}  # what stands around these changes without an event
_DECISIONS: Final = frozenset({Phase.VOTING, Phase.BLOCKED, Phase.ASKING, Phase.DENIED, Phase.EXPIRED, Phase.CANCELLED})
_SLACK_BEHIND: Final = 60.0  # seconds Slack's clock may be behind Redis' when a message is looked for
_QUERY_KEPT: Final = 3600.0

_log = structlog.get_logger()


@dataclass
class Known:
    """What this process knows of one projection besides the stored part. Times are monotonic seconds."""

    face: object = None  # what the last edit was rendered from
    edited_at: float = float("-inf")
    not_before: float = 0
    failures: int = 0  # calls in a row whose outcome is not known
    lost: int = 0  # looks in a row that found no living worker
    doubt: bool = False  # Slack may have been told more than is stored
    sent: set[str] = field(default_factory=set)  # keys of replies
    link: str = ""
    dm_version: int = 0
    dm_faces: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A job to show."""

    page: Page
    view: View
    projection: Projection

    @property
    def job(self) -> Job:
        """The state to show."""
        return self.page.job

    @property
    def rank(self) -> int:
        """Decisions first, then failures and ends, then progress."""
        if self.job.phase in _DECISIONS:
            return 0
        failed = any(run.state is StepState.FAILED for run in self.job.steps)
        return 1 if failed or self.job.ended or not self.view.worker_alive else 2


class Projector:
    """Shows jobs and queries. `allowed` is awaited before each call to Slack and raises when another process
    reports now.
    """

    def __init__(
        self,
        poster: Poster,
        journal: Journal,
        outbox: Outbox,
        directory: Directory,
        allowed: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._poster = poster
        self._journal = journal
        self._outbox = outbox
        self._directory = directory
        self._allowed = allowed
        self._clock = clock

    async def job(self, item: Item, known: Known) -> None:
        """Bring everything Slack shows of a job up to its version. Raises Later when something is left to do,
        Impossible when Slack will not do it.
        """
        projection, deferred = item.projection, None
        if not projection.ts:
            projection = await self._first(item, known)
        try:
            projection = await self._edit(item, known, projection)
        except Later as later:  # what must be noticed goes into the thread all the same
            deferred = later
        try:
            projection = await self._replies(item, known, projection)
        except Gone:
            await self._forget(item, projection)
        await self._direct(item, known, projection)
        if deferred is not None:  # soon again: replies must not wait for a long pause of edits, which Poster keeps
            raise Later(min(deferred.seconds, COALESCE), doubt=deferred.doubt, why=str(deferred))
        known.doubt = False

    async def query(self, query: Query, projection: Projection, known: Known) -> None:
        """Show the answer of a query, once it is there. Raises Later, Impossible."""
        if query.result is None or projection.shown:
            return
        message = query_message(query)
        metadata = _metadata(query.id, 1)
        ts, plain = projection.ts or query.replaces, False
        if not ts and known.doubt:
            ts = await self._look(query.channel, query.id, time.time() - _QUERY_KEPT)
        if ts:
            try:
                await self._allowed()
                plain = await self._poster.update(query.channel, ts, message, metadata)
            except Gone:
                ts = ""
        if not ts:
            await self._allowed()
            ts, plain = await self._poster.post(query.channel, message, metadata)
        await self._outbox.store(query.id, Projection(query.channel, ts, shown=1, plain=plain))
        known.doubt = False

    # --- the living message

    async def _first(self, item: Item, known: Known) -> Projection:
        job = item.job
        if known.doubt and (ts := await self._look(job.channel, job.id, job.requested_at - _SLACK_BEHIND)):
            return await self._store(job, replace(item.projection, channel=job.channel, ts=ts, shown=0))
        message = job_message(job, item.view)
        await self._allowed()
        ts, plain = await self._poster.post(job.channel, message, _metadata(job.id, job.version))
        known.face, known.edited_at = _face(item), self._clock()
        fresh = replace(item.projection, channel=job.channel, ts=ts, shown=job.version, plain=plain)
        return await self._store(job, fresh)

    async def _edit(self, item: Item, known: Known, projection: Projection) -> Projection:
        job, face, now = item.job, _face(item), self._clock()
        same = projection.shown == job.version and (known.face == face or job.phase not in WATCHED)
        if same and (job.phase not in LIVE or now - known.edited_at < HEARTBEAT):
            return projection
        if known.edited_at + COALESCE > now:
            raise Later(known.edited_at + COALESCE - now)
        message = job_message(job, item.view)
        await self._allowed()
        try:
            plain = await self._poster.update(
                projection.channel, projection.ts, message, _metadata(job.id, job.version), plain=projection.plain
            )
        except Gone:
            return await self._forget(item, projection)
        known.face, known.edited_at = face, self._clock()
        return await self._store(job, replace(projection, shown=job.version, plain=plain))

    async def _forget(self, item: Item, projection: Projection) -> Projection:
        """Somebody deleted the message: the next pass posts it anew; replies already sent are not repeated."""
        await self._store(item.job, replace(projection, ts="", shown=0))
        raise Later(COALESCE, why="the message was deleted")

    async def _look(self, channel: str, about: str, since: float) -> str:
        await self._allowed()
        try:
            return await self._poster.find(channel, about, since)
        except Impossible as error:
            _log.warning("reporter.cannot_look", channel=channel, error=str(error))
            return ""

    # --- the thread

    async def _replies(self, item: Item, known: Known, projection: Projection) -> Projection:
        """Everything after `replied`, in the order of the journal, each once."""
        if projection.replied >= item.job.version:
            return projection
        if known.doubt:
            await self._allowed()
            known.sent |= await self._poster.replied(projection.channel, projection.ts)
        before = Job(item.job.id)
        for event in (await self._journal.history(item.job.id))[: item.job.version]:
            after = apply(before, event)
            view = replace(item.view, now=event.at)
            told = replies(before, after, view) if event.version > projection.replied else ()
            for reply in told:
                await self._reply(projection, reply, known)
            if told:
                projection = await self._store(item.job, replace(projection, replied=event.version))
            before = after
        return await self._store(item.job, replace(projection, replied=item.job.version))

    async def _reply(self, projection: Projection, reply: Reply, known: Known) -> None:
        if reply.key in known.sent:
            return
        await self._allowed()
        channel, thread = projection.channel, projection.ts
        await self._poster.reply(channel, thread, reply.text, reply.key, broadcast=reply.broadcast)
        known.sent.add(reply.key)

    # --- the approvers

    async def _direct(self, item: Item, known: Known, projection: Projection) -> None:
        job = item.job
        if job.kind is not Kind.RESTORE or known.dm_version == job.version:
            return
        wanted = await self._approvers(job) if job.phase is Phase.VOTING else ()
        if not wanted and not projection.dms:
            return
        known.link = known.link or await self._permalink(projection)
        message = approver_dm(job, item.view, known.link)
        face = json.dumps([message.text, list(message.blocks)])
        dms = dict(projection.dms)
        for user in dict.fromkeys((*dms, *wanted)):
            if known.dm_faces.get(user) == face:
                continue
            try:
                dms[user] = await self._one_direct(job, user, dms.get(user), message, known)
            except (Impossible, Gone) as error:
                _log.warning("reporter.no_direct_message", user=user, error=str(error))
            known.dm_faces[user] = face
            projection = await self._store(job, replace(projection, dms=dict(dms)))
        known.dm_version = job.version

    async def _one_direct(
        self, job: Job, user: str, there: tuple[str, str] | None, message: Message, known: Known
    ) -> tuple[str, str]:
        metadata = _metadata(job.id, job.version)
        await self._allowed()
        if there is None:
            channel = await self._poster.direct(user)
            ts = await self._look(channel, job.id, job.requested_at - _SLACK_BEHIND) if known.doubt else ""
            if not ts:
                ts, _ = await self._poster.post(channel, message, metadata)
                return channel, ts
            there = channel, ts
        await self._poster.update(*there, message, metadata)
        return there

    async def _approvers(self, job: Job) -> tuple[str, ...]:
        """The people whose votes count, at most MOST_DMS: named ones first."""
        if job.policy is None:
            return ()
        people = list(job.policy.users)
        for group in job.policy.groups:
            people += sorted(await self._directory.members(group))
        asker = "" if job.policy.requester_counts else job.requester.partition("/")[2]
        return tuple(dict.fromkeys(user for user in people if user != asker))[:MOST_DMS]

    async def _permalink(self, projection: Projection) -> str:
        await self._allowed()
        try:
            return await self._poster.permalink(projection.channel, projection.ts)
        except (Impossible, Gone) as error:
            _log.warning("reporter.no_permalink", error=str(error))
            return ""

    async def _store(self, job: Job, projection: Projection) -> Projection:
        await self._outbox.store(job.id, projection)
        return projection


def _face(item: Item) -> object:
    view = item.view
    return item.job.version, tuple(view.lines.items()), view.worker_alive, view.ahead, view.holder


def _metadata(about: str, version: int) -> Mapping[str, Any]:
    return {"event_type": METADATA_EVENT, "event_payload": {"job": about, "version": version}}
