"""The lab as a whole: all parts start, know each other, and go when it goes."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import yaml

from bot.settings import load
from tests.lab import Lab
from tests.lab.process import ROOT, until
from tests.lab.slack import Workspace


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A lab whose nodes are still empty."""
    async with Lab(tmp_path, bring_up=False) as lab:
        yield lab


async def test_a_fresh_lab_is_a_healthy_cluster(tmp_path: Path) -> None:
    """Every member is up, and what one takes all of them have."""
    async with Lab(tmp_path) as lab:
        await lab.nodes[0].put("color", "blue")
        colors = [await node.get("color") for node in lab.nodes]
        assert colors == ["blue", "blue", "blue"]
        assert {node.containers()["etcd"] for node in lab.nodes} == {"running"}


async def test_the_configuration_names_what_is_there(lab: Lab) -> None:
    """The bot is told where each part is; secrets stand in the environment only."""
    text = lab.write_config().read_text()
    config, env = yaml.safe_load(text), lab.env()
    assert config["clusters"][lab.cluster]["rke_host"]["address"] == lab.rke_host.address
    assert Path(config["clusters"][lab.cluster]["config"]).is_file()
    assert config["s3"]["endpoint_url"] == lab.s3.endpoint_url
    assert lab.rke_host.address in Path(config["ssh"]["known_hosts"]).read_text()
    assert not [name for name, value in env.items() if value in text and name not in {"HOME", "PATH"}]


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_the_bot_accepts_the_configuration(tmp_path: Path, transport: Literal["socket", "http"]) -> None:
    """File and environment make valid settings, for both ways in which Slack delivers."""
    async with Lab(tmp_path, workspace=Workspace(transport=transport), bring_up=False) as lab:
        settings = load(lab.write_config(), lab.env())
        assert settings.slack.mode == transport
        assert settings.clusters[lab.cluster].rke_host.address == lab.rke_host.address


async def test_the_cast_is_in_its_places(lab: Lab) -> None:
    """alice asks, bob and carol approve, dave looks on: all in #ops."""
    names = {lab.user(name).id for name in ("alice", "bob", "carol", "dave")}
    assert names <= lab.channel.members
    assert lab.approvers.members == [lab.user("bob").id, lab.user("carol").id]


async def test_a_change_names_its_path(lab: Lab) -> None:
    """A test changes one value, adds one or removes one, and leaves the rest."""
    config = lab.config().change(worker__lease="2s", redis__durability=None)
    assert config.raw["worker"] == {"lease": "2s"}
    assert config.raw["redis"] == {}
    assert config.raw["s3"] == lab.config().raw["s3"]


async def test_http_mode_has_an_address_of_its_own(tmp_path: Path) -> None:
    """A workspace that posts to a request URL gives the bot a place to listen and the signing secret."""
    async with Lab(tmp_path, workspace=Workspace(transport="http"), bring_up=False) as lab:
        slack = lab.config().raw["slack"]
        assert isinstance(slack, dict)
        assert isinstance(slack["http"], dict)
        assert lab.workspace.request_url == "http://{listen}{path}".format(**slack["http"])
        assert "SLACK_SIGNING_SECRET" in lab.env()
        assert "SLACK_APP_TOKEN" not in lab.env()


async def test_several_clusters_stand_side_by_side(tmp_path: Path) -> None:
    """One bot can serve several clusters, each with machines and keys of its own."""
    async with Lab(tmp_path, clusters=("east", "west"), nodes=1) as lab:
        await lab.machines["east"].nodes[0].put("color", "red")
        assert await lab.machines["west"].nodes[0].get("color") is None
        assert set(yaml.safe_load(lab.write_config().read_text())["clusters"]) == {"east", "west"}


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_nothing_outlives_the_lab(tmp_path: Path, end: signal.Signals) -> None:
    """Neither an orderly end nor kill -9 leaves a process that belongs to the lab."""
    argv = [sys.executable, "-m", "tests.lab", "up", "--base", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    lab = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
    assert lab.stdout is not None
    with lab.stdout:
        printed = [await asyncio.to_thread(lab.stdout.readline) for _ in range(3)]
        assert re.search(r"S3 +http://127\.", printed[2])
        assert processes_of(tmp_path)
        lab.send_signal(end)
        await asyncio.to_thread(lab.wait)

    async def none_left() -> bool:
        return not processes_of(tmp_path)

    await until("no process of the lab is left", none_left)


def processes_of(base: Path) -> list[str]:
    """Command lines of the processes that work below `base` or were started with it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = (process / "cwd").readlink()
        except OSError:
            continue
        if str(base) in command or place.is_relative_to(base):
            found.append(command)
    return found
