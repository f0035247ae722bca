"""The rke double as v0.1.20, on lab nodes, held against recorded runs of the real one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.rke.bench import CONFIG, Bench, cluster
from tests.lab.rke.transcript import Transcript

# rke gives up before the tool tries again; long enough for the hosts whose etcd runs
IMPATIENT = {"RKE_DOUBLE_RESPONSE_TIMEOUT": "6", "RKE_DOUBLE_RETRY_INTERVAL": "60"}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A healthy cluster of rke v0.1.20."""
    async with cluster(tmp_path, "v0.1.20") as bench:
        yield bench


async def test_save_takes_each_members_own_snapshot_and_the_certificates(bench: Bench) -> None:
    """The file carries the name verbatim, mode 0600, on every etcd host; the bundle lies beside it."""
    await bench.replay("v0.1.20-save-3-nodes-ok")
    for node in bench.nodes:
        assert {path.name for path in node.snapshots.iterdir()} == {"snap1", "pki.bundle.tar.gz"}
        assert (node.snapshots / "snap1").stat().st_mode & 0o777 == 0o600
        assert "etcd-snapshot-once" not in node.containers()


async def test_save_without_a_name_makes_one_from_the_time(bench: Bench) -> None:
    """A warning, not an error."""
    ran = await bench.replay("v0.1.20-save-without-name")
    assert "level=warning" in ran.lines[0]


async def test_restore_brings_the_old_value_back_and_up_confirms_it(bench: Bench) -> None:
    """etcd goes back on all members; kube containers are untouched by the restore, kept by the up."""
    await bench.nodes[0].put("key", "before")
    await bench.save_equal("snap1")
    await bench.nodes[0].put("key", "after")
    for node in bench.nodes:
        await node.docker_cli("rm", "-f", "etcd-rolling-snapshots")
    await bench.replay("v0.1.20-restore-same-file-on-all-three-nodes")
    assert [await node.get("key") for node in bench.nodes] == ["before"] * 3
    # the components were stand-ins in that recording: which lines they left out of the cut part is not known
    ran = await bench.replay("v0.1.20-up-existing-cluster", progress=False)
    assert "Successfully updated" not in ran.stderr
    assert all(node.containers()["etcd"] == "running" for node in bench.nodes)


async def test_restore_with_a_missing_file_leaves_no_etcd_anywhere(bench: Bench) -> None:
    """It destroys before it looks; the same restore with the file back in place repairs it."""
    await bench.save_equal("snap1")
    content = (bench.nodes[2].snapshots / "snap1").read_bytes()
    bench.nodes[2].remove_file("snap1")
    await bench.replay("v0.1.20-restore-file-missing-on-node-3")
    assert [node.containers().get("etcd") for node in bench.nodes] == [None] * 3
    assert bench.nodes[0].containers()["etcd-rolling-snapshots"] == "running"
    (bench.nodes[2].snapshots / "snap1").write_bytes(content)
    ran = await bench.restore("snap1")
    assert ran.status == 0, ran.last


async def test_restore_of_an_unknown_name_fails_on_the_first_host(bench: Bench) -> None:
    """etcd is gone on all hosts by then."""
    await bench.replay("v0.1.20-restore-name-exists-nowhere")
    assert [node.containers().get("etcd") for node in bench.nodes] == [None] * 3


async def test_restore_of_a_truncated_file_fails_on_its_host(bench: Bench) -> None:
    """Node 1 was restored already, node 3 never."""
    await bench.save_equal("snap1")
    bench.nodes[1].truncate_file("snap1")
    await bench.replay("v0.1.20-restore-file-truncated-on-node-2")


async def test_different_files_under_one_name_are_not_noticed(bench: Bench) -> None:
    """Status 0, all members healthy, and reads differ (fault F23)."""
    await bench.nodes[0].put("key", "first")
    await bench.save_equal("snap1")
    await bench.nodes[0].put("key", "second")
    await bench.save("other")
    third = bench.nodes[2].snapshots
    (third / "snap1").write_bytes((third / "other").read_bytes())
    await bench.replay("v0.1.20-restore-other-content-under-the-same-name-on-node-3")
    assert await bench.local_values("key") == ["first", "first", "second"]


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
    await bench.save_equal("snap1")
    await bench.nodes[2].down()
    ran = await bench.restore("snap1")
    recorded = Transcript.load("v0.1.20-restore-node-3-unreachable")
    assert ran.status == recorded.status == 0
    assert len(ran.lines) == len(recorded.stderr.lines) + recorded.stderr.cut
    assert len((await bench.nodes[0].etcdctl("member", "list")).splitlines()) == 2


async def test_an_unknown_docker_version_ends_the_run_at_once(bench: Bench) -> None:
    """Other hosts do not matter; ignore_docker_version makes it a warning."""
    for node in bench.nodes:
        node.docker_version("20.10.24+dfsg1")
    ran = await bench.rke(f"etcd snapshot-save --name snap1 {CONFIG}")
    recorded = Transcript.load("v0.1.20-unsupported-docker").stderr.lines
    assert ran.status == 1
    assert ran.last.partition(" ")[2] == recorded[-1].partition(" ")[2]
    bench.configure(ignore_docker_version=True)
    await bench.save("snap1")


