"""What a restore checks, which copy it takes, and what may not change until it starts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bot.core import gather
from bot.core.checks import runs
from bot.core.facts import S3, Access, ClusterYml, Copy, Form, Integrity, NodeFacts, RkeFacts
from bot.core.findings import Finding, Level
from bot.core.plans import Plan
from bot.errors import Unreachable
from tests.unit import clusters
from tests.unit.clusters import MIB, NAMES, NOW, RKE, RKE_1, container, copy, node

NODES = tuple(node(name) for name in NAMES)
SILENT = tuple(clusters.member(name, error="etcd does not answer: context deadline exceeded") for name in NAMES)
COPIES = (copy(S3, sha256="sha-1.1.1.1"), *(copy(name) for name in NAMES))


def plan(
    *,
    rke: RkeFacts = RKE,
    yml: ClusterYml | None = None,
    nodes: Sequence[NodeFacts] = NODES,
    copies: Sequence[Copy] = COPIES,
    **more: Any,
) -> Plan:
    """The plan for a healthy cluster with some facts changed."""
    seen = yml or clusters.yml(*(facts.node for facts in nodes))
    rest: dict[str, Any] = {"name": "before-upgrade", "s3_error": "", "now": NOW, "run_active": False} | more
    rest.setdefault("members", [clusters.member(facts.node.address) for facts in nodes if runs(facts, "etcd")])
    return gather.plan_restore(clusters.CLUSTER, rke, seen, nodes, copies, **rest)


def instead(facts: NodeFacts) -> tuple[NodeFacts, ...]:
    """The healthy nodes with one replaced."""
    return tuple(facts if facts.node.address == n.node.address else n for n in NODES)


def found(made: Plan, level: Level) -> dict[str, Finding]:
    """The findings of one level by id."""
    return {finding.id: finding for finding in made.findings if finding.level is level}


@pytest.mark.parametrize("rke", [RKE, RKE_1])
def test_a_healthy_cluster_has_green_findings_only(rke: RkeFacts) -> None:
    """Nothing to confirm, nothing blocked."""
    made = plan(rke=rke)
    assert {finding.level for finding in made.findings} == {Level.GREEN}
    assert {"snapshot", "nodes", "rke", "disk", "safety-copy", "copies-differ"} <= set(found(made, Level.GREEN))


def test_steps_follow_the_version() -> None:
    """v0.1.x restarts the API servers before rke up; later rke rebuilds them itself."""
    assert plan().index("restart_api") == 5
    assert plan(rke=RKE_1).index("restart_api") is None
    assert plan().no_return == plan(rke=RKE_1).no_return == 4


def test_pins_and_notes() -> None:
    """The digest covers what decides; what people read is beside it."""
    made = plan()
    assert made.pins == {
        "sha256": "sha-1.1.1.1",
        "version_id": "",
        "source": S3,
        "form": "plain",
        "yml": "yml-hash",
        "state": "",
        "rke": "rke-hash",
        "rke_version": "v0.1.20",
        "nodes": [f"rke@{name}:22 controlplane,etcd,worker" for name in NAMES],
        "policy": made.pins["policy"],
        "safety": True,
    }
    assert made.notes["etcd_nodes"] == list(NAMES)
    assert made.notes["taken_at"] == NOW - 3600
    assert made.notes["stale"] is False
    assert isinstance(made.notes["copy"], dict)
    assert made.notes["copy"]["where"] == S3


@pytest.mark.parametrize(
    ("copies", "source"),
    [
        ((copy("2.2.2.2", revision=9_999_999), *COPIES), "2.2.2.2"),
        ((copy(S3, integrity=Integrity.CORRUPT), copy("3.3.3.3")), "3.3.3.3"),
        ((copy(S3), copy("1.1.1.1")), S3),
        ((copy(S3, form=Form.ZIP), copy("1.1.1.1")), "1.1.1.1"),
    ],
)
def test_source(copies: Sequence[Copy], source: str) -> None:
    """The intact copy with the highest revision, off-site on equal ones, in the form this rke restores."""
    assert plan(copies=copies).pins["source"] == source


CORRUPT = tuple(replace(c, integrity=Integrity.CORRUPT, problem="hash") for c in COPIES)


@pytest.mark.parametrize(
    ("facts", "finding", "text"),
    [
        (
            {"copies": ()},
            "snapshot-missing",
            "before-upgrade has no copy on the etcd nodes that answered or off-site.",
        ),
        ({"copies": (), "name": "latest"}, "snapshot-missing", "No snapshot has an intact copy"),
        (
            {"copies": (), "s3_error": "x"},
            "snapshot-missing",
            "before-upgrade has no copy on the etcd nodes that answered.",
        ),
        ({"copies": CORRUPT}, "snapshot-corrupt", "No copy of before-upgrade is intact."),
        ({"copies": CORRUPT}, "copy-2.2.2.2", "The copy on 2.2.2.2 is corrupt (hash)."),
        ({"copies": [copy(form=Form.ZIP)]}, "snapshot-form", "before-upgrade is a zip file everywhere"),
        ({"rke": replace(RKE, version="v0.1.6")}, "rke-version", "rke v0.1.6 cannot restore snapshots."),
        ({"rke": replace(RKE, version="dev")}, "rke-version", "The version of rke cannot be read: 'dev'."),
        ({"rke": replace(RKE_1, state_sha256="")}, "state-file", "rke's state file is not beside"),
        ({"yml": clusters.yml(ssh_agent_auth=True)}, "ssh-agent", "ssh_agent_auth is set"),
        (
            {"rke": RKE_1, "yml": clusters.yml(backup_config=True, s3_backup_config=True)},
            "rke-s3",
            "s3backupconfig is set: rke would download its own object",
        ),
        (
            {"rke": RKE_1, "yml": clusters.yml(backup_config=True)},
            "backup-config",
            "backup_config without S3 makes rke v1.0.16",
        ),
        (
            {"nodes": instead(node("3.3.3.3", error="SSH to 3.3.3.3:22 timed out after 10 s"))},
            "unreachable:3.3.3.3",
            "3.3.3.3 does not answer, and it is an etcd and controlplane node: SSH to 3.3.3.3:22 timed out after 10 s.",
        ),
        (
            {"nodes": (*NODES, node("4.4.4.4", "controlplane", error="no."))},
            "unreachable:4.4.4.4",
            "4.4.4.4 does not answer, and it is a controlplane node: no.",
        ),
        (
            {"nodes": instead(node("2.2.2.2", access=Access.NONE))},
            "access:2.2.2.2",
            "The snapshot files on 2.2.2.2 belong to root",
        ),
        (
            {"nodes": instead(node("1.1.1.1", free_snapshots=351 * MIB))},
            "disk-snapshots:1.1.1.1",
            "1.1.1.1 has 351 MiB free for /opt/rke, 352 MiB are needed.",
        ),
        (
            {"nodes": instead(node("1.1.1.1", free_data=303 * MIB))},
            "disk-data:1.1.1.1",
            "1.1.1.1 has 303 MiB free for etcd's data, 304 MiB are needed.",
        ),
    ],
)
def test_red(facts: dict[str, Any], finding: str, text: str) -> None:
    """What would destroy data and not bring the cluster back blocks the plan, with what to do."""
    red = found(plan(**facts), Level.RED)
    assert red[finding].text.startswith(text)
    assert red[finding].todo


@pytest.mark.parametrize(
    ("facts", "finding", "text"),
    [
        (
            {"nodes": (*NODES, node("4.4.4.4", "worker", error="SSH timed out"))},
            "unreachable:4.4.4.4",
            "4.4.4.4 does not answer: SSH timed out. It is a worker; rke up will end as incomplete.",
        ),
        (
            {
                "nodes": instead(
                    node("1.1.1.1", containers=dict(NODES[0].containers) | {"etcd-restore": container("etcd-restore")})
                )
            },
            "leftovers:1.1.1.1",
            "etcd-restore of an earlier or present rke run is on 1.1.1.1 and runs. The plan removes it.",
        ),
        (
            {"s3_error": "S3 timed out."},
            "s3",
            "S3 timed out. The safety copy will be on the nodes only.",
        ),
        ({"nodes": tuple(node(n, containers={}) for n in NAMES)}, "no-safety-copy", "No etcd member answers"),
        ({"members": SILENT}, "no-safety-copy", "No etcd member answers"),
        ({"members": [clusters.member("1.1.1.1"), *SILENT[1:]]}, "no-quorum", "1 of 3 etcd members answer, which is"),
        (
            {"nodes": (NODES[0], *(node(n, containers={"etcd": container("etcd", "exited")}) for n in NAMES[1:]))},
            "no-quorum",
            "1 of 3 etcd members answer, which is no quorum",
        ),
        ({"nodes": instead(node("2.2.2.2", clock=NOW - 90))}, "clock:2.2.2.2", "The clock of 2.2.2.2 is 90 s behind."),
        ({"rke": replace(RKE, kube_config=False)}, "kube-config", "kube_config is not beside rancher-cluster.yml"),
        (
            {"copies": (copy("1.1.1.1"), copy("2.2.2.2", taken_at=NOW))},
            "copies-apart",
            "The copies of before-upgrade differ and were written 60 min apart",
        ),
    ],
)
def test_yellow(facts: dict[str, Any], finding: str, text: str) -> None:
    """What approvers must vouch for says the fact and what they confirm, and does not block."""
    made = plan(**facts)
    yellow = found(made, Level.YELLOW)
    assert yellow[finding].text.startswith(text)
    assert yellow[finding].confirm
    assert not found(made, Level.RED)


@pytest.mark.parametrize(
    ("facts", "finding", "text"),
    [
        (
            {},
            "snapshot",
            "The copy off-site was intact when it was stored, and S3 holds it whole: 48.0 MiB, revision 1,204,311.",
        ),
        (
            {"copies": (*COPIES[:3], CORRUPT[3])},
            "copy-3.3.3.3",
            "The copy on 3.3.3.3 is corrupt (hash). The intact copy replaces it.",
        ),
        (
            {
                "nodes": instead(
                    node(
                        "1.1.1.1", containers=dict(NODES[0].containers) | {"old-etcd": container("old-etcd", "exited")}
                    )
                )
            },
            "leftovers:1.1.1.1",
            "old-etcd is left over on 1.1.1.1. The plan removes it.",
        ),
        (
            {
                "nodes": instead(
                    node("1.1.1.1", containers={"etcd-rolling-snapshots": container("x"), "etcd": container("etcd")})
                )
            },
            "rolling",
            "etcd-rolling-snapshots is stopped before the restore",
        ),
        ({"run_active": True}, "stale", "Another job ran on the cluster while this was checked."),
        (
            {"copies": (copy("1.1.1.1"), copy("2.2.2.2"))},
            "copies-differ",
            "The copies differ because every etcd member",
        ),
    ],
)
def test_green(facts: dict[str, Any], finding: str, text: str) -> None:
    """What is fine, or is dealt with by a step, is said too."""
    assert found(plan(**facts), Level.GREEN)[finding].text.startswith(text)


def test_rkes_own_s3_matters_only_to_later_versions() -> None:
    """rke v0.1.x does not know backup_config; from v1.1 on, without S3, it does no harm."""
    settings = clusters.yml(backup_config=True, s3_backup_config=True)
    assert not found(plan(yml=settings), Level.RED)
    local = clusters.yml(backup_config=True)
    assert not found(plan(yml=local, rke=replace(RKE_1, version="v1.1.0")), Level.RED)
    rancher = "c-abcde-rl-xyz"
    copies = [copy(name=rancher)]
    assert not found(plan(yml=local, rke=RKE_1, name=rancher, copies=copies), Level.RED)


def test_red_comes_first() -> None:
    """Findings are in the order in which people must read them."""
    levels = [f.level for f in plan(copies=(), s3_error="x").findings]
    assert levels == sorted(levels, key=list(Level).index)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Unreachable("The RKE host does not answer.", "Start it."), "The RKE host does not answer."),
        (TimeoutError(), "The checks did not end in time."),
    ],
)
def test_cannot_plan(error: Exception, text: str) -> None:
    """When not even the RKE host can be asked there is a blocked plan that says so."""
    (finding,) = gather.cannot_plan(clusters.CLUSTER, "before-upgrade", error).findings
    assert (finding.level, finding.text) == (Level.RED, text)
    assert finding.todo


@pytest.mark.parametrize(
    ("facts", "changed"),
    [
        ({"s3_error": "x"}, ()),
        ({"nodes": instead(node("1.1.1.1", free_data=0, clock=0))}, ()),
        ({"copies": [copy("1.1.1.1")]}, ()),
        ({"copies": [copy("2.2.2.2")]}, ("The snapshot's database changed since the plan was made.",)),
        ({"rke": replace(RKE, yml_sha256="x")}, ("rancher-cluster.yml changed since the plan was made.",)),
        ({"rke": replace(RKE, binary_sha256="x")}, ("The rke binary changed since the plan was made.",)),
        ({"nodes": NODES[:2]}, ("The list of nodes changed since the plan was made.",)),
        (
            {"nodes": [replace(n, containers={}) for n in NODES]},
            ("Whether a safety copy is possible changed since the plan was made.",),
        ),
        (
            {"rke": RKE_1},
            (
                "The state file of rke changed since the plan was made.",
                "The list of steps changed since the plan was made.",
            ),
        ),
    ],
)
def test_drift(facts: dict[str, Any], changed: tuple[str, ...]) -> None:
    """What changed of the pinned facts is named; the same bytes elsewhere are no change, nor are disk and clock."""
    assert gather.drift(plan(), plan(**facts)) == changed


def test_a_silent_member_is_no_way_back() -> None:
    """A container that runs is not pinned as a safety copy that can be taken."""
    assert plan(members=SILENT).pins["safety"] is False


def test_drift_of_the_off_site_version() -> None:
    """A new version of the same object is another object."""
    old, new = (plan(copies=[copy(version_id=version)]) for version in ("v1", "v2"))
    assert gather.drift(old, new) == ("The version of the off-site copy changed since the plan was made.",)
