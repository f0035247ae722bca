"""The journal in Redis: one list per job, appended with compare-and-swap, verified at every read."""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

from redis.exceptions import RedisError

from bot.adapters.redis_client import PREFIX, RedisClient, Reply, integer, text, unreachable
from bot.adapters.redis_scripts import APPEND, READ
from bot.core.effects import effects
from bot.core.events import GENESIS, Draft, Event, EventType, Keyring, mac_of, seal, verify
from bot.core.job import Job, apply, fold
from bot.engine.ports import Lease, Page
from bot.errors import Conflict, Fatal, Fenced, Retryable, Unreachable

_REMEMBERED: Final = 512
_ATTACHED_DURABLE: Final = frozenset({EventType.STEP_STARTED, EventType.STEP_SUCCEEDED, EventType.STEP_FAILED})


class RedisJournal:
    """Implements ports.Journal. `new_id` gives a fresh event id; `barrier` is the lease length in seconds,
    during which nothing is decided after Redis came back under another run_id.
    """

    def __init__(self, client: RedisClient, ring: Keyring, new_id: Callable[[], str], barrier: float) -> None:
        self._client = client
        self._ring = ring
        self._new_id = new_id
        self._barrier = int(barrier * 1000)
        self._known: OrderedDict[str, tuple[Job, str]] = OrderedDict()

    async def read(self, job_id: str) -> Page:
        """See ports.Journal. Only what is new since the last read is fetched and verified."""
        job, mac = self._known.get(job_id, (Job(job_id), GENESIS))
        reply = await self._read(job_id, job.version)
        length, now, run_id = integer(reply[0]), integer(reply[1]) / 1000, text(reply[2])
        if (
            length < job.version
        ):  # Redis went back behind what this process has seen: believe Redis, callers compare versions
            self._known.pop(job_id, None)
            return await self.read(job_id)
        records = _records(reply[3:])
        try:
            job = fold(job_id, verify(self._ring, job_id, records, job.version, mac), job)
        except Fatal:
            if self._known.pop(job_id, None) is None:
                raise
            return await self.read(job_id)  # it may follow another past: Redis went back and the journal grew again
        mac = mac_of(records[-1]) if records else mac
        self._remember(job, mac)
        return Page(job, mac, now, run_id)

    async def history(self, job_id: str) -> tuple[Event, ...]:
        """See ports.Journal."""
        reply = await self._read(job_id, 0)
        return verify(self._ring, job_id, _records(reply[3:]))

    async def macs(self, job_id: str) -> tuple[str, ...]:
        """See ports.Journal."""
        reply = await self._read(job_id, 0)
        return tuple(mac_of(record) for record in _records(reply[3:]))

    async def decide(self, page: Page, by: str, drafts: Sequence[Draft]) -> Page:
        """See ports.Journal."""
        events = self._events(page, by, None, drafts)
        try:
            return await self._append(page, events, None, durable=True)
        except Unreachable:
            return await self._recognise(page, events)

    async def progress(self, lease: Lease, page: Page, drafts: Sequence[Draft]) -> Page:
        """See ports.Journal."""
        events = self._events(page, f"worker:{lease.owner}", lease.token, drafts)
        after = fold(page.job.id, events, page.job)
        durable = after.ended or any(e.type in _ATTACHED_DURABLE or e.type is EventType.NEEDS_HUMAN for e in events)
        return await self._append(page, events, lease, durable=durable)

    async def _read(self, job_id: str, after: int) -> list[Reply]:
        """A read is tried twice: after a restart of Redis the first connection from the pool is a dead one."""
        try:
            return await self._client.script(READ, [job_id, after])
        except Unreachable:
            return await self._client.script(READ, [job_id, after])

    def _events(self, page: Page, by: str, token: int | None, drafts: Sequence[Draft]) -> list[Event]:
        first = page.job.version + 1
        return [
            Event(
                draft.type,
                page.job.id,
                first + i,
                page.now,
                by,
                page.run_id,
                self._new_id(),
                token,
                draft.data,
            )
            for i, draft in enumerate(drafts)
        ]

    async def _append(self, page: Page, events: Sequence[Event], lease: Lease | None, *, durable: bool) -> Page:
        job, mac, records = page.job, page.head_mac, []
        for event in events:
            job = apply(job, event)
            record, mac = seal(self._ring, mac, event)
            records.append(record)
        who = [lease.lane.value, lease.scope, str(lease.token), lease.owner] if lease else ["", "", "", ""]
        head: list[str | int] = [
            job.id,
            page.job.version,
            page.head_mac,
            int(page.now * 1000),
            page.run_id,
            self._barrier,
        ]
        index = json.dumps(asdict(effects(page.job, job)))
        reply = await self._client.script(APPEND, [*head, *who, index, *records], durable=durable)
        match text(reply[0]):
            case "ok":
                self._remember(job, mac)
                return Page(job, mac, page.now, page.run_id)
            case "lease":
                raise Fenced(f"the lease for job {job.id} has passed to another worker")
            case "clock":
                raise Conflict("The decision took too long.", "Try again.")
            case _:
                raise Conflict(f"Job {job.id} has changed meanwhile.", "Look at its message and decide again.")

    async def _recognise(self, page: Page, events: Sequence[Event]) -> Page:
        """After an append without an answer: our own event is recognised by its id and made durable; else
        nothing was written.
        """
        history = await self.history(page.job.id)
        written = history[page.job.version : page.job.version + len(events)]
        if [e.id for e in written] != [e.id for e in events]:
            raise Retryable("Redis did not answer and nothing was recorded.", "Try again.")
        try:
            pipe = self._client.redis.pipeline(transaction=False)
            pipe.set(f"{PREFIX}sync", page.job.id)
            pipe.execute_command("WAITAOF", 1, 0, 4000) if self._client.durability == "aof" else pipe.ping()
            await pipe.execute()
        except RedisError as error:
            raise unreachable(error) from error
        return await self.read(page.job.id)

    def _remember(self, job: Job, mac: str) -> None:
        self._known[job.id] = (job, mac)
        self._known.move_to_end(job.id)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _records(reply: Sequence[Reply]) -> list[bytes]:
    if not all(isinstance(record, bytes) for record in reply):
        raise Fatal("Redis answered something that is no journal")
    return [record for record in reply if isinstance(record, bytes)]
