"""The rke double as v1.0.16, on lab nodes, held against recorded runs of the real one."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.lab.nodes import Machines, Node
from tests.lab.rke.transcript import Transcript, differences

RECORDED = {"10.77.0.4": 1, "10.77.0.5": 2, "10.77.0.6": 3}
SERVICES = "etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy service-sidekick".split()


def text(stream: object) -> str:
    """What a session wrote; lab sessions carry bytes."""
    return stream.decode() if isinstance(stream, bytes) else ""


@dataclass
class Bench:
    """Three nodes with a running cluster, and the RKE host."""

    machines: Machines

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

    async def replay(self, name: str, *, progress: bool = False) -> str:
        """Run what a transcript ran; standard output agrees, standard error is empty as in every v1.0 run."""
        recorded = Transcript.load(name)
        status, out, err = await self.rke(recorded.arguments)
        numbers = {node.address: number for number, node in enumerate(self.nodes, 1)}
        assert (status, err) == (recorded.status, ""), out
        assert differences(recorded.stdout, RECORDED, out, numbers, progress=progress) == []
        return out

    async def save(self, name: str) -> None:
        """`snapshot-save` that must succeed."""
        status, out, _ = await self.rke(f"etcd snapshot-save --name {name} --config rancher-cluster.yml")
        assert status == 0, out

    async def without_services(self) -> None:
        """The state a restore leaves that failed after its point of no return."""
        await asyncio.gather(*(node.docker_cli("rm", "-f", *SERVICES) for node in self.nodes))

    def configure_etcd(self, **values: object) -> None:
        """Set keys of services.etcd in the yml."""
        path = self.machines.rke_host.config
        tree = yaml.safe_load(path.read_text())
        tree["services"]["etcd"] |= values
        path.write_text(yaml.safe_dump(tree, sort_keys=False))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A healthy cluster of rke v1.0.16."""
    async with Machines(tmp_path / "lab", nodes=3, spares=1, rke="v1.0.16") as machines:
        await machines.bring_up()
        yield Bench(machines)


async def test_save_leaves_only_a_zip_with_the_absolute_name_inside(bench: Bench) -> None:
    """NAME.zip, 0600; its one deflated entry is called /backup/NAME with the leading slash."""
    await bench.replay("v1.0.16-save-3-nodes-ok", progress=True)
    for node in bench.nodes:
        assert [path.name for path in node.snapshots.iterdir() if path.name.startswith("snapA")] == ["snapA.zip"]
        assert (node.snapshots / "snapA.zip").stat().st_mode & 0o777 == 0o600
        with zipfile.ZipFile(node.snapshots / "snapA.zip") as archive:
            (entry,) = archive.infolist()
            assert (entry.filename, entry.compress_type) == ("/backup/snapA", zipfile.ZIP_DEFLATED)
            assert archive.testzip() is None


async def test_save_drops_a_node_that_refuses_ssh(bench: Bench) -> None:
    """A warning and status 0 (fault F19)."""
    await bench.nodes[2].ssh_refused()
    await bench.replay("v1.0.16-save-one-node-unreachable")
    assert not (bench.nodes[2].snapshots / "snapB.zip").exists()


async def test_restore_distributes_the_file_and_brings_everything_back(bench: Bench) -> None:
    """Two nodes lost the file; all containers are new afterwards, the plain file is gone, the state applied."""
    await bench.nodes[0].put("key", "before")
    await bench.save("snapA")
    await bench.nodes[0].put("key", "after")
    for node in bench.nodes[1:]:
        node.remove_file("snapA.zip")
    await bench.without_services()
    await bench.replay("v1.0.16-restore-after-files-deleted")
    assert [await node.get("key") for node in bench.nodes] == ["before"] * 3
    assert all(node.containers()[name] == "running" for node in bench.nodes for name in SERVICES[:-1])
    assert not (bench.nodes[0].snapshots / "snapA").exists()
    # the others keep the plain file: it goes only where the zip is
    assert (bench.nodes[1].snapshots / "snapA").exists()
    state = json.loads(bench.machines.rke_host.state_file.read_text())
    assert state["currentState"]["rkeConfig"]["nodes"][0]["address"] == bench.nodes[0].address


async def test_restore_of_an_unknown_name_touches_nothing_but_the_current_state(bench: Bench) -> None:
    """Every host is asked to serve it, etcd is started again, the state file's current state is empty."""
    numbers = {node.address: number for number, node in enumerate(bench.nodes, 1)}
    recorded = Transcript.load("v1.0.16-restore-name-exists-nowhere")
    status, out, _ = await bench.rke(recorded.arguments)
    last = recorded.stdout.lines[-1]
    assert status == 1
    assert "failed to start backup server on all etcd nodes" in last
    kept = [line for line in recorded.stdout.lines if "No such container" not in line and "try #" not in line]
    assert differences(type(recorded.stdout)(tuple(kept), 1), RECORDED, out, numbers, progress=False) == []
    assert all(node.containers()["etcd"] == "running" for node in bench.nodes)
    assert json.loads(bench.machines.rke_host.state_file.read_text())["currentState"] == {}


async def test_restore_of_an_unknown_name_after_a_failed_restore(bench: Bench) -> None:
    """Without any etcd container rke tries three times per host, then says so."""
    await bench.without_services()
    await bench.replay("v1.0.16-restore-name-exists-nowhere")


