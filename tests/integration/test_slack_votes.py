"""Votes, forms, choices and cancels by click: who may, what counts, and what everybody else is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.events import EventType, Json
from bot.core.job import Job
from bot.core.transitions import Phase
from handlers.blocks import ACK_BLOCK, REASON_BLOCK
from tests.integration.slack_side import COMMAND, FENCED, RED, YELLOW, SlackSide, Transport, lab
from tests.lab.slack import Message, User, View


@pytest.fixture(params=["socket", "http"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SlackSide]:
    """A whole Slack side, over both transports."""
    transport: Transport = request.param
    async with lab(tmp_path, transport=transport) as made:
        yield made


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[SlackSide]:
    """The same over one transport, for what does not depend on it."""
    async with lab(tmp_path) as made:
        yield made


async def asked(side: SlackSide) -> tuple[Job, Message]:
    """A restore without yellow findings that waits for votes, and its message."""
    job = await side.restore()
    return job, await side.see("vote.approve")


async def phase(side: SlackSide, job: Job) -> Phase:
    """Where the job stands in the journal."""
    return (await side.journal.read(job.id)).job.phase


async def whispered(side: SlackSide, user: User, words: str) -> None:
    """Wait until that person, and only that person, was told these words."""
    await side.workspace.wait_for(lambda: any(words in f"{e.text} {e.blocks}" for e in user.ephemerals))


async def form(side: SlackSide, user: User, target: Message, action: str) -> View:
    """Open a form."""
    assert (await user.click(target, action)).ok
    return await side.workspace.wait_for(lambda: user.modals[-1])


async def test_two_approvers_start_the_restore(side: SlackSide) -> None:
    """The first vote is counted and told, the second one queues the job; both voters are told privately."""
    job, message = await asked(side)
    assert (await side.bob.click(message, "vote.approve")).ok
    await whispered(side, side.bob, "1 more person is needed")
    await side.told(message, "1 more approval by another person is needed")
    assert await phase(side, job) is Phase.VOTING
    assert (await side.carol.click(message, "vote.approve")).ok
    await whispered(side, side.carol, "it was the last one needed")
    assert await phase(side, job) is Phase.QUEUED


async def test_going_back_in_the_confirm_dialogue_votes_nothing(alone: SlackSide) -> None:
    """Approve never acts by itself."""
    job, message = await asked(alone)
    ack = await alone.bob.click(message, "vote.approve", confirm=False)
    assert ack.asked is not None
    assert (await alone.journal.read(job.id)).job.votes == ()


async def test_the_person_who_asked_cannot_approve(side: SlackSide) -> None:
    """alice is among the approvers, and told politely why her vote does not count."""
    job, message = await asked(side)
    await side.alice.click(message, "vote.approve")
    await whispered(side, side.alice, "You asked for this restore")
    assert (await side.journal.read(job.id)).job.votes == ()


async def test_who_is_no_approver_is_told_who_is(alone: SlackSide) -> None:
    """Never ignored, never counted."""
    job, message = await asked(alone)
    await alone.dave.click(message, "vote.approve")
    await whispered(alone, alone.dave, f"<!subteam^{alone.approvers.id}>")
    assert (await alone.journal.read(job.id)).job.votes == ()


async def test_a_vote_asks_slack_at_that_moment(alone: SlackSide) -> None:
    """bob approved commands a moment ago from the cache; he left the group since, so his vote does not count."""
    job, message = await asked(alone)
    await alone.workspace.wait_for(lambda: alone.bob.dms)
    alone.approvers.members.remove(alone.bob.id)
    await alone.bob.click(message, "vote.approve")
    await whispered(alone, alone.bob, "you are not among them")
    assert (await alone.journal.read(job.id)).job.votes == ()


async def test_no_vote_counts_while_slack_does_not_answer(alone: SlackSide) -> None:
    """The directory is asked live; silence is no yes."""
    job, message = await asked(alone)
    alone.workspace.fail_next("usergroups.users.list", "internal_error", times=5, status=500)
    await alone.bob.click(message, "vote.approve")
    await whispered(alone, alone.bob, "Slack did not say who you are")
    assert (await alone.journal.read(job.id)).job.votes == ()


async def test_a_double_click_counts_once(side: SlackSide) -> None:
    """The same person twice, and the same payload delivered twice."""
    job, message = await asked(side)
    ack = await side.bob.click(message, "vote.approve")
    await side.workspace.redeliver(ack)
    await side.bob.click(message, "vote.approve")
    await whispered(side, side.bob, "counts once")
    assert len((await side.journal.read(job.id)).job.votes) == 1


async def test_a_click_after_the_decision_is_answered(alone: SlackSide) -> None:
    """On an old screen the button is still there."""
    job, message = await asked(alone)
    old = message.stale_copy()
    view = await form(alone, alone.bob, message, "vote.deny_form")
    assert (await alone.bob.submit(view, {REASON_BLOCK: "Not while the shop is open."})).ok
    await alone.see("restore denied")
    await alone.carol.click(old, "vote.approve")
    await whispered(alone, alone.carol, "denied this restore")
    assert await phase(alone, job) is Phase.DENIED


async def test_a_deny_takes_a_reason_and_ends_the_request(side: SlackSide) -> None:
    """Too short a reason is an error at its field; the reason stands in the message."""
    job, message = await asked(side)
    view = await form(side, side.bob, message, "vote.deny_form")
    wrong = await side.bob.submit(view, {REASON_BLOCK: "  x  "})
    assert REASON_BLOCK in wrong.errors
    assert (await side.bob.submit(view, {REASON_BLOCK: "Not while the shop is open."})).ok
    assert "Not while the shop is open." in str((await side.see("restore denied")).blocks)
    assert await phase(side, job) is Phase.DENIED


async def test_every_yellow_finding_must_be_confirmed(side: SlackSide) -> None:
    """The form asks for each; without the tick the error stands at the boxes and nothing is counted."""
    job = await side.restore([YELLOW, FENCED])
    message = await side.see("vote.approve_form")
    view = await form(side, side.bob, message, "vote.approve_form")
    wrong = await side.bob.submit(view, {ACK_BLOCK: [YELLOW.id]})
    assert ACK_BLOCK in wrong.errors
    assert (await side.journal.read(job.id)).job.votes == ()
    assert (await side.bob.submit(view, {ACK_BLOCK: [YELLOW.id, FENCED.id]})).ok
    await whispered(side, side.bob, "Your approval is counted")
    assert (await side.journal.read(job.id)).job.votes[0].acknowledged == (YELLOW.id, FENCED.id)


async def test_a_vote_for_an_old_plan_is_late(alone: SlackSide) -> None:
    """The digest in the button is what was seen; a new plan needs new votes."""
    job, message = await asked(alone)
    old = message.stale_copy()
    person = await alone.directory.person(alone.workspace.team_id, alone.alice.id, [])
    await alone.usecases.plan_again(person, job.id)
    await alone.plan(job.id, sha256="cd" * 32)
    await alone.bob.click(old, "vote.approve")
    await whispered(alone, alone.bob, "The plan was replaced by a new one")
    assert (await alone.journal.read(job.id)).job.votes == ()


async def test_an_approver_votes_from_the_direct_message(alone: SlackSide) -> None:
    """Same buttons, same truth; the decision edits the message, so no dead button stays."""
    job, _ = await asked(alone)
    dm = await alone.workspace.wait_for(lambda: alone.bob.dms[-1])
    assert alone.alice.dms == []
    await alone.bob.click(dm, "vote.approve")
    await alone.workspace.wait_for(lambda: "1 of 2 approvals" in str(dm.blocks))
    carols = alone.carol.dms[-1]
    await alone.carol.click(carols, "vote.approve")
    await alone.workspace.wait_for(lambda: "vote." not in str(carols.blocks) and "vote." not in str(dm.blocks))
    assert await phase(alone, job) is Phase.QUEUED


async def test_a_blocked_plan_offers_to_check_again(alone: SlackSide) -> None:
    """No approve button; Check again makes the worker gather anew, in the same message."""
    job = await alone.restore([RED])
    message = await alone.see("restore blocked")
    assert "vote.approve" not in str(message.blocks)
    assert (await alone.alice.click(message, "job.plan_again")).ok
    await alone.workspace.wait_for(lambda: "vote." not in str(message.blocks) and "check" in str(message.blocks))
    await alone.plan(job.id)
    await alone.workspace.wait_for(lambda: "vote.approve" in str(message.blocks))
    assert len(alone.posts) == 1


async def test_cancel_before_it_runs_ends_it(alone: SlackSide) -> None:
    """Who asked may; the message says that nothing was changed."""
    job, message = await asked(alone)
    await alone.alice.click(message, "job.cancel")
    await alone.see("restore cancelled")
    assert await phase(alone, job) is Phase.CANCELLED


async def test_the_plan_and_the_output_open_in_a_modal(alone: SlackSide) -> None:
    """Whole hashes stand there; the buttons only say which job."""
    job, message = await asked(alone)
    view = await form(alone, alone.bob, message, "job.plan")
    assert job.plan is not None
    assert job.plan.digest[:8] in str(view.blocks)


@pytest.mark.parametrize("action", ["job.plan", "job.output", "vote.approve_form", "vote.deny_form"])
async def test_who_may_not_read_sees_neither_plan_nor_output_nor_form(alone: SlackSide, action: str) -> None:
    """dave has no role and is no approver: he is told, and no modal opens."""
    await alone.restore([YELLOW])
    message = (await alone.see("vote.approve_form")).stale_copy()
    if action == "job.output":  # only a job that runs shows this button
        shown = [element for block in message.blocks for element in block.get("elements", ())]
        (button,) = [element for element in shown if element.get("action_id") == "job.plan"]
        button["action_id"] = action
    await alone.dave.click(message, action)
    await whispered(alone, alone.dave, "You may not look at prod")
    assert alone.dave.modals == []


async def test_an_approver_opens_the_form_without_any_role(alone: SlackSide) -> None:
    """Who decides on a plan must be able to read it, whatever else the person may."""
    alone.operators.members.remove(alone.carol.id)
    await alone.restore([YELLOW])
    view = await form(alone, alone.carol, await alone.see("vote.approve_form"), "vote.approve_form")
    assert YELLOW.confirm in str(view.blocks)


async def test_a_choice_is_taken_once_and_only_for_its_question(alone: SlackSide) -> None:
    """An approver answers; a second click is late; who is no approver is told."""
    job, message = await asked(alone)
    await alone.bob.click(message, "vote.approve")
    await alone.carol.click(message, "vote.approve")
    lease = await alone.claim()
    await alone.work(lease, (EventType.CLAIMED, {"lost_for": 0}), (EventType.STEP_STARTED, {"step": 0, "attempt": 1}))
    question: dict[str, Json] = {"what": "It is not known.", "choices": ["again", "hand-over"], "no_return": False}
    await alone.work(lease, (EventType.NEEDS_HUMAN, question))
    await alone.queue.release(lease)
    await alone.workspace.wait_for(lambda: "human.choose.1" in str(message.blocks))
    old = message.stale_copy()
    await alone.dave.click(old, "human.choose.1")
    await whispered(alone, alone.dave, "was not taken")
    await alone.bob.click(old, "human.choose.1")
    await whispered(alone, alone.bob, "Recorded: your choice")
    assert await phase(alone, job) is Phase.AGAIN
    await alone.carol.click(old, "human.choose.1")
    await whispered(alone, alone.carol, "does not ask that any more")


async def test_a_deny_from_the_direct_message_is_answered_there(alone: SlackSide) -> None:
    """The form goes back to where it was opened from, and the dead buttons go."""
    job, _ = await asked(alone)
    dm = await alone.workspace.wait_for(lambda: alone.bob.dms[-1])
    view = await form(alone, alone.bob, dm, "vote.deny_form")
    assert (await alone.bob.submit(view, {REASON_BLOCK: "Not while the shop is open."})).ok
    await alone.workspace.wait_for(lambda: "Your deny ended this restore" in alone.bob.dms[-1].text)
    await alone.workspace.wait_for(lambda: "vote." not in str(dm.blocks))
    assert await phase(alone, job) is Phase.DENIED


async def test_a_question_of_a_save_is_answered_by_who_may_save_through_a_group(alone: SlackSide) -> None:
    """A save has no plan and no approvers: the role on the cluster decides, and it is given to a group here."""
    await alone.alice.slash(alone.ops, COMMAND, "save before-upgrade")
    (job_id,) = await alone.index.open_jobs()
    message = await alone.see("before-upgrade")
    lease = await alone.claim()
    await alone.work(lease, (EventType.CLAIMED, {"lost_for": 0}), (EventType.STEP_STARTED, {"step": 0, "attempt": 1}))
    question: dict[str, Json] = {"what": "It is not known.", "choices": ["again", "hand-over"], "no_return": False}
    job = await alone.work(lease, (EventType.NEEDS_HUMAN, question))
    await alone.queue.release(lease)
    await alone.workspace.wait_for(lambda: "human.choose.1" in str(message.blocks))
    old = message.stale_copy()
    await alone.dave.click(old, "human.choose.1")
    await whispered(alone, alone.dave, "who may save here decides")
    assert (await alone.bob.click(old, "human.choose.1")).ok
    await whispered(alone, alone.bob, "Recorded: your choice")
    assert job.id == job_id
    assert await phase(alone, job) is Phase.AGAIN