async def test_a_stopped_member_ends_in_the_misleading_sentence_and_a_left_over(bench: Bench) -> None:
    """The 50 s limit (fault F25); the container stays, restarted always, and the next save replaces it (F26)."""
    await bench.nodes[1].docker_cli("stop", "etcd")
    await bench.replay("v0.1.20-save-etcd-container-stopped-on-node-2", limits=IMPATIENT)
    assert bench.nodes[1].containers()["etcd-snapshot-once"] == "running"
    assert (bench.nodes[0].snapshots / "s7").exists()
    await bench.nodes[1].docker_cli("start", "etcd")
    await bench.replay("v0.1.20-next-save-with-the-left-over-container")
    assert (bench.nodes[1].snapshots / "s8").exists()


async def test_a_stopped_left_over_is_started_with_its_old_name(bench: Bench) -> None:
    """rke reports the new name as saved; the node has no such file."""
    await bench.nodes[1].docker_cli("stop", "etcd")
    await bench.rke(f"etcd snapshot-save --name old {CONFIG}", **IMPATIENT)
    await bench.nodes[1].docker_cli("stop", "-t", "0", "etcd-snapshot-once")
    await bench.nodes[1].docker_cli("start", "etcd")
    await bench.save("new")
    assert (bench.nodes[1].snapshots / "old").exists()
    assert not (bench.nodes[1].snapshots / "new").exists()


async def test_a_swapped_node_has_no_certificate_until_up(bench: Bench) -> None:
    """The restore succeeds, the new member crash-loops (fault F28); `rke up` brings its certificate."""
    await bench.save_equal("final")
    spare = bench.spare
    (spare.snapshots).mkdir(parents=True, exist_ok=True)
    (spare.snapshots / "final").write_bytes((bench.nodes[0].snapshots / "final").read_bytes())
    await bench.nodes[2].down()
    bench.machines.rke_host.write_config([*bench.nodes[:2], spare])
    await bench.replay("v0.1.20-swap-restore-with-the-new-node")
    assert spare.containers()["etcd"] == "restarting"
    ran = await bench.rke(f"up {CONFIG} --disable-port-check")
    assert ran.status == 0, ran.last
    assert "Regenerating new etcd-" in ran.stderr
    assert spare.containers()["kube-apiserver"] == "running"
    assert len((await spare.etcdctl("member", "list")).splitlines()) == 3


async def test_up_refuses_a_new_member_of_an_etcd_without_the_v2_api(bench: Bench) -> None:
    """Images from 3.4 on, no enable-v2: 404 (fault F39); with it the member joins."""
    spare = bench.spare
    image = {"system_images": {"etcd": "rancher/coreos-etcd:v3.4.3-rancher1"}}
    await bench.nodes[2].down()
    bench.machines.rke_host.write_config([*bench.nodes[:2], spare], **image)
    ran = await bench.rke(f"up {CONFIG} --disable-port-check")
    assert ran.status == 1
    assert ran.last.endswith('unexpected status code 404"')
    etcd = {"snapshot": True, "extra_args": {"enable-v2": "true"}}
    bench.configure(services={"etcd": etcd})
    ran = await bench.rke(f"up {CONFIG} --disable-port-check")
    assert ran.status == 0, ran.last
    assert "Successfully Added member [etcd-" in ran.stderr


async def test_up_cleans_a_reachable_host_that_left_the_yml(bench: Bench) -> None:
    """The state in the cluster still names it (fault F37)."""
    third = bench.nodes[2]
    bench.machines.rke_host.write_config(bench.nodes[:2])
    ran = await bench.rke(f"up {CONFIG}")
    assert ran.status == 0, ran.last
    assert not {"etcd", "kube-apiserver"} & set(third.containers())
    assert len((await bench.nodes[0].etcdctl("member", "list")).splitlines()) == 2


async def test_a_left_over_restore_container_restores_its_old_file(bench: Bench) -> None:
    """Status 0 and the OLD snapshot's data on that node (fault F4)."""
    await bench.nodes[0].put("key", "old")
    await bench.save_equal("old")
    await bench.nodes[0].put("key", "new")
    await bench.save_equal("new")
    await bench.restore("new")
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
    ran = await bench.restore("new")
    assert ran.status == 0, ran.last
    assert await bench.local_values("key") == ["new", "old", "new"]


async def test_up_says_at_its_end_who_was_skipped(bench: Bench) -> None:
    """Only `rke up` turns an unreachable host into an error."""
    await bench.nodes[2].down()
    ran = await bench.rke(f"up {CONFIG}")
    skipped = f"Provisioning incomplete, host(s) [{bench.nodes[2].address}] skipped because they could not be contacted"
    assert ran.status == 1
    assert skipped in ran.last


async def test_a_failing_network_plugin_is_fatal_and_another_addon_is_not(bench: Bench) -> None:
    """Addon jobs fail when the components' caches come from the future."""
    ran = await bench.rke(f"up {CONFIG}", RKE_DOUBLE_FAILING_ADDONS="rke-metrics-addon")
    assert ran.status == 0
    assert "Failed to deploy addon execute job [rke-metrics-addon]" in ran.stderr
    ran = await bench.rke(f"up {CONFIG}", RKE_DOUBLE_FAILING_ADDONS="rke-network-plugin")
    assert ran.status == 1
    assert "Failed to get job complete status" in ran.last
