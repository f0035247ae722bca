"""Names of snapshots and the merging of their copies."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.core import snapshots
from bot.core.facts import S3, Copy, Form, Integrity
from bot.errors import Refused


def copy(where: str = "1.1.1.1", name: str = "before-upgrade", **more: Any) -> Copy:
    """An intact plain copy, taken at second 1000."""
    plain = Copy(name, where, Form.PLAIN, 512, 512, 1000.0, "aa", "aa", Integrity.INTACT, 7)
    return replace(plain, **more)


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "_x", "0", "rancher-prod-20261122-060000Z", "x" * 128])
def test_valid_names(name: str) -> None:
    """Letters, digits, dot, underscore and dash make a name of up to 128 characters."""
    assert snapshots.check_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "The name is empty."),
        (".hidden", "The name starts with a dot."),
        ("-rf", "The name starts with a dash."),
        ("x" * 129, "The name has 129 characters, at most 128 are allowed."),
        ("a b", "The name holds a blank."),
        ("a/b", 'The name holds "/".'),
        ("$(reboot)", 'The name holds "$".'),
        ("a\x00b", "The name holds the character U+0000."),
        ("a\n", "The name holds a blank."),
        ("schön", 'The name holds "ö".'),
        ("\u0661", 'The name holds "\u0661".'),
        ("latest", "latest is not a name: it stands for the newest intact snapshot."),
        ("Latest", "latest is not a name: it stands for the newest intact snapshot."),
        ("x.zip", "A name must not end in .zip: rke adds that ending itself."),
        ("x.part", "x.part is kept for files that are no snapshots."),
        ("pki.bundle.tar.gz", "pki.bundle.tar.gz is kept for files that are no snapshots."),
        ("2026-11-20T18:00:00Z_etcd", 'The name holds ":".'),
    ],
)
def test_refused_names(name: str, reason: str) -> None:
    """A name that cannot be used is refused with the exact reason and what to do."""
    with pytest.raises(Refused) as error:
        snapshots.check_name(name)
    assert error.value.what.startswith(reason)
    assert error.value.todo


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("before-upgrade", "before-upgrade"),
        ("before-upgrade.zip", "before-upgrade"),
        ("2026-11-20T18:00:00Z_etcd", "2026-11-20T18:00:00Z_etcd"),
        ("2026-11-20T18:00:00Z_etcd.zip", "2026-11-20T18:00:00Z_etcd"),
        ("rke_etcd_snapshot_2026-11-20T18:00:00+01:00", "rke_etcd_snapshot_2026-11-20T18:00:00+01:00"),
    ],
)
def test_existing_names(typed: str, name: str) -> None:
    """Names that rke itself gives can be restored, and NAME.zip means NAME."""
    assert snapshots.check_existing(typed) == name


@pytest.mark.parametrize("typed", ["2026-11-20T18:00:00Z_etcd;reboot", "a:b", ".zip", "../x.zip"])
def test_existing_names_are_whitelisted_too(typed: str) -> None:
    """Nothing but our names and exactly rke's own pattern is taken for a snapshot."""
    with pytest.raises(Refused):
        snapshots.check_existing(typed)


def test_default_name() -> None:
    """A snapshot nobody named is called after its cluster and the UTC time."""
    assert snapshots.default_name("rancher-prod", 1795327200) == "rancher-prod-20261122-060000Z"


def test_copy_survives_json() -> None:
    """A copy is the same after a trip through JSON."""
    one = copy(S3, revision=None, version_id="v1", problem="x", form=Form.ZIP, taken_at=1.25)
    assert snapshots.copy_from_json(json.loads(json.dumps(snapshots.copy_to_json(one)))) == one


def test_snapshot_survives_json() -> None:
    """A row is the same after a trip through JSON."""
    (row,) = snapshots.merge([copy(), copy(S3)])
    assert snapshots.Snapshot.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_merge_is_one_row_per_snapshot_newest_first() -> None:
    """Copies of nodes and S3 are one row per name; the newest row is the first."""
    rows = snapshots.merge(
        [copy(S3), copy("2.2.2.2", "newer", taken_at=2000.0), copy(), copy("2.2.2.2", name="before-upgrade.zip")]
    )
    assert [row.name for row in rows] == ["newer", "before-upgrade"]
    assert rows[1].nodes == ("1.1.1.1", "2.2.2.2")
    assert rows[1].off_site
    assert not rows[0].off_site


@pytest.mark.parametrize("name", [".x.123", "x.part", "x.tmp", "pki.bundle.tar.gz", "x.rkestate"])
def test_merge_ignores_files_that_are_no_snapshots(name: str) -> None:
    """Temporary files, rke's certificates and state files are no snapshots."""
    assert snapshots.merge([copy(name=name)]) == ()


def test_merge_lists_rkes_own_names() -> None:
    """A rolling snapshot of rke is listed under its own name."""
    assert snapshots.merge([copy(name="2026-11-20T18:00:00Z_etcd.zip")])[0].name == "2026-11-20T18:00:00Z_etcd"


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"1.1.1.1": "intact", S3: "intact"}, "intact"),
        ({"1.1.1.1": "corrupt", "2.2.2.2": "intact", S3: "not checked"}, "corrupt on 1.1.1.1"),
        ({"1.1.1.1": "corrupt", "2.2.2.2": "intact", S3: "corrupt"}, "corrupt on 1.1.1.1 and off-site"),
        ({"1.1.1.1": "corrupt", S3: "corrupt"}, "corrupt"),
        ({"1.1.1.1": "intact", S3: "not checked"}, "not checked off-site"),
        ({S3: "not checked"}, "not checked"),
    ],
)
def test_integrity_in_words(states: dict[str, str], words: str) -> None:
    """A row says the worst that is known, and where."""
    (row,) = snapshots.merge(copy(where, integrity=Integrity(state)) for where, state in states.items())
    assert row.in_words == words


def test_latest_is_the_newest_intact_one() -> None:
    """`latest` passes over newer snapshots without an intact copy."""
    rows = snapshots.merge([copy(name="old"), copy(name="new", taken_at=9e9, integrity=Integrity.CORRUPT)])
    newest = snapshots.latest(rows)
    assert newest is not None
    assert newest.name == "old"
    assert snapshots.latest(()) is None


def test_latest_is_no_safety_copy() -> None:
    """The data that a restore replaced is restored by its name only."""
    newest = snapshots.latest(snapshots.merge([copy(name="good"), copy(name="safety-k7xq2m", taken_at=9e9)]))
    assert newest is not None
    assert newest.name == "good"
    assert snapshots.latest(snapshots.merge([copy(name="safety-k7xq2m")])) is None


def test_a_staged_copy_does_not_make_a_snapshot_younger() -> None:
    """Equal bytes are as old as their oldest file: a restore writes files anew."""
    (row,) = snapshots.merge([copy(taken_at=9000.0), copy("2.2.2.2", taken_at=9001.0), copy(S3)])
    assert row.taken_at == 1000.0


@pytest.mark.parametrize(
    ("others", "where"),
    [
        ([copy(S3)], S3),
        ([copy("2.2.2.2", revision=9), copy(S3)], "2.2.2.2"),
        ([copy("2.2.2.2", revision=9, integrity=Integrity.CORRUPT)], "1.1.1.1"),
    ],
)
def test_best_copy(others: list[Copy], where: str) -> None:
    """The best copy is intact, of the highest revision, and of equal ones the one off-site."""
    assert snapshots.best([copy(), *others]).where == where
