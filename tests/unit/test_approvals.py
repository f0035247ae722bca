"""Every answer to a vote, a cancel and a choice."""

import pytest

from bot.core.approvals import (
    Ballot,
    CancelCode,
    ChoiceCode,
    VoteCode,
    Voter,
    expired,
    is_approver,
    judge_cancel,
    judge_choice,
    judge_vote,
)
from bot.core.events import EventType
from bot.core.job import Job
from bot.core.plans import Kind
from bot.core.policy import ApprovalPolicy
from bot.core.transitions import ENDS, Phase
from tests.unit import jobs

NOW = 100.0


def ballot(job: Job, *, approve: bool = True, acknowledged: tuple[str, ...] = ()) -> Ballot:
    """A vote for the job's own plan."""
    assert job.plan
    return Ballot(job.plan.digest, approve, "" if approve else "fixed by hand", acknowledged)


def voter(user: str, *groups: str, full_member: bool = True) -> Voter:
    """A person of the tests' team."""
    return Voter(f"T1/{user}", frozenset(groups), full_member)


def judge(job: Job, who: Voter, *, approve: bool = True, now: float = NOW, run_id: str = jobs.RUN) -> VoteCode:
    """The code of a vote for the job's own plan."""
    return judge_vote(job, who, ballot(job, approve=approve), now, run_id).code


ONE_VOTE = jobs.vote(jobs.planned(), "U2")


@pytest.mark.parametrize(
    ("job", "who", "code"),
    [
        (jobs.planned(), voter("U2"), VoteCode.COUNTED),
        (jobs.planned(), voter("U9", "S1"), VoteCode.COUNTED),
        (ONE_VOTE, voter("U3"), VoteCode.APPROVED),
        (ONE_VOTE, voter("U9", "S1", "S2"), VoteCode.APPROVED),
        (ONE_VOTE, voter("U2"), VoteCode.ALREADY),
        (jobs.planned(), voter("U1"), VoteCode.SELF),
        (jobs.planned(), voter("U1", "S1"), VoteCode.SELF),
        (jobs.planned(), voter("U9"), VoteCode.NOT_APPROVER),
        (jobs.planned(), voter("U9", "S2"), VoteCode.NOT_APPROVER),
        (jobs.planned(), voter("U2", full_member=False), VoteCode.NOT_APPROVER),
        (jobs.planned(jobs.YELLOW), voter("U2"), VoteCode.UNACKNOWLEDGED),
        (jobs.planned(jobs.RED), voter("U2"), VoteCode.BLOCKED),
        (jobs.queued(), voter("U4"), VoteCode.LATE),
        (jobs.running(), voter("U4"), VoteCode.LATE),
        (jobs.asking(), voter("U4"), VoteCode.LATE),
        (jobs.planned(policy=jobs.with_policy(required=1)), voter("U2"), VoteCode.APPROVED),
        (jobs.planned(policy=jobs.with_policy(requester_counts=True)), voter("U1", "S1"), VoteCode.COUNTED),
        (jobs.planned(policy=jobs.with_policy(requester_counts=True)), voter("U1"), VoteCode.NOT_APPROVER),
    ],
)
def test_approve(job: Job, who: Voter, code: VoteCode) -> None:
    """Who approves what comes to."""
    assert judge(job, who) is code


@pytest.mark.parametrize(
    ("job", "who", "code"),
    [
        (jobs.planned(), voter("U2"), VoteCode.DENIED),
        (ONE_VOTE, voter("U3"), VoteCode.DENIED),
        (ONE_VOTE, voter("U2"), VoteCode.ALREADY),
        (jobs.planned(jobs.YELLOW), voter("U2"), VoteCode.DENIED),
        (jobs.planned(), voter("U1"), VoteCode.SELF),
        (jobs.planned(), voter("U9"), VoteCode.NOT_APPROVER),
        (jobs.queued(), voter("U4"), VoteCode.LATE),
    ],
)
def test_deny(job: Job, who: Voter, code: VoteCode) -> None:
    """One deny of an approver ends it; nothing need be confirmed for that."""
    assert judge(job, who, approve=False) is code


