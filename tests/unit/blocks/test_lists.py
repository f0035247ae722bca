"""What everybody sees: lists that are incomplete, huge or failed, and the status of several clusters."""

from bot.core.events import Json
from bot.core.facts import S3, Copy, Form, Integrity
from bot.core.snapshots import Snapshot, copy_to_json
from bot.engine.ports import Query
from handlers import blocks
from tests.lab.slack.blocks import check_blocks
from tests.unit import jobs
from tests.unit.blocks.lines import lines
from tests.unit.blocks.test_any_job import HOSTILE, assert_sound

NOW = 1_795_352_462.0


def _copy(name: str, where: str, integrity: Integrity = Integrity.INTACT, at: float = 1_795_338_140) -> Copy:
    return Copy(name, where, Form.PLAIN, 50_000_000, 50_000_000, at, "ab" * 32, "", integrity, 7)


def _shown(message: blocks.Message) -> list[str]:
    assert_sound(message)
    return lines(message.text, message.blocks)


def test_an_empty_list_says_when_a_place_did_not_answer() -> None:
    """Then it is not known whether there is no snapshot."""
    shown = _shown(blocks.list_message("prod", (), {"1.1.1.1": "", "3.3.3.3": "SSH timed out", S3: ""}, NOW))
    assert "header prod: no snapshot found, 3.3.3.3 did not answer" in shown
    assert "preformatted 3.3.3.3  did not answer" in shown
    assert "item 3.3.3.3: SSH timed out" in shown
    assert not any("nothing to restore from" in line for line in shown)


def test_a_list_names_places_that_did_not_answer() -> None:
    """And does not claim that all answered."""
    row = Snapshot("a", 1_795_338_140, (_copy("a", "1.1.1.1"),))
    shown = _shown(blocks.list_message("prod", (row,), {"1.1.1.1": "", S3: "wrong secret"}, NOW))
    assert "header prod: 1 snapshot, S3 did not answer" in shown
    assert any(line.startswith("context All 1 etcd node, not S3, answered at") for line in shown)


def test_a_snapshot_without_an_intact_copy_cannot_be_restored() -> None:
    """A corrupt one is said in words below the table."""
    row = Snapshot("a", 1_795_338_140, (_copy("a", "1.1.1.1", Integrity.CORRUPT),))
    shown = _shown(blocks.list_message("prod", (row,), {"1.1.1.1": "", S3: ""}, NOW))
    assert "section *No snapshot is known to be intact.* A restore needs one intact copy." in shown
    assert "section It has no intact copy: it cannot be restored." in shown


def test_hundreds_of_snapshots_fit() -> None:
    """Table and list stay within Slack's limits, and what is left out is counted."""
    names = [f"{'n' * 100}-{n}" for n in range(400)]
    rows = tuple(Snapshot(name, 1_795_338_140 - n, (_copy(name, S3),)) for n, name in enumerate(names))
    shown = _shown(blocks.list_message("prod", rows, {"1.1.1.1": "", S3: ""}, NOW))
    assert any("newest of 400 are shown" in line for line in shown)


def test_file_names_of_strangers_call_nobody() -> None:
    """Whoever can write to a node could name a file like a mention."""
    rows = tuple(
        Snapshot(text, 1, (_copy(text, "1.1.1.1", state), _copy(text, "2.2.2.2")))
        for text in HOSTILE
        for state in Integrity
    )
    assert_sound(blocks.list_message("prod", rows, dict.fromkeys(HOSTILE, HOSTILE[1]), NOW))
    assert_sound(blocks.list_message("prod", (), dict.fromkeys(HOSTILE, HOSTILE[1]), 0))


def test_the_answer_of_a_query_becomes_the_list() -> None:
    """As the read lane stores it."""
    result: dict[str, Json] = {
        "copies": [copy_to_json(_copy("a", "1.1.1.1")), copy_to_json(_copy("a", S3))],
        "answered": {"s3": "", "1.1.1.1": ""},
        "etcd_nodes": ["1.1.1.1"],
        "at": NOW,
        "error": "",
        "todo": "",
    }
    query = Query("q1", "list", "prod", "C1", "T1/U1", result=result)
    shown = _shown(blocks.query_message(query))
    assert "row a | 2026-11-22 09:02 UTC | intact | 1 of 1 | yes | 47.7 MiB" in shown


def test_a_query_that_failed_says_so() -> None:
    """It says nothing about whether there are snapshots."""
    query = Query("q1", "list", "prod", "C1", "T1/U1", result={"error": "No answer in time.", "todo": "Try again."})
    shown = _shown(blocks.query_message(query))
    assert "header prod: snapshots not known" in shown
    assert "section To do: Try again." in shown


def test_the_cluster_that_needs_somebody_stands_first() -> None:
    """Worst first, in words."""
    clusters = {"idle": (), "busy": (jobs.running(done=1, started=True),), "held": (jobs.asking(),)}
    shown = _shown(blocks.status_message(clusters, NOW))
    heads = [line for line in shown if line.startswith("section *")]
    assert [head.split(":")[0] for head in heads] == ["section *held", "section *busy", "section *idle"]
    assert "header 3 clusters: 1 on hold, 1 with jobs, 1 without a job" in shown


def test_a_hundred_clusters_fit() -> None:
    """One section each, up to Slack's 50 blocks."""
    message = blocks.status_message({f"c{n}": () for n in range(100)}, NOW)
    check_blocks(list(message.blocks), "message")
