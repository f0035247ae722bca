"""A cluster's machines as the engine sees them: facts, snapshot files, containers, members, rke."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.adapters.node import SshNode
from bot.adapters.site import SshSites
from bot.adapters.ssh import SshKeys
from bot.core.cluster import Cluster, SshTarget
from bot.core.facts import Access, Copy, Form, Integrity
from bot.core.policy import ApprovalPolicy
from bot.engine.ports import Attempt, AttemptState, Fence, Launch, Site
from bot.errors import Fatal, Fenced, Refused, Retryable
from tests.integration.adapter_site import fence, until
from tests.lab.nodes import Machines, Node

SAVE = ["etcd", "snapshot-save", "--name", "before-upgrade", "--config", "rancher-cluster.yml"]


@dataclass
class Running:
    """A lab cluster and an open site on it."""

    lab: Machines
    site: Site
    nodes: list[SshNode]
    lab_nodes: list[Node]


def cluster(lab: Machines) -> Cluster:
    """The lab's cluster as the configuration would name it."""
    host = lab.rke_host
    target = SshTarget(host.address, host.user, host.port)
    return Cluster(
        "prod",
        ("C1",),
        target,
        str(host.config),
        ApprovalPolicy(2, ("U1",), (), requester_counts=False, approval_lifetime=1, execution_lifetime=1),
    )


async def opened(lab: Machines, site: Site) -> Running:
    """The site with its yml read."""
    yml = site.read_yml(await site.host.look())
    nodes = [node for spec in yml.nodes if isinstance(node := site.node(spec), SshNode)]
    return Running(lab, site, nodes, lab.nodes)


def sites(lab: Machines) -> SshSites:
    """The adapter with the lab's keys."""
    return SshSites(SshKeys.load(lab.known_hosts, [lab.ssh_key]))


@pytest.fixture(params=[("v0.1.20", 1)])
async def lab(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machines]:
    """A healthy cluster, as a rule of one node."""
    rke, nodes = request.param
    async with Machines(tmp_path, nodes=nodes, rke=rke) as machines:
        await machines.bring_up()
        yield machines


@pytest.fixture
async def running(lab: Machines) -> AsyncIterator[Running]:
    """The cluster and a worker's site on it."""
    async with sites(lab).open(cluster(lab), fence) as site:
        yield await opened(lab, site)


def put_file(node: Node, name: str, data: bytes) -> None:
    """Lay a file into a node's snapshot directory, as root."""
    node.snapshots.mkdir(parents=True, exist_ok=True)
    (node.snapshots / name).write_bytes(data)


async def saved(running: Running, node: int = 0) -> Copy:
    """A snapshot that rke itself took."""
    attempt = Attempt("job1", 1, 1)
    assert await running.site.host.launch(attempt, SAVE) is Launch.STARTED

    async def ended() -> bool:
        return (await running.site.host.observe(attempt, 0)).state is AttemptState.ENDED

    await until(ended, "rke ended")
    copy = await running.nodes[node].check_copy("before-upgrade")
    assert copy is not None
    return copy


async def content(node: SshNode, copy: Copy) -> bytes:
    """All bytes of a copy."""
    return b"".join([chunk async for chunk in node.read_copy(copy)])


async def once(data: bytes) -> AsyncIterator[bytes]:
    """Bytes as a stream."""
    yield data


def root_access(running: Running, access: Access) -> None:
    """Leave only that way to root's files."""
    if access is Access.CONTAINER:
        for node in running.lab_nodes:
            node.sudo_off()


THREE = pytest.mark.parametrize("lab", [("v0.1.20", 3)], indirect=True)
FAMILIES = pytest.mark.parametrize("lab", [("v0.1.20", 1), ("v1.0.16", 1)], indirect=True)
EITHER = pytest.mark.parametrize("access", [Access.SUDO, Access.CONTAINER])


