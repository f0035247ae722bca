"""The journal, the queue and the indexes against a real server."""

import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.adapters.redis_client import PREFIX, RedisClient
from bot.adapters.redis_journal import RedisJournal
from bot.adapters.redis_outbox import RedisIndex, RedisOutbox, RedisSide
from bot.adapters.redis_queue import RedisQueue
from bot.core import plans
from bot.core.events import Draft, EventType, Json, Keyring
from bot.core.job import Job
from bot.core.plans import Kind, Plan
from bot.core.transitions import Phase
from bot.engine.ports import Attempt, Lane, Lease, Page, Query
from bot.errors import Conflict, Fatal, Fenced, Retryable, Unreachable
from tests.lab.redis import RedisServer

RING = Keyring("k1", {"k1": b"0123456789abcdef" * 2})
PERSON = "T1/U1"


@dataclass
class Desk:
    """One process' view of the same Redis."""

    client: RedisClient
    journal: RedisJournal
    queue: RedisQueue
    index: RedisIndex
    outbox: RedisOutbox
    side: RedisSide


def desk(server: RedisServer, owner: str, lease: float = 10.0) -> Desk:
    """A process with that lease owner."""
    client = RedisClient(server.url)
    ids = itertools.count()
    journal = RedisJournal(client, RING, lambda: f"{owner}-{next(ids)}", barrier=0.0)
    queue = RedisQueue(client, owner, lease, time.monotonic)
    return Desk(client, journal, queue, RedisIndex(client), RedisOutbox(client), RedisSide(client))


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A server that fsyncs every write."""
    async with RedisServer(tmp_path, fsync="always") as server:
        yield server


@pytest.fixture
async def one(redis: RedisServer) -> AsyncIterator[Desk]:
    """The process most tests act as."""
    made = desk(redis, "one")
    yield made
    await made.client.close()


def save(cluster: str = "prod", name: str = "s1") -> list[Draft]:
    """The events of a save that somebody asks for."""
    plan = Plan(Kind.SAVE, cluster, name, plans.save_steps())
    data: dict[str, Json] = {"kind": "save", "cluster": cluster, "snapshot": name, "channel": "C1"}
    data["plan"] = plan.to_json()
    return [Draft(EventType.REQUESTED, data), Draft(EventType.QUEUED, {"execute_by": 0})]


async def queued(at: Desk, job: str, cluster: str = "prod") -> Page:
    """A save in the queue."""
    return await at.journal.decide(await at.journal.read(job), PERSON, save(cluster))


async def claimed(at: Desk) -> Lease:
    """The next lease of the run lane."""
    lease = await at.queue.claim(Lane.RUN)
    assert lease is not None
    return lease


async def test_a_job_is_what_its_journal_says(redis: RedisServer, one: Desk) -> None:
    """Another process folds the same job from the list."""
    await queued(one, "j1")
    other = desk(redis, "two")
    job = (await other.journal.read("j1")).job
    assert (job.phase, job.snapshot, job.requester) == (Phase.QUEUED, "s1", PERSON)
    await other.client.close()


async def test_only_one_of_two_decisions_wins(one: Desk) -> None:
    """Both read the same version; the second append is a conflict and changes nothing."""
    page = await one.journal.read("j1")
    await one.journal.decide(page, PERSON, save())
    with pytest.raises(Conflict):
        await one.journal.decide(page, "T1/U2", save())
    assert len(await one.journal.history("j1")) == 2


async def test_an_edited_event_breaks_the_chain(redis: RedisServer, one: Desk) -> None:
    """A record changed behind our back is found at the next read."""
    await queued(one, "j1")
    record = await one.client.redis.lindex(f"{PREFIX}j:j1", 0)
    assert isinstance(record, bytes)
    await one.client.redis.lset(f"{PREFIX}j:j1", 0, record.replace(b"s1", b"s2"))  # type: ignore[arg-type] # stub knows str
    with pytest.raises(Fatal, match="broken at event 1"):
        await desk(redis, "two").journal.read("j1")


async def test_one_job_per_cluster_at_a_time_in_order(one: Desk) -> None:
    """The second job of a cluster waits for the first, another cluster's does not."""
    for job, cluster in (("j1", "prod"), ("j2", "prod"), ("j3", "edge")):
        await queued(one, job, cluster)
    first, second = await claimed(one), await claimed(one)
    assert {first.job, second.job} == {"j1", "j3"}
    assert await one.queue.claim(Lane.RUN) is None
    await one.queue.release(first if first.job == "j1" else second)
    assert (await claimed(one)).job == "j2"


