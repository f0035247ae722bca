"""rke fails past the point of no return: the cluster is held, and an approver decides how to go on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.e2e.acting import Scene, off, scene
from tests.lab.acting import Thread
from tests.lab.process import until
from tests.lab.slack import Message

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("e2e-decision")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A bot whose cluster has the snapshot `base`."""
    async with scene(tmp_path_factory.mktemp("lab")) as stage:
        await stage.paint("blue")
        await stage.saved("base")
        yield stage


async def _docker_dies_on_a_node(stage: Scene) -> tuple[Thread, Message]:
    """A restore whose rke loses a node's docker right after etcd was removed there; the question that follows."""
    node = stage.lab.nodes[1]
    before = len(stage.launches("snapshot-restore"))
    async with stage.pace(0.5):
        restore = await stage.approved("base")
        await stage.launched("snapshot-restore", before + 1)

        async def removed() -> bool:
            return "etcd" not in node.containers()

        await until(f"rke has removed etcd on {node.address}", removed, timeout=120)
        node.docker_dead()
        message = await restore.shows("restore needs a decision at step 5", text="after the point of no return")
    assert "On hold since" in restore.text
    assert "docker.sock" in restore.text, "the error is shown verbatim"
    await restore.says("needs a decision. The cluster is down or half restored.")
    return restore, message


async def test_nothing_is_destroyed_without_a_node_that_died_right_before_the_launch(stage: Scene) -> None:
    """rke would build a smaller cluster in silence. After waiting for somebody else's rke the bot looks once more, and
    waits for the node, too.
    """
    await stage.paint("red")
    async with AsyncExitStack() as faults:
        async with stage.somebody_runs_rke():
            restore = await stage.approved("base")
            await restore.shows("restore running, step 5", text="somebody else's rke is running")
            await faults.enter_async_context(off(stage.lab.nodes[2]))
        await restore.shows("restore running, step 5", text="no answer")
        assert not stage.launches("snapshot-restore")
    await restore.shows("restore succeeded")
    assert len(stage.launches("snapshot-restore")) == 1
    assert await stage.colors() == {"blue"}


async def test_an_approver_lets_the_step_run_again_after_the_node_was_mended(stage: Scene) -> None:
    """A click of somebody else counts for nothing, no other job runs meanwhile, and the second run brings it back."""
    await stage.paint("red")
    before = len(stage.launches("snapshot-restore"))
    restore, message = await _docker_dies_on_a_node(stage)
    later = await stage.asks("alice", "save later")
    assert "an approver of this restore decides" in await stage.clicks("dave", message, "human.choose.1")
    await later.shows("save waits")
    stage.lab.nodes[1].docker_alive()
    assert "Recorded: your choice" in await stage.clicks("bob", message, "human.choose.1")
    assert "does not ask that any more" in await stage.clicks("carol", message.stale_copy(), "human.choose.2")
    await restore.shows("restore succeeded", text="it was run 2 times")
    assert await stage.colors() == {"blue"}
    assert len(stage.launches("snapshot-restore")) == before + 2
    await later.shows("save succeeded")


async def test_a_person_takes_over_by_hand(stage: Scene) -> None:
    """The job ends as failed and says that the cluster needs people; the hold is gone, and nothing runs any more."""
    restore, message = await _docker_dies_on_a_node(stage)
    assert "Recorded: your choice" in await stage.clicks("carol", message, "human.choose.2")
    await restore.shows("restore failed, cluster needs you", text="took over by hand")
    stage.lab.nodes[1].docker_alive()
    save = await stage.asks("alice", "save afterwards")
    await save.reaches("Claimed")
    await stage.types("alice", f"cancel {save.job}")
