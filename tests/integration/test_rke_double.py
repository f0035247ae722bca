"""The rke double as v0.1.20, on lab nodes, held against recorded runs of the real one."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.lab.nodes import Machines, Node
from tests.lab.rke.transcript import Transcript, differences

RECORDED = {f"10.77.0.{number}": number for number in (1, 2, 3, 7)}


def text(stream: object) -> str:
    """What a session wrote; lab sessions carry bytes."""
    return stream.decode() if isinstance(stream, bytes) else ""


@dataclass
class Bench:
    """Three nodes with a running cluster, one spare, and the RKE host."""

    machines: Machines
    node_numbers: dict[str, int] = field(default_factory=dict)

    @property
    def nodes(self) -> list[Node]:
        """The cluster's nodes."""
        return self.machines.nodes

    async def rke(self, arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run rke in the cluster's directory: status and both streams."""
        host = self.machines.rke_host
        words = " ".join(f"{name}={value}" for name, value in environment.items())
        ran = await host.run(f"cd {host.cluster_dir} && {words} rke {arguments}")
        return ran.exit_status or 0, text(ran.stdout), text(ran.stderr)

    async def replay(
        self, name: str, *, progress: bool = True, limits: Mapping[str, str] | None = None
    ) -> tuple[str, str]:
        """Run what a transcript ran and hold both streams and the status against it."""
        recorded = Transcript.load(name)
        status, out, err = await self.rke(recorded.arguments, **(limits or {}))
        assert status == recorded.status, err
        assert differences(recorded.stdout, RECORDED, out, self.node_numbers) == []
        assert differences(recorded.stderr, RECORDED, err, self.node_numbers, progress=progress) == []
        return out, err

    async def snapshot(self, name: str) -> None:
        """Save, then make all three nodes hold node 1's file."""
        status, _, err = await self.rke(f"etcd snapshot-save --name {name} --config rancher-cluster.yml")
        assert status == 0, err
        content = (self.nodes[0].snapshots / name).read_bytes()
        for node in self.nodes[1:]:
            (node.snapshots / name).write_bytes(content)

    def config(self, **changes: object) -> None:
        """Change top-level keys of the yml."""
        path = self.machines.rke_host.config
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A healthy cluster of rke v0.1.20."""
    async with Machines(tmp_path / "lab", nodes=3, spares=1, rke="v0.1.20") as machines:
        await machines.bring_up()
        numbers = {node.address: number for number, node in enumerate(machines.nodes, 1)}
        yield Bench(machines, numbers | {machines.spares[0].address: 7})


async def test_save_takes_each_members_own_snapshot_and_the_certificates(bench: Bench) -> None:
    """The file carries the name verbatim, mode 0600, on every etcd host; the bundle lies beside it."""
    await bench.replay("v0.1.20-save-3-nodes-ok")
    for node in bench.nodes:
        assert {path.name for path in node.snapshots.iterdir()} == {"snap1", "pki.bundle.tar.gz"}
        assert (node.snapshots / "snap1").stat().st_mode & 0o777 == 0o600
        assert "etcd-snapshot-once" not in node.containers()


async def test_save_without_a_name_makes_one_from_the_time(bench: Bench) -> None:
    """A warning, not an error."""
    _, err = await bench.replay("v0.1.20-save-without-name")
    assert "level=warning" in err.splitlines()[0]


async def test_restore_brings_the_old_value_back_and_up_confirms_it(bench: Bench) -> None:
    """etcd goes back on all members; kube containers are untouched by the restore, kept by the up."""
    await bench.nodes[0].put("key", "before")
    await bench.snapshot("snap1")
    await bench.nodes[0].put("key", "after")
    for node in bench.nodes:
        await node.docker_cli("rm", "-f", "etcd-rolling-snapshots")
    await bench.replay("v0.1.20-restore-same-file-on-all-three-nodes")
    assert [await node.get("key") for node in bench.nodes] == ["before"] * 3
    # the components were stand-ins in that recording: which lines they left out of the cut part is not known
    await bench.replay("v0.1.20-up-existing-cluster", progress=False)
    assert all(node.containers()["etcd"] == "running" for node in bench.nodes)


async def test_restore_with_a_missing_file_leaves_no_etcd_anywhere(bench: Bench) -> None:
    """It destroys before it looks; the same restore with the file back in place repairs it."""
    await bench.snapshot("snap1")
    content = (bench.nodes[2].snapshots / "snap1").read_bytes()
    bench.nodes[2].remove_file("snap1")
    await bench.replay("v0.1.20-restore-file-missing-on-node-3")
    assert [node.containers().get("etcd") for node in bench.nodes] == [None] * 3
    assert bench.nodes[0].containers()["etcd-rolling-snapshots"] == "running"
    (bench.nodes[2].snapshots / "snap1").write_bytes(content)
    status, _, err = await bench.rke("etcd snapshot-restore --name snap1 --config rancher-cluster.yml")
    assert status == 0, err


async def test_restore_of_an_unknown_name_fails_on_the_first_host(bench: Bench) -> None:
    """etcd is gone on all hosts by then."""
    await bench.replay("v0.1.20-restore-name-exists-nowhere")
    assert [node.containers().get("etcd") for node in bench.nodes] == [None] * 3


async def test_restore_of_a_truncated_file_fails_on_its_host(bench: Bench) -> None:
    """Node 1 was restored already, node 3 never."""
    await bench.snapshot("snap1")
    bench.nodes[1].truncate_file("snap1")
    await bench.replay("v0.1.20-restore-file-truncated-on-node-2")


async def test_different_files_under_one_name_are_not_noticed(bench: Bench) -> None:
    """Status 0, all members healthy, and reads differ (fault F23)."""
    await bench.nodes[0].put("key", "first")
    await bench.snapshot("snap1")
    await bench.nodes[0].put("key", "second")
    await bench.rke("etcd snapshot-save --name other --config rancher-cluster.yml")
    third = bench.nodes[2].snapshots
    (third / "snap1").write_bytes((third / "other").read_bytes())
    await bench.replay("v0.1.20-restore-other-content-under-the-same-name-on-node-3")
    values = [await node.etcdctl("get", "key", "--print-value-only", "--consistency=s") for node in bench.nodes]
    assert [value.strip() for value in values] == ["first", "first", "second"]


async def test_save_drops_a_node_that_refuses_ssh(bench: Bench) -> None:
    """A warning, status 0, and "on all etcd hosts" although one has no file (fault F19)."""
    await bench.nodes[2].ssh_refused()
    await bench.replay("v0.1.20-save-ssh-port-refused")
    assert (bench.nodes[1].snapshots / "s-ref").exists()
    assert not (bench.nodes[2].snapshots / "s-ref").exists()


async def test_save_drops_a_node_without_docker(bench: Bench) -> None:
    """No daemon behind the socket looks like no right to it."""
    bench.nodes[2].docker_dead()
    await bench.replay("v0.1.20-save-docker-socket-missing")


async def test_restore_without_a_node_makes_a_smaller_cluster(bench: Bench) -> None:
    """Status 0 and two members (fault F24)."""
    await bench.snapshot("snap1")
    await bench.nodes[2].down()
    status, _, err = await bench.rke("etcd snapshot-restore --name snap1 --config rancher-cluster.yml")
    recorded = Transcript.load("v0.1.20-restore-node-3-unreachable")
    assert status == recorded.status == 0
    assert len(err.splitlines()) == len(recorded.stderr.lines) + recorded.stderr.cut
    assert len((await bench.nodes[0].etcdctl("member", "list")).splitlines()) == 2


async def test_an_unknown_docker_version_ends_the_run_at_once(bench: Bench) -> None:
    """Other hosts do not matter; ignore_docker_version makes it a warning."""
    for node in bench.nodes:
        node.docker_version("20.10.24+dfsg1")
    status, _, err = await bench.rke("etcd snapshot-save --name snap1 --config rancher-cluster.yml")
    recorded = Transcript.load("v0.1.20-unsupported-docker").stderr.lines
    assert status == 1
    assert err.splitlines()[-1].partition(" ")[2] == recorded[-1].partition(" ")[2]
    bench.config(ignore_docker_version=True)
    assert (await bench.rke("etcd snapshot-save --name snap1 --config rancher-cluster.yml"))[0] == 0


async def test_a_key_nobody_accepts_leaves_no_etcd_host(bench: Bench, tmp_path: Path) -> None:
    """Every host is dropped; the FATAL line names the first one tried."""
    other = tmp_path / "other"
    machines = bench.machines
    import asyncssh  # noqa: PLC0415 - one key for one test

    asyncssh.generate_private_key("ssh-ed25519").write_private_key(other)
    other.chmod(0o644)
    (machines.rke_host.cluster_dir / "bad8.yml").write_text(
        yaml.safe_dump(yaml.safe_load(machines.rke_host.config.read_text()) | {"ssh_key_path": str(other)})
    )
    status, _, err = await bench.rke("etcd snapshot-save --name a --config bad8.yml")
    recorded = Transcript.load("v0.1.20-key-not-accepted")
    assert status == recorded.status
    assert len(err.splitlines()) == len(recorded.stderr.lines) + recorded.stderr.cut
    assert "unable to authenticate, attempted methods [none publickey]" in err.splitlines()[2]
    assert err.splitlines()[-1].rpartition("[")[2].startswith(err.splitlines()[1].rpartition("[")[2].rstrip(']"'))


async def test_a_stopped_member_ends_in_the_misleading_sentence_and_a_left_over(bench: Bench) -> None:
    """The 50 s limit (fault F25); the container stays, restarted always, and the next save replaces it (F26)."""
    await bench.nodes[1].docker_cli("stop", "etcd")
    limits = {"RKE_DOUBLE_RESPONSE_TIMEOUT": "2", "RKE_DOUBLE_RETRY_INTERVAL": "5"}
    await bench.replay("v0.1.20-save-etcd-container-stopped-on-node-2", limits=limits)
    assert bench.nodes[1].containers()["etcd-snapshot-once"] == "running"
    assert (bench.nodes[0].snapshots / "s7").exists()
    await bench.nodes[1].docker_cli("start", "etcd")
    await bench.replay("v0.1.20-next-save-with-the-left-over-container")
    assert (bench.nodes[1].snapshots / "s8").exists()


async def test_a_stopped_left_over_is_started_with_its_old_name(bench: Bench) -> None:
    """rke reports the new name as saved; the node has no such file."""
    await bench.nodes[1].docker_cli("stop", "etcd")
    limits = {"RKE_DOUBLE_RESPONSE_TIMEOUT": "1", "RKE_DOUBLE_RETRY_INTERVAL": "5"}
    await bench.rke("etcd snapshot-save --name old --config rancher-cluster.yml", **limits)
    await bench.nodes[1].docker_cli("stop", "-t", "0", "etcd-snapshot-once")
    await bench.nodes[1].docker_cli("start", "etcd")
    status, _, err = await bench.rke("etcd snapshot-save --name new --config rancher-cluster.yml")
    assert status == 0, err
    assert (bench.nodes[1].snapshots / "old").exists()
    assert not (bench.nodes[1].snapshots / "new").exists()


async def test_a_swapped_node_has_no_certificate_until_up(bench: Bench) -> None:
    """The restore succeeds, the new member crash-loops (fault F28); `rke up` brings its certificate."""
    await bench.snapshot("final")
    spare = bench.machines.spares[0]
    (spare.snapshots).mkdir(parents=True, exist_ok=True)
    (spare.snapshots / "final").write_bytes((bench.nodes[0].snapshots / "final").read_bytes())
    await bench.nodes[2].down()
    bench.machines.rke_host.write_config([*bench.nodes[:2], spare])
    await bench.replay("v0.1.20-swap-restore-with-the-new-node")
    assert spare.containers()["etcd"] == "restarting"
    status, _, err = await bench.rke("up --config rancher-cluster.yml --disable-port-check")
    assert status == 0, err
    assert "Regenerating new etcd-" in err
    assert spare.containers()["kube-apiserver"] == "running"
    assert len((await spare.etcdctl("member", "list")).splitlines()) == 3


async def test_up_refuses_a_new_member_of_an_etcd_without_the_v2_api(bench: Bench) -> None:
    """Images from 3.4 on, no enable-v2: 404 (fault F39); with it the member joins."""
    spare = bench.machines.spares[0]
    image = {"system_images": {"etcd": "rancher/coreos-etcd:v3.4.3-rancher1"}}
    await bench.nodes[2].down()
    bench.machines.rke_host.write_config([*bench.nodes[:2], spare], **image)
    status, _, err = await bench.rke("up --config rancher-cluster.yml --disable-port-check")
    assert status == 1
    assert err.splitlines()[-1].endswith('unexpected status code 404"')
    etcd = {"snapshot": True, "extra_args": {"enable-v2": "true"}}
    bench.config(services={"etcd": etcd})
    status, _, err = await bench.rke("up --config rancher-cluster.yml --disable-port-check")
    assert status == 0, err
    assert "Successfully Added member [etcd-" in err


async def test_up_cleans_a_reachable_host_that_left_the_yml(bench: Bench) -> None:
    """The state in the cluster still names it (fault F37)."""
    third = bench.nodes[2]
    bench.machines.rke_host.write_config(bench.nodes[:2])
    status, _, err = await bench.rke("up --config rancher-cluster.yml")
    assert status == 0, err
    assert not {"etcd", "kube-apiserver"} & set(third.containers())
    assert len((await bench.nodes[0].etcdctl("member", "list")).splitlines()) == 2


async def test_a_left_over_restore_container_restores_its_old_file(bench: Bench) -> None:
    """Status 0 and the OLD snapshot's data on that node (fault F4)."""
    await bench.nodes[0].put("key", "old")
    await bench.snapshot("old")
    await bench.nodes[0].put("key", "new")
    await bench.snapshot("new")
    await bench.rke("etcd snapshot-restore --name new --config rancher-cluster.yml")
    members = ",".join(f"etcd-{node.address}=http://{node.address}:2380" for node in bench.nodes)
    second = bench.nodes[1]
    flags = (
        "--name",
        f"etcd-{second.address}",
        "--initial-cluster",
        members,
        "--initial-cluster-token",
        "etcd-cluster-1",
    )
    peer = ("--initial-advertise-peer-urls", f"http://{second.address}:2380")
    words = " ".join((*flags, *peer))
    place = "/opt/rke/etcd-snapshots-restore/"
    text = (
        f"rm -rf {place} && etcdctl snapshot restore /opt/rke/etcd-snapshots/old --data-dir={place} {words}"
        f" && mv {place}* /var/lib/rancher/etcd/"
    )
    binds = ("-v", "/opt/rke/:/opt/rke/:z", "-v", "/var/lib/etcd:/var/lib/rancher/etcd:z")
    image = "rancher/coreos-etcd:v3.2.24-rancher1"
    await second.docker_cli("create", "--name", "etcd-restore", *binds, image, "sh", "-c", text)
    status, _, err = await bench.rke("etcd snapshot-restore --name new --config rancher-cluster.yml")
    assert status == 0, err
    values = [await node.etcdctl("get", "key", "--print-value-only", "--consistency=s") for node in bench.nodes]
    assert [value.strip() for value in values] == ["new", "old", "new"]


async def test_up_says_at_its_end_who_was_skipped(bench: Bench) -> None:
    """Only `rke up` turns an unreachable host into an error."""
    await bench.nodes[2].down()
    status, _, err = await bench.rke("up --config rancher-cluster.yml")
    skipped = f"Provisioning incomplete, host(s) [{bench.nodes[2].address}] skipped because they could not be contacted"
    assert status == 1
    assert skipped in err.splitlines()[-1]


async def test_a_failing_network_plugin_is_fatal_and_another_addon_is_not(bench: Bench) -> None:
    """Addon jobs fail when the components' caches come from the future."""
    status, _, err = await bench.rke("up --config rancher-cluster.yml", RKE_DOUBLE_FAILING_ADDONS="rke-metrics-addon")
    assert status == 0
    assert "Failed to deploy addon execute job [rke-metrics-addon]" in err
    status, _, err = await bench.rke("up --config rancher-cluster.yml", RKE_DOUBLE_FAILING_ADDONS="rke-network-plugin")
    assert status == 1
    assert "Failed to get job complete status" in err.splitlines()[-1]