async def test_a_dead_workers_lease_is_taken_over_with_a_higher_token(redis: RedisServer, one: Desk) -> None:
    """The new owner gets the same job; the old one can neither append, renew nor release."""
    await queued(one, "j1")
    dead = desk(redis, "dead", lease=0.05)
    old = await claimed(dead)
    new = None
    while new is None:
        new = await one.queue.claim(Lane.RUN)
    assert (new.job, new.token > old.token, new.lost_for > 0) == ("j1", True, True)
    with pytest.raises(Fenced):
        await dead.journal.progress(old, await dead.journal.read("j1"), [Draft(EventType.CLAIMED, {"lost_for": 0})])
    with pytest.raises(Fenced):
        await dead.queue.renew(old)
    await dead.queue.release(old)
    assert await one.queue.claim(Lane.RUN) is None
    await dead.client.close()


async def test_renew_gives_a_token_above_the_floor(one: Desk) -> None:
    """A machine named a higher token: the next one is above it."""
    await queued(one, "j1")
    lease = await claimed(one)
    renewed, head = await one.queue.renew(lease, floor=lease.token + 10**9)
    assert (renewed.token, head) == (lease.token + 10**9 + 1, 2)
    with pytest.raises(Fenced):
        await one.queue.renew(lease)


async def test_a_hold_keeps_other_jobs_away_until_a_person_chooses(one: Desk) -> None:
    """While the first job asks, the second is not handed out; after the choice the first comes back in front."""
    await queued(one, "j1")
    await queued(one, "j2")
    lease = await claimed(one)
    page = await one.journal.progress(lease, await one.journal.read("j1"), [Draft(EventType.CLAIMED, {"lost_for": 0})])
    ask = Draft(EventType.NEEDS_HUMAN, {"what": "stuck", "choices": ["again", "hand-over"]})
    page = await one.journal.progress(lease, page, [ask])
    await one.queue.release(lease)
    assert await one.queue.claim(Lane.RUN) is None
    assert (await one.index.occupancy("prod")).hold == "j1"
    choice = Draft(EventType.HUMAN_CHOICE, {"choice": "again", "answers": page.job.version})
    await one.journal.decide(await one.journal.read("j1"), PERSON, [choice])
    assert (await claimed(one)).job == "j1"


async def test_a_cancelled_job_leaves_the_queue(one: Desk) -> None:
    """Cancel of a waiting job is one append; nobody is handed the job afterwards."""
    page = await queued(one, "j1")
    drafts = [Draft(EventType.CANCEL_REQUESTED), Draft(EventType.CANCELLED, {"done": []})]
    await one.journal.decide(page, PERSON, drafts)
    assert await one.queue.claim(Lane.RUN) is None
    assert (await one.index.open_jobs(), await one.index.ended_jobs(5)) == ((), ("j1",))


async def test_a_lease_does_not_outlive_a_restart_of_redis(redis: RedisServer, one: Desk) -> None:
    """After kill -9 and restart the journal is whole and the old lease is void."""
    await queued(one, "j1")
    lease = await claimed(one)
    await redis.kill()
    with pytest.raises(Unreachable):
        await one.journal.read("j1")
    await redis.start()
    assert (await one.journal.read("j1")).job.phase is Phase.QUEUED
    with pytest.raises(Fenced):
        await one.queue.renew(lease)


async def test_nothing_is_decided_right_after_a_restart_of_redis(redis: RedisServer) -> None:
    """For one lease length after another run_id was seen, appends are refused and nothing is claimed."""
    at = desk(redis, "one")
    slow = RedisJournal(at.client, RING, lambda: "id", barrier=60.0)
    await queued(at, "j1")
    assert await at.queue.claim(Lane.READ) is None  # this run_id is seen
    await redis.kill()
    await redis.start()
    with pytest.raises(Retryable, match="restarted"):
        await slow.decide(await slow.read("j2"), PERSON, save())
    assert await at.queue.claim(Lane.RUN) is None
    await at.client.close()


