"""Jobs for tests: a builder that appends events as journals do, so that a test states only what matters to it."""

from collections.abc import Sequence
from typing import Final

from bot.core.events import Draft, Event, EventType, Json
from bot.core.findings import Finding, Level
from bot.core.job import Job, apply
from bot.core.plans import Kind, Plan, restore_steps, save_steps
from bot.core.policy import ApprovalPolicy
from bot.core.transitions import Writer, writer

TEAM: Final = "T1"
RUN: Final = "run-1"
POLICY: Final = ApprovalPolicy(2, ("U2", "U3", "U4"), ("S1",), False, 3600, 1800)
YELLOW: Final = Finding("load-balancer", Level.YELLOW, "The load balancer must know it.", confirm="It knows it.")
RED: Final = Finding("disk", Level.RED, "The disk is full.", "Make room.")
GREEN: Final = Finding("nodes", Level.GREEN, "All nodes answer.")


def restore_plan(*findings: Finding, snapshot: str = "before-upgrade") -> Plan:
    """A plan to restore that snapshot, with those findings."""
    pins: dict[str, Json] = {"sha256": "ab" * 32, "source": "s3", "safety": True}
    return Plan(Kind.RESTORE, "prod", snapshot, restore_steps(rke_restarts=False), pins, {}, findings)


def save_plan() -> Plan:
    """A plan to save."""
    return Plan(Kind.SAVE, "prod", "before-upgrade", save_steps())


def add(
    job: Job, type_: EventType, *, by: str = "T1/U1", at: float | None = None, run_id: str = RUN, **data: Json
) -> Job:
    """The job after one more event by the right kind of writer; `at` defaults to one second after the last one."""
    worker = writer(type_, job.phase) is Writer.PROGRESS
    return apply(
        job,
        Event(
            type_,
            job.id,
            job.version + 1,
            job.last_at + 1 if at is None else at,
            "worker:w1" if worker else by,
            run_id,
            f"e{job.version + 1}",
            (job.token or 1) if worker else None,
            data,
        ),
    )


def append(job: Job, drafts: Sequence[Draft], *, by: str, at: float, run_id: str = RUN) -> Job:
    """The job after those drafts, all by one person at one time."""
    for draft in drafts:
        job = add(job, draft.type, by=by, at=at, run_id=run_id, **draft.data)
    return job


def requested(kind: Kind = Kind.RESTORE) -> Job:
    """A job that T1/U1 asked for at second 1."""
    return add(
        Job("7f3a91c2"),
        EventType.REQUESTED,
        kind=kind.value,
        cluster="prod",
        snapshot="before-upgrade",
        channel="C1",
        team=TEAM,
        reason="",
        options={},
        plan=save_plan().to_json() if kind is Kind.SAVE else None,
    )


def planned(*findings: Finding, policy: ApprovalPolicy = POLICY) -> Job:
    """A restore whose plan waits for votes until second 3600, or is blocked if a finding is red."""
    blocked = any(finding.level is Level.RED for finding in findings)
    return add(
        requested(),
        EventType.BLOCKED if blocked else EventType.PLANNED,
        plan=restore_plan(*findings).to_json(),
        policy=policy.to_json(),
        expires_at=3600.0,
    )


def vote(job: Job, user: str, *, approve: bool = True, run_id: str = RUN) -> Job:
    """The job after a vote by that user of T1."""
    assert job.plan
    verdict = "approve" if approve else "deny"
    return add(job, EventType.VOTE_CAST, by=f"{TEAM}/{user}", run_id=run_id, verdict=verdict, digest=job.plan.digest)


def queued(kind: Kind = Kind.RESTORE) -> Job:
    """A job that waits for a worker; a restore is approved and must start until second 5000."""
    if kind is Kind.SAVE:
        return add(requested(kind), EventType.QUEUED, execute_by=0)
    job = vote(vote(planned(), "U2"), "U3")
    assert job.plan
    job = add(job, EventType.APPROVED, digest=job.plan.digest, execute_by=5000.0)
    return add(job, EventType.QUEUED, execute_by=5000.0)


def running(kind: Kind = Kind.RESTORE, done: int = 0, *, started: bool = False) -> Job:
    """A claimed job whose first `done` steps are done, and whose next one was `started` or not."""
    job = add(queued(kind), EventType.CLAIMED, lost_for=0)
    for step in range(done):
        job = add(job, EventType.STEP_STARTED, step=step, attempt=1)
        job = add(job, EventType.STEP_SUCCEEDED, step=step, attempt=1, result={})
    return add(job, EventType.STEP_STARTED, step=done, attempt=1) if started else job


def asking(done: int = 4) -> Job:
    """A restore that failed in the step after `done` ones and asks a person."""
    job = running(done=done, started=True)
    job = add(job, EventType.STEP_FAILED, step=done, attempt=1, error="rke failed")
    return add(job, EventType.NEEDS_HUMAN, what="rke failed", choices=["again", "hand-over"])


def with_policy(**changes: int | bool | tuple[str, ...]) -> ApprovalPolicy:
    """The tests' policy with other values."""
    raw = {**POLICY.to_json(), **{key: list(v) if isinstance(v, tuple) else v for key, v in changes.items()}}
    return ApprovalPolicy.from_json(raw)
