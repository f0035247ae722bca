"""How a job ends: judged from what its steps found, never from an exit status alone.

A healthy cluster must pass and a broken one must not: equal revisions, Ready nodes and member ids prove nothing after
a restore (rke's token makes ids deterministic; Ready is part of the restored data).
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Final

from bot.core import snapshots
from bot.core.events import Data, EventType, Json
from bot.core.facts import S3, ClusterYml, Container, Integrity, Member
from bot.core.job import Job, StepState
from bot.core.plans import Kind, mapping, objects, strings

Check = dict[str, Json]
_COMPONENTS: Final = {
    "controlplane": ("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    "": ("kubelet", "kube-proxy"),
}


def judge(job: Job, now: float) -> tuple[EventType, Data]:
    """The end of a job whose steps are all done: Succeeded, or Partial with what is not as it should be."""
    verdict = _saved(job) if job.kind is Kind.SAVE else _restored(job)
    partial = bool(verdict.get("problems")) or not all(check["ok"] for check in objects(verdict.get("checks", ())))
    seconds = round(now - (job.started_at or job.requested_at), 1)
    return EventType.PARTIAL if partial else EventType.SUCCEEDED, {**verdict, "seconds": seconds}


def _saved(job: Job) -> dict[str, Json]:
    """rke says 0 although nodes failed (pitfalls 1, F19): the copies that were read back are what counts."""
    found, stored = job.result("check_copies"), job.result("store")
    copies: list[Json] = [*objects(found["copies"])]
    problems: list[Json] = [
        _problem(str(m["node"]), str(m["why"]), "Save again when that node works.") for m in objects(found["missing"])
    ]
    for copy in (snapshots.copy_from_json(raw) for raw in objects(found["copies"])):
        if copy.integrity is not Integrity.INTACT:
            what = f"{copy.integrity.value}{f': {copy.problem}' if copy.problem else ''}"
            problems.append(_problem(copy.where, what, "A restore uses an intact copy instead. Remove this file."))
    if stored.get("copy"):
        copies.append(mapping(stored["copy"]))
    else:
        problems.append(
            _problem(S3, str(stored.get("problem")), "The copies exist only on the nodes. Mend S3, then save again.")
        )
    skipped = [str(node["node"]) for node in objects(job.result("check").get("skipped", ()))]
    known = {str(mapping(problem)["where"]) for problem in problems}
    etcd = strings(job.result("check").get("etcd", ()))
    problems += [
        _problem(node, "does not answer", "It holds no etcd copy; look at it.")
        for node in skipped
        if node not in {*known, *etcd}
    ]
    return {"copies": copies, "etcd_nodes": list(etcd), "problems": problems}


def _problem(where: str, what: str, todo: str) -> Json:
    return {"where": where, "what": what, "todo": todo}


def _restored(job: Job) -> dict[str, Json]:
    checks: list[Json] = [*objects(job.result("verify")["checks"])]
    warned = [
        line
        for kind in ("rke_restore", "rke_up")
        for line in strings(job.result(kind).get("warnings", ()))
        if "Removing host" in line
    ]
    left: list[Json] = [f"rke left a node out: {line}" for line in dict.fromkeys(warned)]
    repeated = [run.step.title for run in job.steps if run.state is StepState.DONE and run.attempt > 1]
    left += [f"Step {title!r} was run more than once; look at its output." for title in repeated]
    return {"checks": checks, "left": left}


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
    """The list of what was looked at after a restore. `hashes` are hashkv of each member at `revision`; `restored_at`
    is when the restore began, in seconds of each node's own clock; `api` is "" for an API server that says ok.
    """
    etcd = tuple(spec.address for spec in yml.with_role("etcd"))
    return [
        _members(yml, members),
        _equal_data(etcd, hashes, revision),
        _written(etcd, written),
        _api(yml, api),
        _started(yml, containers, restored_at),
    ]


def _members(yml: ClusterYml, members: Sequence[Member]) -> Data:
    wanted = {f"etcd-{spec.hostname or spec.address}" for spec in yml.with_role("etcd")}
    silent = [f"{member.address}: {member.error}" for member in members if member.error]
    alive = [member for member in members if not member.error]
    leaders = {member.leader for member in alive if member.leader}
    alarms = [f"{member.address}: {alarm}" for member in alive for alarm in member.alarms]
    strange = [
        f"{m.address} knows {', '.join(sorted(m.names))}, wanted {', '.join(sorted(wanted))}"
        for m in alive
        if set(m.names) != wanted
    ]
    wrong = [*silent, *alarms, *strange]
    if len(leaders) != 1:
        wrong.append(f"{len(leaders)} leaders")
    good = f"{_count(len(wanted), 'member')}, one leader, no alarms: {', '.join(m.address for m in alive)}"
    return _check("members", good, wrong, "Look at `docker logs etcd` on the nodes named.")


def _equal_data(etcd: Sequence[str], hashes: Mapping[str, int], revision: int) -> Data:
    wrong = [f"{address} gave no hash" for address in etcd if address not in hashes]
    if len(set(hashes.values())) > 1:
        wrong.append("the data differ: " + ", ".join(f"{address} {value:x}" for address, value in hashes.items()))
    good = f"Same data on every member: hash of all keys at revision {revision:,} is equal"
    return _check("equal data", good, wrong, "Members with different data must not go on serving. Restore again.")


def _written(etcd: Sequence[str], written: Mapping[str, bool]) -> Data:
    wrong = [f"{address} could not write and read a key" for address in etcd if not written.get(address)]
    return _check("write and read", "A key was written and read through every member", wrong, "Look at etcd there.")


def _api(yml: ClusterYml, api: Mapping[str, str]) -> Data:
    nodes = [spec.address for spec in yml.with_role("controlplane")]
    wrong = [f"{address}: {api.get(address, 'not asked')}" for address in nodes if api.get(address, "?")]
    good = f"API server answers on all {_count(len(nodes), 'controlplane node')}"
    return _check("API servers", good, wrong, "Look at `docker logs kube-apiserver` there.")


def _started(
    yml: ClusterYml, containers: Mapping[str, Mapping[str, Container]], restored_at: Mapping[str, float]
) -> Data:
    """Every component that its node's role has runs, and was started after the restore: older ones hold stale caches."""
    wrong: list[str] = []
    for spec in yml.nodes:
        there = containers.get(spec.address)
        if there is None:
            wrong.append(f"{spec.address} does not answer")
            continue
        names = [name for role, names in _COMPONENTS.items() if not role or role in spec.roles for name in names]
        wrong += [
            f"{spec.address} {name}: {why}"
            for name in names
            if (why := _stale(there.get(name), restored_at[spec.address]))
        ]
    return _check("components", "All components started after the restore", wrong, "Restart them: docker restart NAME.")


def _stale(container: Container | None, restored_at: float) -> str:
    if container is None:
        return "is not there"
    if not container.running:
        return container.status
    return "" if started(container.started_at) >= restored_at else "still runs from before the restore"


def started(text: str) -> float:
    """Docker's RFC 3339 time with nanoseconds as seconds since the epoch, 0 if it is none."""
    try:
        head, _, rest = text.rstrip("Z").partition(".")
        whole = datetime.datetime.fromisoformat(head).replace(tzinfo=datetime.UTC).timestamp()
        return whole + float(f"0.{rest or 0}")
    except ValueError:
        return 0.0


def _check(name: str, good: str, wrong: Sequence[str], todo: str) -> Data:
    ok = not wrong
    return {"name": name, "ok": ok, "text": good if ok else f"{name}: {'; '.join(wrong)}", "todo": "" if ok else todo}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
