"""Plans: the ordered steps of one job, the facts they rest on, and a digest over both.

A vote is for one digest. `pins` are facts that must not change between the vote and the first change; `notes`
are facts people read (sizes, ages, wording) that may.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.events import Data, Json
from bot.core.findings import Finding


class Kind(StrEnum):
    """What a job does."""

    SAVE = "save"
    RESTORE = "restore"


class AfterDeath(StrEnum):
    """What to do with a step whose command died half-way: run it again, or ask a person."""

    RERUN = "rerun"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a plan does. `kind` names the module in engine/steps; `title` (at most 40 characters) stands
    in the plan block, `long_title` where there is room. A `detached` step outlives the worker on the RKE
    host.
    """

    kind: str
    title: str
    long_title: str
    mutating: bool = False
    detached: bool = False
    no_return: bool = False
    after_death: AfterDeath = AfterDeath.RERUN

    def to_json(self) -> dict[str, Json]:
        """The stored form; `from_json` is its inverse."""
        return {
            "kind": self.kind,
            "title": self.title,
            "long_title": self.long_title,
            "mutating": self.mutating,
            "detached": self.detached,
            "no_return": self.no_return,
            "after_death": self.after_death.value,
        }

    @staticmethod
    def from_json(raw: Data) -> "Step":
        """The step stored as `raw`."""
        return Step(
            str(raw["kind"]),
            str(raw["title"]),
            str(raw["long_title"]),
            bool(raw["mutating"]),
            bool(raw["detached"]),
            bool(raw["no_return"]),
            AfterDeath(str(raw["after_death"])),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What one job will do. `pins` and `steps` are covered by `digest`; `notes` and `findings` are for
    people.
    """

    kind: Kind
    cluster: str
    snapshot: str
    steps: tuple[Step, ...]
    pins: Data = field(default_factory=dict)
    notes: Data = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 in hex over kind, cluster, snapshot, steps and pins."""
        raw = self.to_json()
        pinned = {key: raw[key] for key in ("kind", "cluster", "snapshot", "steps", "pins")}
        return hashlib.sha256(canonical(pinned)).hexdigest()

    @property
    def no_return(self) -> int | None:
        """Index of the step after whose start there is no way back, None if there is none."""
        return next((index for index, step in enumerate(self.steps) if step.no_return), None)

    def index(self, kind: str) -> int | None:
        """Index of the first step of that kind, None if the plan has none."""
        return next((index for index, step in enumerate(self.steps) if step.kind == kind), None)

    def to_json(self) -> dict[str, Json]:
        """The stored form; `from_json` is its inverse."""
        return {
            "kind": self.kind.value,
            "cluster": self.cluster,
            "snapshot": self.snapshot,
            "steps": [step.to_json() for step in self.steps],
            "pins": self.pins,
            "notes": self.notes,
            "findings": [finding.to_json() for finding in self.findings],
        }

    @staticmethod
    def from_json(raw: Data) -> "Plan":
        """The plan stored as `raw`."""
        return Plan(
            Kind(str(raw["kind"])),
            str(raw["cluster"]),
            str(raw["snapshot"]),
            tuple(Step.from_json(step) for step in objects(raw["steps"])),
            mapping(raw["pins"]),
            mapping(raw["notes"]),
            tuple(Finding.from_json(finding) for finding in objects(raw["findings"])),
        )


def canonical(value: Json) -> bytes:
    """One byte form for equal values: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def mapping(value: Json) -> Data:
    """`value` as an object; TypeError if it is none."""
    if isinstance(value, Mapping):
        return value
    raise TypeError(f"expected an object, got {type(value).__name__}")


def objects(value: Json) -> tuple[Data, ...]:
    """`value` as a list of objects; TypeError if it is none."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(mapping(item) for item in value)
    raise TypeError(f"expected a list, got {type(value).__name__}")


def strings(value: Json) -> tuple[str, ...]:
    """`value` as a list of strings; TypeError if it is none."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(item) for item in value)
    raise TypeError(f"expected a list, got {type(value).__name__}")


def number(value: Json) -> float:
    """`value` as a number; TypeError if it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise TypeError(f"expected a number, got {type(value).__name__}")


_CHECK = Step("check", "Check rke, yml, SSH and docker", "check rke, yml, SSH and docker")
_RKE_SAVE = Step("rke_save", "rke etcd snapshot-save", "rke etcd snapshot-save", mutating=True, detached=True)
_COPIES = Step("check_copies", "Check the copy on every node", "check the copy on every node")
_STORE = Step("store", "Store one intact copy off-site", "store one intact copy off-site", mutating=True)

_REVALIDATE = Step("revalidate", "Check that nothing changed", "check that nothing changed since the plan")
_SAFETY = Step("safety_copy", "Save a safety copy", "save a safety copy of today's data", mutating=True)
_PREPARE = Step("prepare", "Back up state and yml", "back up state and yml, stop rolling snapshots", mutating=True)
_STAGE = Step("stage", "Stage the snapshot, prove it", "stage the snapshot, prove equal bytes", mutating=True)
_RESTORE = Step(
    "rke_restore",
    "Point of no return: snapshot-restore",
    "rke etcd snapshot-restore",
    mutating=True,
    detached=True,
    no_return=True,
    after_death=AfterDeath.ASK,
)
_API = Step(
    "restart_api",
    "Restart API and controllers",
    "restart the API server, then the controllers",
    mutating=True,
)
_UP = Step("rke_up", "rke up", "rke up", mutating=True, detached=True)
_RESTART = Step(
    "restart_all", "Restart all components", "restart every Kubernetes and network container", mutating=True
)
_VERIFY = Step("verify", "Verify", "verify etcd, API servers and components", mutating=True)


def save_steps() -> tuple[Step, ...]:
    """The steps of a save."""
    return (_CHECK, _RKE_SAVE, _COPIES, _STORE)


def restore_steps(*, rke_restarts: bool) -> tuple[Step, ...]:
    """The steps of a restore. `rke_restarts`: this rke (v0.2 and later) rebuilds the control plane inside
    snapshot-restore, so that the API server needs no restart before `rke up`.
    """
    before = (_REVALIDATE, _SAFETY, _PREPARE, _STAGE, _RESTORE)
    return before + (() if rke_restarts else (_API,)) + (_UP, _RESTART, _VERIFY)
