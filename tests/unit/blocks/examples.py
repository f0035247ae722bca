"""The jobs and inputs that the reference messages in tests/data/messages show, made of events at their times."""

from collections.abc import Mapping
from typing import Final

from bot.core.events import Event, EventType, Json
from bot.core.facts import S3, Copy, Form, Integrity
from bot.core.findings import Finding, Level
from bot.core.job import Job, apply
from bot.core.plans import Kind, Plan, Step, restore_steps, save_steps
from bot.core.policy import ApprovalPolicy
from bot.core.snapshots import copy_to_json
from bot.core.transitions import Writer, writer

CLUSTER: Final = "rancher-prod"
SNAPSHOT: Final = "before-upgrade"
ALICE, BO, CY = "T0/U0A1", "T0/U0B2", "T0/U0C3"
NODES: Final = ("1.1.1.1", "2.2.2.2", "4.4.4.4")
POLICY: Final = ApprovalPolicy(2, (), ("S0E1",), False, 3600, 1800)
TAKEN: Final = 1795338140.0
ASKED: Final = 1795352640.0
PLANNED: Final = 1795352681.0
SHA: Final = "e2f4bd243e389654e8c561b11f58aee0cd786b2badcb092b481bafa6eb37a295"
MIB: Final = 1024 * 1024
_TOOK: Final = (3, 24, 6, 19, 1, 122, 41, 170, 48, 52)  # seconds of each step of the restore
_SAVE_TOOK: Final = (3, 14, 5, 9)
_WRITE_YML: Final = Step("write_yml", "Write rancher-cluster.yml", "write rancher-cluster.yml", mutating=True)

YELLOW: Final = (
    Finding(
        "node-unreachable:3.3.3.3",
        Level.YELLOW,
        "3.3.3.3 does not answer. It must be powered off or fenced before the restore: if it comes back, its old etcd "
        "cannot join.",
        confirm="3.3.3.3 is powered off or fenced",
    ),
    Finding(
        "load-balancer",
        Level.YELLOW,
        "The load balancer must know 4.4.4.4 instead of 3.3.3.3. The bot cannot see the load balancer.",
        confirm="The load balancer knows 4.4.4.4",
    ),
)
GREEN: Final = Finding(
    "green",
    Level.GREEN,
    "A throwaway etcd started from the copy. Same cluster, same CA, certificates valid. 4.4.4.4 is empty, its docker "
    "is accepted. Disk, versions and leftovers are fine. A safety copy is possible.",
)
RED: Final = (
    Finding(
        "cluster-uid",
        Level.RED,
        "The snapshot is from another cluster.",
        "choose another snapshot. This finding cannot be acknowledged. The S3 folder is shared with rancher-stage.",
    ),
    Finding(
        "node-unreachable:3.3.3.3",
        Level.RED,
        "3.3.3.3 does not answer, and it is an etcd node.",
        "bring it back, or replace it, or drop it:",
    ),
)


def copy(where: str, revision: int = 1204311, sha256: str = SHA, size: float = 48.2, name: str = SNAPSHOT) -> Copy:
    """An intact copy; `size` in MiB."""
    count = int(size * MIB)
    return Copy(name, where, Form.PLAIN, count, count, TAKEN, sha256, sha256, Integrity.INTACT, revision)


class Story:
    """A job told by its events."""

    def __init__(self, job_id: str) -> None:
        self.job = Job(job_id)
        self.seen = [self.job]

    def add(self, kind: EventType, at: float, by: str = ALICE, **data: Json) -> "Story":
        """One more event by the right kind of writer."""
        return self.record(kind, at, data, by)

    def record(self, kind: EventType, at: float, data: Mapping[str, Json], by: str = ALICE) -> "Story":
        """The same with the data as one value."""
        worker = writer(kind, self.job.phase) is Writer.PROGRESS
        version = self.job.version + 1
        token = (self.job.token or 1) if worker else None
        author = "worker:w1" if worker else by
        self.job = apply(self.job, Event(kind, self.job.id, version, at, author, "run-1", f"e{version}", token, data))
        self.seen.append(self.job)
        return self

    def steps(self, start: float, took: tuple[int, ...], results: Mapping[str, Mapping[str, Json]]) -> float:
        """Run the next steps to their end; when the last one ended."""
        for seconds in took:
            index = self.job.current
            assert index is not None
            result = results.get(self.job.steps[index].step.kind, {})
            self.add(EventType.STEP_STARTED, start, step=index, attempt=1)
            start += seconds
            self.add(EventType.STEP_SUCCEEDED, start, step=index, attempt=1, result=result)
        return start


