"""Names of snapshots, and the merging of copies in many places into one row per snapshot."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Final

from bot.core.events import Data, Json
from bot.core.facts import S3, Copy, Form, Integrity
from bot.core.plans import number, objects
from bot.errors import Refused

LATEST: Final = "latest"  # a word of the command, so never a name
SAFETY: Final = "safety-"  # what a restore names the data it replaces
MAX_NAME: Final = 128
_VALID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ALLOWED: Final = "Allowed are letters, digits, dot, underscore and dash."

# rke's own names: etcd-rolling-snapshots writes <RFC 3339>_etcd, and a save without --name takes
# rke_etcd_snapshot_<RFC 3339, local time> (rke v0.1.7 to v1.6.3). Safe in rke's shell line, but for the colon not ours.
_RFC3339: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"
_RKES_OWN: Final = re.compile(rf"({_RFC3339}_etcd|rke_etcd_snapshot_{_RFC3339})")

_ZIP: Final = ".zip"
_OUR_SUFFIXES: Final = (".part", ".tmp", ".aside")  # etcdctl writes NAME.part; the other two are the bot's
_NOT_SNAPSHOTS: Final = (*_OUR_SUFFIXES, ".rkestate", ".sha256", ".json")
_PKI_BUNDLE: Final = "pki.bundle.tar.gz"  # certificates and keys that rke v0.1.8 to v0.1.20 puts beside the snapshots


def check_name(name: str) -> str:
    """`name` if a new snapshot may be called so, else Refused with the exact reason."""
    if name.lower() == LATEST:
        raise Refused("latest is not a name: it stands for the newest intact snapshot.", "Choose another name.")
    if name.lower().endswith(_ZIP):
        raise Refused(f"A name must not end in {_ZIP}: rke adds that ending itself.", "Leave the ending out.")
    if not is_snapshot_file(name) and _VALID.fullmatch(name):
        raise Refused(f"{name} is kept for files that are no snapshots.", "Choose another ending.")
    return _whitelisted(name)


def check_existing(name: str) -> str:
    """The snapshot that `name` stands for: also rke's own names, NAME for NAME.zip; else Refused with why."""
    base, _ = split_file_name(name)
    return base if _RKES_OWN.fullmatch(base) else _whitelisted(base)


def default_name(cluster: str, at: float) -> str:
    """The name of a snapshot nobody named: `<cluster>-YYYYMMDD-HHMMSSZ`, `at` in seconds since the epoch."""
    return check_name(f"{cluster}-{datetime.fromtimestamp(at, UTC):%Y%m%d-%H%M%SZ}")


def split_file_name(file_name: str) -> tuple[str, Form]:
    """The snapshot a file belongs to, and its form: NAME and NAME.zip are one snapshot."""
    if len(file_name) > len(_ZIP) and file_name.endswith(_ZIP):
        return file_name.removesuffix(_ZIP), Form.ZIP
    return file_name, Form.PLAIN


def file_name(name: str, form: Form) -> str:
    """The file of a snapshot in that form."""
    return name + _ZIP if form is Form.ZIP else name


def is_snapshot_file(file_name: str) -> bool:
    """Whether a file in the snapshot directory can be a snapshot: not hidden, not temporary, not rke's PKI bundle."""
    hidden = not file_name or file_name.startswith(".")
    return not hidden and file_name != _PKI_BUNDLE and not file_name.endswith(_NOT_SNAPSHOTS)


def _whitelisted(name: str) -> str:
    if not name:
        raise Refused("The name is empty.", "Type a name.")
    if len(name) > MAX_NAME:
        raise Refused(f"The name has {len(name)} characters, at most {MAX_NAME} are allowed.", "Choose a shorter name.")
    if name[0] in ".-":
        word = "dot" if name[0] == "." else "dash"
        raise Refused(f"The name starts with a {word}.", "Start it with a letter or a digit.")
    if bad := next((char for char in name if not _VALID.fullmatch("_" + char)), ""):
        raise Refused(f"The name holds {_spoken(bad)}. {_ALLOWED}", "Choose another name.")
    return name


def _spoken(char: str) -> str:
    if char.isspace():
        return "a blank"
    return f'"{char}"' if char.isprintable() else f"the character U+{ord(char):04X}"


def copy_to_json(copy: Copy) -> dict[str, Json]:
    """The stored form of a copy: an object of its fields; `copy_from_json` is its inverse."""
    raw: dict[str, Json] = {field.name: getattr(copy, field.name) for field in fields(copy)}
    return raw | {"form": copy.form.value, "integrity": copy.integrity.value}


