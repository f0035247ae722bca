"""How jobs end: a healthy cluster passes, a broken one does not, and partial is never called success."""

from typing import Any

import pytest

from bot.core import verdicts
from bot.core.events import Data, EventType, Json
from bot.core.facts import S3, Integrity
from bot.core.job import Job
from bot.core.plans import Kind, objects
from bot.core.snapshots import copy_to_json
from tests.unit import clusters, jobs
from tests.unit.clusters import CONTAINERS, NAMES, container, copy, member, spec


def ended(kind: Kind, results: dict[str, dict[str, Json]]) -> Job:
    """A job whose steps are all done, with those results."""
    job = jobs.running(kind)
    for index, run in enumerate(job.steps):
        job = jobs.add(job, EventType.STEP_STARTED, step=index, attempt=1)
        job = jobs.add(job, EventType.STEP_SUCCEEDED, step=index, attempt=1, result=results.get(run.step.kind, {}))
    return job


def saved(**changes: dict[str, Json]) -> tuple[EventType, Data]:
    """The verdict of a save that went well, with some results changed."""
    results: dict[str, dict[str, Json]] = {
        "check": {"rke": "v0.1.20", "etcd": list(NAMES), "skipped": []},
        "rke_save": {"status": 0, "warnings": [], "tail": [], "error": ""},
        "check_copies": {"copies": [copy_to_json(copy(name)) for name in NAMES], "missing": []},
        "store": {"copy": copy_to_json(copy(S3)), "from": "1.1.1.1", "problem": ""},
    }
    job = ended(Kind.SAVE, {kind: result | changes.get(kind, {}) for kind, result in results.items()})
    return verdicts.judge(job, job.started_at + 31.04)


def test_save_succeeded() -> None:
    """Intact on every etcd node and off-site."""
    end, verdict = saved()
    assert end is EventType.SUCCEEDED
    assert [raw["where"] for raw in objects(verdict["copies"])] == [*NAMES, S3]
    assert (verdict["etcd_nodes"], verdict["problems"], verdict["seconds"]) == (list(NAMES), [], 31.0)


TWO: list[Json] = [copy_to_json(copy(name)) for name in NAMES[:2]]
BAD: Json = copy_to_json(copy("3.3.3.3", integrity=Integrity.CORRUPT, problem="hash differs"))


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        (
            {"check_copies": {"copies": TWO, "missing": [{"node": "3.3.3.3", "why": "rke left no file there"}]}},
            "3.3.3.3",
            "3.3.3.3 has no copy: rke left no file there.",
        ),
        (
            {
                "check": {"skipped": [{"node": "3.3.3.3", "why": "SSH timed out"}]},
                "check_copies": {"copies": TWO, "missing": [{"node": "3.3.3.3", "why": "no answer"}]},
            },
            "3.3.3.3",
            "3.3.3.3 has no copy: SSH timed out.",
        ),
        ({"check_copies": {"copies": [*TWO, BAD]}}, "3.3.3.3", "The copy on 3.3.3.3 is corrupt: hash differs."),
        ({"store": {"copy": None, "problem": "S3 timed out."}}, S3, "No copy is off-site: S3 timed out."),
        ({"rke_save": {"status": 1, "error": "fatal"}}, "rke", "rke ended with status 1: fatal."),
        ({"check": {"skipped": [{"node": "4.4.4.4", "why": "down"}]}}, "4.4.4.4", "4.4.4.4 does not answer: down."),
    ],
)
def test_save_partial(changes: dict[str, dict[str, Json]], where: str, what: str) -> None:
    """One problem per place, in those words, each with what to do; rke's exit status proves nothing."""
    end, verdict = saved(**changes)
    assert end is EventType.PARTIAL
    (problem,) = objects(verdict["problems"])
    assert (problem["where"], problem["what"]) == (where, what)
    assert problem["todo"]


