"""Votes, cancels and choices: what a click means for a job, decided from its state alone.

Each function returns a frozen verdict: a code that says what to answer, and the events to append. Without events
nothing changes. The caller appends with the version it judged, so a conflict is judged again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bot.core.events import Draft, EventType
from bot.core.findings import Finding, Level
from bot.core.job import Job, Vote
from bot.core.policy import ApprovalPolicy
from bot.core.transitions import Phase


class VoteCode(StrEnum):
    """The answer to a vote. COUNTED, APPROVED and DENIED are the only ones that change the job."""

    COUNTED = "counted"  # more approvals are needed
    APPROVED = "approved"  # it was the last one needed
    DENIED = "denied"  # one deny ends the request
    LATE = "late"  # decided already, cancelled, or for another plan
    NOT_APPROVER = "not approver"
    SELF = "self"  # the requester's own vote does not count
    ALREADY = "already"
    EXPIRED = "expired"
    BLOCKED = "blocked"  # red findings: nobody can approve
    UNACKNOWLEDGED = "unacknowledged"  # a yellow finding was not confirmed


class CancelCode(StrEnum):
    """The answer to a cancel. CANCELLED and REQUESTED are the only ones that change the job."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"  # it runs: the worker stops before the next step
    ALREADY = "already"
    TOO_LATE = "too late"  # stopping would be worse than going on
    ENDED = "ended"
    UNKNOWN = "unknown"  # no such job
    FORBIDDEN = "forbidden"