def test_a_vote_on_a_job_without_plan_is_late() -> None:
    """While facts are gathered there is nothing to vote on."""
    assert judge_vote(jobs.requested(), voter("U2"), Ballot("", approve=True), NOW, jobs.RUN).code is VoteCode.LATE


def test_a_vote_for_another_plan_is_late() -> None:
    """A vote is for one digest."""
    verdict = judge_vote(jobs.planned(), voter("U2"), Ballot("0" * 64, approve=True), NOW, jobs.RUN)
    assert verdict.code is VoteCode.LATE
    assert verdict.drafts == ()


def test_a_vote_on_a_cancelled_job_is_late() -> None:
    """A cancel ends the voting."""
    job = jobs.append(jobs.planned(), judge_cancel(jobs.planned()).drafts, by="T1/U1", at=9)
    assert judge(job, voter("U2")) is VoteCode.LATE


@pytest.mark.parametrize("approve", [True, False])
def test_expiry_is_enforced_at_the_vote(approve: bool) -> None:
    """At the deadline no vote is taken any more, though no event says so yet."""
    assert judge(jobs.planned(), voter("U2"), approve=approve, now=3599.9) is not VoteCode.EXPIRED
    assert judge(jobs.planned(), voter("U2"), approve=approve, now=3600) is VoteCode.EXPIRED


def test_a_vote_on_an_expired_job_says_so() -> None:
    """Expired is a better answer than late."""
    job = jobs.add(jobs.planned(), EventType.EXPIRED, which="approval")
    assert judge(job, voter("U2")) is VoteCode.EXPIRED


def test_votes_of_another_redis_are_cast_again() -> None:
    """After a failover earlier votes do not count, and who cast them may vote again."""
    assert judge(ONE_VOTE, voter("U3"), run_id="run-2") is VoteCode.COUNTED
    assert judge(ONE_VOTE, voter("U2"), run_id="run-2") is VoteCode.COUNTED


def test_what_was_not_confirmed_is_named() -> None:
    """A missing confirmation is named by the finding's id; with it the vote counts and keeps it."""
    job = jobs.planned(jobs.YELLOW, jobs.GREEN)
    assert judge_vote(job, voter("U2"), ballot(job), NOW, jobs.RUN).missing == (jobs.YELLOW.id,)
    verdict = judge_vote(job, voter("U2"), ballot(job, acknowledged=(jobs.YELLOW.id,)), NOW, jobs.RUN)
    assert verdict.code is VoteCode.COUNTED
    assert verdict.drafts[0].data["acknowledged"] == [jobs.YELLOW.id]


def test_the_last_vote_approves_and_queues_in_one_append() -> None:
    """The vote, Approved and Queued belong together, and the start has a deadline."""
    job = ONE_VOTE
    verdict = judge_vote(job, voter("U3"), ballot(job), NOW, jobs.RUN)
    assert [draft.type for draft in verdict.drafts] == [EventType.VOTE_CAST, EventType.APPROVED, EventType.QUEUED]
    job = jobs.append(job, verdict.drafts, by="T1/U3", at=NOW)
    assert job.phase is Phase.QUEUED
    assert job.deadline == NOW + 1800


def test_a_deny_ends_the_job_with_its_reason() -> None:
    """Denied keeps who and why."""
    job = jobs.planned()
    verdict = judge_vote(job, voter("U2"), ballot(job, approve=False), NOW, jobs.RUN)
    job = jobs.append(job, verdict.drafts, by="T1/U2", at=NOW)
    assert job.phase is Phase.DENIED
    assert job.ended_by == "T1/U2"
    assert job.verdict["reason"] == "fixed by hand"


def test_nobody_is_an_approver_by_default() -> None:
    """A policy without names names nobody."""
    assert not is_approver(ApprovalPolicy(1, (), (), False, 1, 1), voter("U1", "S1"))


