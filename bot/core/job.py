"""A job is the fold of its events. Nothing else knows its state."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from bot.core import plans
from bot.core.events import Data, Event, EventType
from bot.core.plans import Kind, Plan, Step
from bot.core.policy import ApprovalPolicy
from bot.core.transitions import ENDS, Phase, follow
from bot.errors import Fatal


class StepState(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepRun:
    """What happened to one step so far. `attempt` counts from 1, 0 before the first; times are seconds since epoch."""

    step: Step
    state: StepState = StepState.PENDING
    attempt: int = 0
    started_at: float = 0
    ended_at: float = 0
    result: Data = field(default_factory=dict)
    error: str = ""
    todo: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's word on one plan digest. `run_id` is the Redis process it was cast on."""

    person: str
    approve: bool
    digest: str
    at: float
    run_id: str
    reason: str = ""
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What the job asks a person. `version` is that of the NeedsHuman event, which an answer must name."""

    version: int
    at: float
    what: str
    todo: str
    lines: tuple[str, ...]
    choices: tuple[str, ...]
    choice: str = ""
    chosen_by: str = ""
    chosen_at: float = 0


@dataclass(frozen=True, slots=True)
class Takeover:
    """A worker was lost and another one went on. `lost_for` is in seconds; `step` is the index where it
    resumed.
    """

    at: float
    lost_for: float
    step: int


@dataclass(frozen=True, slots=True)
class Job:
    """The state of a job. People are `TEAM/USER`; times are seconds since the epoch, 0 where something has
    not happened.
    """

    id: str
    version: int = 0
    phase: Phase = Phase.NEW
    kind: Kind = Kind.SAVE
    cluster: str = ""
    snapshot: str = ""
    requester: str = ""
    channel: str = ""
    reason: str = ""
    options: Data = field(default_factory=dict)
    requested_at: float = 0
    plan: Plan | None = None
    policy: ApprovalPolicy | None = None
    planned_at: float = 0
    deadline: float = 0  # of the approval while voting or blocked, of the start while queued
    votes: tuple[Vote, ...] = ()
    voided: int = 0  # how many earlier plans were replaced
    approved_at: float = 0
    run_id: str = ""  # Redis process of the last decision by a person
    queued_at: float = 0
    started_at: float = 0
    steps: tuple[StepRun, ...] = ()
    token: int = 0
    takeovers: tuple[Takeover, ...] = ()
    cancel_by: str = ""
    cancel_at: float = 0
    question: Question | None = None
    no_return_at: float = 0
    ended_at: float = 0
    ended_by: str = ""
    verdict: Data = field(default_factory=dict)
    last_at: float = 0

    @property
    def ended(self) -> bool:
        """Nothing more will happen to this job."""
        return self.phase in ENDS

    @property
    def current(self) -> int | None:
        """Index of the first step that is not done, None when all are."""
        return next((i for i, run in enumerate(self.steps) if run.state is not StepState.DONE), None)

    @property
    def past_no_return(self) -> bool:
        """The step after which there is no way back has been started (or the host says that it was)."""
        return self.no_return_at > 0

    @property
    def mutated(self) -> bool:
        """A step that changes something has been started."""
        return any(run.attempt and run.step.mutating for run in self.steps)

    def result(self, kind: str) -> Data:
        """The result of the first step of that kind, empty if it is not done."""
        return next((run.result for run in self.steps if run.step.kind == kind), {})


def fold(job_id: str, events: Iterable[Event], start: Job | None = None) -> Job:
    """The state after `events`. Raises Fatal at the first event that is not legal; nothing is changed then."""
    job = start or Job(job_id)
    for event in events:
        job = apply(job, event)
    return job


def apply(job: Job, event: Event) -> Job:
    """The state after one more event. Raises Fatal when it is not legal."""
    if event.job != job.id or event.version != job.version + 1:
        raise Fatal(f"event {event.version} of {event.job} does not follow version {job.version} of {job.id}")
    if event.token is not None and event.token < job.token:
        raise Fatal(f"token went back from {job.token} to {event.token} at event {event.version}")
    phase = follow(job.phase, event)
    handler = _HANDLERS.get(event.type)
    after = handler(job, event) if handler else job
    if phase in ENDS:
        after = replace(after, ended_at=event.at, ended_by=event.by, deadline=0)
    return replace(
        after,
        version=event.version,
        phase=phase,
        last_at=event.at,
        token=job.token if event.token is None else event.token,
    )


def _requested(job: Job, event: Event) -> Job:
    data = event.data
    plan = Plan.from_json(plans.mapping(data["plan"])) if data.get("plan") else None
    return replace(
        job,
        kind=Kind(str(data["kind"])),
        cluster=str(data["cluster"]),
        snapshot=str(data["snapshot"]),
        channel=str(data["channel"]),
        reason=str(data.get("reason", "")),
        options=plans.mapping(data.get("options", {})),
        requester=event.by,
        requested_at=event.at,
        run_id=event.run_id,
        plan=plan,
        steps=_fresh(plan),
    )


def _planned(job: Job, event: Event) -> Job:
    plan = Plan.from_json(plans.mapping(event.data["plan"]))
    return replace(
        job,
        plan=plan,
        snapshot=plan.snapshot,
        steps=_fresh(plan),
        votes=(),
        policy=ApprovalPolicy.from_json(plans.mapping(event.data["policy"])),
        planned_at=event.at,
        deadline=plans.number(event.data["expires_at"]),
    )


def _plan_again(job: Job, _event: Event) -> Job:
    return replace(job, votes=(), voided=job.voided + 1, deadline=0)


def _vote_cast(job: Job, event: Event) -> Job:
    digest = str(event.data["digest"])
    if job.plan is None or digest != job.plan.digest:
        raise Fatal(f"a vote for plan {digest[:12]} is not for the current plan")
    if any(v.person == event.by and v.run_id == event.run_id for v in job.votes):
        raise Fatal(f"{event.by} has voted on this plan already")
    vote = Vote(
        person=event.by,
        approve=event.data["verdict"] == "approve",
        digest=digest,
        at=event.at,
        run_id=event.run_id,
        reason=str(event.data.get("reason", "")),
        acknowledged=plans.strings(event.data.get("acknowledged", ())),
    )
    return replace(job, votes=(*job.votes, vote))


def _approved(job: Job, event: Event) -> Job:
    approvals = {v.person for v in job.votes if v.approve and v.run_id == event.run_id}
    if job.policy is None or len(approvals) < job.policy.required:
        raise Fatal("approved without enough votes")
    if not job.policy.requester_counts and job.requester in approvals:
        raise Fatal("approved with the requester's own vote")
    return replace(job, approved_at=event.at, run_id=event.run_id)


def _queued(job: Job, event: Event) -> Job:
    if job.kind is Kind.RESTORE and job.phase is not Phase.APPROVED:
        raise Fatal("a restore is queued only when it is approved")
    return replace(job, queued_at=event.at, deadline=plans.number(event.data.get("execute_by", 0)))


def _cancel_requested(job: Job, event: Event) -> Job:
    if job.cancel_at or job.past_no_return:
        raise Fatal("cancel is not possible any more")
    return replace(job, cancel_by=event.by, cancel_at=event.at)


def _cancelled(job: Job, event: Event) -> Job:
    if not job.cancel_at:
        raise Fatal("cancelled without a request")
    return replace(job, verdict=event.data)


def _claimed(job: Job, event: Event) -> Job:
    lost = plans.number(event.data.get("lost_for", 0))
    if job.phase is Phase.QUEUED:
        return replace(job, started_at=job.started_at or event.at, deadline=job.deadline)
    takeover = Takeover(event.at, lost, job.current or 0)
    return replace(job, takeovers=(*job.takeovers, takeover) if lost else job.takeovers)


def _running(job: Job, event: Event) -> tuple[int, StepRun]:
    index = job.current
    if index is None or event.data["step"] != index:
        raise Fatal(f"{event.type} for step {event.data['step']} while step {index} is next")
    return index, job.steps[index]


def _set(job: Job, index: int, run: StepRun) -> Job:
    return replace(job, steps=(*job.steps[:index], run, *job.steps[index + 1 :]))


def _step_started(job: Job, event: Event) -> Job:
    index, run = _running(job, event)
    attempt = int(plans.number(event.data["attempt"]))
    resumed = job.phase is Phase.AGAIN and attempt == run.attempt and attempt > 0
    if attempt != run.attempt + 1 and not resumed:
        raise Fatal(f"attempt {attempt} of step {index} does not follow {run.attempt}")
    ask = run.step.after_death is plans.AfterDeath.ASK
    if attempt > 1 and not resumed and ask and job.phase is not Phase.AGAIN:
        raise Fatal(f"step {index} is repeated without a person's choice")
    if job.cancel_at and not job.past_no_return:
        raise Fatal("a step was started after the cancel")
    started_at = run.started_at if resumed else event.at
    fresh = StepRun(run.step, StepState.RUNNING, attempt, started_at, result=run.result)
    no_return_at = job.no_return_at or (event.at if run.step.no_return else 0)
    deadline = 0 if run.step.mutating else job.deadline  # the clock counts until something is changed
    return replace(_set(job, index, fresh), no_return_at=no_return_at, question=None, deadline=deadline)


def _step_ended(job: Job, event: Event) -> Job:
    index, run = _running(job, event)
    if run.state is not StepState.RUNNING or event.data["attempt"] != run.attempt:
        raise Fatal(f"{event.type} for an attempt of step {index} that is not running")
    failed = event.type is EventType.STEP_FAILED
    done = replace(
        run,
        state=StepState.FAILED if failed else StepState.DONE,
        ended_at=event.at,
        result=plans.mapping(event.data.get("result", {})),
        error=str(event.data.get("error", "")),
        todo=str(event.data.get("todo", "")),
        lines=plans.strings(event.data.get("lines", ())),
    )
    return _set(job, index, done)


def _needs_human(job: Job, event: Event) -> Job:
    data = event.data
    question = Question(
        version=event.version,
        at=event.at,
        what=str(data["what"]),
        todo=str(data.get("todo", "")),
        lines=plans.strings(data.get("lines", ())),
        choices=plans.strings(data["choices"]),
    )
    no_return_at = job.no_return_at or (event.at if data.get("no_return") else 0)
    return replace(job, question=question, no_return_at=no_return_at, deadline=0)


def _human_choice(job: Job, event: Event) -> Job:
    if job.question is None or event.data["answers"] != job.question.version:
        raise Fatal("the choice answers another question")
    choice = str(event.data["choice"])
    if choice not in job.question.choices:
        raise Fatal(f"{choice} was not offered")
    question = replace(job.question, choice=choice, chosen_by=event.by, chosen_at=event.at)
    return replace(job, question=question, run_id=event.run_id)


def _ended(job: Job, event: Event) -> Job:
    if event.type is not EventType.FAILED and job.current is not None:
        raise Fatal(f"{event.type} while step {job.current} is not done")
    return replace(job, verdict=event.data)


def _denied(job: Job, event: Event) -> Job:
    return replace(job, verdict=event.data)


def _expired(job: Job, event: Event) -> Job:
    if job.mutated:
        raise Fatal("expired after something was changed")
    return replace(job, verdict=event.data)


def _fresh(plan: Plan | None) -> tuple[StepRun, ...]:
    return tuple(StepRun(step) for step in plan.steps) if plan else ()


_E = EventType
_HANDLERS: Final[dict[EventType, Callable[[Job, Event], Job]]] = {
    _E.REQUESTED: _requested,
    _E.PLANNED: _planned,
    _E.BLOCKED: _planned,
    _E.PLAN_AGAIN: _plan_again,
    _E.VOTE_CAST: _vote_cast,
    _E.APPROVED: _approved,
    _E.QUEUED: _queued,
    _E.DENIED: _denied,
    _E.EXPIRED: _expired,
    _E.CANCEL_REQUESTED: _cancel_requested,
    _E.CANCELLED: _cancelled,
    _E.CLAIMED: _claimed,
    _E.STEP_STARTED: _step_started,
    _E.STEP_SUCCEEDED: _step_ended,
    _E.STEP_FAILED: _step_ended,
    _E.NEEDS_HUMAN: _needs_human,
    _E.HUMAN_CHOICE: _human_choice,
    _E.SUCCEEDED: _ended,
    _E.PARTIAL: _ended,
    _E.FAILED: _ended,
}
