"""What must not happen: requests that are refused, votes that do not count, snapshots that would not restore."""

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.e2e.acting import Scene, scene
from tests.lab import Lab
from tests.lab.acting import SLASH
from tests.lab.config import Json

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("e2e-refusals")]
BASE = "base"


def _dave_may_only_read(lab: Lab) -> Mapping[str, Json]:
    some: Json = {"users": [lab.user("alice").id], "groups": [lab.approvers.id]}
    roles: Json = {"read": "everybody", "save": some, "restore": some, "cancel": some}
    return {"clusters__rancher-prod__roles": roles}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A bot whose cluster has the snapshot `base`."""
    async with scene(tmp_path_factory.mktemp("lab"), changes=_dave_may_only_read) as stage:
        await stage.paint("blue")
        await stage.saved(BASE)
        yield stage


async def _jobs(stage: Scene) -> set[str]:
    return set(await stage.journals())


@pytest.mark.parametrize(
    ("who", "text", "answer"),
    [
        ("alice", "save .hidden", "Nothing was done"),
        ("alice", "save -x", "Nothing was done"),
        ("alice", "save ../../etc/passwd", "Nothing was done"),
        ("alice", "save $(reboot)", "Nothing was done"),
        ("alice", f"save {'x' * 129}", "Nothing was done"),
        ("alice", "restore a/b", "Nothing was done"),
        ("alice", "save --cluster moon", "moon is not a cluster of this channel"),
        ("dave", "save mine", "You may not save on rancher-prod"),
        ("dave", f"restore {BASE}", "You may not restore on rancher-prod"),
        ("alice", f"resotre {BASE}", f"{SLASH} restore {BASE}"),
        ("alice", "cancel 123456789abc", "There is no job 123456789abc here"),
    ],
)
async def test_a_refused_command_is_answered_privately_and_makes_no_job(
    stage: Scene, who: str, text: str, answer: str
) -> None:
    """Bad names, unknown clusters, missing rights and wrong commands: one private answer, and nothing is queued."""
    before = await _jobs(stage)
    assert answer in await stage.types(who, text)
    assert await _jobs(stage) == before


async def test_a_redelivered_command_makes_one_job(stage: Scene) -> None:
    """Slack delivers at least once; the second delivery of a command has no effect of its own."""
    before = await _jobs(stage)
    ack = await stage.lab.user("alice").slash(stage.lab.channel, SLASH, "save --cluster rancher-prod once")
    again = await stage.lab.workspace.redeliver(ack)
    assert ack.ok
    assert again.ok
    await stage.finds("save succeeded, once")
    assert len(await _jobs(stage) - before) == 1


async def test_a_taken_name_is_refused(stage: Scene) -> None:
    """A save never writes over a snapshot: the job fails before rke is launched, and the files stay as they were."""
    before = [(node.snapshots / BASE).read_bytes() for node in stage.lab.nodes]
    launches = len(stage.launches("snapshot-save"))
    save = await stage.asks("alice", f"save {BASE}")
    await save.shows("save failed", text=f"A snapshot {BASE} is there already")
    assert [(node.snapshots / BASE).read_bytes() for node in stage.lab.nodes] == before
    assert len(stage.launches("snapshot-save")) == launches


async def test_only_other_approvers_count_and_each_of_them_once(stage: Scene) -> None:
    """The person who asked, a stranger to the approvers and a second click change nothing; the reasons are said."""
    restore = await stage.asks("alice", f"restore {BASE}")
    message = await restore.shows("waits for 2 approvals")
    assert "you asked for this restore" in await stage.approves("alice", message)
    assert "only approvers may vote" in await stage.approves("dave", message)
    assert "Your approval is counted. 1 more person is needed" in await stage.approves("bob", message)
    assert "already approved" in await stage.approves("bob", message)
    await restore.shows("waits for 1 more approval", text="has 1 of 2 approvals")
    assert [event.by for event in await restore.events() if event.type == "VoteCast"] == [
        f"{stage.lab.workspace.team_id}/{stage.lab.user('bob').id}"
    ]
    assert "Cancelled" in await stage.types("alice", f"cancel {restore.job}")


async def test_one_deny_ends_it_and_says_why(stage: Scene) -> None:
    """After a deny no vote counts any more, and the late voter learns what happened."""
    restore = await stage.asks("alice", f"restore {BASE}")
    message = await restore.shows("waits for 2 approvals")
    screen = message.stale_copy()
    await stage.approves("bob", message)
    assert "Your deny ended this restore" in await stage.denies("carol", message, "Not during the release.")
    await restore.shows("restore denied, nothing changed", text="Not during the release.")
    late = await stage.approves("bob", screen)
    assert "not counted" in late
    assert "denied" in late
    assert not stage.launches("snapshot-restore")


async def test_a_click_on_a_screen_that_was_not_refreshed_counts_for_nothing(stage: Scene) -> None:
    """The button of a cancelled request approves nothing; the person who clicks learns that it was cancelled."""
    restore = await stage.asks("alice", f"restore {BASE}")
    screen = (await restore.shows("waits for 2 approvals")).stale_copy()
    await stage.types("alice", f"cancel {restore.job}")
    await restore.shows("restore cancelled")
    assert "this restore was cancelled" in await stage.approves("bob", screen)
    assert [event.type for event in await restore.events()][-1] == "Cancelled"


async def test_a_missing_snapshot_blocks_until_it_is_there(stage: Scene) -> None:
    """Without a copy nobody can approve; when a file has been put there, Check again makes a plan to vote on."""
    restore = await stage.asks("alice", "restore from-tape")
    message = await restore.shows("restore blocked, 1 red finding", text="from-tape has no copy")
    assert "vote.approve" not in str(message.blocks)
    for node in stage.lab.nodes:
        (node.snapshots / "from-tape").write_bytes((node.snapshots / BASE).read_bytes())
    assert "gets a new plan" in await stage.clicks("alice", message, "job.plan_again")
    message = await restore.shows("waits for 2 approvals")
    assert "vote.approve" in str(message.blocks)
    await stage.types("alice", f"cancel {restore.job}")


async def test_a_snapshot_without_an_intact_copy_is_never_restored(stage: Scene) -> None:
    """Corrupt everywhere: it cannot be approved, and `latest` means the newest snapshot that is intact."""
    await stage.saved("rotten")
    for node in stage.lab.nodes:
        node.corrupt_file("rotten")
    key = next(key for key in stage.lab.s3.names() if key.endswith("rotten"))
    stage.lab.s3.write(key, (stage.lab.nodes[0].snapshots / "rotten").read_bytes())
    restore = await stage.asks("alice", "restore rotten")
    message = await restore.shows("restore blocked", text="No copy of rotten is intact")
    assert "vote.approve" not in str(message.blocks)
    latest = await stage.asks("alice", "restore latest")
    await latest.shows("waits for 2 approvals")
    assert "rotten" not in latest.text
    for job in (restore.job, latest.job):
        await stage.types("alice", f"cancel {job}")


async def test_a_corrupt_copy_on_one_node_is_replaced_by_the_intact_one(stage: Scene) -> None:
    """One intact copy is enough: the same bytes stand on every node before rke starts, and the data come back."""
    await stage.paint("green")
    await stage.saved("greens")
    stage.lab.nodes[1].corrupt_file("greens")
    await stage.paint("red")
    restore = await stage.approved("greens")
    await restore.shows("restore succeeded")
    assert await stage.colors() == {"green"}
    assert len({(node.snapshots / "greens").read_bytes() for node in stage.lab.nodes}) == 1
