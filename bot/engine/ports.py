"""What the engine needs of the outside. Each protocol is implemented by one adapter and tested against the
real thing.

Unless said otherwise a call that gets no answer in time raises Unreachable, a mutating call of a worker that
has been replaced raises Fenced, and every call has a deadline of its own.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bot.core.cluster import Cluster
from bot.core.events import Data, Draft, Event
from bot.core.facts import ClusterYml, Container, Copy, Member, NodeFacts, NodeSpec, RkeFacts
from bot.core.job import Job


class Lane(StrEnum):
    """run: one job at a time per cluster; read: gathering and queries, one lease each, never waits for run."""

    RUN = "run"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's time-limited right to act. `scope` is the cluster (run lane) or the job or query (read
    lane); `until` is in seconds of the worker's own monotonic clock, a margin before the lease really ends.
    `lost_for` is how long ago (seconds) the previous worker's lease ended, 0 if this is no take-over.
    """

    lane: Lane
    scope: str
    owner: str
    token: int
    job: str
    until: float
    run_id: str
    lost_for: float = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A journal as read in one go: the folded job, the mac of its last event, Redis' time (seconds) and
    run_id.
    """

    job: Job
    head_mac: str
    now: float
    run_id: str


class Journal(Protocol):
    """The append-only events of jobs, and the indexes derived from them."""

    async def read(self, job_id: str) -> Page:
        """The whole journal of a job, its chain verified. A job that does not exist reads as version 0, phase
        new.
        """

    async def history(self, job_id: str) -> tuple[Event, ...]:
        """All events of a job, verified."""

    async def macs(self, job_id: str) -> tuple[str, ...]:
        """The macs of all events of a job, as recorded, in order."""

    async def decide(self, page: Page, by: str, drafts: Sequence[Draft]) -> Page:
        """Append as a person or the clock; durable when it returns. Raises Conflict if the journal is not at
        `page` any more.
        """

    async def progress(self, lease: Lease, page: Page, drafts: Sequence[Draft]) -> Page:
        """Append as a worker; durable when it returns where the protocol needs it. Raises Conflict or Fenced
        (lease lost).
        """


class Queue(Protocol):
    """Leases and lanes."""

    async def claim(self, lane: Lane) -> Lease | None:
        """The next lease of that lane, a dead worker's first; None when nothing is ready."""

    async def renew(self, lease: Lease, floor: int = 0, *, retoken: bool = False) -> tuple[Lease, int]:
        """The lease prolonged, and the head version of its job's journal. With `floor` or `retoken` it gets a
        higher token (above `floor`). Raises Fenced if the lease has passed to somebody else.
        """

    async def release(self, lease: Lease) -> None:
        """Give the lease back; nothing happens if it is not ours any more."""

    async def wait(self, lane: Lane, seconds: float) -> None:
        """Return when something may be ready in that lane, at the latest after `seconds`."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of the right to act, checked and raised on every machine a mutating command runs on. `job`,
    `version` and `mac` are the marker of the journal, kept on the RKE host.
    """

    cluster: str
    token: int
    owner: str
    job: str
    version: int
    mac: str


