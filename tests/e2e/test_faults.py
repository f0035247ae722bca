"""A save and a restore while a part of the house is down: what is said is true, and says what to do."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.acting import Scene, off, scene

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("e2e-faults")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A bot whose cluster has the snapshot `base`."""
    async with scene(tmp_path_factory.mktemp("lab")) as stage:
        await stage.saved("base")
        yield stage


async def test_a_save_without_one_node_is_partial(stage: Scene) -> None:
    """The header names the node without a copy, the message what it means, and nobody is told of a success."""
    node = stage.lab.nodes[2]
    async with off(node):
        save = await stage.asks("alice", "save two-of-three")
        await save.shows(f"save partial, no copy on {node.address}", text="intact on 2 of 3 etcd nodes and off-site")
        assert "succeeded" not in save.text.lower()
        await save.says(f"no intact copy of two-of-three on {node.address}")
        await stage.types("bob", "list")
        await stage.finds(f"{node.address} did not answer")


async def test_a_restore_is_blocked_while_an_etcd_node_is_down(stage: Scene) -> None:
    """rke would build a smaller cluster: nobody can approve, and once the node is back a new check makes a plan."""
    node = stage.lab.nodes[1]
    async with off(node):
        restore = await stage.asks("alice", "restore base")
        message = await restore.shows("restore blocked", text=f"{node.address} does not answer")
        assert "vote.approve" not in str(message.blocks)
    await stage.clicks("alice", message, "job.plan_again")
    await restore.shows("waits for 2 approvals")
    await stage.types("alice", f"cancel {restore.job}")


async def test_a_node_that_goes_down_after_the_approval_stops_the_restore_in_time(stage: Scene) -> None:
    """What was approved is checked again before anything is touched."""
    restore = await stage.asks("alice", "restore base")
    message = await restore.shows("waits for 2 approvals")
    await stage.approves("bob", message)
    async with off(stage.lab.nodes[0]):
        await stage.approves("carol", message)
        await restore.shows("restore failed, nothing changed", text=stage.lab.nodes[0].address)
    assert not stage.launches("snapshot-restore")


async def test_without_the_rke_host_the_answer_is_clear(stage: Scene) -> None:
    """list, restore and save each say which machine does not answer; none of them waits for minutes in silence."""
    host = stage.lab.rke_host
    await host.ssh_refused()
    try:
        await stage.types("alice", "list")
        restore = await stage.asks("alice", "restore base")
        save = await stage.asks("alice", "save nothing")
        await restore.shows("restore blocked", text=host.address)
        await save.shows("save failed", text=host.address)
        assert host.address in str((await stage.finds("snapshots not known")).blocks)
    finally:
        await host.ssh_accepted()
    await stage.types("alice", f"cancel {restore.job}")


async def test_a_save_without_s3_is_partial(stage: Scene) -> None:
    """The copies on the nodes are there and said to be intact; off-site is not."""
    await stage.lab.s3.down()
    try:
        save = await stage.asks("alice", "save on-site")
        await save.shows("save partial", text="No copy is off-site")
        assert "intact on 3 of 3 etcd nodes" in save.text
    finally:
        await stage.lab.s3.up()
