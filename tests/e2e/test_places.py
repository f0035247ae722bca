"""Ways to the machines, and several clusters in one bot."""

from collections.abc import Mapping
from pathlib import Path

from tests.e2e.acting import scene
from tests.lab import Lab
from tests.lab.config import Json


def _through_a_bastion(lab: Lab) -> Mapping[str, Json]:
    bastion = lab.machines[lab.cluster].bastion
    assert bastion is not None
    jump: Json = {"address": bastion.address, "port": bastion.port, "user": bastion.user}
    return {f"clusters__{lab.cluster}__jump_host": jump}


async def test_everything_may_go_through_a_bastion(tmp_path: Path) -> None:
    """RKE host behind a jump host, nodes behind the yml's bastion_host, also for rke itself: a restore works."""
    async with scene(tmp_path, bastion=True, changes=_through_a_bastion) as stage:
        await stage.paint("blue")
        await stage.saved("base")
        await stage.paint("red")
        await (await stage.approved("base")).shows("restore succeeded")
        assert await stage.colors() == {"blue"}
        bastion = stage.lab.machines[stage.lab.cluster].bastion
        assert bastion is not None
        await bastion.down()
        restore = await stage.asks("alice", "restore base")
        await restore.shows("restore blocked", text=bastion.address)


async def test_nodes_may_be_reached_through_the_rke_host(tmp_path: Path) -> None:
    """With nodes_via: rke_host the bot opens no connection to a node itself."""

    def changes(lab: Lab) -> Mapping[str, Json]:
        return {f"clusters__{lab.cluster}__nodes_via": "rke_host"}

    async with scene(tmp_path, nodes=1, changes=changes) as stage:
        await stage.saved("base")
        await stage.lab.rke_host.ssh_refused()
        await stage.types("alice", "list")
        assert stage.lab.rke_host.address in str((await stage.finds("snapshots not known")).blocks)


async def test_cluster_is_named_only_where_the_channel_leaves_a_choice(tmp_path: Path) -> None:
    """Two clusters in #ops need --cluster; #east has one, and jobs of the two run side by side."""

    def changes(lab: Lab) -> Mapping[str, Json]:
        east = lab.workspace.channel("east", members=[lab.user("alice")])
        return {"clusters__east__channels": [lab.channel.id, east.id]}

    async with scene(tmp_path, clusters=("east", "west"), nodes=1, changes=changes) as stage:
        said = await stage.types("alice", "save one")
        assert "This channel has several clusters" in said
        assert "east, west" in said
        west = await stage.asks("alice", "save one --cluster west")
        await west.shows("west: save succeeded")
        east = await stage.asks("alice", "save one", stage.lab.workspace.channel("east"))
        await east.shows("east: save succeeded")
        there = [(machines.nodes[0].snapshots / "one").exists() for machines in stage.lab.machines.values()]
        assert there == [True, True]
        assert "west is not a cluster of this channel" in await stage.types(
            "alice", "list --cluster west", stage.lab.workspace.channel("east")
        )
