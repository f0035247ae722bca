"""Facts of a healthy cluster of three nodes, and ways to spoil them."""

from dataclasses import replace
from typing import Any, Final

from bot.core.cluster import Cluster, SshTarget
from bot.core.facts import (
    S3,
    Access,
    ClusterYml,
    Container,
    Copy,
    Form,
    Integrity,
    Member,
    NodeFacts,
    NodeSpec,
    RkeFacts,
)
from tests.unit.jobs import POLICY

NOW: Final = 1_795_352_640.0
MIB: Final = 2**20
NAMES: Final = ("1.1.1.1", "2.2.2.2", "3.3.3.3")
CONTAINERS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
CLUSTER: Final = Cluster("prod", ("C1",), SshTarget("9.9.9.9", "rke"), "/home/rke/rancher-cluster.yml", POLICY)
RKE: Final = RkeFacts("v0.1.20", "rke-hash", b"", "yml-hash", "", kube_config=True)
RKE_1: Final = RkeFacts("v1.0.16", "rke-hash", b"", "yml-hash", "state-hash", kube_config=True)


def spec(address: str, *roles: str) -> NodeSpec:
    """A node of all roles, or of those given."""
    names = frozenset(roles or ("etcd", "controlplane", "worker"))
    return NodeSpec(address, "rke", names, internal_address=address, hostname=address)


def container(name: str, status: str = "running", started_at: str = "2026-11-22T13:04:00.123456789Z") -> Container:
    """A container as docker inspect shows it."""
    return Container(name, "image", status, started_at)


def node(address: str, *roles: str, **changes: Any) -> NodeFacts:
    """A node where everything is fine."""
    there = {name: container(name) for name in CONTAINERS}
    room = 10_000 * MIB
    fine = NodeFacts(spec(address, *roles), "", "19.03.15", Access.SUDO, there, room, room, NOW)
    return replace(fine, **changes)


def copy(where: str = S3, **changes: Any) -> Copy:
    """An intact copy of before-upgrade of 48 MiB; every place has bytes of its own."""
    fine = Copy(
        "before-upgrade",
        where,
        Form.PLAIN,
        48 * MIB,
        48 * MIB,
        NOW - 3600,
        f"sha-{where}",
        f"sha-{where}",
        Integrity.INTACT,
        1_204_311,
    )
    return replace(fine, **changes)


def yml(*nodes: NodeSpec, **changes: Any) -> ClusterYml:
    """Three nodes of all roles, or those given."""
    return replace(ClusterYml(nodes or tuple(spec(name) for name in NAMES), kubernetes_version="v1.13.12"), **changes)


def member(address: str, **changes: Any) -> Member:
    """A member that knows all three and follows leader 7."""
    names = tuple(f"etcd-{name}" for name in NAMES)
    return replace(Member(address, "", 1, 7, 1000, "3.2.24", (), names), **changes)
