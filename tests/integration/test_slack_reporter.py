"""What Slack shows of a job, and that it is shown once and truly whatever fails on the way."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from bot.core.events import EventType, Json
from bot.core.facts import Copy, Form, Integrity
from bot.core.snapshots import copy_to_json
from tests.integration.slack_side import COMMAND, SlackSide, lab, reporting, running
from tests.lab.process import until
from tests.lab.redis import RedisServer
from tests.lab.slack import Workspace

_E = EventType
CLAIMED: tuple[EventType, dict[str, Json]] = (_E.CLAIMED, {"lost_for": 0})


def started(step: int) -> tuple[EventType, dict[str, Json]]:
    """The first attempt of a step."""
    return _E.STEP_STARTED, {"step": step, "attempt": 1}


def done(step: int, result: dict[str, Json] | None = None) -> tuple[EventType, dict[str, Json]]:
    """The end of the first attempt of a step."""
    return _E.STEP_SUCCEEDED, {"step": step, "attempt": 1, "result": result or {}}


def failed() -> tuple[EventType, dict[str, Json]]:
    """The end of a job."""
    return _E.FAILED, {"what": "The RKE host does not answer.", "todo": "Look at it."}


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[SlackSide]:
    """A Slack side that reports."""
    async with lab(tmp_path) as made:
        yield made


@pytest.fixture
async def silent(tmp_path: Path) -> AsyncIterator[SlackSide]:
    """A Slack side that does not report until the test says so."""
    async with lab(tmp_path, report=False) as made:
        yield made


async def save(side: SlackSide) -> str:
    """A save that alice asked for; its job id."""
    assert (await side.alice.slash(side.ops, COMMAND, "save before-upgrade")).ok
    return (await side.index.open_jobs())[-1]


async def test_a_job_has_one_message_from_beginning_to_end(side: SlackSide) -> None:
    """It is posted once, edited in place, and its end is told in the thread and to the channel."""
    job_id = await save(side)
    message = await side.see("before-upgrade")
    lease = await side.claim()
    await side.work(lease, CLAIMED, started(0))
    await side.workspace.wait_for(lambda: "step 1 of 4" in message.text)
    await side.work(lease, failed())
    await side.workspace.wait_for(lambda: "failed" in message.text)
    await side.told(message, "The RKE host does not answer.")
    assert len(side.posts) == 1
    assert message.metadata == {"event_type": "etcd_snapshot_job", "event_payload": {"job": job_id, "version": 5}}
    broadcasts = [reply.reply_broadcast for reply in side.ops.thread(message.ts)]
    assert broadcasts == [True]


async def test_progress_lines_are_shown_without_an_event(side: SlackSide) -> None:
    """The lines of nodes come and go beside the journal."""
    job_id = await save(side)
    message = await side.see("before-upgrade")
    await side.work(await side.claim(), CLAIMED, started(0))
    await side.side.line(job_id, "1.1.1.1", "file written    6 s")
    await side.workspace.wait_for(lambda: "file written" in str(message.blocks))


async def test_edits_of_one_message_are_coalesced(side: SlackSide) -> None:
    """Forty changes in a burst make few edits, at least 1.2 s apart, and the last state wins."""
    job_id = await save(side)
    message = await side.see("before-upgrade")
    await side.work(await side.claim(), CLAIMED, started(0))
    for number in range(40):
        await side.side.line(job_id, "1.1.1.1", f"line {number}")
        await asyncio.sleep(0.02)
    await side.workspace.wait_for(lambda: "line 39" in str(message.blocks))
    at = [call.at for call in side.workspace.calls_of("chat.update")]
    assert all(later - earlier > 1.1 for earlier, later in pairwise(at))
    assert len(at) < 6


async def test_retry_after_is_obeyed_and_replies_go_on(side: SlackSide) -> None:
    """Edits pause for as long as Slack says; what must be noticed is told in the thread meanwhile."""
    await save(side)
    message = await side.see("before-upgrade")
    side.workspace.rate_limit_next("chat.update", seconds=3)
    lease = await side.claim()
    await side.work(lease, CLAIMED, started(0))
    await side.workspace.wait_for(lambda: len(side.workspace.calls_of("chat.update")) == 1)
    await side.work(lease, failed())
    await side.told(message, "The RKE host does not answer.")
    await side.workspace.wait_for(lambda: "failed" in message.text)
    refused, first = side.workspace.calls_of("chat.update")[:2]
    assert first.at - refused.at >= 3


async def test_a_deleted_message_is_posted_anew(side: SlackSide) -> None:
    """Somebody removes it; the next change brings it back, below it the thread goes on."""
    await save(side)
    message = await side.see("before-upgrade")
    lease = await side.claim()
    message.deleted = True
    await side.work(lease, CLAIMED, started(0))
    again = await side.see("step 1 of 4")
    assert again.ts != message.ts
    await side.work(lease, failed())
    await side.told(again, "The RKE host does not answer.")


async def test_blocks_that_slack_refuses_are_sent_as_plain_ones(side: SlackSide) -> None:
    """The fallback goes out at once and from then on: an ugly message is better than none."""
    side.workspace.refuse_block_type("plan")
    job_id = await save(side)
    message = await side.see("before-upgrade")
    await side.work(await side.claim(), CLAIMED, started(0))
    await side.workspace.wait_for(lambda: "step 1 of 4" in message.text)
    assert "plan" not in {block["type"] for block in message.blocks}
    assert (await side.outbox.projection(job_id)).plain
    refused = [call for call in side.workspace.calls if call.error == "invalid_blocks"]
    assert len(refused) == 1
    side.workspace.violations.clear()


async def test_a_post_whose_answer_was_lost_is_found_again(side: SlackSide) -> None:
    """Slack did it and the connection broke: the message is looked up by its metadata, not posted twice."""
    side.workspace.lose_reply_next("chat.postMessage")
    await save(side)
    message = await side.see("before-upgrade")
    await side.work(await side.claim(), CLAIMED, started(0))
    await side.workspace.wait_for(lambda: "step 1 of 4" in message.text)
    assert len(side.posts) == 1


async def test_a_reply_whose_answer_was_lost_is_not_repeated(side: SlackSide) -> None:
    """The same for the thread: each reply stands there once."""
    await save(side)
    message = await side.see("before-upgrade")
    lease = await side.claim()
    side.workspace.lose_reply_next("chat.postMessage")
    await side.work(lease, CLAIMED, started(0), failed())
    await side.told(message, "The RKE host does not answer.")
    await side.workspace.wait_for(lambda: "failed" in message.text)
    await side.reported(lease.job)
    assert len(side.thread(message)) == 1


async def test_a_job_ends_while_slack_is_down_and_is_shown_when_it_is_back(side: SlackSide) -> None:
    """A job never waits for Slack."""
    await save(side)
    message = await side.see("before-upgrade")
    await side.workspace.down()
    lease = await side.claim()
    job = await side.work(lease, CLAIMED, started(0), failed())
    assert job.ended
    await side.workspace.up()
    await side.told(message, "The RKE host does not answer.")
    await side.workspace.wait_for(lambda: "failed" in message.text)
    assert len(side.thread(message)) == 1


async def test_what_another_process_posted_and_did_not_remember_is_found(silent: SlackSide) -> None:
    """A reporter died between posting and remembering: its message and its reply are recognised."""
    job_id = await save(silent)
    async with reporting(silent):
        message = await silent.see("before-upgrade")
        await silent.work(await silent.claim(), CLAIMED, started(0), failed())
        await silent.told(message, "The RKE host does not answer.")
        await silent.workspace.wait_for(lambda: "failed" in message.text)
    await silent.redis.redis.delete(*[key for key in await silent.redis.redis.keys("*") if b":slack:" in key])
    await silent.side.line(job_id, "x", "a change")
    async with reporting(silent):
        projection = await silent.reported(job_id)
    assert projection.ts == message.ts
    assert (len(silent.posts), len(silent.thread(message))) == (1, 1)


async def test_one_of_two_processes_reports(tmp_path: Path) -> None:
    """Both want to; one message appears, and the other takes over when the first one leaves."""
    async with (
        RedisServer(tmp_path) as redis,
        Workspace(rates={}) as workspace,
        running(workspace, redis, owner="two", report=False) as two,
    ):
        async with running(workspace, redis, owner="one") as one, reporting(two):
            await save(one)
            message = await one.see("before-upgrade")
        async with reporting(two):
            await two.work(await two.claim(), CLAIMED, started(0), failed())
            await two.told(message, "The RKE host does not answer.")
            assert len(two.posts) == 1


async def test_a_lost_worker_is_said(side: SlackSide) -> None:
    """Its lease has passed and nobody took over yet: the message says so without any event."""
    job_id = await save(side)
    message = await side.see("before-upgrade")
    lease = await side.claim()
    await side.work(lease, CLAIMED, started(0))
    await side.workspace.wait_for(lambda: "step 1 of 4" in message.text)
    await side.queue.release(lease)
    await side.workspace.wait_for(lambda: "worker lost" in message.text)
    assert (await side.journal.read(job_id)).job.version == 4


async def test_a_list_is_posted_for_all_and_renewed_in_place(side: SlackSide) -> None:
    """The answer of a query becomes one message; Look again replaces it."""
    result: dict[str, Json] = {"copies": [], "answered": {"1.1.1.1": "", "s3": ""}, "etcd_nodes": ["1.1.1.1"]}
    assert (await side.alice.slash(side.ops, COMMAND, "list")).ok
    await side.answer_next(result)
    message = await side.see("no snapshot")
    copy = Copy("before-upgrade", "1.1.1.1", Form.PLAIN, 4096, 4096, 1.0, integrity=Integrity.INTACT)
    assert (await side.bob.slash(side.ops, COMMAND, "list")).ok
    await side.answer_next({**result, "copies": [copy_to_json(copy)]})
    full = await side.see("Newest intact")
    assert full.ts != message.ts
    assert (await side.bob.click(full, "start.list")).ok
    await side.answer_next(result)
    await side.workspace.wait_for(lambda: "no snapshot" in full.text)
    assert len(side.posts) == 2


async def test_a_list_asked_for_below_a_verdict_leaves_the_verdict_alone(side: SlackSide) -> None:
    """The button stands in a save's last message, which must stay what it is."""
    await save(side)
    verdict = await side.see("before-upgrade")
    ended: dict[str, Json] = {"copies": [], "etcd_nodes": ["1.1.1.1"], "problems": [], "seconds": 9}
    steps = [event for step in range(4) for event in (started(step), done(step))]
    await side.work(await side.claim(), CLAIMED, *steps, (_E.SUCCEEDED, ended))
    await side.workspace.wait_for(lambda: "save succeeded" in str(verdict.blocks))
    assert (await side.bob.click(verdict, "start.list")).ok
    query = await side.answer_next({"copies": [], "answered": {"1.1.1.1": "", "s3": ""}, "etcd_nodes": ["1.1.1.1"]})
    listed = await side.see("no snapshot")
    assert (query.replaces, listed.ts != verdict.ts) == ("", True)
    assert "save succeeded" in str(verdict.blocks)


async def test_a_channel_without_the_bot_is_named_in_health(side: SlackSide) -> None:
    """Nothing can be shown there; the reporter says what to do and goes on with the others."""
    side.ops.members.discard(side.workspace.store.bot_user_id)
    await side.usecases.save(
        await side.directory.person(side.workspace.team_id, side.alice.id, [side.operators.id]),
        "prod",
        "x",
        side.ops.id,
        "key-1",
    )

    async def said() -> bool:
        return "Invite the bot" in side.reporter.problem

    await until("the reporter names its problem", said)
    side.workspace.violations.clear()


async def test_all_jobs_share_one_budget_of_edits(side: SlackSide) -> None:
    """Three busy jobs: a short burst, then no more than 40 edits in a minute over all of them."""
    jobs = [await save(side) for _ in range(3)]
    await side.workspace.wait_for(lambda: len(side.posts) == 3)
    for number in range(60):
        for job_id in jobs:
            await side.side.line(job_id, "1.1.1.1", f"line {number}")
        await asyncio.sleep(0.05)
    calls = side.workspace.calls_of("chat.update")
    seconds = calls[-1].at - calls[0].at
    assert len(calls) <= 4 + 1 + seconds * 40 / 60