# --- a save


SAVE_RESULTS: Final[Mapping[str, Mapping[str, Json]]] = {
    "check": {"rke": "v0.1.20", "etcd": ["1.1.1.1", "2.2.2.2", "3.3.3.3"], "skipped": []}
}


def save(results: Mapping[str, Mapping[str, Json]] = SAVE_RESULTS, done: int = 1) -> Story:
    """A claimed save whose first steps are done."""
    story = Story("1b20c4de")
    plan = Plan(Kind.SAVE, CLUSTER, SNAPSHOT, save_steps())
    asked: dict[str, Json] = {"kind": "save", "cluster": CLUSTER, "snapshot": SNAPSHOT, "channel": "C0OPS"}
    story.record(EventType.REQUESTED, 1795338135, asked | {"plan": plan.to_json()})
    story.add(EventType.QUEUED, 1795338135, execute_by=0).add(EventType.CLAIMED, 1795338136, lost_for=0)
    story.steps(1795338136, _SAVE_TOOK[:done], results)
    return story


def save_running() -> Story:
    """03."""
    return save().add(EventType.STEP_STARTED, 1795338139, step=1, attempt=1)


SAVE_LINES: Final = {"1.1.1.1": "file written    6 s", "2.2.2.2": "saving          4 s"}


def _saved(*copies: Copy) -> list[Json]:
    return [copy_to_json(one) for one in copies]


def save_succeeded() -> Story:
    """04."""
    nodes = (
        copy("1.1.1.1", sha256="676b8bb84ce7" + "0" * 52),
        copy("2.2.2.2"),
        copy("3.3.3.3", 1204309, "8721d664ef60" + "0" * 52),
    )
    off_site = copy(S3)
    results: Mapping[str, Mapping[str, Json]] = {
        **SAVE_RESULTS,
        "rke_save": {"status": 0, "warnings": [], "tail": [], "error": ""},
        "check_copies": {"copies": _saved(*nodes), "missing": []},
        "store": {"copy": copy_to_json(off_site), "from": "2.2.2.2", "problem": ""},
    }
    verdict: Mapping[str, Json] = {
        "copies": _saved(*nodes, off_site),
        "etcd_nodes": ["1.1.1.1", "2.2.2.2", "3.3.3.3"],
        "problems": [],
        "seconds": 31,
    }
    return save(results, 4).record(EventType.SUCCEEDED, 1795338167, verdict)


SSH_ERROR: Final = (
    "Failed to set up SSH tunneling for host [3.3.3.3]: Failed to dial ssh using address [3.3.3.3:22]: i/o timeout"
)


def save_partial() -> Story:
    """05."""
    nodes, off_site = (copy("1.1.1.1"), copy("2.2.2.2")), copy(S3)
    results: Mapping[str, Mapping[str, Json]] = {
        "check": {
            "etcd": ["1.1.1.1", "2.2.2.2", "3.3.3.3"],
            "skipped": [{"node": "3.3.3.3", "why": "SSH timed out"}],
        },
        "rke_save": {"status": 0, "warnings": [SSH_ERROR], "tail": [SSH_ERROR], "error": ""},
        "check_copies": {"copies": _saved(*nodes), "missing": [{"node": "3.3.3.3", "why": "SSH timed out"}]},
        "store": {"copy": copy_to_json(off_site), "from": "2.2.2.2", "problem": ""},
    }
    problem = {
        "where": "3.3.3.3",
        "what": "3.3.3.3 could not be reached, so it has no copy.",
        "todo": "Check that 3.3.3.3 runs and answers on port 22, then save again.",
    }
    verdict: Mapping[str, Json] = {
        "copies": _saved(*nodes, off_site),
        "etcd_nodes": ["1.1.1.1", "2.2.2.2", "3.3.3.3"],
        "problems": [problem],
        "seconds": 52,
    }
    return save(results, 4).record(EventType.PARTIAL, 1795338188, verdict)


