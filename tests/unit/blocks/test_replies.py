"""What notifies: one reply per event that somebody must notice, none for progress."""

from bot.core.events import EventType
from bot.core.job import Job
from bot.core.plans import Kind
from handlers.blocks import View, replies
from tests.unit import jobs

VIEW = View(0)


def said(before: Job, after: Job) -> tuple[str, bool] | None:
    """The one reply about an event, if there is one."""
    told = replies(before, after, VIEW)
    assert len(told) <= 1
    return (told[0].text, told[0].broadcast) if told else None


def test_approvers_are_called_when_votes_are_asked_for() -> None:
    """By their groups and those named besides them, in the thread only."""
    text, broadcast = said(jobs.requested(), jobs.planned()) or ("", True)
    assert text.startswith(
        "<!subteam^S1> <@U2> <@U3> <@U4> prod: a restore of before-upgrade waits for 2 approvals until "
    )
    assert not broadcast


def test_approvers_without_a_group_are_called_by_name() -> None:
    """Nobody is called twice."""
    policy = jobs.with_policy(groups=())
    text, _ = said(jobs.requested(), jobs.planned(policy=policy)) or ("", True)
    assert text.startswith("<@U2> <@U3> <@U4> prod: ")


def test_a_deny_is_said_once() -> None:
    """The vote and the end are two events of one append."""
    before = jobs.planned()
    vote = jobs.vote(before, "U2", approve=False)
    assert said(before, vote) is None
    assert said(vote, jobs.add(vote, EventType.DENIED, by="T1/U2", reason="no")) == (
        "Restore denied by <@U2>. Nothing was changed.",
        True,
    )


def test_the_last_approval_says_that_it_was_the_last() -> None:
    """Nobody should click any more."""
    one = jobs.vote(jobs.planned(), "U2")
    text, broadcast = said(one, jobs.vote(one, "U3")) or ("", True)
    assert text == "<@U3> approved, 2 of 2. The restore starts when the cluster is free."
    assert not broadcast


def test_a_voided_plan_names_the_lost_votes() -> None:
    """Approvers have to vote again."""
    before = jobs.vote(jobs.planned(), "U2")
    after = jobs.add(before, EventType.PLAN_AGAIN, why="asked")
    assert said(before, after) == ("The plan and its 1 vote are void. The checks run again and write a new one.", False)


def test_a_lost_worker_is_said_with_the_step_it_resumes() -> None:
    """For how long nobody watched, and where it goes on."""
    before = jobs.running(done=5, started=True)
    after = jobs.add(before, EventType.CLAIMED, lost_for=12)
    assert said(before, after) == ("Worker lost for 12 s, another one resumes at step 6 of 9.", False)


def test_progress_is_silent() -> None:
    """The living message shows it."""
    before = jobs.running()
    after = jobs.running(started=True)
    assert said(before, after) is None
    assert said(jobs.queued(), before) is None


def test_a_needed_decision_calls_everybody_who_had_a_part() -> None:
    """The requester and the voters, and the channel."""
    failed = jobs.add(jobs.running(done=4, started=True), EventType.STEP_FAILED, step=4, attempt=1, error="rke failed")
    asking = jobs.add(failed, EventType.NEEDS_HUMAN, what="rke failed", choices=["again", "hand-over"])
    text, broadcast = said(failed, asking) or ("", False)
    assert text.startswith("<@U1> <@U2> <@U3> prod: the restore stopped in step 5 and needs a decision.")
    assert broadcast


def test_a_choice_is_said_with_who_chose() -> None:
    """Both choices, to the channel."""
    before = jobs.asking()
    assert before.question
    again = jobs.add(before, EventType.HUMAN_CHOICE, by="T1/U2", choice="again", answers=before.question.version)
    over = jobs.add(before, EventType.HUMAN_CHOICE, by="T1/U2", choice="hand-over", answers=before.question.version)
    assert said(before, again) == ("<@U2> chose to go on with step 5 of 9.", True)
    assert (said(before, over) or ("", False))[0].startswith("<@U2> takes over by hand.")


def test_a_cancel_while_running_is_said_at_once() -> None:
    """The end may take a while."""
    before = jobs.running(Kind.SAVE, started=True)
    after = jobs.add(before, EventType.CANCEL_REQUESTED)
    assert said(before, after) == ("<@U1> cancelled it. It stops when the running step has ended.", False)


def test_the_key_names_the_event() -> None:
    """So that a reporter that was restarted knows what has been said."""
    before, after = jobs.requested(), jobs.planned()
    assert replies(before, after, VIEW)[0].key == f"{after.id}:{after.version}"