@EITHER
async def test_a_node_tells_its_facts(running: Running, access: Access) -> None:
    """In one round trip: docker, the way to root's files (F30), containers, free space, clock."""
    root_access(running, access)
    running.lab_nodes[0].disk(5 << 30)
    facts = await running.nodes[0].look()
    assert (facts.error, facts.docker, facts.access) == ("", "18.09.9", access)
    assert (facts.free_snapshots, facts.free_data) == (5 << 30, 5 << 30)
    assert facts.containers["etcd"].running
    assert facts.containers["service-sidekick"].status == "created"
    assert facts.clock > 1_700_000_000
    assert len(running.lab_nodes[0].ssh_log) == 1


async def test_a_node_that_is_off_is_a_fact(running: Running) -> None:
    """Looking never raises: the plan lists what was found."""
    await running.lab_nodes[0].down()
    facts = await running.nodes[0].look()
    assert not facts.reachable
    assert "does not answer over SSH" in facts.error
    assert "does not answer over SSH" in (await running.nodes[0].member()).error
    assert "does not answer over SSH" in await running.nodes[0].api_health()


async def test_a_dead_docker_is_a_fact(running: Running) -> None:
    """SSH answers, docker does not (F17)."""
    running.lab_nodes[0].docker_dead()
    facts = await running.nodes[0].look()
    assert "docker" in facts.error
    assert "Cannot connect to the Docker daemon" in facts.error
    with pytest.raises(Retryable):
        await running.nodes[0].containers()


@pytest.mark.slow
async def test_a_hung_docker_is_a_fact(running: Running) -> None:
    """A dockerd that takes requests and never answers is not waited for for long (F17)."""
    running.lab_nodes[0].docker_hung()
    assert "it hangs" in (await running.nodes[0].look()).error


async def test_no_way_to_roots_files_is_refused(running: Running) -> None:
    """Neither sudo nor an image: the operator learns what to allow."""
    root_access(running, Access.CONTAINER)
    running.lab_nodes[0].engine.images.clear()
    assert (await running.nodes[0].look()).access is Access.NONE
    with pytest.raises(Refused, match="cannot read root's files"):
        await running.nodes[0].copies()


@EITHER
@FAMILIES
async def test_what_rke_saved_is_read_back(running: Running, access: Access) -> None:
    """Plain or zip: intact, with the database's own sha256 and revision, and the same bytes again."""
    root_access(running, access)
    copy = await saved(running)
    form = Form.PLAIN if running.lab.rke == "v0.1.20" else Form.ZIP
    assert (copy.form, copy.integrity, copy.problem) == (form, Integrity.INTACT, "")
    assert copy.revision is not None
    assert copy.size % 512 == 32
    data = await content(running.nodes[0], copy)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (copy.file_size, copy.file_sha256)
    (listed,) = await running.nodes[0].copies()
    assert (listed.name, listed.form, listed.file_size) == ("before-upgrade", form, copy.file_size)


async def test_only_snapshots_are_listed(running: Running) -> None:
    """No certificates, nothing hidden, temporary or moved aside; no directory is no snapshot."""
    assert await running.nodes[0].copies() == ()
    for name in ("pki.bundle.tar.gz", ".x.part", "y.part", "z.aside", "2026-11-20T18:00:00Z_etcd", "evil\n1 2 81a4 x"):
        put_file(running.lab_nodes[0], name, b"x")
    assert [copy.name for copy in await running.nodes[0].copies()] == ["2026-11-20T18:00:00Z_etcd"]


async def test_a_missing_copy_is_none(running: Running) -> None:
    """With and without the directory."""
    assert await running.nodes[0].check_copy("nope") is None
    put_file(running.lab_nodes[0], "other", b"x")
    assert await running.nodes[0].check_copy("nope") is None