def test_save_without_an_intact_copy_failed() -> None:
    """No intact copy anywhere is no snapshot."""
    end, verdict = saved(
        check_copies={"copies": [BAD]}, store={"copy": None}, rke_save={"status": 1, "error": "disk full"}
    )
    assert end is EventType.FAILED
    assert verdict["what"] == "disk full"
    assert verdict["todo"]


def restored(*ok: bool, **results: dict[str, Json]) -> tuple[EventType, Data]:
    """The verdict of a restore with those checks."""
    checks: list[Json] = [{"name": str(i), "ok": value, "text": "", "todo": ""} for i, value in enumerate(ok)]
    job = ended(Kind.RESTORE, {"verify": {"checks": checks}, **results})
    return verdicts.judge(job, job.started_at + 60)


@pytest.mark.parametrize(
    ("ok", "end"),
    [
        ((True, True), EventType.SUCCEEDED),
        ((True, False), EventType.PARTIAL),
        ((False,), EventType.PARTIAL),
        ((), EventType.PARTIAL),
    ],
)
def test_restore(ok: tuple[bool, ...], end: EventType) -> None:
    """Succeeded only if every check is green, and there was one."""
    assert restored(*ok)[0] is end


def test_what_is_left_after_a_restore() -> None:
    """What the bot could not do is left to people, in words."""
    safety: dict[str, Json] = {
        "copy": copy_to_json(copy("1.1.1.1")),
        "on": ["1.1.1.1"],
        "off_site": False,
        "problem": "S3 is down",
    }
    up: dict[str, Json] = {
        "warnings": ["rke left out 3.3.3.3: 3.3.3.3 does not answer: it is off or cut off.", "something else"]
    }
    left = restored(True, safety_copy=safety, rke_up=up)[1]["left"]
    assert left == [
        "rke left out 3.3.3.3: 3.3.3.3 does not answer: it is off or cut off.",
        "The safety copy is on 1.1.1.1 only, not off-site: S3 is down.",
        "Tell the owners of applications: Kubernetes objects are as they were when the snapshot was taken.",
    ]


RESTORED_AT = 1_795_352_600.0  # 13:03:20 UTC; the containers of the healthy cluster started at 13:04:00
HEALTHY: dict[str, Any] = {
    "members": [member(name) for name in NAMES],
    "hashes": dict.fromkeys(NAMES, 77),
    "revision": 1_204_402,
    "written": dict.fromkeys(NAMES, True),
    "api": dict.fromkeys(NAMES, ""),
    "containers": {name: {c: container(c) for c in CONTAINERS} for name in NAMES},
    "restored_at": dict.fromkeys(NAMES, RESTORED_AT),
}


def test_a_healthy_cluster_is_green() -> None:
    """All checks, each saying what was looked at."""
    checks = verdicts.verify_checks(clusters.yml(), **HEALTHY)
    assert all(check["ok"] for check in checks)
    assert [check["text"] for check in checks] == [
        "3 members, one leader, no alarms: 1.1.1.1, 2.2.2.2, 3.3.3.3",
        "Same data on every member: hash of all keys at revision 1,204,402 is equal",
        "A key was written and read through every member",
        "API server answers on all 3 controlplane nodes",
        "All components started after the restore",
    ]


def _containers(address: str, name: str, *status: str) -> dict[str, Any]:
    """The containers of the healthy cluster with one changed, or gone without a status."""
    there: dict[str, Any] = {node: dict(found) for node, found in HEALTHY["containers"].items()}
    if status:
        there[address][name] = container(name, *status)
    else:
        del there[address][name]
    return {"containers": there}


