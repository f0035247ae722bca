"""How a job ended: judged from what its steps found, never from exit statuses alone.

Partial is never called success: it says per place what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from bot.core import snapshots
from bot.core.events import Data, EventType, Json
from bot.core.facts import S3, ClusterYml, Container, Copy, Integrity, Member, NodeSpec
from bot.core.job import Job
from bot.core.plans import Kind, number, objects, strings

NETWORKS: Final = ("flannel", "calico", "canal", "weave")
Check = dict[str, Json]


def judge(job: Job, now: float) -> tuple[EventType, Data]:
    """The end of a job whose steps are all done, with its verdict. `now` is in seconds since the epoch."""
    seconds = round(now - (job.started_at or job.requested_at), 1)
    if job.kind is Kind.SAVE:
        return _judge_save(job, seconds)
    checks = objects(job.result("verify").get("checks", ()))
    green = bool(checks) and all(check["ok"] for check in checks)
    verdict: Data = {"checks": checks, "left": list(_left(job)), "seconds": seconds}
    return (EventType.SUCCEEDED if green else EventType.PARTIAL), verdict


def _left(job: Job) -> Iterator[str]:
    """What is left to people after a restore."""
    warnings = (line for kind in ("rke_restore", "rke_up") for line in strings(job.result(kind).get("warnings", ())))
    yield from dict.fromkeys(line for line in warnings if line.startswith("rke left out "))
    for run in job.steps:
        if run.attempt > 1:
            yield f"{run.step.title}: it was run {run.attempt} times; look at rke's output."
    safety = job.result("safety_copy")
    if safety.get("copy") and not safety.get("off_site"):
        where = snapshots.places(strings(safety.get("on", ())))
        why = str(safety.get("problem") or "S3 did not take it").rstrip(".")
        yield f"The safety copy is {where} only, not off-site: {why}."
    yield "Tell the owners of applications: Kubernetes objects are as they were when the snapshot was taken."


# --- save -------------------------------------------------------------------------------------------------------------


def _judge_save(job: Job, seconds: float) -> tuple[EventType, Data]:
    check, rke, found, store = (job.result(kind) for kind in ("check", "rke_save", "check_copies", "store"))
    nodes = strings(check.get("etcd", ()))
    copies = [snapshots.copy_from_json(raw) for raw in objects(found.get("copies", ()))]
    off_site = store.get("copy")
    if isinstance(off_site, Mapping):
        copies.append(snapshots.copy_from_json(off_site))
    if not any(copy.integrity is Integrity.INTACT for copy in copies):
        return EventType.FAILED, _no_copy(rke)
    why = _reasons(found.get("missing", ())) | _reasons(check.get("skipped", ()))
    problems = [*_node_problems(nodes, copies, why), *_s3_problems(copies, store), *_rke_problems(rke)]
    others = [address for address in why if address not in nodes]
    problems += [_problem(a, f"{a} does not answer: {why[a]}", "It is no etcd node; look at it.") for a in others]
    verdict: Data = {
        "copies": [snapshots.copy_to_json(copy) for copy in copies],
        "etcd_nodes": list(nodes),
        "problems": problems,
        "seconds": seconds,
    }
    return (EventType.PARTIAL if problems else EventType.SUCCEEDED), verdict


def _reasons(value: Json) -> dict[str, str]:
    return {str(item["node"]): str(item["why"]) for item in objects(value)}


def _no_copy(rke: Data) -> Data:
    todo = str(rke.get("meaning") or "") or "Look at rke's output, correct that, then save again."
    return {"what": str(rke.get("error") or "No intact copy of the snapshot was made."), "todo": todo}


def _node_problems(nodes: Sequence[str], copies: Sequence[Copy], why: Mapping[str, str]) -> Iterator[Data]:
    by_place = {copy.where: copy for copy in copies}
    for address in nodes:
        copy = by_place.get(address)
        if copy is None:
            what = f"{address} has no copy: {why.get(address, 'rke left no file there')}"
            yield _problem(address, what, f"Check that {address} answers, then save again.")
        elif copy.integrity is not Integrity.INTACT:
            what = f"The copy on {address} is {copy.integrity.value}{f': {copy.problem}' if copy.problem else ''}"
            yield _problem(address, what, f"Check the disk of {address}, then save again.")


def _s3_problems(copies: Sequence[Copy], store: Data) -> Iterator[Data]:
    off_site = [copy for copy in copies if copy.where == S3]
    if not off_site:
        what = f"No copy is off-site: {store.get('problem') or 'S3 did not take it'}"
        yield _problem(S3, what, "Correct that, then save again.")
    elif off_site[0].integrity is not Integrity.INTACT:
        yield _problem(S3, f"The off-site copy is {off_site[0].integrity.value}", "Save again.")


def _rke_problems(rke: Data) -> Iterator[Data]:
    status = int(number(rke.get("status", 0)))
    if status:
        what = f"rke ended with status {status}: {rke.get('error') or 'it gave no reason'}"
        yield _problem("rke", what, str(rke.get("meaning") or "") or "Look at rke's output.")


def _problem(where: str, what: str, todo: str) -> Data:
    return {"where": where, "what": what.rstrip(".") + ".", "todo": todo}


# --- restore: what counts as green ------------------------------------------------------------------------------------


def verify_checks(
    yml: ClusterYml,
    *,
    members: Sequence[Member],
    hashes: Mapping[str, int],
    revision: int,
    written: Mapping[str, bool],
    api: Mapping[str, str],
    containers: Mapping[str, Mapping[str, Container]],
    restored_at: Mapping[str, float],
) -> list[Data]:
    """The checks after a restore, each {"name", "ok", "text", "todo"}; what did not answer is not green.

    By address of the node: `hashes` are hashkv at `revision`; `written` whether a key went through that member; `api`
    is what its API server said, "" for healthy; `restored_at` is when the restore began, in seconds of that node's own
    clock.
    """
    return [
        _members(yml, members),
        _equal_data(yml, hashes, revision),
        _keys(yml, written),
        _api(yml, api),
        _components(yml, containers, restored_at),
    ]


def components(node: NodeSpec) -> tuple[str, ...]:
    """The containers rke keeps running on a node of those roles that hold data or caches of etcd's (rke v0.1.20,
    cluster/plan.go). nginx-proxy holds none; service-sidekick is created and never started.
    """
    etcd = ("etcd",) if "etcd" in node.roles else ()
    control = ("kube-apiserver", "kube-controller-manager", "kube-scheduler") if "controlplane" in node.roles else ()
    return (*etcd, *control, "kubelet", "kube-proxy")


def network_containers(names: Sequence[str]) -> tuple[str, ...]:
    """Those of a node's containers that belong to the network plugin."""
    return tuple(name for name in names if name.startswith("k8s_") and any(word in name for word in NETWORKS))


