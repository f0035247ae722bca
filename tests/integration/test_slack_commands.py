"""`/etcd-snapshot` from the keyboard to Redis and back, over both transports."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.events import EventType
from bot.core.transitions import Phase
from tests.integration.slack_side import COMMAND, SlackSide, Transport, lab


@pytest.fixture(params=["socket", "http"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SlackSide]:
    """The Slack side without a reporter: these tests look at answers only."""
    transport: Transport = request.param
    async with lab(tmp_path, transport=transport, report=False) as made:
        yield made


async def test_a_save_is_acknowledged_once_it_is_in_the_journal(side: SlackSide) -> None:
    """The ack names the job, and the job is queued with its name, channel and requester."""
    ack = await side.alice.slash(side.ops, COMMAND, "save before-upgrade")
    (job_id,) = await side.index.open_jobs()
    job = (await side.journal.read(job_id)).job
    assert ack.ok
    assert job_id in str(ack.blocks)
    assert (job.phase, job.snapshot, job.channel) == (Phase.QUEUED, "before-upgrade", side.ops.id)
    assert job.requester == f"{side.workspace.team_id}/{side.alice.id}"


async def test_a_redelivered_command_makes_no_second_job(side: SlackSide) -> None:
    """Slack may deliver twice: the same trigger is the same job."""
    ack = await side.alice.slash(side.ops, COMMAND, "save")
    again = await side.workspace.redeliver(ack)
    assert again.ok
    assert len(await side.index.open_jobs()) == 1


async def test_a_restore_is_recorded_with_its_reason(side: SlackSide) -> None:
    """Curly quotes and a long dash, as a phone writes them, are understood; nothing is changed yet."""
    ack = await side.alice.slash(side.ops, COMMAND, "restore latest —reason “ingress broke”")
    (job_id,) = await side.index.open_jobs()
    job = (await side.journal.read(job_id)).job
    assert "Nothing is changed" in ack.text
    assert (job.phase, job.snapshot, job.reason) == (Phase.GATHERING, "latest", "ingress broke")


async def test_a_wrong_command_is_answered_privately_with_the_nearest_valid_one(side: SlackSide) -> None:
    """Nothing is done, and nobody else sees it."""
    ack = await side.alice.slash(side.ops, COMMAND, "resotre before-upgrade")
    assert ack.payload["response_type"] == "ephemeral"
    assert "/etcd-snapshot restore before-upgrade" in ack.text
    assert (await side.index.open_jobs(), side.ops.messages) == ((), [])


@pytest.mark.parametrize("text", ["save x", "restore x", "list", "status", "help"])
async def test_who_has_no_role_is_refused_privately(side: SlackSide, text: str) -> None:
    """dave is in no group: every command but help is refused, help says that he may nothing."""
    ack = await side.dave.slash(side.ops, COMMAND, text)
    assert ack.ok
    assert ack.payload["response_type"] == "ephemeral"
    assert "You may" in f"{ack.text} {ack.blocks}"
    assert ("You may not" in ack.text) == (text != "help")
    assert (await side.index.open_jobs(), side.ops.messages) == ((), [])


@pytest.mark.parametrize("flag", ["is_restricted", "is_ultra_restricted", "is_stranger", "is_bot", "deleted"])
async def test_who_is_no_full_member_is_refused_whatever_the_group_says(side: SlackSide, flag: str) -> None:
    """Guests, strangers, bots and deactivated people have no role."""
    eve = side.workspace.user("eve")
    setattr(eve, flag, True)
    side.ops.members.add(eve.id)
    side.operators.members.append(eve.id)
    ack = await eve.slash(side.ops, COMMAND, "save x")
    assert "You may not save" in ack.text
    assert await side.index.open_jobs() == ()


async def test_who_comes_from_another_workspace_is_refused_whatever_the_group_says(side: SlackSide) -> None:
    """In a channel shared with another company their payloads and users.info agree on their team; ours is another."""
    eve = side.workspace.user("eve", team_id="T0OTHER")
    side.ops.members.add(eve.id)
    side.operators.members.append(eve.id)
    ack = await eve.slash(side.ops, COMMAND, "save x")
    assert "You may not save" in ack.text
    assert await side.index.open_jobs() == ()


async def test_a_channel_without_a_cluster_gets_a_refusal(side: SlackSide) -> None:
    """Clusters of other channels are not offered."""
    other = side.workspace.channel("random", members=side.people)
    ack = await side.alice.slash(other, COMMAND, "save x")
    assert "belongs to no cluster" in ack.text
    assert "prod" not in ack.text


async def test_status_is_posted_to_the_channel(side: SlackSide) -> None:
    """In an incident all must see the same."""
    await side.alice.slash(side.ops, COMMAND, "save before-upgrade")
    ack = await side.bob.slash(side.ops, COMMAND, "status")
    assert ack.payload["response_type"] == "in_channel"
    assert "before-upgrade" in str(side.ops.messages[-1].blocks)


async def test_status_of_one_job_is_found_by_the_beginning_of_its_id(side: SlackSide) -> None:
    """Eight digits are enough; a job of nowhere is refused privately."""
    await side.alice.slash(side.ops, COMMAND, "save before-upgrade")
    (job_id,) = await side.index.open_jobs()
    ack = await side.bob.slash(side.ops, COMMAND, f"status {job_id[:8]}")
    assert (ack.payload["response_type"], "before-upgrade" in str(ack.blocks)) == ("in_channel", True)
    unknown = await side.bob.slash(side.ops, COMMAND, "status ffff0000")
    assert (unknown.payload["response_type"], "no job ffff0000" in unknown.text) == ("ephemeral", True)


async def test_status_of_a_job_whose_worker_is_lost_says_so(side: SlackSide) -> None:
    """Its lease has passed and nobody took over yet: nothing may look as if it went on."""
    await side.alice.slash(side.ops, COMMAND, "save before-upgrade")
    lease = await side.claim()
    await side.work(lease, (EventType.CLAIMED, {"lost_for": 0}), (EventType.STEP_STARTED, {"step": 0, "attempt": 1}))
    await side.side.line(lease.job, "1.1.1.1", "reachable")
    alive = await side.bob.slash(side.ops, COMMAND, f"status {lease.job}")
    await side.queue.release(lease)
    lost = await side.bob.slash(side.ops, COMMAND, f"status {lease.job}")
    assert ("reachable" in str(alive.blocks), "worker lost" in str(alive.blocks)) == (True, False)
    assert "worker lost" in str(lost.blocks)


async def test_status_of_a_job_that_waits_names_the_one_before_it(side: SlackSide) -> None:
    """It does not wait for a worker: another job has the cluster."""
    await side.alice.slash(side.ops, COMMAND, "save first")
    lease = await side.claim()
    await side.work(lease, (EventType.CLAIMED, {"lost_for": 0}))
    await side.alice.slash(side.ops, COMMAND, "save second")
    (second,) = [job for job in await side.index.open_jobs() if job != lease.job]
    ack = await side.bob.slash(side.ops, COMMAND, f"status {second}")
    assert "waits for 1 job before it" in str(ack.blocks)
    assert lease.job in str(ack.blocks)


async def test_a_job_that_waits_is_cancelled_at_once(side: SlackSide) -> None:
    """By who asked for it."""
    await side.alice.slash(side.ops, COMMAND, "save before-upgrade")
    (job_id,) = await side.index.open_jobs()
    ack = await side.alice.slash(side.ops, COMMAND, f"cancel {job_id}")
    assert "Cancelled" in ack.text
    assert (await side.journal.read(job_id)).job.phase is Phase.CANCELLED


async def test_clusters_and_help_are_private(side: SlackSide) -> None:
    """They concern one person."""
    for text, words in (("clusters", "prod"), ("help", "What you can do here"), ("help restore", "restore NAME")):
        ack = await side.alice.slash(side.ops, COMMAND, text)
        assert (ack.payload["response_type"], words in str(ack.blocks)) == ("ephemeral", True)


async def test_when_slack_does_not_say_who_somebody_is_nothing_is_done(side: SlackSide) -> None:
    """No decision on a guess: the answer is private and says to try again."""
    side.workspace.fail_next("users.info", "internal_error", times=5, status=500)
    ack = await side.alice.slash(side.ops, COMMAND, "save x")
    await side.workspace.wait_for(lambda: ack.text or side.alice.ephemerals)
    said = [ack.text, *(one.text for one in side.alice.ephemerals)]
    assert any("Slack did not say who you are" in text for text in said)
    assert await side.index.open_jobs() == ()