def copy_from_json(raw: Data) -> Copy:
    """The copy stored as `raw`."""
    revision = raw.get("revision")
    return Copy(
        name=str(raw["name"]),
        where=str(raw["where"]),
        form=Form(str(raw["form"])),
        size=int(number(raw["size"])),
        file_size=int(number(raw["file_size"])),
        taken_at=number(raw["taken_at"]),
        sha256=str(raw["sha256"]),
        file_sha256=str(raw["file_sha256"]),
        integrity=Integrity(str(raw["integrity"])),
        revision=None if revision is None else int(number(revision)),
        version_id=str(raw["version_id"]),
        problem=str(raw["problem"]),
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A named snapshot and its copies, nodes first and off-site last. `taken_at` is in seconds since the epoch."""

    name: str
    taken_at: float
    copies: tuple[Copy, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Addresses of the nodes that hold a copy."""
        return tuple(dict.fromkeys(copy.where for copy in self.copies if copy.where != S3))

    @property
    def off_site(self) -> bool:
        """Whether there is a copy in the bot's S3."""
        return any(copy.where == S3 for copy in self.copies)

    @property
    def intact(self) -> bool:
        """Whether at least one copy is intact: enough for a restore."""
        return any(copy.integrity is Integrity.INTACT for copy in self.copies)

    @property
    def size(self) -> int:
        """Bytes of the etcd database in the best copy."""
        return best(self.copies).size

    @property
    def worst(self) -> Integrity:
        """The worst that is known of any copy."""
        states = {copy.integrity for copy in self.copies}
        return next(state for state in (Integrity.CORRUPT, Integrity.UNKNOWN, Integrity.INTACT) if state in states)

    @property
    def in_words(self) -> str:
        """The integrity of all copies in a few words: "intact", "not checked", "corrupt on 2.2.2.2 and off-site"."""
        bad = tuple(dict.fromkeys(copy.where for copy in self.copies if copy.integrity is self.worst))
        if self.worst is Integrity.INTACT or len(bad) == len({copy.where for copy in self.copies}):
            return self.worst.value
        return f"{self.worst.value} {places(bad)}"

    def to_json(self) -> dict[str, Json]:
        """The stored form; `from_json` is its inverse."""
        return {"name": self.name, "taken_at": self.taken_at, "copies": [copy_to_json(copy) for copy in self.copies]}

    @staticmethod
    def from_json(raw: Data) -> "Snapshot":
        """The snapshot stored as `raw`."""
        copies = tuple(copy_from_json(copy) for copy in objects(raw["copies"]))
        return Snapshot(str(raw["name"]), number(raw["taken_at"]), copies)


def places(wheres: Iterable[str]) -> str:
    """Places in words: "on 1.1.1.1, 2.2.2.2 and off-site"."""
    nodes = [where for where in wheres if where != S3]
    words = ([f"on {', '.join(nodes)}"] if nodes else []) + (["off-site"] if S3 in wheres else [])
    return " and ".join(words)


def best(copies: Iterable[Copy]) -> Copy:
    """The copy to restore from: intact before not checked before corrupt, then the highest revision, then off-site,
    then the first place. Raises ValueError when there is none.
    """
    order = (Integrity.INTACT, Integrity.UNKNOWN, Integrity.CORRUPT)
    return min(copies, key=lambda c: (order.index(c.integrity), -(c.revision or 0), c.where != S3, c.where))


def merge(copies: Iterable[Copy]) -> tuple[Snapshot, ...]:
    """One row per snapshot, the newest first, from copies of all places; files that are no snapshots are left out."""
    rows: dict[str, list[Copy]] = {}
    for copy in copies:
        if is_snapshot_file(copy.name):
            name, _ = split_file_name(copy.name)
            rows.setdefault(name, []).append(replace(copy, name=name))
    snapshots = [Snapshot(name, _taken_at(found), tuple(sorted(found, key=_place))) for name, found in rows.items()]
    return tuple(sorted(snapshots, key=lambda row: (-row.taken_at, row.name)))


def latest(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The newest snapshot that has an intact copy. Safety copies are left out: they hold what people restored away
    from, and are younger than what they restored.
    """
    rows = (row for row in snapshots if row.intact and not row.name.startswith(SAFETY))
    return max(rows, key=lambda row: (row.taken_at, row.name), default=None)


def _place(copy: Copy) -> tuple[bool, str, str]:
    return (copy.where == S3, copy.where, copy.form)


def _taken_at(copies: Sequence[Copy]) -> float:
    """The newest time, but of equal bytes the oldest: a copy that a restore staged is younger than its data.

    What damaged a copy changed its time too, so corrupt ones count only where there is no other.
    """
    oldest: dict[str, float] = {}
    for copy in [copy for copy in copies if copy.integrity is not Integrity.CORRUPT] or copies:
        key = copy.sha256 or f"{copy.where} {copy.form}"
        oldest[key] = min(oldest.get(key, copy.taken_at), copy.taken_at)
    return max(oldest.values())
