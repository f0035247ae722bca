"""Processes of the bot are killed in the middle of a job. Slack side and workers apart."""

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.e2e.acting import Scene, scene
from tests.lab import Lab
from tests.lab.config import Json

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("e2e-takeover")]


def _short_lease(_lab: Lab) -> Mapping[str, Json]:
    return {"worker__lease": "4s"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A bot in two processes, whose cluster has the snapshot `base`."""
    base = tmp_path_factory.mktemp("lab")
    async with scene(base, processes=("worker", "slack"), changes=_short_lease) as stage:
        await stage.paint("blue")
        await stage.saved("base")
        yield stage


async def test_another_worker_takes_over_a_restore_past_its_point_of_no_return(stage: Scene) -> None:
    """kill -9 while rke runs: rke goes on, is launched once, and another worker brings the restore to its end."""
    await stage.paint("red")
    async with stage.pace(0.3):
        restore = await stage.approved("base")
        await stage.launched("snapshot-restore", 1)
        stage.bots["worker"].kill()
        await restore.shows("restore, worker lost at step 5", text="rke does not need it")
        await stage.starts("worker", "second")
        await restore.says("Worker lost for")
    await restore.shows("restore succeeded")
    assert len(stage.launches("snapshot-restore")) == 1
    assert await stage.colors() == {"blue"}
    attempts = [event.data["attempt"] for event in await restore.events() if event.type == "StepStarted"]
    assert set(attempts) == {1}


async def test_a_slack_side_that_died_says_everything_once_when_it_is_back(stage: Scene) -> None:
    """A save ends and a restore waits while nobody reports; then both read as if nothing had happened."""
    restore = await stage.asks("alice", "restore base")
    message = await restore.shows("waits for 2 approvals")
    await stage.approves("bob", message)
    await restore.says("1 more approval")
    async with stage.pace(0.2):
        save = await stage.asks("alice", "save unseen")
        await save.shows("save running")
        stage.bots["slack"].kill()
    await save.reaches("Succeeded")
    await stage.starts("slack")
    await save.shows("save succeeded")
    await save.says("Save succeeded: unseen is intact")
    await restore.shows("waits for 1 more approval")
    await stage.denies("carol", message, "Only a rehearsal.")
    await restore.shows("restore denied")
    await restore.says("Restore denied")
    assert len(save.replies) == 1
    assert len(restore.replies) == 3
