"""What a restore checks before anybody may approve it, as far as one look at machines and stores can answer.

A finding says a fact, and what to do about it; red ones block the plan, yellow ones every approver must confirm.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.core import snapshots
from bot.core.facts import S3, Access, ClusterYml, Container, Copy, Form, Integrity, Member, NodeFacts, RkeFacts, Unread
from bot.core.findings import Finding, Level

MIB: Final = 2**20
_SPARE: Final = 256 * MIB  # etcd preallocates its WAL, rke unpacks beside the snapshot
_SKEW: Final = 30.0  # seconds
_APART: Final = 900.0  # seconds between copies of one save, generously: rke takes them one node after the other
_OLDEST_RKE: Final = (0, 1, 7)  # the first release with `rke etcd`

# One-shot containers of rke that block or falsify a run when they are left over (rke v0.1.7 to v1.6.3).
LEFTOVERS: Final = frozenset(
    {
        "cert-deployer",
        "etcd-Serve-backup",
        "etcd-checksum-checker",
        "etcd-download-backup",
        "etcd-extract-statefile",
        "etcd-fix-perm",
        "etcd-remove-snapshot",
        "etcd-restore",
        "etcd-snapshot-once",
        "kube-cleaner",
        "rke-bundle-cert",
        "rke-log-cleaner",
        "rke-log-linker",
    }
)
ROLLING: Final = "etcd-rolling-snapshots"
_LOCAL_TO_RKE: Final = re.compile(
    r"^c-[a-z0-9].*?-.l-"
)  # rke v0.2.0 to v1.0.x, services.IsLocalSnapshot: Rancher's own names


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything the checks look at. `asked` is what the etcd members said, `copies` are those of the snapshot `name`,
    read back; `unread` could not be, of `name` or of a newer snapshot that `latest` passed over. `now` is in seconds.
    """

    rke: RkeFacts
    yml: ClusterYml
    nodes: Sequence[NodeFacts]
    asked: Sequence[Member]
    copies: Sequence[Copy]
    name: str
    s3_error: str
    now: float
    run_active: bool
    unread: Sequence[Unread] = ()

    @property
    def etcd(self) -> tuple[NodeFacts, ...]:
        """The etcd nodes, reachable or not."""
        return tuple(facts for facts in self.nodes if "etcd" in facts.node.roles)

    @property
    def members(self) -> tuple[str, ...]:
        """Addresses of the etcd nodes whose member can be saved: it answers, and the file can be written. That the
        container runs says nothing: etcd restarts for ever in it when its data is broken.
        """
        able = {f.node.address for f in self.etcd if f.reachable and f.access is not Access.NONE}
        return tuple(member.address for member in self.asked if not member.error and member.address in able)

    @property
    def fitting(self) -> tuple[Copy, ...]:
        """Copies in the form this rke restores: v0.1.x knows the plain file only, later ones both."""
        return tuple(copy for copy in self.copies if copy.form is Form.PLAIN or not self.rke.legacy)

    @property
    def source(self) -> Copy | None:
        """The copy to restore, None if there is no intact one in the right form."""
        intact = [copy for copy in self.fitting if copy.integrity is Integrity.INTACT]
        return snapshots.best(intact) if intact else None