@dataclass(frozen=True, slots=True)
class Mark:
    """The marker a machine holds: the newest journal state it was told."""

    job: str
    version: int
    mac: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One launch of a detached command; its directory on the RKE host bears these three."""

    job: str
    step: int
    attempt: int


class AttemptState(StrEnum):
    """What the RKE host knows of an attempt (protocol.md's table)."""

    NEVER = "never launched"
    RUNNING = "running"
    ENDED = "ended"
    DIED = "died half-way"


class Launch(StrEnum):
    """Answer to a launch. BUSY: somebody else's rke holds the cluster's lock, nothing was started."""

    STARTED = "started"
    ALREADY = "already started"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Observation:
    """An attempt as read under its lock. `status` is the exit status once it has ended; `output` is stdout
    and stderr from the asked offset on (bytes, bounded); `size` is the size of the whole output.
    """

    state: AttemptState
    status: int | None
    output: bytes
    size: int


class RkeHost(Protocol):
    """The machine with rke, rancher-cluster.yml and the state file of one cluster."""

    async def look(self) -> RkeFacts:
        """Rke's version, the yml and the state. Refused when there is no readable yml or no rke, with what to
        do.
        """

    async def raise_fence(self) -> Mark | None:
        """Raise the fence to our token; the marker that is there. Compare it with the journal before any change: the
        next one under this token moves the marker to our journal. Until then it stays, and is answered again.
        """

    async def back_up(self, suffix: str) -> tuple[str, ...]:
        """Copy yml and state file beside themselves with that suffix (skipped where the copy is there and
        equal); the names made.
        """

    async def busy(self) -> bool:
        """Somebody holds the cluster's lock beside the yml: another rke, or a person's terminal."""

    async def launch(self, attempt: Attempt, arguments: Sequence[str]) -> Launch:
        """Start `rke <arguments>` detached in the yml's directory, at most once per attempt. Returns when it
        is recorded as started.
        """

    async def observe(self, attempt: Attempt, offset: int) -> Observation:
        """The state of an attempt and its output from byte `offset` on."""

    async def running(self, job: str) -> tuple[Attempt, ...]:
        """The attempts of that job that still run."""


class Node(Protocol):
    """One node of a cluster."""

    spec: NodeSpec

    async def raise_fence(self) -> None:
        """Outdate earlier owners on this node; waits while one of their commands still runs."""

    async def look(self) -> NodeFacts:
        """Reachability, docker, containers, disk, clock. Never raises for a node that does not answer:
        `error` says why.
        """

    async def copies(self) -> tuple[Copy, ...]:
        """The snapshot files here, unchecked; temporary files and the PKI bundle left out."""

    async def check_copy(self, name: str) -> Copy | None:
        """One file read back: sha256, trailing hash, revision; None when it is not here. Both forms are
        looked for.
        """

    def read_copy(self, copy: Copy) -> AsyncIterator[bytes]:
        """The bytes of that file."""

    async def write_copy(self, copy: Copy, chunks: AsyncIterator[bytes]) -> None:
        """Write the file under its name: directory made, temporary name, sha256 checked against
        `copy.file_sha256`, fsync, rename, 0600 of root; a copy of the other form is moved aside. Raises
        Retryable when the bytes did not arrive whole.
        """

    async def safety_copy(self, name: str) -> Copy:
        """Save today's data of this member by a one-shot etcdctl in a container of the node's own etcd image
        (works without quorum), under a temporary name, then renamed; the copy, read back. An intact copy of
        that name that is there is kept.
        """

    async def containers(self) -> Mapping[str, Container]:
        """All containers, running or not, by name."""

    async def restart(self, names: Sequence[str]) -> Mapping[str, str]:
        """`docker restart` each; name -> "" or Docker's error. A container that is gone ("No such container")
        is no error.
        """

    async def stop(self, names: Sequence[str]) -> Mapping[str, str]:
        """`docker stop` each; like restart."""

    async def remove(self, names: Sequence[str]) -> Mapping[str, str]:
        """`docker rm -f` each; like restart."""

    async def member(self) -> Member:
        """Etcd's member of this node, asked on the node. Never raises: `error` says why."""

    async def hash_at(self, revision: int) -> int:
        """Hashkv of this member at that revision."""

    async def put_and_read(self, key: str, value: str) -> str:
        """Write a key through this member and read it back through it; what was read."""

    async def remove_key(self, key: str) -> None:
        """Delete a key written by put_and_read."""

    async def api_health(self) -> str:
        """Ask this controlplane node's API server for its health with a client certificate, on the node; ""
        when it says ok, else what it said.
        """


class Site(Protocol):
    """One cluster's machines, for the duration of one job or query; connections are reused."""

    host: RkeHost

    def read_yml(self, facts: RkeFacts) -> ClusterYml:
        """The nodes of the yml just read; the site reaches them from now on. Refused when it cannot be used,
        with what to do.
        """

    def node(self, spec: NodeSpec) -> Node:
        """That node."""


class Sites(Protocol):
    """Opens sites."""

    def open(self, cluster: Cluster, fence: Callable[[], Fence] | None) -> AbstractAsyncContextManager[Site]:
        """The cluster's machines. Without a fence every mutating call raises Fatal."""


class Store(Protocol):
    """Off-site copies."""

    async def copies(self, cluster: str) -> tuple[Copy, ...]:
        """The copies of that cluster's snapshots; integrity, sha256 and revision as recorded when they were
        put.
        """

    async def put(self, cluster: str, copy: Copy, chunks: AsyncIterator[bytes]) -> Copy:
        """Store the bytes of `copy` (read from a node) with their sha256; the stored copy, checked by length
        and checksum. A name that is taken by other bytes is Refused.
        """

    def get(self, cluster: str, copy: Copy) -> AsyncIterator[bytes]:
        """The bytes of a stored copy, of exactly that version id where there is one."""


class Side(Protocol):
    """What is shown but is no event: progress lines of nodes and the output of commands."""

    async def line(self, job: str, key: str, words: str) -> None:
        """Set the progress line of a node (or fact) in the running step."""

    async def clear(self, job: str) -> None:
        """Forget all lines: a new step begins."""

    async def lines(self, job: str) -> Mapping[str, str]:
        """The progress lines, in the order in which they were first set."""

    async def output(self, attempt: Attempt, offset: int, data: bytes) -> int:
        """Append output at `offset` if that is its length so far; the length after it, in bytes. Of very long
        output only the end is kept.
        """

    async def tail(self, attempt: Attempt, size: int) -> bytes:
        """The last `size` bytes of the output."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What Slack shows of a job: the living message (`channel`, `ts`; empty before it was posted), the
    version of the job it shows, the version up to which thread replies were sent, `dms` as user id ->
    (channel, ts), and whether Slack refused the rich blocks.
    """

    channel: str = ""
    ts: str = ""
    shown: int = 0
    replied: int = 0
    dms: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A job or query whose projection may be behind. `number` grows with every change and is handed back to
    `settled`.
    """

    id: str
    number: int


@dataclass(frozen=True, slots=True)
class Query:
    """A read that answers now. `replaces` is the ts of the message it renews, "" to post a new one. `result` is None
    until a worker has answered; then it is what `engine/reads.py` says.
    """

    id: str
    what: str
    cluster: str
    channel: str
    person: str
    replaces: str = ""
    result: Data | None = None


class Outbox(Protocol):
    """What the reporter needs: who reports, what changed, what Slack was told, and the workspace's budget."""

    async def lead(self, owner: str, seconds: float) -> bool:
        """Become or stay the one reporter for `seconds`; False while another one is."""

    async def changed(self) -> tuple[Change, ...]:
        """Jobs and queries whose projection may be behind, the oldest change first."""

    async def settled(self, change: Change) -> None:
        """The projection is right up to that change; a newer change stays."""

    async def wait(self, seconds: float) -> None:
        """Return when something changed, at the latest after `seconds`."""

    async def projection(self, job: str) -> Projection:
        """What Slack was told of that job."""

    async def store(self, job: str, projection: Projection) -> None:
        """Remember it."""

    async def take(self, method: str, per_minute: int) -> float:
        """Take one call from the workspace's budget: 0 if it may be made now, else the seconds to wait."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Who has a cluster: `hold` and `job` are job ids ("" if none), `alive` says whether the worker's lease
    still stands, `waiting` are the queued jobs in order.
    """

    hold: str = ""
    job: str = ""
    alive: bool = False
    waiting: tuple[str, ...] = ()


class Index(Protocol):
    """Derived facts about jobs, and queries."""

    async def open_jobs(self) -> tuple[str, ...]:
        """Jobs that have not ended, oldest first."""

    async def ended_jobs(self, limit: int) -> tuple[str, ...]:
        """Jobs that have ended, newest first."""

    async def occupancy(self, cluster: str) -> Occupancy:
        """Who has that cluster now."""

    async def due(self) -> tuple[str, ...]:
        """Jobs whose deadline has passed."""

    async def ask(self, query: Query) -> bool:
        """Queue a query for the read lane; False if one of that id was asked before."""

    async def query(self, query_id: str) -> Query | None:
        """A query, with its result once there is one; forgotten some time after it was asked."""

    async def answer(self, lease: Lease, query: Query, result: Data) -> None:
        """Store the result, done by the query's lease holder, and let the reporter know."""
