"""A lab cluster as `bring_up` leaves it, and its faults."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.nodes import Machines
from tests.lab.nodes.bringup import wait_healthy

DEADLINE = 20.0
ETCD = "rancher/coreos-etcd:v3.2.24-rancher1"
SSL = "/etc/kubernetes/ssl"
CLIENT = f"--cacert {SSL}/kube-ca.pem --cert {SSL}/kube-node.pem --key {SSL}/kube-node-key.pem"


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[Machines]:
    """Three nodes with a running cluster."""
    async with Machines(tmp_path / "lab") as started:
        await started.bring_up()
        yield started


async def test_every_member_serves_what_one_was_told(machines: Machines) -> None:
    """Three members, one leader, one history."""
    await machines.nodes[0].put("color", "blue")
    assert [await node.get("color") for node in machines.nodes] == ["blue"] * 3
    members = (await machines.nodes[0].etcdctl("member", "list")).splitlines()
    assert sorted(line.split(", ")[2] for line in members) == [f"etcd-{node.address}" for node in machines.nodes]


async def test_containers_have_rkes_names(machines: Machines) -> None:
    """What rke starts is running, service-sidekick is only created, canal's pods are there."""
    states = machines.nodes[0].containers()
    expected = ["etcd", "etcd-rolling-snapshots", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    expected += ["kubelet", "kube-proxy"]
    assert {name: states[name] for name in expected} == dict.fromkeys(expected, "running")
    assert states["service-sidekick"] == "created"
    for part in ("k8s_POD_canal-", "k8s_calico-node_canal-", "k8s_kube-flannel_canal-"):
        assert any(name.startswith(part) for name in states)


async def test_etcdctl_works_without_arguments(machines: Machines) -> None:
    """As on a node of rke: `docker exec etcd etcdctl …` over SSH."""
    done = await machines.nodes[1].run("docker exec etcd etcdctl endpoint status -w json")
    assert isinstance(done.stdout, bytes)
    status = json.loads(done.stdout)
    assert status[0]["Endpoint"] == f"http://{machines.nodes[1].address}:2379"


async def test_a_flipped_byte_is_found_by_the_trailing_checksum_only(machines: Machines) -> None:
    """A one-shot container writes a snapshot root owns, whose last 32 bytes are the sha256 of the rest."""
    node = machines.nodes[0]
    run = f"docker run --rm --net host -v /opt/rke/etcd-snapshots:/backup {ETCD}"
    assert (await node.run(f"{run} etcdctl snapshot save /backup/snap1")).exit_status == 0
    path = node.snapshots / "snap1"
    assert path.stat().st_mode & 0o777 == 0o600
    assert hashlib.sha256(path.read_bytes()[:-32]).digest() == path.read_bytes()[-32:]
    node.corrupt_file("snap1")
    assert hashlib.sha256(path.read_bytes()[:-32]).digest() != path.read_bytes()[-32:]
    assert (await node.run(f"{run} etcdctl snapshot status /backup/snap1")).exit_status == 0


async def test_the_api_server_answers_a_client_certificate_on_the_node(machines: Machines) -> None:
    """curl as root with the node's certificate: ok; without one: 401; not trusting the authority: refused."""
    node = machines.nodes[0]
    url = f"https://{node.address}:6443/healthz"
    assert (await node.run(f"sudo -n curl -sS -m 5 {CLIENT} {url}")).stdout == b"ok"
    anonymous = await node.run(f"curl -sS -o /dev/null -w '%{{http_code}}' --cacert {SSL}/kube-ca.pem {url}")
    assert anonymous.stdout == b"401"
    assert (await node.run(f"curl -sS {url}")).exit_status == 60
    assert (await node.run(f"curl -sS {CLIENT} {url}")).exit_status == 58


async def test_the_api_server_is_not_ok_without_its_etcd(machines: Machines) -> None:
    """A stopped member makes /readyz fail; `curl -f` says 22."""
    node = machines.nodes[0]
    await node.stop_container("etcd")
    done = await node.run(f"sudo -n curl -sS -f -m 5 {CLIENT} https://{node.address}:6443/readyz")
    assert done.exit_status == 22


async def test_the_api_server_goes_with_its_container(machines: Machines) -> None:
    """Stopped: connection refused. Started: ok."""
    node = machines.nodes[0]
    command = f"sudo -n curl -sS -m 5 {CLIENT} https://{node.address}:6443/healthz"
    await node.stop_container("kube-apiserver")
    assert (await node.run(command)).exit_status == 7
    await node.docker_cli("start", "kube-apiserver")
    assert (await node.run(command)).stdout == b"ok"


async def test_the_cluster_outlives_one_machine(machines: Machines) -> None:
    """With one node off the other two serve; when it is back it catches up."""
    first, *_, last = machines.nodes
    await last.down()
    assert last.containers()["etcd"] == "exited"
    with pytest.raises(ConnectionRefusedError):
        await last.run("true")
    await wait_healthy(first)
    await first.put("color", "red")
    await last.up()
    await wait_healthy(last)
    assert await last.get("color") == "red"


async def test_a_crashed_member_comes_back_by_its_policy(machines: Machines) -> None:
    """restart=always, and the data is still there."""
    node = machines.nodes[0]
    await node.put("color", "blue")
    node.crash_container("etcd")
    async with asyncio.timeout(DEADLINE):
        while node.container("etcd").state.restart_count == 0:  # noqa: ASYNC110  # dockerd has no event for it here
            await asyncio.sleep(0.01)
    await wait_healthy(node)
    assert await node.get("color") == "blue"


async def test_a_left_helper_is_seen_and_can_be_removed(machines: Machines) -> None:
    """A leftover etcd-restore stands there, stopped."""
    node = machines.nodes[0]
    await node.leave_container("etcd-restore")
    assert node.containers()["etcd-restore"] == "exited"
    assert (await node.run("docker rm -f etcd-restore")).exit_status == 0
    assert "etcd-restore" not in node.containers()


async def test_certificates_and_kubeconfig_lie_where_rke_leaves_them(machines: Machines) -> None:
    """Certificates on every node with a copy in .tmp; the kubeconfig beside the yml."""
    name = f"kube-etcd-{machines.nodes[2].address.replace('.', '-')}.pem"
    for node in machines.nodes:
        assert (node.real(SSL) / name).exists()
        assert (node.real("/etc/kubernetes/.tmp") / "kube-ca-key.pem").exists()
    assert "https://" in machines.rke_host.kube_config.read_text()