async def test_distribution_makes_all_files_equal(bench: Bench) -> None:
    """Each node has its own zip, of its own member; after the download all three have the first one's content."""
    await bench.save("snapA")
    status, out, _ = await bench.rke("etcd snapshot-restore --name snapA --config rancher-cluster.yml")
    assert status == 0, out
    sums = [line.rpartition("is [")[2] for line in out.splitlines() if "Checksum of etcd snapshot" in line]
    assert len(sums) == 3
    assert len(set(sums)) == 1


async def test_a_left_over_checksum_container_makes_snapshots_inconsistent(bench: Bench) -> None:
    """It is started again with its OLD command (faults F3, F4): nothing is removed yet, node 1's etcd is down."""
    await bench.save("snapA")
    tools = "rancher/rke-tools:v0.1.69"
    await bench.nodes[1].docker_cli("run", "--name", "etcd-checksum-checker", tools, "sh", "-c", "printf 0123")
    status, out, _ = await bench.rke("etcd snapshot-restore --name snapA --config rancher-cluster.yml")
    assert status == 1
    assert out.splitlines()[-1].endswith('msg="etcd snapshots are not consistent"')
    assert [node.containers()["etcd"] for node in bench.nodes] == ["exited", "running", "running"]


async def test_a_renamed_zip_loses_its_content(bench: Bench) -> None:
    """The entry is looked up by its original path (fault F33)."""
    await bench.save("snapA")
    for node in bench.nodes:
        (node.snapshots / "snapA.zip").rename(node.snapshots / "renamed.zip")
    status, out, _ = await bench.rke("etcd snapshot-restore --name renamed --config rancher-cluster.yml")
    assert status == 1
    assert "File [/backup/renamed] not found in file [/backup/renamed.zip]" in out.splitlines()[-1]


async def test_backup_config_without_s3_makes_an_ordinary_name_fatal(bench: Bench) -> None:
    """Fault F32: fatal after the current state is gone, before etcd is stopped."""
    await bench.save("snapA")
    bench.configure_etcd(backup_config={"enabled": True})
    status, out, _ = await bench.rke("etcd snapshot-restore --name snapA --config rancher-cluster.yml")
    assert status == 1
    assert "restoring S3 backups with no cluster level S3 configuration is not supported" in out.splitlines()[-1]
    assert all(node.containers()["etcd"] == "running" for node in bench.nodes)


async def test_up_keeps_a_healthy_cluster(bench: Bench) -> None:
    """State file in, state file out; nothing is restarted but the rolling snapshots."""
    before = {node.name: (await node.docker_cli("inspect", "--format", "{{.Id}}", "etcd"))[1] for node in bench.nodes}
    await bench.replay("v1.0.16-up-existing-cluster")
    after = {node.name: (await node.docker_cli("inspect", "--format", "{{.Id}}", "etcd"))[1] for node in bench.nodes}
    assert before == after


async def test_up_without_the_state_file_makes_a_new_authority_and_fails(bench: Bench) -> None:
    """Nodes keep their kube-ca.pem, so that etcd refuses rke's new certificates (fault F27)."""
    host = bench.machines.rke_host
    host.state_file.unlink()
    status, out, _ = await bench.rke("up --config rancher-cluster.yml")
    assert status == 1
    assert "[certificates] Generating CA kubernetes certificates" in out
    assert "failed to report healthy" in out.splitlines()[-1]
    assert host.state_file.exists()


async def test_restore_without_the_state_file_wants_a_legacy_state_when_a_kubeconfig_is_there(bench: Bench) -> None:
    """It looks for the ConfigMap of v0.1, which a v1.0 cluster has not; nothing is touched."""
    await bench.save("snapA")
    bench.machines.rke_host.state_file.unlink()
    status, out, _ = await bench.rke("etcd snapshot-restore --name snapA --config rancher-cluster.yml")
    assert status == 1
    assert "Timeout waiting for kubernetes cluster to get state" in out.splitlines()[-1]


async def test_restore_without_state_and_kubeconfig_goes_on(bench: Bench) -> None:
    """rke ignores the missing file and writes an empty one; the order of its first lines shows it."""
    await bench.save("snapA")
    host = bench.machines.rke_host
    host.state_file.unlink()
    host.kube_config.unlink()
    _, out, _ = await bench.rke("etcd snapshot-restore --name snapA --config rancher-cluster.yml")
    recorded = [
        line.partition("msg=")[2].split(" host")[0]
        for line in Transcript.load("v1.0.16-restore-without-state-file").stdout.lines
    ]
    assert [line.partition("msg=")[2].split(" host")[0] for line in out.splitlines()[:6]] == recorded[:6]
    assert "Cleaning old kubernetes cluster" in out


async def test_the_state_file_is_written_before_docker_is_looked_at(bench: Bench) -> None:
    """A first `up` that fails on the docker version leaves certificates in the state file."""
    host = bench.machines.rke_host
    host.state_file.unlink()
    host.kube_config.unlink()
    for node in bench.nodes:
        node.docker_version("20.10.24+dfsg1")
    numbers = {node.address: number for number, node in enumerate(bench.nodes, 1)}
    recorded = Transcript.load("v1.0.16-unsupported-docker")
    status, out, _ = await bench.rke(recorded.arguments)
    assert status == recorded.status
    kept = type(recorded.stdout)(tuple(line for line in recorded.stdout.lines if "[dialer]" not in line), 1)
    assert differences(kept, RECORDED, out, numbers, progress=False) == []
    assert "kube-ca" in json.loads(host.state_file.read_text())["desiredState"]["certificatesBundle"]
