"""Properties of approvals: whatever people click in whatever order, nothing is queued without the right votes."""

from hypothesis import given
from hypothesis import strategies as st

from bot.core.approvals import Ballot, VoteCode, Voter, is_approver, judge_vote
from bot.core.policy import ApprovalPolicy
from bot.core.transitions import Phase
from tests.unit import jobs

_users = st.sampled_from(["U1", "U2", "U3", "U4", "U5"])
_groups = st.frozensets(st.sampled_from(["S1", "S2"]))
_policies = st.builds(
    ApprovalPolicy,
    st.integers(1, 4),
    st.lists(_users, unique=True).map(tuple),
    st.sampled_from([(), ("S1",), ("S1", "S2")]),
    st.booleans(),
    st.just(3600.0),
    st.just(1800.0),
)
_voters = st.builds(
    lambda user, groups, member: Voter(f"T1/{user}", groups, member),
    _users,
    _groups,
    st.sampled_from([True] * 4 + [False]),
)
_clicks = st.tuples(
    _voters,
    st.sampled_from([True] * 6 + [False]),
    st.sampled_from([True] * 5 + [False]),  # for this plan
    st.sampled_from([True] * 5 + [False]),  # yellow finding confirmed
    st.sampled_from(["run-1"] * 5 + ["run-2"]),
    st.sampled_from([10.0] * 9 + [3600.0]),
)


@given(_policies, st.booleans(), st.lists(_clicks, max_size=12))
def test_no_clicks_queue_a_restore_without_the_votes(
    policy: ApprovalPolicy,
    yellow: bool,
    clicks: list[tuple[Voter, bool, bool, bool, str, float]],
) -> None:
    """Queued means: `required` different approvers, for this plan, on one Redis, in time, all yellow findings
    confirmed, never the requester unless the policy says so, and no deny before.
    """
    job = jobs.planned(*([jobs.YELLOW] if yellow else []), policy=policy)
    assert job.plan
    good: dict[str, set[str]] = {}
    for voter, approve, this_plan, confirmed, run_id, now in clicks:
        acknowledged = (jobs.YELLOW.id,) if confirmed else ()
        ballot = Ballot(job.plan.digest if this_plan else "0" * 64, approve, acknowledged=acknowledged)
        verdict = judge_vote(job, voter, ballot, now, run_id)
        may = is_approver(policy, voter) and (policy.requester_counts or voter.user != "U1")
        valid = approve and this_plan and (confirmed or not yellow) and now < 3600 and may
        if verdict.code in (VoteCode.COUNTED, VoteCode.APPROVED):
            assert valid
            assert job.phase is Phase.VOTING
            assert voter.person not in good.setdefault(run_id, set())
            good[run_id].add(voter.person)
        elif verdict.code is VoteCode.DENIED:
            assert may
        else:
            assert verdict.drafts == ()
        job = jobs.append(job, verdict.drafts, by=voter.person, at=now, run_id=run_id)
        assert (verdict.code is VoteCode.APPROVED) == (job.phase is Phase.QUEUED and bool(verdict.drafts))
    if job.phase is Phase.QUEUED:
        assert len(good[job.run_id]) == policy.required