@pytest.mark.parametrize(
    ("job", "code", "events"),
    [
        (Job("7f3a91c2"), CancelCode.UNKNOWN, 0),
        (jobs.requested(), CancelCode.CANCELLED, 2),
        (jobs.planned(), CancelCode.CANCELLED, 2),
        (jobs.planned(jobs.RED), CancelCode.CANCELLED, 2),
        (jobs.queued(), CancelCode.CANCELLED, 2),
        (jobs.queued(Kind.SAVE), CancelCode.CANCELLED, 2),
        (jobs.running(), CancelCode.REQUESTED, 1),
        (jobs.running(done=4), CancelCode.REQUESTED, 1),
        (jobs.running(Kind.SAVE, 1, started=True), CancelCode.REQUESTED, 1),
        (jobs.running(done=4, started=True), CancelCode.TOO_LATE, 0),
        (jobs.running(done=6), CancelCode.TOO_LATE, 0),
        (jobs.asking(), CancelCode.TOO_LATE, 0),
        (jobs.asking(2), CancelCode.TOO_LATE, 0),
        (jobs.add(jobs.running(), EventType.CANCEL_REQUESTED), CancelCode.ALREADY, 0),
        (jobs.add(jobs.planned(), EventType.EXPIRED, which="approval"), CancelCode.ENDED, 0),
    ],
)
def test_cancel(job: Job, code: CancelCode, events: int) -> None:
    """At once before the run, between steps while it runs, never from the point of no return on."""
    verdict = judge_cancel(job)
    assert verdict.code is code
    assert len(verdict.drafts) == events
    after = jobs.append(job, verdict.drafts, by="T1/U2", at=job.last_at + 1)
    assert (after.phase in ENDS) == (code in (CancelCode.CANCELLED, CancelCode.ENDED))


def test_cancel_needs_the_right() -> None:
    """Without the right nothing happens."""
    assert judge_cancel(jobs.planned(), may=False).code is CancelCode.FORBIDDEN


@pytest.mark.parametrize("choice", ["again", "hand-over"])
def test_choice(choice: str) -> None:
    """An offered choice that answers the open question is taken."""
    job = jobs.asking()
    assert job.question
    verdict = judge_choice(job, job.question.version, choice)
    assert verdict.code is ChoiceCode.TAKEN
    after = jobs.append(job, verdict.drafts, by="T1/U2", at=job.last_at + 1)
    assert after.phase in (Phase.AGAIN, Phase.GIVING_UP)
    assert judge_choice(after, job.question.version, choice).code is ChoiceCode.LATE


@pytest.mark.parametrize(
    ("job", "later", "choice"),
    [
        (jobs.asking(), 1, "again"),
        (jobs.asking(), -1, "again"),
        (jobs.asking(), 0, "put-back"),
        (jobs.running(), 0, "again"),
    ],
)
def test_late_choice(job: Job, later: int, choice: str) -> None:
    """A choice for another question, or one that was not offered, changes nothing."""
    version = (job.question.version if job.question else 0) + later
    assert judge_choice(job, version, choice).code is ChoiceCode.LATE


def test_choice_needs_the_right() -> None:
    """Without the right nothing happens."""
    job = jobs.asking()
    assert job.question
    assert judge_choice(job, job.question.version, "again", may=False).code is ChoiceCode.FORBIDDEN


@pytest.mark.parametrize(
    ("job", "deadline", "which"),
    [
        (jobs.planned(), 3600, "approval"),
        (jobs.planned(jobs.RED), 3600, "approval"),
        (jobs.queued(), 5000, "execution"),
        (jobs.running(), 5000, "execution"),
        (jobs.running(done=1), 5000, "execution"),
    ],
)
def test_expired(job: Job, deadline: float, which: str) -> None:
    """At its deadline a job's time is over, and what was waited for is named."""
    assert expired(job, deadline - 0.1) is None
    draft = expired(job, deadline)
    assert draft
    assert draft.data == {"which": which}


@pytest.mark.parametrize("job", [jobs.requested(), jobs.queued(Kind.SAVE), jobs.running(done=2), jobs.asking()])
def test_never_expired(job: Job) -> None:
    """What waits for no person, or has changed something, does not expire."""
    assert expired(job, 9e9) is None