@pytest.mark.parametrize(
    ("changes", "check", "text"),
    [
        ({"members": [member(n) for n in NAMES[:2]]}, "members", "3.3.3.3 does not answer"),
        (
            {"members": [member(n, error="x" if n == "2.2.2.2" else "") for n in NAMES]},
            "members",
            "2.2.2.2 does not answer: x",
        ),
        (
            {"members": [member(n, names=("etcd-1.1.1.1",)) for n in NAMES]},
            "members",
            "1.1.1.1 knows the members etcd-1.1.1.1",
        ),
        ({"members": [member(n, alarms=("NOSPACE",)) for n in NAMES]}, "members", "1.1.1.1 has the alarm NOSPACE"),
        (
            {"members": [member(n, leader=i) for i, n in enumerate(NAMES, 1)]},
            "members",
            "the members do not agree on a leader",
        ),
        ({"members": [member(n, leader=0) for n in NAMES]}, "members", "the members do not agree on a leader"),
        ({"hashes": dict.fromkeys(NAMES[:2], 77)}, "equal data", "3.3.3.3 gave no hash"),
        ({"hashes": {"1.1.1.1": 1, "2.2.2.2": 1, "3.3.3.3": 2}}, "equal data", "3.3.3.3 has hash 2"),
        ({"written": {"1.1.1.1": True, "2.2.2.2": False}}, "write and read", "2.2.2.2 did not take"),
        ({"api": {"1.1.1.1": "", "2.2.2.2": "etcd failed", "3.3.3.3": ""}}, "API servers", "2.2.2.2: etcd failed"),
        ({"api": {}}, "API servers", "1.1.1.1: no answer"),
        ({"containers": {}}, "components", "1.1.1.1 does not answer"),
        (_containers("1.1.1.1", "kubelet"), "components", "kubelet on 1.1.1.1 is not there"),
        (_containers("1.1.1.1", "etcd", "exited"), "components", "etcd on 1.1.1.1 is exited"),
        (
            _containers("2.2.2.2", "kube-scheduler", "running", "2026-11-22T13:03:19.999Z"),
            "components",
            "kube-scheduler on 2.2.2.2 was not restarted",
        ),
        (
            _containers("2.2.2.2", "kube-proxy", "running", "no time"),
            "components",
            "kube-proxy on 2.2.2.2 was not restarted",
        ),
        (
            _containers("2.2.2.2", "k8s_calico-node_canal-x", "running", "2026-11-22T12:00:00Z"),
            "components",
            "k8s_calico-node_canal-x on 2.2.2.2 was not restarted",
        ),
        ({"restored_at": {}}, "components", "etcd on 1.1.1.1 was not restarted"),
    ],
)
def test_a_broken_cluster_is_not_green(changes: dict[str, Any], check: str, text: str) -> None:
    """One fault makes exactly its check not green, with the node named and what to do."""
    bad = [found for found in verdicts.verify_checks(clusters.yml(), **HEALTHY | changes) if not found["ok"]]
    assert [found["name"] for found in bad] == [check]
    assert text in str(bad[0]["text"])
    assert bad[0]["todo"]


@pytest.mark.parametrize(
    ("name", "status", "started_at"),
    [
        ("k8s_install-cni_canal-x", "exited", "2026-11-22T12:00:00Z"),
        ("service-sidekick", "created", "0001-01-01T00:00:00Z"),
        ("nginx-proxy", "running", "2026-11-22T12:00:00Z"),
        ("etcd-rolling-snapshots", "exited", "2026-11-22T12:00:00Z"),
    ],
)
def test_containers_that_need_no_restart(name: str, status: str, started_at: str) -> None:
    """What ends by itself, never starts or holds no data does not make a healthy cluster partial."""
    changes = _containers("1.1.1.1", name, status, started_at)
    assert all(found["ok"] for found in verdicts.verify_checks(clusters.yml(), **HEALTHY | changes))


@pytest.mark.parametrize(
    ("roles", "names"),
    [
        (("worker",), ("kubelet", "kube-proxy")),
        (("etcd",), ("etcd", "kubelet", "kube-proxy")),
        (("controlplane",), CONTAINERS[1:]),
        ((), CONTAINERS),
    ],
)
def test_components_by_role(roles: tuple[str, ...], names: tuple[str, ...]) -> None:
    """F20: a node has what its roles have."""
    assert verdicts.components(spec("1.1.1.1", *roles)) == names
