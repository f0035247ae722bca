"""Every legal transition of a job, in one table. What is not here cannot happen.

`HumanChoice` has one entry per choice. The diagram in docs/architecture.md is generated from this table.
"""

from enum import StrEnum
from typing import Final

from bot.core.events import Draft, Event, EventType
from bot.errors import Fatal


class Phase(StrEnum):
    """Where a job stands. The last six are its ends."""

    NEW = "new"
    GATHERING = "gathering"  # a worker of the read lane collects facts and writes the plan
    BLOCKED = "blocked"  # the plan has red findings
    VOTING = "voting"
    APPROVED = "approved"  # only within one append, between Approved and Queued
    QUEUED = "queued"
    RUNNING = "running"
    ASKING = "needs human"  # the cluster is on hold until a person chooses
    AGAIN = "again"  # a person chose to go on; a worker reads the host before anything is repeated
    GIVING_UP = "giving up"  # a person takes over; a worker makes sure that nothing runs
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DENIED = "denied"
    EXPIRED = "expired"


class Writer(StrEnum):
    """Who may append an event: people and the clock without a token, workers under a lease."""

    DECIDE = "decide"
    PROGRESS = "progress"


ENDS: Final = frozenset({Phase.SUCCEEDED, Phase.PARTIAL, Phase.FAILED, Phase.CANCELLED, Phase.DENIED, Phase.EXPIRED})

_E, _P = EventType, Phase
TABLE: Final[dict[tuple[Phase, str], Phase]] = {
    (_P.NEW, _E.REQUESTED): _P.GATHERING,
    (_P.GATHERING, _E.QUEUED): _P.QUEUED,  # a save needs no votes
    (_P.GATHERING, _E.PLANNED): _P.VOTING,
    (_P.GATHERING, _E.BLOCKED): _P.BLOCKED,
    (_P.GATHERING, _E.EXPIRED): _P.EXPIRED,
    (_P.BLOCKED, _E.PLAN_AGAIN): _P.GATHERING,
    (_P.BLOCKED, _E.EXPIRED): _P.EXPIRED,
    (_P.VOTING, _E.VOTE_CAST): _P.VOTING,
    (_P.VOTING, _E.APPROVED): _P.APPROVED,
    (_P.VOTING, _E.DENIED): _P.DENIED,
    (_P.VOTING, _E.PLAN_AGAIN): _P.GATHERING,
    (_P.VOTING, _E.EXPIRED): _P.EXPIRED,
    (_P.APPROVED, _E.QUEUED): _P.QUEUED,
    (_P.QUEUED, _E.CLAIMED): _P.RUNNING,
    (_P.QUEUED, _E.NEEDS_HUMAN): _P.ASKING,
    (_P.QUEUED, _E.EXPIRED): _P.EXPIRED,
    (_P.RUNNING, _E.CLAIMED): _P.RUNNING,
    (_P.RUNNING, _E.STEP_STARTED): _P.RUNNING,
    (_P.RUNNING, _E.STEP_SUCCEEDED): _P.RUNNING,
    (_P.RUNNING, _E.STEP_FAILED): _P.RUNNING,
    (_P.RUNNING, _E.CANCEL_REQUESTED): _P.RUNNING,
    (_P.RUNNING, _E.NEEDS_HUMAN): _P.ASKING,
    (_P.RUNNING, _E.SUCCEEDED): _P.SUCCEEDED,
    (_P.RUNNING, _E.PARTIAL): _P.PARTIAL,
    (_P.RUNNING, _E.FAILED): _P.FAILED,
    (_P.RUNNING, _E.CANCELLED): _P.CANCELLED,
    (_P.RUNNING, _E.EXPIRED): _P.EXPIRED,
    (_P.ASKING, f"{_E.HUMAN_CHOICE}:again"): _P.AGAIN,
    (_P.ASKING, f"{_E.HUMAN_CHOICE}:hand-over"): _P.GIVING_UP,
    (_P.AGAIN, _E.CLAIMED): _P.AGAIN,
    (_P.AGAIN, _E.STEP_STARTED): _P.RUNNING,
    (_P.AGAIN, _E.NEEDS_HUMAN): _P.ASKING,
    (_P.AGAIN, _E.CANCELLED): _P.CANCELLED,
    (_P.GIVING_UP, _E.CLAIMED): _P.GIVING_UP,
    (_P.GIVING_UP, _E.NEEDS_HUMAN): _P.ASKING,
    (_P.GIVING_UP, _E.FAILED): _P.FAILED,
}
for _phase in (_P.GATHERING, _P.BLOCKED, _P.VOTING, _P.QUEUED):
    TABLE[_phase, _E.CANCEL_REQUESTED] = _phase
    TABLE[_phase, _E.CANCELLED] = _P.CANCELLED

_WORKERS: Final = frozenset(
    {
        _E.PLANNED,
        _E.BLOCKED,
        _E.CLAIMED,
        _E.STEP_STARTED,
        _E.STEP_SUCCEEDED,
        _E.STEP_FAILED,
        _E.NEEDS_HUMAN,
        _E.SUCCEEDED,
        _E.PARTIAL,
        _E.FAILED,
    }
)


def name(event: Event | Draft) -> str:
    """The key of an event in the table: its type, for HumanChoice with the choice."""
    if event.type is EventType.HUMAN_CHOICE:
        return f"{event.type}:{event.data.get('choice')}"
    return event.type


def writer(event_type: EventType, phase: Phase) -> Writer:
    """Who may write that event in that phase. Cancelled and Expired belong to the worker once it has claimed
    the job.
    """
    if event_type in (EventType.CANCELLED, EventType.EXPIRED):
        return Writer.PROGRESS if phase in (Phase.RUNNING, Phase.AGAIN) else Writer.DECIDE
    return Writer.PROGRESS if event_type in _WORKERS else Writer.DECIDE


def follow(phase: Phase, event: Event) -> Phase:
    """The phase after `event`. Raises Fatal for a transition that is not in the table or a writer of the
    wrong class.
    """
    after = TABLE.get((phase, name(event)))
    if after is None:
        raise Fatal(f"{name(event)} is not possible for a job that is {phase}")
    wanted = writer(event.type, phase)
    if (event.token is not None) != (wanted is Writer.PROGRESS):
        raise Fatal(f"{event.type} must be written by {wanted}")
    return after
