"""What a worker does next, decided from the journal alone: the same for a fresh job and for one whose worker died.

`think` is pure. It is asked again after every append and every answer; what it returns is carried out by
engine/runner.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bot.core import approvals
from bot.core.events import Draft, EventType
from bot.core.job import Job, StepRun, StepState
from bot.core.plans import AfterDeath, Kind
from bot.core.transitions import Phase


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing to do on this job now: give the lease back."""


@dataclass(frozen=True, slots=True)
class RaiseFence:
    """Outdate every earlier owner on every machine before acting; with `idle` also wait until no attempt of the job
    runs.
    """

    idle: bool


@dataclass(frozen=True, slots=True)
class Append:
    """Record this."""

    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Start that attempt of a step; a detached one only when its preconditions hold and nobody else's rke runs."""

    step: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Attached:
    """Carry out the running step; it is a read or idempotent, so that it may have been begun before."""

    step: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Read on the RKE host what became of the running step's attempt, launch it if it never was."""

    step: int
    attempt: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """Undo what the steps before the point of no return have done, then end the job as `end` says."""

    end: EventType


@dataclass(frozen=True, slots=True)
class Conclude:
    """All steps are done: judge the results and end the job."""


Next = Release | RaiseFence | Append | Start | Attached | Probe | PutBack | Conclude

CHOICES = ("again", "hand-over")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the worker stands under its lease: whether the claim is recorded, whether the fence is raised with its
    present token, the run_id of the lease, Redis' time in seconds, and for how long the job had no worker (seconds).
    """

    claimed: bool
    fenced: bool
    run_id: str
    now: float
    lost_for: float = 0


def think(job: Job, me: Standing) -> Next:
    """The next operation of a worker that holds the lease of `job`."""
    if job.ended or job.phase not in _PHASES:
        return Release()
    if job.phase is Phase.QUEUED or not me.claimed:
        return _event(EventType.CLAIMED, lost_for=me.lost_for if job.phase is not Phase.QUEUED else 0)
    return _PHASES[job.phase](job, me)


def _running(job: Job, me: Standing) -> Next:
    cancel = job.cancel_at > 0 and not job.past_no_return
    if not me.fenced and job.mutated:
        return RaiseFence(idle=cancel)
    index = job.current
    if cancel:
        return _cancelled(job)
    if over := approvals.expired(job, me.now):
        return Append((over,))
    if index is None:
        return Conclude()
    run = job.steps[index]
    if run.state is StepState.PENDING:
        return _start(job, me, index)
    if run.state is StepState.FAILED:
        return _failed(job, run)
    return Probe(index, run.attempt) if run.step.detached else Attached(index)


def _cancelled(job: Job) -> Next:
    """Stop between steps: rke is never killed, so a command that was launched is followed to its end first."""
    index = job.current
    if index is not None and job.steps[index].state is StepState.RUNNING and job.steps[index].step.detached:
        return Probe(index, job.steps[index].attempt)
    return PutBack(EventType.CANCELLED)


def _start(job: Job, me: Standing, index: int) -> Next:
    """Start the next step; a restore that was approved before Redis was restarted asks first (rule "epoch")."""
    if job.kind is Kind.RESTORE and not job.past_no_return and job.run_id != me.run_id:
        what = "Redis was restarted after the approval, so the votes may not be the last word."
        return ask(what, "Choose again to go on with the approved plan.", ())
    if not me.fenced and job.steps[index].step.mutating:
        return RaiseFence(idle=False)
    return Start(index, job.steps[index].attempt + 1)


def _failed(job: Job, run: StepRun) -> Next:
    if job.past_no_return:
        return ask(run.error, run.todo, run.lines)
    return PutBack(EventType.FAILED)


def _again(job: Job, me: Standing) -> Next:
    cancel = job.cancel_at > 0 and not job.past_no_return
    if not me.fenced:
        return RaiseFence(idle=cancel)
    if cancel:
        return PutBack(EventType.CANCELLED)
    index = job.current
    if index is None:
        return Conclude()
    run = job.steps[index]
    if run.attempt and run.step.detached:
        return Probe(index, run.attempt)
    return Start(index, run.attempt + 1)


def _giving_up(job: Job, me: Standing) -> Next:
    if not me.fenced:
        return RaiseFence(idle=True)
    if job.mutated and not job.past_no_return:
        return PutBack(EventType.FAILED)
    return _event(
        EventType.FAILED, what="A person took over by hand.", todo="The bot does nothing more on this cluster."
    )


_PHASES: dict[Phase, Callable[[Job, Standing], Next]] = {
    Phase.QUEUED: _running,
    Phase.RUNNING: _running,
    Phase.AGAIN: _again,
    Phase.GIVING_UP: _giving_up,
}


def again(job: Job, *, dead: bool) -> Append | Start:
    """After a person chose to go on: a new attempt only if the last is proved dead or failed, else it is resumed."""
    index = job.current or 0
    attempt = job.steps[index].attempt
    if dead:
        return Start(index, attempt + 1)
    return _event(EventType.STEP_STARTED, step=index, attempt=max(attempt, 1))


def died(job: Job, step: int) -> Append | Start:
    """A detached command died half-way: run it again if that is harmless, else ask."""
    run = job.steps[step]
    if run.step.after_death is AfterDeath.RERUN:
        return Start(step, run.attempt + 1)
    what = f"{run.step.long_title} ended half-way: the RKE host was restarted or the process was killed."
    return ask(what, "Running the step again is the usual way on; it starts from the same snapshot.", ())


def ask(what: str, todo: str, lines: tuple[str, ...], *, no_return: bool = False) -> Append:
    """Stop and ask a person."""
    return _event(EventType.NEEDS_HUMAN, what=what, todo=todo, lines=lines, choices=CHOICES, no_return=no_return)


def _event(event_type: EventType, **data: float | str | bool | tuple[str, ...]) -> Append:
    return Append((Draft(event_type, data),))
