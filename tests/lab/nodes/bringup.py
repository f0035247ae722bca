"""Makes lab nodes a running cluster without running rke: certificates, containers, etcd's content, kubeconfig.

What is left is what a finished ``rke up`` leaves: containers and objects are described by the rke double itself.
"""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace

from tests.lab.nodes.certs import Pki
from tests.lab.nodes.etcdhttp import put_all
from tests.lab.nodes.node import CLIENT_PORT, Node
from tests.lab.nodes.paths import ETCD_DATA, KUBERNETES
from tests.lab.nodes.rkehost import RkeHost
from tests.lab.rke import ContainerSpec, node_plan, pki, seed_objects, write_state
from tests.lab.rke.config import Cluster, cluster_of, parse
from tests.lab.rke.settings import Settings

HEALTHY_WITHIN = 20.0
_POLL = 0.02
_PROBE = 0.2
"""A member asked before it has a leader keeps the question until its next retry; asking anew is quicker."""

PODS = (
    ("pause:3.1", "POD", "canal-{suffix}", "kube-system"),
    ("calico-node:v3.4.0", "calico-node", "canal-{suffix}", "kube-system"),
    ("coreos-flannel:v0.10.0-rancher1", "kube-flannel", "canal-{suffix}", "kube-system"),
    ("pause:3.1", "POD", "coredns-{suffix}", "kube-system"),
    ("coredns-coredns:1.2.6", "coredns", "coredns-{suffix}", "kube-system"),
)
"""Image, container, pod and namespace of the pods' containers on each node (canal is rke's default network plugin)."""

_PROGRAMS = {"POD": "/pause", "calico-node": "start_runit", "kube-flannel": "/opt/bin/flanneld", "coredns": "/coredns"}


async def bring_up(nodes: Sequence[Node], rke_host: RkeHost, authority: Pki) -> None:
    """Start the cluster the RKE host's yml describes and wait until every member is healthy."""
    cluster = cluster_of(rke_host.config, parse(rke_host.config.read_text()))
    settings = replace(Settings.from_environ(), version=rke_host.version)
    members = [n.address for n in nodes if "etcd" in n.roles]
    certificates = authority.files(members)
    for node in nodes:
        _deploy(node, authority, members)
    await _start_members([n for n in nodes if "etcd" in n.roles], cluster, settings)
    await asyncio.gather(*(_run_node(node, cluster, settings) for node in nodes))
    await asyncio.gather(*(wait_healthy(node) for node in nodes if "etcd" in node.roles))
    await put_all(members[0], CLIENT_PORT, seed_objects(rke_host.config, certificates))
    control = next(n for n in nodes if "controlplane" in n.roles)
    server = f"https://{control.address}:6443"
    rke_host.kube_config.write_text(pki.kube_config(pki.bundle_of(certificates), server, "lab"))
    if not settings.legacy:
        write_state(rke_host.config, certificates)


def _deploy(node: Node, authority: Pki, members: Sequence[str]) -> None:
    """Certificates in place, and the copy rke keeps in .tmp on etcd and controlplane nodes."""
    ssl = node.real(f"{KUBERNETES}/ssl")
    authority.deploy(ssl, members)
    if {"etcd", "controlplane"} & set(node.roles):
        shutil.copytree(ssl, node.real(f"{KUBERNETES}/.tmp"), dirs_exist_ok=True)
    if "etcd" in node.roles:
        node.real(ETCD_DATA).mkdir(parents=True, exist_ok=True)
        node.real(ETCD_DATA).chmod(0o700)


async def _start_members(nodes: Sequence[Node], cluster: Cluster, settings: Settings) -> None:
    """One after the other: a new member asks the others first, and waits a second for each that is only starting."""
    for node in nodes:
        await docker(node, *_specs(node, cluster, settings)["etcd"].run_argv()[1:])
        async with asyncio.timeout(HEALTHY_WITHIN):
            while not _serves_peers(node):  # noqa: ASYNC110  # only its log tells
                await asyncio.sleep(_POLL)


def _serves_peers(node: Node) -> bool:
    return any(b"serving peer traffic" in data for _, data, _ in node.container("etcd").logs)


def _specs(node: Node, cluster: Cluster, settings: Settings) -> dict[str, ContainerSpec]:
    host = next(h for h in cluster.hosts if h.address == node.address)
    return node_plan(cluster, host, settings)


async def _run_node(node: Node, cluster: Cluster, settings: Settings) -> None:
    for spec in _specs(node, cluster, settings).values():
        if spec.name == "etcd":
            continue
        argv = spec.create_argv() if spec.name == "service-sidekick" else spec.run_argv()
        await docker(node, *argv[1:])
    for words in _pods(node):
        await docker(node, *words)


def _pods(node: Node) -> list[list[str]]:
    """``docker run`` words of the pods' containers; names as dockershim makes them."""
    last = node.address.rpartition(".")[2]
    words = []
    for number, (image, container, pod, namespace) in enumerate(PODS):
        suffix = f"{'x7k' if 'canal' in pod else 'c5v'}{int(last):02d}"
        uid = f"{int(last):08x}-0000-11e9-9d{'canal' in pod:02x}-{number // 3:012x}"
        name = f"k8s_{container}_{pod.format(suffix=suffix)}_{namespace}_{uid}_0"
        labels = {
            "io.kubernetes.container.name": container,
            "io.kubernetes.pod.name": pod.format(suffix=suffix),
            "io.kubernetes.pod.namespace": namespace,
            "io.kubernetes.pod.uid": uid,
        }
        flags = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        words.append(["run", "-d", "--name", name, "--net", "host", *flags, f"rancher/{image}", _PROGRAMS[container]])
    return words


async def docker(node: Node, *words: str, stdin: bytes | None = None) -> bytes:
    """``docker WORDS`` on a node; raises RuntimeError with Docker's own text when it fails."""
    status, out, err = await node.docker_cli(*words, stdin=stdin)
    if status:
        raise RuntimeError(f"docker {' '.join(words)} on {node.name} ended with {status}: {err.decode()}")
    return out


async def wait_healthy(node: Node) -> None:
    """Wait until the node's member has a leader and answers; raises TimeoutError."""
    async with asyncio.timeout(HEALTHY_WITHIN):
        while not await node.etcd_healthy(within=_PROBE):  # noqa: ASYNC110  # etcd has no event for "I have a leader"
            await asyncio.sleep(_POLL)


__all__ = ["bring_up", "docker", "wait_healthy"]