# --- a restore


def plan(*findings: Finding) -> Plan:
    """The plan of the restore: ten steps, as one with a node to replace has them."""
    steps = list(restore_steps(rke_restarts=False))
    steps.insert(4, _WRITE_YML)
    pins: dict[str, Json] = {"sha256": SHA, "source": S3, "rke": "ab" * 32, "rke_version": "v0.1.20", "safety": True}
    notes: dict[str, Json] = {
        "copy": copy_to_json(copy(S3)),
        "etcd_nodes": list(NODES),
        "nodes": [{"address": node, "roles": ["controlplane", "etcd", "worker"]} for node in NODES],
        "kubernetes_version": "v1.13.5-rancher1-2",
        "taken_at": TAKEN,
        "stale": False,
    }
    return Plan(Kind.RESTORE, CLUSTER, SNAPSHOT, tuple(steps), pins, notes, findings)


def gathering() -> Story:
    """08."""
    asked: dict[str, Json] = {"kind": "restore", "cluster": CLUSTER, "snapshot": SNAPSHOT, "channel": "C0OPS"}
    reason = "Upgrade broke the ingress, rollback did not help."
    return Story("7f3a91c2").record(EventType.REQUESTED, ASKED, asked | {"reason": reason})


CHECK_LINES: Final = {"check:1": "done, 2 s", "check:2": "done, 3 s", "check:3": "running", "1.1.1.1": "intact"}


def voting(*findings: Finding) -> Story:
    """09."""
    found = findings or (*YELLOW, GREEN)
    return gathering().add(
        EventType.PLANNED, PLANNED, plan=plan(*found).to_json(), policy=POLICY.to_json(), expires_at=PLANNED + 3600
    )


def blocked() -> Story:
    """10."""
    return gathering().add(
        EventType.BLOCKED,
        PLANNED,
        plan=plan(*RED, YELLOW[0], GREEN).to_json(),
        policy=POLICY.to_json(),
        expires_at=PLANNED + 3600,
    )


def vote(story: Story, who: str, at: float, verdict: str = "approve", reason: str = "") -> Story:
    """One more vote; an approval confirms every yellow finding."""
    assert story.job.plan
    yellow = [f.id for f in story.job.plan.findings if f.level is Level.YELLOW]
    return story.add(
        EventType.VOTE_CAST,
        at,
        by=who,
        verdict=verdict,
        digest=story.job.plan.digest,
        reason=reason,
        acknowledged=yellow if verdict == "approve" else [],
    )


def first_vote() -> Story:
    """11."""
    return vote(voting(), BO, 1795352840)


def denied() -> Story:
    """12."""
    reason = "Ingress is fixed by hand since 13:05. A restore would throw away the fix."
    story = vote(first_vote(), CY, 1795352942, "deny", reason)
    return story.add(EventType.DENIED, 1795352942, by=CY, reason=reason)


def expired() -> Story:
    """13."""
    return first_vote().add(EventType.EXPIRED, 1795356281, by="clock", which="approval")


SAFETY: Final = copy("1.1.1.1", size=49.0, name="safety-7f3a91c2")
RESULTS: Final[Mapping[str, Mapping[str, Json]]] = {
    "safety_copy": {"copy": copy_to_json(SAFETY), "on": ["1.1.1.1", "2.2.2.2"], "off_site": True, "problem": ""},
    "rke_restore": {"status": 0, "warnings": [], "tail": []},
}


def running(done: int, *, results: Mapping[str, Mapping[str, Json]] = RESULTS) -> Story:
    """An approved and claimed restore whose first steps are done; the next one has been started."""
    story = vote(first_vote(), CY, 1795353005)
    assert story.job.plan
    story.add(EventType.APPROVED, 1795353005, by=CY, digest=story.job.plan.digest, execute_by=1795354805.0)
    story.add(EventType.QUEUED, 1795353005, by=CY, execute_by=1795354805.0)
    story.add(EventType.CLAIMED, 1795353006, lost_for=0)
    at = story.steps(1795353006, _TOOK[:done], results)
    return story.add(EventType.STEP_STARTED, at, step=done, attempt=1) if done < len(_TOOK) else story


