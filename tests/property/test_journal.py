"""Properties of journals: the table is the law, the fold keeps its promises, the chain of macs finds every change."""

import itertools
import json
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.core import events
from bot.core.events import GENESIS, Event, EventType, Keyring, seal, verify
from bot.core.job import Job, StepState, fold
from bot.core.plans import AfterDeath, Kind
from bot.core.transitions import ENDS, TABLE, Phase, Writer, name, writer
from bot.errors import Fatal
from tests.property.walks import Walk, attempt, dices, follows, walks

RING = Keyring("k1", {"k1": b"1" * 32, "k2": b"2" * 32})


@given(walks(), dices, st.sampled_from(EventType))
def test_the_table_is_the_law(walk: Walk, dice: Random, type_: EventType) -> None:
    """What is not in the table is refused in any state, and changes nothing; what is leads where the table says."""
    job = walk.job
    before = repr(job)
    event = attempt(job, type_, dice)
    after = follows(job, event)
    assert repr(job) == before
    if (job.phase, name(event)) not in TABLE:
        assert after is None
    if after:
        assert after.phase is TABLE[job.phase, name(event)]
        assert after.version == job.version + 1
        assert after.last_at == event.at


@given(walks(), dices)
def test_an_end_is_an_end(walk: Walk, dice: Random) -> None:
    """After the end nothing is recorded any more."""
    assume(walk.job.ended)
    assert walk.job.ended_at > 0
    assert walk.job.deadline == 0
    for type_ in EventType:
        assert follows(walk.job, attempt(walk.job, type_, dice)) is None


@given(walks(), dices, st.sampled_from(EventType))
def test_envelopes_that_do_not_follow(walk: Walk, dice: Random, type_: EventType) -> None:
    """A gap, a repetition, another job's event, the wrong kind of writer and an outdated worker are refused."""
    event = attempt(walk.job, type_, dice)
    assert follows(walk.job, replace(event, version=event.version + 1)) is None
    assert follows(walk.job, replace(event, version=event.version - 1)) is None
    assert follows(walk.job, replace(event, job="other")) is None
    assert follows(walk.job, replace(event, token=None if event.token else 9)) is None
    if event.token and walk.job.token:
        assert follows(walk.job, replace(event, token=walk.job.token - 1)) is None


@given(walks(), st.integers(0, 45))
def test_the_fold_can_be_continued(walk: Walk, cut: int) -> None:
    """Folding all events, or the rest after a part of them, gives the same job."""
    part = fold(walk.job.id, walk.events[:cut], Job(walk.job.id, kind=walk.job.kind))
    assert fold(walk.job.id, walk.events[cut:], part) == walk.job


def _states(walk: Walk) -> list[Job]:
    """The job before the first event and after each."""
    start = Job(walk.job.id, kind=walk.job.kind)
    return list(itertools.accumulate(walk.events, lambda job, event: fold(job.id, [event], job), initial=start))


@given(walks(Kind.RESTORE))
def test_nothing_is_changed_without_the_votes(walk: Walk) -> None:
    """A restore's first step is started only after enough different people, never the requester, approved its plan."""
    for event, job in zip(walk.events, _states(walk), strict=False):
        if event.type is EventType.STEP_STARTED:
            assert job.plan
            assert job.policy
            people = {vote.person for vote in job.votes if vote.approve and vote.digest == job.plan.digest}
            assert len(people) >= job.policy.required
            assert job.requester not in people
            assert job.approved_at
            assert not (job.cancel_at and not job.past_no_return)


@given(walks())
def test_steps_go_one_way(walk: Walk) -> None:
    """Steps are done in order and once; the point of no return stays passed; no cancel ends a job behind it."""
    states = _states(walk)
    for before, after in itertools.pairwise(states):
        done = [run.state is StepState.DONE for run in after.steps]
        assert done == sorted(done, reverse=True)
        if before.steps and after.phase not in (Phase.GATHERING, Phase.VOTING, Phase.BLOCKED):
            assert all(now.attempt >= then.attempt for then, now in zip(before.steps, after.steps, strict=True))
            assert all(
                now.state is StepState.DONE
                for then, now in zip(before.steps, after.steps, strict=True)
                if then.state is StepState.DONE
            )
        assert after.past_no_return or not before.past_no_return
        assert after.token >= before.token
        if before.past_no_return:
            assert after.phase is not Phase.CANCELLED
        if after.phase in (Phase.SUCCEEDED, Phase.PARTIAL):
            assert all(done)


@given(walks(Kind.RESTORE))
def test_the_destructive_step_is_repeated_only_by_a_person(walk: Walk) -> None:
    """Another attempt of a step that must ask follows a person's choice to run it again."""
    for event, job in zip(walk.events, _states(walk), strict=False):
        if event.type is EventType.STEP_STARTED and job.current is not None:
            run = job.steps[job.current]
            if run.attempt and run.step.after_death is AfterDeath.ASK:
                assert job.phase is Phase.AGAIN
                assert job.question
                assert job.question.choice == "again"


