"""Cancelling a job, wherever it is; and waiting for a person who runs rke by hand. Slack side and worker apart."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.acting import Scene, gone, scene

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("e2e-cancel")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A bot in two processes, whose cluster has the snapshot `base`."""
    async with scene(tmp_path_factory.mktemp("lab"), processes=("worker", "slack")) as stage:
        await stage.paint("blue")
        await stage.saved("base")
        yield stage


async def test_a_restore_that_waits_for_votes_is_cancelled_at_once(stage: Scene) -> None:
    """Nothing was changed, the message says so, and its buttons are gone."""
    restore = await stage.asks("alice", "restore base")
    message = await restore.shows("waits for 2 approvals")
    assert "Nothing was changed" in await stage.clicks("alice", message, "job.cancel")
    message = await restore.shows("restore cancelled, data not touched")
    assert "vote." not in str(message.blocks)
    await restore.says("Cluster data was not touched")


async def test_jobs_wait_for_a_person_who_runs_rke_and_keep_their_order(stage: Scene) -> None:
    """While somebody holds the cluster's lock nothing is launched and the message says why; jobs behind it wait in
    order, and one that is cancelled there never runs.
    """
    before = len(stage.launches("snapshot-save"))
    async with stage.somebody_runs_rke():
        first = await stage.asks("alice", "save first")
        await first.shows("save running", text="somebody else's rke is running")
        second = await stage.asks("bob", "save second")
        third = await stage.asks("carol", "save third")
        await third.shows("save waits")
        assert "Cancelled" in await stage.types("bob", f"cancel {second.job}")
        await second.shows("save cancelled")
        assert len(stage.launches("snapshot-save")) == before
    await first.shows("save succeeded")
    await third.shows("save succeeded")
    assert (await first.events())[-1].at <= (await third.reaches("Claimed")).at
    assert [launch["argv"][3] for launch in stage.launches("snapshot-save")[before:]] == ["first", "third"]
    assert not (stage.lab.nodes[0].snapshots / "second").exists()


async def test_a_save_is_cancelled_when_its_rke_has_ended(stage: Scene) -> None:
    """rke is never killed: it writes its file on every node, and only then the job ends as cancelled."""
    async with stage.pace(0.5):
        before = len(stage.launches("snapshot-save"))
        save = await stage.asks("alice", "save unwanted")
        await stage.launched("snapshot-save", before + 1)
        said = await stage.types("alice", f"cancel {save.job}")
        assert "stops when the running step has ended" in said
        assert (await save.events())[-1].type == "CancelRequested"
        await save.shows("save cancelled")
        await gone(stage.launches("snapshot-save")[-1]["pid"])
    assert all((node.snapshots / "unwanted").exists() for node in stage.lab.nodes)


async def test_a_running_restore_is_cancelled_before_its_point_of_no_return(stage: Scene) -> None:
    """What was prepared is put back, the safety copy is kept, rke is not launched, and the cluster serves on."""
    restore = await stage.approved("base")
    await restore.reaches("StepStarted", step=1)
    stage.bots["worker"].stall()  # between two steps as a person's click is: there is no time to act otherwise
    said = await stage.types("alice", f"cancel {restore.job}")
    stage.bots["worker"].resume()
    assert "stops when the running step has ended" in said
    await restore.shows("restore cancelled, data not touched", text=f"Safety copy safety-{restore.job}")
    assert not stage.launches("snapshot-restore")
    assert {node.containers()["etcd-rolling-snapshots"] for node in stage.lab.nodes} == {"running"}
    assert await stage.colors() == {"blue"}


async def test_a_restore_is_not_cancelled_after_its_point_of_no_return(stage: Scene) -> None:
    """The refusal says why stopping is worse, and the restore goes on to its end."""
    await stage.paint("red")
    async with stage.pace(0.3):
        restore = await stage.approved("base")
        await stage.launched("snapshot-restore", 1)
        message = await restore.shows("restore running, step 5 of 9", text="Past the point of no return")
        assert "job.cancel" not in str(message.blocks)
        said = await stage.types("alice", f"cancel {restore.job}")
    assert "Not cancelled" in said
    assert "Stopping now could leave the cluster without etcd" in said
    assert f"restore safety-{restore.job}" in said
    await restore.shows("restore succeeded")
    assert await stage.colors() == {"blue"}