async def test_a_query_is_asked_once_and_answered_by_its_holder(one: Desk) -> None:
    """The second delivery of the same question is not queued; the answer marks a change."""
    query = Query("q1", "list", "prod", "C1", PERSON)
    assert [await one.index.ask(query), await one.index.ask(query)] == [True, False]
    lease = await one.queue.claim(Lane.READ)
    assert lease is not None
    await one.index.answer(lease, query, {"copies": []})
    await one.queue.release(lease)
    found = await one.index.query("q1")
    assert found is not None
    assert found.result == {"copies": []}
    assert "q1" in {change.id for change in await one.outbox.changed()}


async def test_a_change_during_rendering_is_not_forgotten(one: Desk) -> None:
    """Settling an older change leaves the newer one."""
    await queued(one, "j1")
    (change,) = await one.outbox.changed()
    await one.side.line("j1", "1.1.1.1", "saving")
    await one.outbox.settled(change)
    (newer,) = await one.outbox.changed()
    assert newer.number > change.number
    await one.outbox.settled(newer)
    assert await one.outbox.changed() == ()


async def test_there_is_one_reporter(one: Desk) -> None:
    """A second process does not report while the first one's right stands."""
    assert [await one.outbox.lead("a", 60), await one.outbox.lead("b", 60), await one.outbox.lead("a", 60)] == [
        True,
        False,
        True,
    ]


async def test_output_is_taken_once_per_offset(one: Desk) -> None:
    """A worker that sends the same bytes again after a lost answer does not double them."""
    attempt = Attempt("j1", 1, 1)
    assert await one.side.output(attempt, 0, b"abc") == 3
    assert await one.side.output(attempt, 0, b"abc") == 3
    assert await one.side.output(attempt, 3, b"def") == 6
    assert await one.side.tail(attempt, 4) == b"cdef"


async def test_of_long_output_the_end_is_kept(one: Desk) -> None:
    """Its length goes on counting, what is kept is bounded, and the tail is the last bytes that were written."""
    attempt, chunk, length = Attempt("j1", 1, 1), 256 * 1024, 0
    for letter in b"abcdefgh":
        length = await one.side.output(attempt, length, bytes([letter]) * chunk)
    assert length == 8 * chunk
    assert await one.side.tail(attempt, chunk + 1) == b"g" + b"h" * chunk
    assert len(await one.side.tail(attempt, 8 * chunk)) <= 4 * chunk
    assert await one.side.output(attempt, 0, b"again") == 8 * chunk


async def test_a_journal_that_went_back_and_grew_again_is_read_anew(redis: RedisServer, one: Desk) -> None:
    """This process remembers an event that is lost: it believes the journal, if that is whole by itself."""
    stale = desk(redis, "stale")
    await queued(one, "j1")
    first = await one.client.redis.lindex(f"{PREFIX}j:j1", 0)
    assert isinstance(first, bytes)
    assert (await stale.journal.read("j1")).job.version == 2
    await one.client.redis.delete(f"{PREFIX}j:j1")
    await one.client.redis.rpush(f"{PREFIX}j:j1", first)
    page = await one.journal.read("j1")
    for draft in (Draft(EventType.QUEUED, {"execute_by": 0}), Draft(EventType.CANCEL_REQUESTED)):
        page = await one.journal.decide(page, PERSON, [draft])
    assert (await stale.journal.read("j1")).job == page.job
    await stale.client.close()


async def test_a_broken_journal_stays_broken_to_who_knew_it_whole(redis: RedisServer, one: Desk) -> None:
    """What was remembered does not vouch for what comes after it."""
    await queued(one, "j1")
    await one.client.redis.rpush(f"{PREFIX}j:j1", b"k1 00 {}")
    with pytest.raises(Fatal, match="broken at event 3"):
        await one.journal.read("j1")


async def test_the_budget_makes_callers_wait(one: Desk) -> None:
    """More calls than the bucket holds are told how long to wait."""
    waits = [await one.outbox.take("chat.update", 40) for _ in range(6)]
    assert waits[:4] == [0, 0, 0, 0]
    assert 0 < waits[5] <= 3


async def test_an_unknown_job_reads_as_new(one: Desk) -> None:
    """Nothing is made up for a job nobody asked for."""
    assert (await one.journal.read("nope")).job == Job("nope")