_REPLACED: Final = frozenset(
    f"old-{name}"
    for name in ("etcd", "kubelet", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
)  # rke renames what it replaces


def leftovers(containers: Mapping[str, Container]) -> tuple[str, ...]:
    """Names of rke's helper containers that earlier runs have left on a node."""
    return tuple(sorted(name for name in containers if name in LEFTOVERS or name in _REPLACED))


def _red(check: str, text: str, todo: str) -> Finding:
    return Finding(check, Level.RED, text, todo)


def _yellow(check: str, text: str, confirm: str, todo: str = "") -> Finding:
    return Finding(check, Level.YELLOW, text, todo, confirm)


def _green(check: str, text: str) -> Finding:
    return Finding(check, Level.GREEN, text)


def runs(facts: NodeFacts, name: str) -> bool:
    """Whether that container runs on the node."""
    container = facts.containers.get(name)
    return container is not None and container.running


def _snapshot(seen: Gathered) -> Iterator[Finding]:
    """Is there an intact copy, and is it clear which one is meant?"""
    source = seen.source
    if source:
        yield _green("snapshot", _intact(source))
        yield from _differences(seen, source)
    elif not seen.copies and any(unread.name == seen.name for unread in seen.unread):
        yield _red("snapshot-unread", f"No copy of {seen.name} could be read.", "See below what failed.")
    elif not seen.copies:
        asked = "etcd nodes that answered" + ("" if seen.s3_error else " or off-site")
        what = "No snapshot has an intact copy" if seen.name == snapshots.LATEST else f"{seen.name} has no copy"
        yield _red(
            "snapshot-missing", f"{what} on the {asked}.", "Type /etcd-snapshot list and choose another snapshot."
        )
    elif any(copy.integrity is Integrity.INTACT for copy in seen.copies):
        what = f"{seen.name} is a zip file everywhere, and rke {seen.rke.version} restores plain files only."
        yield _red("snapshot-form", what, "Choose a snapshot that this rke has made.")
    else:
        yield _red("snapshot-corrupt", f"No copy of {seen.name} is intact.", "Choose another snapshot.")
    for copy in seen.copies:
        if copy.integrity is not Integrity.INTACT:
            why = f" ({copy.problem})" if copy.problem else ""
            then = " The intact copy replaces it." if source and copy.where != S3 else ""
            text = f"The copy {snapshots.places([copy.where])} is {copy.integrity.value}{why}.{then}"
            yield (
                _green(f"copy-{copy.where}", text)
                if source
                else _red(f"copy-{copy.where}", text, "Choose another snapshot.")
            )


def _unread(seen: Gathered) -> Iterator[Finding]:
    """Copies nobody could look at: what they hold is not known, so people decide whether to go on without them."""
    locked = {facts.node.address for facts in seen.etcd if facts.access is Access.NONE}  # has a finding of its own
    left = [unread for unread in seen.unread if unread.where not in locked]
    for unread in (unread for unread in left if unread.name == seen.name):
        text = _sentence(f"The copy on {unread.where} could not be read: {unread.why}")
        if seen.source:
            yield _yellow(f"unread:{unread.where}", text, f"The restore may go on without the copy on {unread.where}.")
        else:
            yield _red(f"unread:{unread.where}", text, "Correct that, then press Check again.")
    if passed := [unread for unread in left if unread.name != seen.name]:
        first, names = passed[0], list(dict.fromkeys(unread.name for unread in passed))
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        what = f"{names[0]}{more} may be newer, but could not be read, on {first.where} for one: {first.why}"
        yield _yellow(
            "latest", _sentence(what), f"{seen.name} is the snapshot that is meant.", "Or ask for it by name."
        )


def _intact(source: Copy) -> str:
    """What is known of the copy that is taken: nodes read theirs back, S3 vouches for what it was given."""
    revision = "" if source.revision is None else f", revision {source.revision:,}"
    size = f"{source.size / MIB:.1f} MiB" if source.size >= MIB else f"{source.size / 1024:.1f} KiB"
    if source.where == S3:
        return f"The copy off-site was intact when it was stored, and S3 holds it whole: {size}{revision}."
    return f"The copy {snapshots.places([source.where])} was read back and is intact: {size}{revision}."


def _differences(seen: Gathered, source: Copy) -> Iterator[Finding]:
    """Copies of one name may differ (F3): say why, and which one counts."""
    intact = [copy for copy in seen.fitting if copy.integrity is Integrity.INTACT]
    if len({copy.sha256 for copy in intact}) < 2:
        return
    times = [copy.taken_at for copy in intact]
    where = snapshots.places([source.where])
    if max(times) - min(times) > _APART:
        minutes = round((max(times) - min(times)) / 60)
        text = (
            f"The copies of {seen.name} differ and were written {minutes} min apart: the name may have been used twice."
        )
        yield _yellow(
            "copies-apart", text, f"The copy {where} is the one that is meant.", "Compare its age with what you want."
        )
    else:
        text = "The copies differ because every etcd member takes its own snapshot."
        yield _green("copies-differ", f"{text} The one {where} is put on all nodes.")


def _off_site(seen: Gathered) -> Iterator[Finding]:
    if seen.s3_error:
        text = f"{_sentence(seen.s3_error)} The safety copy will be on the nodes only."
        yield _yellow(
            "s3", text, "The restore may go on without an off-site safety copy.", "Or wait until S3 works again."
        )


def _rke(seen: Gathered) -> Iterator[Finding]:
    """Is this an rke, a state and a yml that a restore works with?"""
    rke, yml = seen.rke, seen.yml
    if rke.family == (0, 0, 0):
        yield _red(
            "rke-version", f"The version of rke cannot be read: {rke.version!r}.", "Look at rke on the RKE host."
        )
    elif rke.family < _OLDEST_RKE:
        yield _red(
            "rke-version", f"rke {rke.version} cannot restore snapshots.", "Use rke v0.1.7 or later on the RKE host."
        )
    elif rke.legacy and not rke.kube_config:
        text = "kube_config is not beside rancher-cluster.yml, so rke up takes the cluster for a new one."
        yield _yellow(
            "kube-config", text, "rke finds the certificates in /etc/kubernetes/.tmp.", "Better put the file back."
        )
    elif not rke.legacy and not rke.state_sha256:
        text = "rke's state file is not beside rancher-cluster.yml: rke would make new certificates that etcd refuses."
        yield _red("state-file", text, "Put the .rkestate file back beside rancher-cluster.yml.")
    else:
        yield _green("rke", f"rke {rke.version} and its files are as a restore needs them.")
    if yml.ssh_agent_auth:
        text = "ssh_agent_auth is set in rancher-cluster.yml, but rke runs without anybody's SSH agent."
        yield _red("ssh-agent", text, "Give rke a key: ssh_key_path instead of ssh_agent_auth.")
    if not rke.legacy:
        yield from _backup_config(seen)


def _backup_config(seen: Gathered) -> Iterator[Finding]:
    """What rke v0.2 and later makes of backup_config at a restore (F31, F32)."""
    if seen.yml.s3_backup_config:
        text = "s3backupconfig is set: rke would download its own object of that name over the chosen copy."
        yield _red("rke-s3", text, "Take s3backupconfig out of rancher-cluster.yml until the restore has ended.")
    elif seen.yml.backup_config and seen.rke.family < (1, 1, 0) and not _LOCAL_TO_RKE.match(seen.name):
        text = f"backup_config without S3 makes rke {seen.rke.version} refuse to restore a snapshot of this name."
        yield _red("backup-config", text, "Take backup_config out of rancher-cluster.yml until the restore has ended.")


def _nodes(seen: Gathered) -> Iterator[Finding]:
    """Does every node answer, and can root's files be read?"""
    for facts in seen.nodes:
        address = facts.node.address
        if facts.reachable:
            if facts.access is Access.NONE and "etcd" in facts.node.roles:
                text = f"The snapshot files on {address} belong to root and cannot be reached."
                yield _red(f"access:{address}", text, f"Let {facts.node.user} run sudo -n there, or docker containers.")
            continue
        roles = [role for role in ("etcd", "controlplane") if role in facts.node.roles]
        if roles:
            kind = f"{'an' if roles[0] == 'etcd' else 'a'} {' and '.join(roles)} node"
            text = f"{address} does not answer, and it is {kind}: {facts.error}"
            todo = "Bring it back, then press Check again. rke would leave it out and build a smaller cluster."
            yield _red(f"unreachable:{address}", _sentence(text), todo)
        else:
            text = (
                _sentence(f"{address} does not answer: {facts.error}")
                + " It is a worker; rke up will end as incomplete."
            )
            yield _yellow(f"unreachable:{address}", text, f"{address} may stay out until it is brought back.")
    if all(facts.reachable for facts in seen.nodes):
        yield _green("nodes", f"All {len(seen.nodes)} nodes answer over SSH, and so does docker on them.")


def _disk(seen: Gathered) -> Iterator[Finding]:
    """Room for the snapshot and for the database (F8), by the size of the database."""
    if seen.source is None:
        return
    size, full = seen.source.size, False
    for facts in (facts for facts in seen.etcd if facts.reachable):
        rooms = (
            ("disk-snapshots", "/opt/rke", facts.free_snapshots, 2 * size + _SPARE),
            ("disk-data", "etcd's data", facts.free_data, size + _SPARE),
        )
        for check, what, free, needed in rooms:
            if free < needed:
                full = True
                short = f"{free / MIB:,.0f} MiB free for {what}, {needed / MIB:,.0f} MiB are needed"
                address = facts.node.address
                yield _red(f"{check}:{address}", f"{address} has {short}.", "Make room there, then press Check again.")
    if not full:
        yield _green("disk", "There is room for the snapshot and the database on every etcd node that answers.")


def _containers(seen: Gathered) -> Iterator[Finding]:
    """Helpers of earlier runs (F4, F26), and rolling snapshots."""
    for facts in seen.nodes:
        left = leftovers(facts.containers)
        if not left:
            continue
        names, address = ", ".join(left), facts.node.address
        if any(facts.containers[name].running for name in left):
            text = f"{names} of an earlier or present rke run is on {address} and runs. The plan removes it."
            yield _yellow(f"leftovers:{address}", text, f"Nobody runs rke by hand on the cluster of {address} now.")
        else:
            yield _green(f"leftovers:{address}", f"{names} is left over on {address}. The plan removes it.")
    if any(runs(facts, ROLLING) for facts in seen.etcd):
        yield _green("rolling", f"{ROLLING} is stopped before the restore; rke starts it again.")


def _safety(seen: Gathered) -> Iterator[Finding]:
    """Can today's data be saved first?"""
    able, all_ = len(seen.members), len(seen.etcd)
    if not able:
        text = "No etcd member answers, so today's data cannot be saved before it is replaced: there is no way back."
        yield _yellow("no-safety-copy", text, "Today's data may be lost for good.")
    elif able <= all_ // 2:
        text = f"{able} of {all_} etcd members answer, which is no quorum: the safety copy may lack the newest writes."
        yield _yellow("no-quorum", text, "The safety copy may lack the newest writes.")
    else:
        yield _green("safety-copy", f"A safety copy is possible: etcd answers on {able} of {all_} nodes.")


def _clocks(seen: Gathered) -> Iterator[Finding]:
    for facts in (facts for facts in seen.nodes if facts.reachable and facts.clock):
        off = facts.clock - seen.now
        if abs(off) > _SKEW:
            text = f"The clock of {facts.node.address} is {abs(off):,.0f} s {'ahead' if off > 0 else 'behind'}."
            yield _yellow(
                f"clock:{facts.node.address}", text, "The clock may be wrong during the restore.", "Better set it."
            )


def _busy(seen: Gathered) -> Iterator[Finding]:
    if seen.run_active:
        text = "Another job ran on the cluster while this was checked. All is checked again before the first change."
        yield _green("stale", text)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else text + "."


CHECKS: Final[tuple[Callable[[Gathered], Iterator[Finding]], ...]] = (
    _snapshot,
    _unread,
    _nodes,
    _rke,
    _disk,
    _safety,
    _containers,
    _off_site,
    _clocks,
    _busy,
)