def _members(yml: ClusterYml, members: Sequence[Member]) -> Check:
    """Members = etcd nodes of the yml, one leader, no alarm. Ids prove nothing: with rke they are deterministic."""
    nodes = yml.with_role("etcd")
    expected = {f"etcd-{node.hostname or node.address}" for node in nodes}
    seen = {member.address: member for member in members}
    bad: list[str] = []
    for node in nodes:
        member = seen.get(node.address)
        if member is None or member.error:
            bad.append(f"{node.address} does not answer{f': {member.error}' if member else ''}")
        elif set(member.names) != expected:
            bad.append(f"{node.address} knows the members {', '.join(sorted(member.names)) or 'none'}")
        elif member.alarms:
            bad.append(f"{node.address} has the alarm {', '.join(member.alarms)}")
    leaders = {member.leader for member in members if not member.error}
    if not bad and (len(leaders) != 1 or 0 in leaders):
        bad.append("the members do not agree on a leader")
    count = "1 member" if len(nodes) == 1 else f"{len(nodes)} members"
    good = f"{count}, one leader, no alarms: {', '.join(node.address for node in nodes)}"
    return _check("members", good, bad, "Look at `docker logs etcd` on the nodes named.")


def _equal_data(yml: ClusterYml, hashes: Mapping[str, int], revision: int) -> Check:
    nodes = yml.with_role("etcd")
    bad = [f"{node.address} gave no hash" for node in nodes if node.address not in hashes]
    if not bad and len(set(hashes.values())) > 1:
        bad = [f"{address} has hash {value}" for address, value in hashes.items()]
    good = f"Same data on every member: hash of all keys at revision {revision:,} is equal"
    return _check("equal data", good, bad, "Do not write to the cluster. Restore again from the same snapshot.")


def _keys(yml: ClusterYml, written: Mapping[str, bool]) -> Check:
    nodes = yml.with_role("etcd")
    bad = [f"{n.address} did not take or give back a key" for n in nodes if not written.get(n.address)]
    good = "A key was written and read through every member"
    return _check("write and read", good, bad, "Look at `docker logs etcd` on the nodes named.")


def _api(yml: ClusterYml, api: Mapping[str, str]) -> Check:
    nodes = yml.with_role("controlplane")
    bad = [f"{n.address}: {api.get(n.address, 'no answer')}" for n in nodes if n.address not in api or api[n.address]]
    where = "the controlplane node" if len(nodes) == 1 else f"all {len(nodes)} controlplane nodes"
    good = f"API server answers on {where}"
    return _check("API servers", good, bad, "Look at `docker logs kube-apiserver` on the nodes named.")


def _components(
    yml: ClusterYml, containers: Mapping[str, Mapping[str, Container]], restored_at: Mapping[str, float]
) -> Check:
    """Every component runs and was started after the restore began: before, it holds caches from the future (F14)."""
    bad: list[str] = []
    for node in yml.nodes:
        there = containers.get(node.address)
        if there is None:
            bad.append(f"{node.address} does not answer")
            continue
        since = restored_at.get(node.address, float("inf"))
        network = [name for name in network_containers(tuple(there)) if there[name].running]
        stale = {name: _stale(there.get(name), since) for name in (*components(node), *network)}
        bad += [f"{name} on {node.address} {why}" for name, why in stale.items() if why]
    todo = "Start or restart the containers named with docker on their nodes."
    return _check("components", "All components started after the restore", bad, todo)


def _stale(container: Container | None, since: float) -> str:
    if container is None:
        return "is not there"
    if not container.running:
        return f"is {container.status}"
    return "" if started(container) >= since else "was not restarted"


def started(container: Container) -> float:
    """When a container was started, in seconds since the epoch by its node's clock; 0 if that cannot be read."""
    try:
        return datetime.fromisoformat(container.started_at).timestamp()
    except (ValueError, OverflowError):
        return 0


def _check(name: str, good: str, bad: Sequence[str], todo: str) -> Check:
    return {"name": name, "ok": not bad, "text": "; ".join(bad) or good, "todo": todo if bad else ""}
