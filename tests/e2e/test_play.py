"""The main job from the first command to the last check."""

import hashlib
from pathlib import Path

import pytest

from tests.e2e.acting import Scene, scene
from tests.lab.slack.wire import JsonObject
from tests.lab.slack.workspace import TransportName

SNAPSHOT = "before-upgrade"


@pytest.mark.parametrize(("rke", "transport"), [("v0.1.20", "socket"), ("v1.0.16", "socket"), ("v0.1.20", "http")])
async def test_a_snapshot_is_saved_listed_and_restored(tmp_path: Path, rke: str, transport: TransportName) -> None:
    """Data saved by one person comes back on every member after two others approved, with one launch of rke."""
    async with scene(tmp_path, rke=rke, transport=transport) as stage:
        await stage.paint("blue")
        save = await stage.saved(SNAPSHOT)
        assert "Intact on 3 of 3 etcd nodes and off-site" in save.text
        await _copies_are_as_promised(stage)
        await stage.paint("red")
        await stage.types("alice", "list")
        assert SNAPSHOT in str((await stage.finds("1 snapshot")).blocks)
        restore = await stage.approved(SNAPSHOT)
        await restore.shows("restore succeeded", text="Verified, 5 of 5")
        assert await stage.colors() == {"blue"}
        assert len(stage.launches("snapshot-restore")) == 1
        journals = await stage.journals()
        assert [_end(journals[thread.job]) for thread in (save, restore)] == ["Succeeded", "Succeeded"]
        await restore.says("5 of 5 checks green")
        assert len(restore.replies) == len(set(restore.replies)) == 4


async def _copies_are_as_promised(stage: Scene) -> None:
    """On nodes only root reads them; off-site lies one of them under its sha256."""
    files = [
        node.snapshots / (SNAPSHOT if stage.lab.rke_host.version.startswith("v0.1.") else f"{SNAPSHOT}.zip")
        for node in stage.lab.nodes
    ]
    for node, file in zip(stage.lab.nodes, files, strict=True):
        peek = await node.run(f"cat /opt/rke/etcd-snapshots/{file.name}")
        assert (peek.exit_status, peek.stdout) == (1, b"")
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    key = next(name for name in stage.lab.s3.names() if SNAPSHOT in name)
    assert hashlib.sha256(stage.lab.s3.read(key)).hexdigest() in digests
    assert stage.lab.s3.client().head_object(Bucket=stage.lab.s3.bucket, Key=key)["Metadata"]["file-sha256"] in digests


def _end(events: list[JsonObject]) -> str:
    return str(events[-1]["type"])
