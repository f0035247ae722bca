"""Commands while Redis does not answer: an ack never claims what is not so."""

from pathlib import Path

import pytest

from bot.core.transitions import Phase
from tests.integration.slack_side import COMMAND, running
from tests.lab.redis import RedisServer
from tests.lab.slack import Workspace


@pytest.fixture(autouse=True)
def _needs_a_redis_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests stop the server."""
    monkeypatch.delenv("REDIS_URL", raising=False)


async def test_a_command_is_recorded_when_redis_comes_back(tmp_path: Path) -> None:
    """The ack says that nothing is confirmed yet, in time; the answer follows once it is in the journal."""
    async with (
        RedisServer(tmp_path) as redis,
        Workspace(rates={}) as workspace,
        running(workspace, redis, report=False) as side,
    ):
        await redis.stop()
        ack = await side.alice.slash(side.ops, COMMAND, "save before-upgrade")
        assert ack.ok
        assert "Not confirmed yet" in ack.text
        await redis.start()
        await workspace.wait_for(lambda: any("Recorded" in one.text for one in side.alice.ephemerals), 25)
        (job_id,) = await side.index.open_jobs()
        assert (await side.journal.read(job_id)).job.phase is Phase.QUEUED