RESTORE_LINES: Final = {
    "1.1.1.1": "restored               31 s",
    "2.2.2.2": "restoring              38 s",
    "4.4.4.4": "waiting",
}
STAGE_LINES: Final = {
    "1.1.1.1": "equal bytes        intact",
    "2.2.2.2": "copying     31 of 48 MiB",
    "4.4.4.4": "equal bytes        intact",
}
RESUMED_LINES: Final = {
    "1.1.1.1": "restored               31 s",
    "2.2.2.2": "restored               44 s",
    "4.4.4.4": "restoring              29 s",
}
FAILED_LINES: Final = {"1.1.1.1": "restored  31 s", "2.2.2.2": "failed    50 s", "4.4.4.4": "not started"}


def resumed() -> Story:
    """15b."""
    return running(5).add(EventType.CLAIMED, 1795353168, lost_for=33)


RKE_ERROR: Final = (
    "Error waiting for container [etcd-restore] on host [2.2.2.2]: Cannot connect to the Docker daemon at "
    "unix:///var/run/docker.sock."
)
DECODED: Final = (
    "This message misleads: docker on 2.2.2.2 answers. rke v0.1.20 gives each node 50 s, and 2.2.2.2 took longer. Its "
    "disk is slow: 9 MB/s."
)
STATE: Final = (
    "node     etcd    data        snapshot",
    "1.1.1.1  absent  restored    intact",
    "2.2.2.2  absent  half done   intact",
    "4.4.4.4  absent  empty       intact",
)


def asking() -> Story:
    """16."""
    story = running(5)
    told: dict[str, Json] = {"error": RKE_ERROR, "todo": DECODED, "lines": [], "result": {"destroyed": True}}
    story.record(EventType.STEP_FAILED, 1795353150, {"step": 5, "attempt": 1, **told})
    return story.add(
        EventType.NEEDS_HUMAN,
        1795353150,
        what="rke failed on 2.2.2.2. No etcd runs, the Kubernetes API is down.",
        todo="",
        lines=list(STATE),
        choices=["again", "hand-over"],
        no_return=True,
    )


CHECKS: Final = (
    ("members", "3 members, one leader, no alarms: 1.1.1.1, 2.2.2.2, 4.4.4.4"),
    ("equal data", "Same data on every member: hash of all keys at revision 1,204,402 is equal"),
    ("write and read", "A key was written and read through every member"),
    ("API servers", "API server answers on all 3 controlplane nodes"),
    ("components", "All components started after the restore"),
    ("nodes Ready, leases renewed after the restart", "3 of 3 nodes Ready, their leases renewed after the restart"),
    ("Rancher", "Rancher answers"),
)
NOT_READY: Final = (
    "1.1.1.1  Ready      renewed 4 s ago\n2.2.2.2  Ready      renewed 7 s ago\n4.4.4.4  NotReady   never renewed"
)


def _checks(bad: int | None = None) -> list[Json]:
    return [
        {
            "name": name,
            "ok": index != bad,
            "text": text if index != bad else NOT_READY,
            "todo": "" if index != bad else "Let 4.4.4.4 reach the image registry.",
        }
        for index, (name, text) in enumerate(CHECKS)
    ]


def succeeded() -> Story:
    """17."""
    left = ["Keep 3.3.3.3 off, or clean it before it comes back.", "Tell the owners of applications."]
    return running(10, results={**RESULTS, "verify": {"checks": _checks()}}).add(
        EventType.SUCCEEDED, 1795353492, checks=_checks(), left=list(left), seconds=486
    )


def partial() -> Story:
    """18."""
    return running(10, results={**RESULTS, "verify": {"checks": _checks(5)}}).add(
        EventType.PARTIAL, 1795353548, checks=_checks(5), left=[], seconds=542
    )


def cancelled() -> Story:
    """19."""
    done = [
        "Rolling snapshots run again on 3 nodes.",
        "Staged files are removed from 1.1.1.1, 2.2.2.2 and 4.4.4.4.",
        "rancher-cluster.yml was never changed.",
    ]
    story = running(3).add(EventType.CANCEL_REQUESTED, 1795353052)
    return story.add(EventType.CANCELLED, 1795353058, done=list(done))
