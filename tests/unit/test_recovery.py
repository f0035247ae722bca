"""What a worker does next, for every place in which it can find a job."""

import pytest

from bot.core.events import EventType
from bot.core.job import Job, StepState
from bot.core.plans import Kind
from bot.core.recovery import (
    Append,
    Attached,
    Conclude,
    Next,
    Probe,
    PutBack,
    RaiseFence,
    Release,
    Standing,
    Start,
    again,
    died,
    think,
)
from bot.core.transitions import Phase
from tests.unit.jobs import RUN, add, append, asking, planned, queued, running, vote

FENCED = Standing(claimed=True, fenced=True, run_id=RUN, now=100.0)
FRESH = Standing(claimed=True, fenced=False, run_id=RUN, now=100.0)
NEW_OWNER = Standing(claimed=False, fenced=False, run_id=RUN, now=100.0, lost_for=12.0)


def recorded(step: Next) -> EventType:
    """The type of the one event that is to be appended."""
    if isinstance(step, Start):
        return EventType.STEP_STARTED
    assert isinstance(step, Append)
    (draft,) = step.drafts
    return draft.type


def chosen(choice: str) -> Job:
    """A restore that asked, and whose question was answered."""
    job = asking()
    return add(job, EventType.HUMAN_CHOICE, choice=choice, answers=job.version)


@pytest.mark.parametrize("job", [planned(), vote(planned(), "U2"), asking()])
def test_a_job_that_is_not_the_workers_turn_is_released(job: Job) -> None:
    """While people decide, or after the end, there is nothing to do."""
    assert think(job, FENCED) == Release()


def test_a_queued_job_is_claimed_first() -> None:
    """The claim stands in the journal before anything is done."""
    assert recorded(think(queued(), FRESH)) is EventType.CLAIMED


def test_a_new_owner_says_for_how_long_the_worker_was_lost() -> None:
    """A take-over is an event; its first sentence in the thread needs the seconds."""
    step = think(running(done=2), NEW_OWNER)
    assert isinstance(step, Append)
    assert (step.drafts[0].type, step.drafts[0].data["lost_for"]) == (EventType.CLAIMED, 12.0)


def test_a_read_needs_no_fence() -> None:
    """The first step of a restore changes nothing."""
    assert recorded(think(running(), FRESH)) is EventType.STEP_STARTED


def test_the_fence_is_raised_before_the_first_change() -> None:
    """Rule `raise`: also when this worker has claimed the job itself."""
    assert think(running(done=1), FRESH) == RaiseFence(idle=False)


def test_a_new_owner_raises_the_fence_before_it_ends_anything() -> None:
    """Rule `raise`: all steps done, but somebody else may still act."""
    steps = len(running().steps)
    assert think(running(done=steps), FRESH) == RaiseFence(idle=False)
    assert think(running(done=steps), FENCED) == Conclude()


def test_an_attached_step_is_carried_out_again() -> None:
    """Attached steps are idempotent: the new owner carries out what its predecessor had begun."""
    assert think(running(done=1, started=True), FENCED) == Attached(1)


def test_a_detached_step_is_looked_at_first() -> None:
    """Never launched blindly: the RKE host knows what became of it."""
    assert think(running(done=4, started=True), FENCED) == Probe(4, 1)


def test_cancel_between_steps_puts_back() -> None:
    """Before the point of no return a cancel undoes what the steps did."""
    job = add(running(done=3), EventType.CANCEL_REQUESTED)
    assert think(job, FRESH) == RaiseFence(idle=True)
    assert think(job, FENCED) == PutBack(EventType.CANCELLED)


def test_cancel_of_a_running_rke_save_waits_for_rke() -> None:
    """rke is never killed: what was launched is followed to its end, then the job ends."""
    job = add(running(Kind.SAVE, done=1, started=True), EventType.CANCEL_REQUESTED)
    assert think(job, FENCED) == Probe(1, 1)
    job = add(job, EventType.STEP_SUCCEEDED, step=1, attempt=1, result={})
    assert think(job, FENCED) == PutBack(EventType.CANCELLED)