class ChoiceCode(StrEnum):
    """The answer to a choice. Only TAKEN changes the job."""

    TAKEN = "taken"
    LATE = "late"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Voter:
    """Who clicks, as Slack says right now: `person` is `TEAM/USER`; guests, bots, strangers, deactivated people and
    those of other teams are no full members.
    """

    person: str
    groups: frozenset[str] = frozenset()
    full_member: bool = True

    @property
    def user(self) -> str:
        """The user id without the team."""
        return self.person.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class VoteVerdict:
    """What a vote comes to. `missing` are the ids of yellow findings that were not confirmed."""

    code: VoteCode
    drafts: tuple[Draft, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelVerdict:
    """What a cancel comes to."""

    code: CancelCode
    drafts: tuple[Draft, ...] = ()


@dataclass(frozen=True, slots=True)
class ChoiceVerdict:
    """What a choice comes to."""

    code: ChoiceCode
    drafts: tuple[Draft, ...] = ()


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a vote says: for which plan (digest), the reason of a deny, the ids of the yellow findings confirmed."""

    digest: str
    approve: bool
    reason: str = ""
    acknowledged: tuple[str, ...] = ()


_BEFORE_THE_RUN: Final = frozenset({Phase.GATHERING, Phase.BLOCKED, Phase.VOTING, Phase.QUEUED})
_ENDED_BY_THE_CLOCK: Final = {
    Phase.BLOCKED: "approval",
    Phase.VOTING: "approval",
    Phase.QUEUED: "execution",
    Phase.RUNNING: "execution",
}


def is_approver(policy: ApprovalPolicy, voter: Voter) -> bool:
    """Whether the policy names that person. Default deny."""
    return voter.full_member and policy.names(voter.user, voter.groups)


def yellow(job: Job) -> tuple[Finding, ...]:
    """The findings every approver must confirm."""
    return tuple(f for f in job.plan.findings if f.level is Level.YELLOW) if job.plan else ()


def approvals(job: Job, run_id: str) -> tuple[Vote, ...]:
    """The approvals that count: those cast on the same Redis process."""
    return tuple(vote for vote in job.votes if vote.approve and vote.run_id == run_id)


def judge_vote(job: Job, voter: Voter, ballot: Ballot, now: float, run_id: str) -> VoteVerdict:
    """What that vote comes to. `now` (seconds) and `run_id` are those of the read the job was folded from."""
    refusal = _refusal(job, voter, ballot, now, run_id)
    if refusal or job.policy is None or job.plan is None:
        return VoteVerdict(refusal or VoteCode.LATE)
    if not ballot.approve:
        return VoteVerdict(VoteCode.DENIED, (_cast(ballot), Draft(EventType.DENIED, {"reason": ballot.reason})))
    if any(finding.level is Level.RED for finding in job.plan.findings):
        return VoteVerdict(VoteCode.BLOCKED)
    if missing := tuple(f.id for f in yellow(job) if f.id not in ballot.acknowledged):
        return VoteVerdict(VoteCode.UNACKNOWLEDGED, missing=missing)
    people = {vote.person for vote in approvals(job, run_id)} | {voter.person}
    if len(people) < job.policy.required:
        return VoteVerdict(VoteCode.COUNTED, (_cast(ballot),))
    execute_by = now + job.policy.execution_lifetime
    approved = Draft(EventType.APPROVED, {"digest": ballot.digest, "execute_by": execute_by})
    queued = Draft(EventType.QUEUED, {"execute_by": execute_by})
    return VoteVerdict(VoteCode.APPROVED, (_cast(ballot), approved, queued))


def _refusal(job: Job, voter: Voter, ballot: Ballot, now: float, run_id: str) -> VoteCode | None:
    """Why that person cannot vote on that plan now, None when he can."""
    if job.plan is None or job.policy is None or job.cancel_at or job.plan.digest != ballot.digest:
        return VoteCode.LATE
    if job.phase not in (Phase.VOTING, Phase.BLOCKED):
        return VoteCode.EXPIRED if job.phase is Phase.EXPIRED else VoteCode.LATE
    if voter.person == job.requester and not job.policy.requester_counts:
        return VoteCode.SELF
    if not is_approver(job.policy, voter):
        return VoteCode.NOT_APPROVER
    if now >= job.deadline:
        return VoteCode.EXPIRED
    if job.phase is Phase.BLOCKED:
        return VoteCode.BLOCKED
    voted = any(vote.person == voter.person and vote.run_id == run_id for vote in job.votes)
    return VoteCode.ALREADY if voted else None


def _cast(ballot: Ballot) -> Draft:
    return Draft(
        EventType.VOTE_CAST,
        {
            "verdict": "approve" if ballot.approve else "deny",
            "digest": ballot.digest,
            "reason": ballot.reason,
            "acknowledged": list(ballot.acknowledged),
        },
    )


def judge_cancel(job: Job, *, may: bool = True) -> CancelVerdict:
    """What a cancel comes to; `may`: the person has the right. At once before the run, between steps while it runs,
    refused from the point of no return on and while a person is asked (then the choices are the way out).
    """
    if job.phase is Phase.NEW:
        return CancelVerdict(CancelCode.UNKNOWN)
    if not may:
        return CancelVerdict(CancelCode.FORBIDDEN)
    if job.ended:
        return CancelVerdict(CancelCode.ENDED)
    if job.cancel_at:
        return CancelVerdict(CancelCode.ALREADY)
    requested = Draft(EventType.CANCEL_REQUESTED)
    if job.phase in _BEFORE_THE_RUN:
        return CancelVerdict(CancelCode.CANCELLED, (requested, Draft(EventType.CANCELLED, {"done": []})))
    if job.phase is Phase.RUNNING and not job.past_no_return:
        return CancelVerdict(CancelCode.REQUESTED, (requested,))
    return CancelVerdict(CancelCode.TOO_LATE)


def judge_choice(job: Job, version: int, choice: str, *, may: bool = True) -> ChoiceVerdict:
    """What a choice comes to that answers the question asked at `version`; `may`: the person has the right."""
    if not may:
        return ChoiceVerdict(ChoiceCode.FORBIDDEN)
    question = job.question
    asked = job.phase is Phase.ASKING and question is not None and question.version == version
    if not asked or question is None or choice not in question.choices:
        return ChoiceVerdict(ChoiceCode.LATE)
    return ChoiceVerdict(ChoiceCode.TAKEN, (Draft(EventType.HUMAN_CHOICE, {"choice": choice, "answers": version}),))


def expired(job: Job, now: float) -> Draft | None:
    """The end of a job whose time is over, None while it is not. While the job runs only its worker may append it, and
    only before the first mutating step (the deadline is gone then).
    """
    which = _ENDED_BY_THE_CLOCK.get(job.phase)
    if which is None or not job.deadline or now < job.deadline or job.mutated:
        return None
    return Draft(EventType.EXPIRED, {"which": which})