def test_every_transition_has_a_writer_and_a_way_to_it() -> None:
    """Each entry is reachable from the beginning, every phase that is no end leads on, no end does."""
    reached = {Phase.NEW}
    for _ in Phase:
        reached |= {after for (before, _), after in TABLE.items() if before in reached}
    assert reached == set(Phase)
    assert {before for before, _ in TABLE} == set(Phase) - ENDS


@pytest.mark.parametrize("type_", [EventType.CANCELLED, EventType.EXPIRED])
def test_who_ends_a_job(type_: EventType) -> None:
    """Cancelled and Expired are the worker's once it has claimed the job."""
    assert writer(type_, Phase.RUNNING) is Writer.PROGRESS
    assert writer(type_, Phase.QUEUED) is Writer.DECIDE


# --- the chain --------------------------------------------------------------------------------------------------------


def sealed(happened: tuple[Event, ...], ring: Keyring = RING) -> list[bytes]:
    """The stored records of those events."""
    records: list[bytes] = []
    previous = GENESIS
    for event in happened:
        record, previous = seal(ring, previous, event)
        records.append(record)
    return records


@given(walks())
def test_the_chain_gives_the_events_back(walk: Walk) -> None:
    """What was sealed verifies, whole and from the middle, also after the key was changed."""
    records = sealed(walk.events)
    assert verify(RING, walk.job.id, records) == walk.events
    assert verify(Keyring("k2", RING.keys), walk.job.id, records) == walk.events
    half = len(records) // 2
    previous = events.mac_of(records[half - 1]) if half else GENESIS
    assert verify(RING, walk.job.id, records[half:], half, previous) == walk.events[half:]


@given(walks(), st.data())
def test_an_edited_byte_is_found(walk: Walk, data: st.DataObject) -> None:
    """Any other byte anywhere in a record breaks the chain there."""
    records = sealed(walk.events)
    at = data.draw(st.integers(0, len(records) - 1))
    place = data.draw(st.integers(0, len(records[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != records[at][place]))
    records[at] = records[at][:place] + bytes([byte]) + records[at][place + 1 :]
    with pytest.raises(Fatal):
        verify(RING, walk.job.id, records)


@given(walks(), st.data())
def test_inserted_removed_and_moved_events_are_found(walk: Walk, data: st.DataObject) -> None:
    """A record twice, a record missing before the last, and two exchanged records break the chain."""
    records = sealed(walk.events)
    at = data.draw(st.integers(0, len(records) - 1))
    other = data.draw(st.integers(0, len(records) - 1))
    broken = [[*records[:at], records[other], *records[at:]] if (other, at) != (len(records), 0) else []]
    if at < len(records) - 1:
        broken.append(records[:at] + records[at + 1 :])
    if at != other:
        moved = list(records)
        moved[at], moved[other] = records[other], records[at]
        broken.append(moved)
    for journal in broken:
        with pytest.raises(Fatal):
            verify(RING, walk.job.id, journal)


@given(walks())
def test_a_transplanted_journal_is_found(walk: Walk) -> None:
    """Another job's records are not this job's, even if their bodies are made to say so."""
    with pytest.raises(Fatal):
        verify(RING, "another", sealed(walk.events))
    forged = [record.replace(b'"job":"7f3a91c2"', b'"job":"another1"') for record in sealed(walk.events)]
    with pytest.raises(Fatal):
        verify(RING, "another1", forged)


@given(walks())
def test_without_the_key_nothing_can_be_made(walk: Walk) -> None:
    """Records sealed with another key under the same id do not verify; an unknown key id is refused."""
    for ring in (Keyring("k1", {"k1": b"3" * 32}), Keyring("k9", {"k9": b"1" * 32})):
        with pytest.raises(Fatal):
            verify(RING, walk.job.id, sealed(walk.events, ring))


@given(walks(), st.integers(0, 45))
def test_a_cut_off_tail_verifies(walk: Walk, cut: int) -> None:
    """The chain cannot know what followed: markers on the RKE host find that."""
    assert verify(RING, walk.job.id, sealed(walk.events)[:cut]) == walk.events[:cut]


@given(walks())
def test_the_stored_form_is_json_of_one_version(walk: Walk) -> None:
    """Each body is an object with the envelope's version; another version is refused."""
    for event in walk.events:
        body = json.loads(events.encode(event))
        assert body["v"] == events.ENVELOPE_VERSION
        with pytest.raises(Fatal, match="version 2"):
            events.decode(json.dumps(body | {"v": 2}).encode())


@given(st.binary())
def test_bytes_that_are_no_event(raw: bytes) -> None:
    """Anything else in a journal is refused, not guessed at."""
    with pytest.raises(Fatal):
        events.decode(raw)
    with pytest.raises(Fatal):
        verify(RING, "7f3a91c2", [raw])