def test_an_approval_from_before_a_restart_of_redis_asks_a_person() -> None:
    """Rule `epoch`: the votes may not be the last word."""
    other = Standing(claimed=True, fenced=True, run_id="run-2", now=100.0)
    assert recorded(think(running(done=1), other)) is EventType.NEEDS_HUMAN


def test_past_the_point_of_no_return_a_restart_of_redis_stops_nothing() -> None:
    """Then going on is the only way."""
    other = Standing(claimed=True, fenced=True, run_id="run-2", now=100.0)
    assert recorded(think(running(done=5), other)) is EventType.STEP_STARTED


def test_a_start_that_comes_too_late_expires() -> None:
    """The execution lifetime is enforced before the first change, not only by the sweep."""
    late = Standing(claimed=True, fenced=True, run_id=RUN, now=5001.0)
    assert recorded(think(running(), late)) is EventType.EXPIRED
    assert recorded(think(running(done=2), late)) is EventType.STEP_STARTED


def test_a_failure_before_the_point_of_no_return_is_put_back() -> None:
    """Nothing was destroyed: the job fails and leaves the cluster as it was."""
    job = add(running(done=2, started=True), EventType.STEP_FAILED, step=2, attempt=1, error="no")
    assert think(job, FENCED) == PutBack(EventType.FAILED)


def test_a_failure_after_the_point_of_no_return_asks() -> None:
    """The cluster is down: a person decides how to go on."""
    job = add(running(done=4, started=True), EventType.STEP_FAILED, step=4, attempt=1, error="rke failed")
    assert recorded(think(job, FENCED)) is EventType.NEEDS_HUMAN


def test_again_reads_the_host_before_it_repeats() -> None:
    """Rule `again`: fence, then look."""
    assert think(chosen("again"), FRESH) == RaiseFence(idle=False)
    assert think(chosen("again"), FENCED) == Probe(4, 1)


def test_only_a_dead_attempt_makes_a_new_one() -> None:
    """Rule `again`: an attempt that still runs, or that succeeded after all, is resumed."""
    assert again(chosen("again"), dead=True) == Start(4, 2)
    step = again(chosen("again"), dead=False)
    assert isinstance(step, Append)
    after = append(chosen("again"), step.drafts, by="", at=100.0)
    assert (after.steps[4].attempt, after.steps[4].state, after.phase) == (1, StepState.RUNNING, Phase.RUNNING)


def test_again_after_a_cancel_puts_back() -> None:
    """The putting back of a cancel failed and somebody chose to go on: that means to put back, not to start a step."""
    job = add(running(done=3), EventType.CANCEL_REQUESTED)
    job = add(job, EventType.NEEDS_HUMAN, what="docker failed", choices=["again", "hand-over"])
    job = add(job, EventType.HUMAN_CHOICE, choice="again", answers=job.version)
    assert think(job, FRESH) == RaiseFence(idle=True)
    assert think(job, FENCED) == PutBack(EventType.CANCELLED)
    assert add(job, EventType.CANCELLED, done=[]).phase is Phase.CANCELLED


def test_giving_up_before_the_point_of_no_return_puts_back() -> None:
    """Whoever takes over gets the cluster as it was."""
    job = add(running(done=2, started=True), EventType.NEEDS_HUMAN, what="stuck", choices=["again", "hand-over"])
    job = add(job, EventType.HUMAN_CHOICE, choice="hand-over", answers=job.version)
    assert think(job, FENCED) == PutBack(EventType.FAILED)


def test_giving_up_waits_until_nothing_runs() -> None:
    """Rule `quit`: no end is written while an attempt may run."""
    assert think(chosen("hand-over"), FRESH) == RaiseFence(idle=True)
    assert recorded(think(chosen("hand-over"), FENCED)) is EventType.FAILED


def test_a_destructive_command_that_died_half_way_asks() -> None:
    """snapshot-restore is never repeated without a person."""
    assert recorded(died(running(done=4, started=True), 4)) is EventType.NEEDS_HUMAN


def test_a_harmless_command_that_died_half_way_is_repeated() -> None:
    """A save, and `rke up`, may simply run again."""
    assert recorded(died(running(Kind.SAVE, done=1, started=True), 1)) is EventType.STEP_STARTED
