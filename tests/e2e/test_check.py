"""`etcd-snapshot-bot check` and configuration errors: what an operator sees before a bot runs."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.acting import Scene, off, scene
from tests.lab.bot import Bot
from tests.lab.process import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("e2e-check")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A lab without a running bot."""
    async with scene(tmp_path_factory.mktemp("lab"), processes=()) as stage:
        yield stage


async def _check(stage: Scene, config: Path | None = None, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit status and output, blanks squeezed so that wrapped cells read as one line."""
    log = stage.lab.base / "check.log"
    log.unlink(missing_ok=True)
    bot = Bot(log, "check", config=config or stage.config, env={**stage.lab.env(), **(env or {})})
    bot.start()

    async def ended() -> bool:
        return bot.status is not None

    await until("the check has ended", ended, timeout=120)
    return bot.status or 0, " ".join(bot.output().replace("│", " ").split())


async def test_all_is_well(stage: Scene) -> None:
    """Status 0, and a row for everything the bot stands on."""
    status, output = await _check(stage)
    assert (status, "failed" in output) == (0, False), output
    for what in ("Slack bot token", "Slack socket", "Redis durability", "S3", "rke v0.1.20"):
        assert what in output
    assert all(node.address in output for node in stage.lab.nodes)


async def test_a_node_that_is_down_fails_and_is_named(stage: Scene) -> None:
    """Status 1, and what to do."""
    node = stage.lab.nodes[2]
    async with off(node):
        status, output = await _check(stage)
    assert status == 1
    assert output.count("failed rancher-prod") == 1
    assert f"failed rancher-prod: node {node.address}" in output
    assert "Check SSH and docker there" in output


@pytest.mark.parametrize(
    ("variable", "what", "todo"),
    [
        ("S3_SECRET_KEY", "failed S3", "Correct S3_SECRET_KEY"),
        ("SLACK_BOT_TOKEN", "failed Slack", "Check the tokens"),
        ("SLACK_APP_TOKEN", "failed Slack", "Check the tokens"),
    ],
)
async def test_a_wrong_secret_fails_and_says_which(stage: Scene, variable: str, what: str, todo: str) -> None:
    """Status 1; the secret itself is not printed."""
    secret = stage.lab.env()[variable]
    wrong = secret[:-4] + "0000"
    status, output = await _check(stage, env={variable: wrong})
    assert status == 1
    assert what in output
    assert todo in output
    assert wrong not in output
    assert {violation.error for violation in stage.lab.workspace.violations} <= {"invalid_auth", "not_authed"}
    stage.lab.workspace.violations.clear()


async def test_every_error_of_a_configuration_is_said_at_once(stage: Scene) -> None:
    """Status 2, before anything is contacted: each problem with its path, also of the environment."""
    config = stage.lab.config().change(
        **{"clusters__rancher-prod__colour": "blue", "clusters__rancher-prod__config": None, "worker__lease": "soon"}
    )
    status, output = await _check(stage, config.write(stage.lab.base / "wrong.yaml"), env={"SLACK_BOT_TOKEN": ""})
    assert status == 2
    assert "clusters.rancher-prod.colour: is not a known key" in output
    assert "clusters.rancher-prod.config: is missing" in output
    assert "worker.lease" in output
    assert "SLACK_BOT_TOKEN" in output
    assert stage.lab.workspace.calls_of("auth.test") is not None
