"""From gathered facts to the plan of a restore: which copy is taken, and what must not change until it starts."""

import hashlib
from collections.abc import Sequence
from typing import Final

from bot.core import snapshots
from bot.core.checks import CHECKS, ROLLING, Gathered, runs
from bot.core.cluster import Cluster
from bot.core.events import Json
from bot.core.facts import ClusterYml, Copy, Member, NodeFacts, RkeFacts, Unread
from bot.core.findings import Finding, Level
from bot.core.plans import Kind, Plan, canonical, restore_steps
from bot.errors import BotError

LATEST: Final = snapshots.LATEST
_PINS: Final = {
    "sha256": "The snapshot's database",
    "version_id": "The version of the off-site copy",
    "yml": "rancher-cluster.yml",
    "state": "The state file of rke",
    "rke": "The rke binary",
    "nodes": "The list of nodes",
    "policy": "The approval policy",
    "safety": "Whether a safety copy is possible",
}


def plan_restore(
    cluster: Cluster,
    rke: RkeFacts,
    yml: ClusterYml,
    nodes: Sequence[NodeFacts],
    copies: Sequence[Copy],
    name: str,
    *,
    members: Sequence[Member],
    s3_error: str,
    now: float,
    run_active: bool,
    unread: Sequence[Unread] = (),
) -> Plan:
    """The plan to restore snapshot `name`, with everything that was found; red findings block it. `copies` are the
    copies of that snapshot in all places, read back; `members` is what etcd said of itself on the etcd nodes that
    answer. `s3_error` says why S3 did not answer, "" if it did. `run_active`: another job runs, so the facts may be
    outdated. `unread` are copies that could not be read back.
    """
    seen = Gathered(rke, yml, nodes, members, copies, name, s3_error, now, run_active, unread)
    found = [finding for check in CHECKS for finding in check(seen)]
    order = tuple(Level)
    return Plan(
        Kind.RESTORE,
        cluster.name,
        name,
        restore_steps(rke_restarts=not rke.legacy),
        _pins(cluster, seen),
        _notes(seen),
        tuple(sorted(found, key=lambda finding: order.index(finding.level))),
    )


def cannot_plan(cluster: Cluster, name: str, error: Exception) -> Plan:
    """The blocked plan when not even the RKE host could be asked."""
    what = error.what if isinstance(error, BotError) else "The checks did not end in time."
    todo = (error.todo if isinstance(error, BotError) else "") or "Correct that, then press Check again."
    steps = restore_steps(rke_restarts=False)
    return Plan(Kind.RESTORE, cluster.name, name, steps, findings=(Finding("gather", Level.RED, what, todo),))


def drift(old: Plan, new: Plan) -> tuple[str, ...]:
    """What changed of the pinned facts, one sentence each. Where the same bytes are taken from may change."""
    changed = [words for pin, words in _PINS.items() if old.pins.get(pin) != new.pins.get(pin)]
    if old.pins.get("source") != new.pins.get("source"):
        changed = [words for words in changed if words != _PINS["version_id"]]
    if old.steps != new.steps:
        changed.append("The list of steps")
    return tuple(f"{words} changed since the plan was made." for words in changed)


def _pins(cluster: Cluster, seen: Gathered) -> dict[str, Json]:
    source = seen.source
    return {
        "sha256": source.sha256 if source else "",
        "version_id": source.version_id if source else "",
        "source": source.where if source else "",
        "form": source.form.value if source else "",
        "yml": seen.rke.yml_sha256,
        "state": seen.rke.state_sha256,
        "rke": seen.rke.binary_sha256,
        "rke_version": seen.rke.version,
        "nodes": [f"{n.user}@{n.address}:{n.port} {','.join(sorted(n.roles))}" for n in seen.yml.nodes],
        "policy": hashlib.sha256(canonical(cluster.approvals.to_json())).hexdigest(),
        "safety": bool(seen.members),
    }


def _notes(seen: Gathered) -> dict[str, Json]:
    source = seen.source
    same = [copy.taken_at for copy in seen.copies if source is None or copy.sha256 == source.sha256]
    return {
        "copy": snapshots.copy_to_json(source) if source else None,
        "etcd_nodes": [facts.node.address for facts in seen.etcd],
        "nodes": [{"address": n.address, "roles": sorted(n.roles)} for n in seen.yml.nodes],
        "rolling": [facts.node.address for facts in seen.etcd if runs(facts, ROLLING)],
        "kubernetes_version": seen.yml.kubernetes_version,
        "taken_at": min(same, default=0),
        "stale": seen.run_active,
    }