@FAMILIES
async def test_broken_copies_are_recognised(running: Running) -> None:
    """A flipped byte, which etcdctl takes for good (F22), a cut-off file, an empty one."""
    good, node = await saved(running), running.lab_nodes[0]
    file = "before-upgrade" if good.form is Form.PLAIN else "before-upgrade.zip"
    whole = (node.snapshots / file).read_bytes()
    node.corrupt_file(file)
    flipped = await running.nodes[0].check_copy("before-upgrade")
    assert flipped is not None
    assert flipped.integrity is Integrity.CORRUPT
    for rest in (whole[: len(whole) // 2], b""):
        (node.snapshots / file).write_bytes(rest)
        cut = await running.nodes[0].check_copy("before-upgrade")
        assert cut is not None
        assert (cut.integrity, bool(cut.problem)) == (Integrity.CORRUPT, True)


async def test_a_raw_database_is_no_snapshot(running: Running) -> None:
    """A member's own file has no trailing sha256."""
    put_file(running.lab_nodes[0], "raw", bytes(4096))
    copy = await running.nodes[0].check_copy("raw")
    assert copy is not None
    assert "raw database" in copy.problem


@EITHER
async def test_a_copy_is_written_for_root_only(running: Running, access: Access) -> None:
    """Directory made, 0600, the snapshot's own time; a file of the other form is moved aside (F33)."""
    root_access(running, access)
    data, node = bytes(range(256)) * 5000, running.lab_nodes[0]
    digest = hashlib.sha256(data).hexdigest()
    copy = Copy("staged", "s3", Form.PLAIN, len(data), len(data), 1795338140, digest, digest)
    await running.nodes[0].write_copy(copy, once(data))
    put_file(node, "staged.zip", b"the other form")
    await running.nodes[0].write_copy(copy, once(data))
    file = node.snapshots / "staged"
    assert (file.read_bytes(), file.stat().st_mode & 0o777, file.stat().st_mtime) == (data, 0o600, 1795338140)
    assert sorted(path.name for path in node.snapshots.iterdir()) == ["staged", "staged.zip.aside"]


async def test_bytes_that_did_not_arrive_whole_replace_nothing(running: Running) -> None:
    """The sha256 decides before the rename; what was there stays, and nothing half is left."""
    put_file(running.lab_nodes[0], "staged", b"old")
    copy = Copy("staged", "s3", Form.PLAIN, 3, 3, 0, "00" * 32, "00" * 32)
    with pytest.raises(Retryable, match="did not reach"):
        await running.nodes[0].write_copy(copy, once(b"new"))
    assert [path.name for path in running.lab_nodes[0].snapshots.iterdir()] == ["staged"]
    assert (running.lab_nodes[0].snapshots / "staged").read_bytes() == b"old"


@THREE
async def test_a_copy_goes_from_node_to_node(running: Running) -> None:
    """Streamed through, equal bytes everywhere afterwards (F5, F23)."""
    copy = await saved(running)
    others = running.nodes[1:]
    await asyncio.gather(*(node.write_copy(copy, running.nodes[0].read_copy(copy)) for node in others))
    checked = [await node.check_copy("before-upgrade") for node in running.nodes]
    assert {found.file_sha256 for found in checked if found} == {copy.file_sha256}
    assert [found.integrity for found in checked if found] == [Integrity.INTACT] * 3


@EITHER
async def test_a_safety_copy_is_an_intact_snapshot(running: Running, access: Access) -> None:
    """Taken by the member's own etcdctl, no container left; asked again, the copy is kept."""
    root_access(running, access)
    await running.lab_nodes[0].put("key", "value")
    before = set(running.lab_nodes[0].containers())
    copy = await running.nodes[0].safety_copy("safety-1b20c4de")
    assert (copy.name, copy.integrity) == ("safety-1b20c4de", Integrity.INTACT)
    assert set(running.lab_nodes[0].containers()) == before
    assert (running.lab_nodes[0].snapshots / copy.name).stat().st_mode & 0o777 == 0o600
    await running.lab_nodes[0].put("key", "changed")
    assert await running.nodes[0].safety_copy("safety-1b20c4de") == copy


@THREE
async def test_a_safety_copy_needs_no_quorum(running: Running) -> None:
    """The member's own data is there while the cluster is not (F34)."""
    for node in running.lab_nodes[1:]:
        await node.down()
    assert (await running.nodes[0].safety_copy("safety-1")).integrity is Integrity.INTACT


async def test_without_etcd_there_is_no_safety_copy(running: Running) -> None:
    """No container, or one that does not answer: told, nothing half left."""
    await running.lab_nodes[0].stop_container("etcd")
    with pytest.raises(Retryable):
        await running.nodes[0].safety_copy("safety-1")
    await running.nodes[0].remove(["etcd"])
    with pytest.raises(Retryable, match="No such container"):
        await running.nodes[0].safety_copy("safety-1")
    assert await running.nodes[0].copies() == ()


async def test_containers_are_judged_one_by_one(running: Running) -> None:
    """A missing one is no error, the others are still restarted (F20, F21)."""
    before = running.lab_nodes[0].container("kubelet").state.started_at
    answers = await running.nodes[0].restart(["nope", "kubelet", "kube-proxy"])
    assert answers == {"nope": "", "kubelet": "", "kube-proxy": ""}
    assert running.lab_nodes[0].container("kubelet").state.started_at != before
    assert await running.nodes[0].stop(["etcd-rolling-snapshots"]) == {"etcd-rolling-snapshots": ""}
    assert not (await running.nodes[0].containers())["etcd-rolling-snapshots"].running
    await running.lab_nodes[0].leave_container("etcd-restore")
    assert await running.nodes[0].remove(["etcd-restore", "etcd-Serve-backup"]) == {
        "etcd-restore": "",
        "etcd-Serve-backup": "",
    }
    assert "etcd-restore" not in await running.nodes[0].containers()


async def test_a_failing_docker_is_told_per_container(running: Running) -> None:
    """Not one of them was restarted, and nobody believes so."""
    running.lab_nodes[0].docker_dead()
    answers = await running.nodes[0].restart(["kubelet", "kube-proxy"])
    assert all("Cannot connect to the Docker daemon" in error for error in answers.values())


async def test_names_are_checked(running: Running) -> None:
    """An option is no container name."""
    with pytest.raises(Fatal):
        await running.nodes[0].remove(["--volumes"])


@THREE
async def test_members_tell_who_leads_and_whom_they_know(running: Running) -> None:
    """Same leader and names on each, equal hash at one revision, a key through every member (F15, F23)."""
    for node in running.nodes:
        assert await node.put_and_read("etcd-snapshot-bot/probe", f"a b {node.spec.address}") == (
            f"a b {node.spec.address}"
        )
    await running.nodes[0].remove_key("etcd-snapshot-bot/probe")
    members = await asyncio.gather(*(node.member() for node in running.nodes))
    assert [member.error for member in members] == [""] * 3
    assert len({member.leader for member in members}) == 1
    assert len({member.member_id for member in members}) == 3
    assert {member.names for member in members} == {tuple(sorted(f"etcd-{n.spec.address}" for n in running.nodes))}
    revision = min(member.revision for member in members)
    assert len({await node.hash_at(revision) for node in running.nodes}) == 1
    assert await running.lab_nodes[1].get("etcd-snapshot-bot/probe") is None


async def test_a_member_that_is_down_is_a_fact(running: Running) -> None:
    """With the reason."""
    await running.lab_nodes[0].stop_container("etcd")
    member = await running.nodes[0].member()
    assert "etcd does not answer" in member.error
    with pytest.raises(Retryable):
        await running.nodes[0].hash_at(1)


@EITHER
async def test_the_api_server_is_asked_with_a_certificate(running: Running, access: Access) -> None:
    """Healthy, then not: what it said."""
    root_access(running, access)
    assert await running.nodes[0].api_health() == ""
    await running.lab_nodes[0].stop_container("kube-apiserver")
    assert await running.nodes[0].api_health() != ""


async def test_the_rke_host_tells_its_facts(running: Running) -> None:
    """Version, the binary's sha256, yml and state, byte for byte."""
    host = running.lab.rke_host
    host.state_file.write_bytes(b"state\n")
    facts = await running.site.host.look()
    yml = host.config.read_bytes()
    assert (facts.version, facts.legacy, facts.kube_config) == ("v0.1.20", True, True)
    assert (facts.yml, facts.yml_sha256) == (yml, hashlib.sha256(yml).hexdigest())
    assert facts.state_sha256 == hashlib.sha256(b"state\n").hexdigest()
    assert facts.binary_sha256 == hashlib.sha256((host.bin / "rke").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rke": "rke-nowhere"}, "no rke-nowhere"),
        ({"yml": "/nowhere/c.yml"}, "cannot read"),
        ({"rke": "/bin/true"}, "say"),
    ],
)
async def test_a_wrong_rke_host_is_refused(lab: Machines, change: dict[str, str], said: str) -> None:
    """No rke, no yml, or something else by that name."""
    wrong = replace(cluster(lab), **change)  # type: ignore[arg-type]  # only text fields are changed here
    async with sites(lab).open(wrong, None) as site:
        with pytest.raises(Refused, match=said):
            await site.host.look()


@pytest.mark.parametrize("file", ["state", "rke"])
async def test_a_file_without_a_digest_is_refused(running: Running, file: str) -> None:
    """A file that is there and cannot be read is named; it is never taken for one that is not there."""
    host = running.lab.rke_host
    if file == "state":
        host.state_file.mkdir()  # also root cannot read it
    else:
        for tool in ("openssl", "sha256sum"):
            (host.bin / tool).write_text("#!/bin/sh\nexit 1\n")
            (host.bin / tool).chmod(0o755)
    name = str(host.state_file if file == "state" else host.bin / "rke")
    with pytest.raises(Refused) as caught:
        await running.site.host.look()
    assert name in caught.value.what
    assert "cannot read" in caught.value.what


async def test_backups_lie_beside_the_files(running: Running) -> None:
    """Made once; a changed file gets another copy, none is overwritten."""
    host = running.lab.rke_host
    host.state_file.write_bytes(b"one")
    names = (f"{host.config}.job1", f"{host.state_file}.job1")
    assert await running.site.host.back_up("job1") == names
    assert await running.site.host.back_up("job1") == names
    host.state_file.write_bytes(b"two")
    assert await running.site.host.back_up("job1") == (names[0], names[1] + ".2")
    assert Path(names[1]).read_bytes() == b"one"


async def test_a_site_without_a_fence_changes_nothing(lab: Machines) -> None:
    """Reads work, every change is a broken program."""
    async with sites(lab).open(cluster(lab), None) as site:
        running = await opened(lab, site)
        assert (await running.nodes[0].look()).reachable
        with pytest.raises(Fatal):
            await running.nodes[0].restart(["kubelet"])
        with pytest.raises(Fatal):
            await site.host.back_up("job1")


async def test_a_replaced_worker_changes_nothing_on_a_node(running: Running) -> None:
    """The node has heard of the newer one."""
    newer: Fence = fence(2, "worker-b")
    async with sites(running.lab).open(cluster(running.lab), lambda: newer) as site:
        await (await opened(running.lab, site)).nodes[0].raise_fence()
    with pytest.raises(Fenced) as caught:
        await running.nodes[0].restart(["kubelet"])
    assert caught.value.floor == 2


async def test_nodes_are_reached_as_the_configuration_says(tmp_path: Path) -> None:
    """Through the yml's bastion host, or through the RKE host."""
    async with Machines(tmp_path, nodes=1, bastion=True) as lab:
        assert lab.bastion is not None
        async with sites(lab).open(cluster(lab), None) as site:
            assert (await (await opened(lab, site)).nodes[0].look()).reachable
            assert len(lab.bastion.sshd.connections) == 1
    async with Machines(tmp_path / "second", nodes=1) as lab:
        via = replace(cluster(lab), nodes_via_rke_host=True)
        async with sites(lab).open(via, None) as site:
            running = await opened(lab, site)
            assert (await running.nodes[0].look()).reachable
            assert len(lab.rke_host.sshd.connections) == 1
