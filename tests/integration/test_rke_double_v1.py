"""The rke double as v1.0.16, on lab nodes, held against recorded runs of the real one."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.rke.bench import CONFIG, Bench, cluster
from tests.lab.rke.transcript import Stream, Transcript

SERVICES = "etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy service-sidekick".split()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A healthy cluster of rke v1.0.16."""
    async with cluster(tmp_path, "v1.0.16") as bench:
        yield bench


async def without_services(bench: Bench) -> None:
    """The state a restore leaves that failed after its point of no return."""
    await asyncio.gather(*(node.docker_cli("rm", "-f", *SERVICES) for node in bench.nodes))


async def test_save_leaves_only_a_zip_with_the_absolute_name_inside(bench: Bench) -> None:
    """NAME.zip, 0600; its one deflated entry is called /backup/NAME with the leading slash."""
    await bench.replay("v1.0.16-save-3-nodes-ok")
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
    await without_services(bench)
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
    recorded = Transcript.load("v1.0.16-restore-name-exists-nowhere")
    ran = await bench.rke(recorded.arguments)
    last = recorded.stdout.lines[-1]
    assert ran.status == 1
    assert "failed to start backup server on all etcd nodes" in last
    kept = [line for line in recorded.stdout.lines if "No such container" not in line and "try #" not in line]
    assert bench.differences(Stream(tuple(kept), 1), ran.stdout, progress=False) == []
    assert all(node.containers()["etcd"] == "running" for node in bench.nodes)
    assert json.loads(bench.machines.rke_host.state_file.read_text())["currentState"] == {}


async def test_restore_of_an_unknown_name_after_a_failed_restore(bench: Bench) -> None:
    """Without any etcd container rke tries three times per host, then says so."""
    await without_services(bench)
    await bench.replay("v1.0.16-restore-name-exists-nowhere")


async def test_distribution_makes_all_files_equal(bench: Bench) -> None:
    """Each node has its own zip, of its own member; after the download all three have the first one's content."""
    await bench.save("snapA")
    ran = await bench.restore("snapA")
    assert ran.status == 0, ran.last
    sums = [line.rpartition("is [")[2] for line in ran.lines if "Checksum of etcd snapshot" in line]
    assert len(sums) == 3
    assert len(set(sums)) == 1


async def test_a_left_over_checksum_container_makes_snapshots_inconsistent(bench: Bench) -> None:
    """It is started again with its OLD command (faults F3, F4): nothing is removed yet, node 1's etcd is down."""
    await bench.save("snapA")
    tools = "rancher/rke-tools:v0.1.69"
    await bench.nodes[1].docker_cli("run", "--name", "etcd-checksum-checker", tools, "sh", "-c", "printf 0123")
    ran = await bench.restore("snapA")
    assert ran.status == 1
    assert ran.last.endswith('msg="etcd snapshots are not consistent"')
    assert [node.containers()["etcd"] for node in bench.nodes] == ["exited", "running", "running"]


async def test_a_renamed_zip_loses_its_content(bench: Bench) -> None:
    """The entry is looked up by its original path (fault F33)."""
    await bench.save("snapA")
    for node in bench.nodes:
        (node.snapshots / "snapA.zip").rename(node.snapshots / "renamed.zip")
    ran = await bench.restore("renamed")
    assert ran.status == 1
    assert "File [/backup/renamed] not found in file [/backup/renamed.zip]" in ran.last


async def test_backup_config_without_s3_makes_an_ordinary_name_fatal(bench: Bench) -> None:
    """Fault F32: fatal after the current state is gone, before etcd is stopped."""
    await bench.save("snapA")
    bench.configure(services={"etcd": {"backup_config": {"enabled": True}}})
    ran = await bench.restore("snapA")
    assert ran.status == 1
    assert "restoring S3 backups with no cluster level S3 configuration is not supported" in ran.last
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
    ran = await bench.rke(f"up {CONFIG}")
    assert ran.status == 1
    assert "[certificates] Generating CA kubernetes certificates" in ran.stdout
    assert "failed to report healthy" in ran.last
    assert host.state_file.exists()


async def test_restore_without_the_state_file_wants_a_legacy_state_when_a_kubeconfig_is_there(bench: Bench) -> None:
    """It looks for the ConfigMap of v0.1, which a v1.0 cluster has not; nothing is touched."""
    await bench.save("snapA")
    bench.machines.rke_host.state_file.unlink()
    ran = await bench.restore("snapA")
    assert ran.status == 1
    assert "Timeout waiting for kubernetes cluster to get state" in ran.last


async def test_restore_without_state_and_kubeconfig_goes_on(bench: Bench) -> None:
    """rke ignores the missing file and writes an empty one; the order of its first lines shows it."""
    await bench.save("snapA")
    host = bench.machines.rke_host
    host.state_file.unlink()
    host.kube_config.unlink()
    ran = await bench.restore("snapA")
    recorded = [
        line.partition("msg=")[2].split(" host")[0]
        for line in Transcript.load("v1.0.16-restore-without-state-file").stdout.lines
    ]
    assert [line.partition("msg=")[2].split(" host")[0] for line in ran.lines[:6]] == recorded[:6]
    assert "Cleaning old kubernetes cluster" in ran.stdout


async def test_the_state_file_is_written_before_docker_is_looked_at(bench: Bench) -> None:
    """A first `up` that fails on the docker version leaves certificates in the state file."""
    host = bench.machines.rke_host
    host.state_file.unlink()
    host.kube_config.unlink()
    for node in bench.nodes:
        node.docker_version("20.10.24+dfsg1")
    recorded = Transcript.load("v1.0.16-unsupported-docker")
    ran = await bench.rke(recorded.arguments)
    assert ran.status == recorded.status
    # the host whose version ends the run is another one each time
    kept = Stream(tuple(line for line in recorded.stdout.lines if "[dialer]" not in line), 1)
    assert bench.differences(kept, ran.stdout, progress=False) == []
    assert "kube-ca" in json.loads(host.state_file.read_text())["desiredState"]["certificatesBundle"]
