"""`rke etcd snapshot-save` and `snapshot-restore` of v1.0.x.

Source: cmd/etcd.go, cluster/etcd.go, cluster/remove.go, services/etcd.go of v1.0.16. Transcripts:
`v1.0.16-save-3-nodes-ok.txt`, `v1.0.16-restore-after-files-deleted.txt`, `v1.0.16-restore-name-exists-nowhere.txt`,
`v1.0.16-restore-without-state-file.txt`, `v1.0.16-save-one-node-unreachable.txt`.
"""

from . import pki, state_file, toolbox
from .api import Api
from .backup import prepare
from .config import Host
from .hosts import CNI_DIRS, ETCD_DIR, SSL_DIR, clean_up
from .log import RkeError
from .planes import remove_control, remove_etcd, remove_worker
from .session import Session, gather
from .snapshots import restore_one
from .up_v1 import build, check_legacy, init

POD_WORDS = ("canal", "flannel", "calico", "weave", "nginx-ingress", "metrics-server", "kube-dns", "coredns-autoscaler")


async def save(session: Session, name: str) -> None:
    """Each member's own snapshot as NAME.zip; a failing host ends the run and leaves no container behind."""
    await session.tunnel()
    for host in session.cluster.etcd_hosts:
        await _save_one(session, host, name)
    session.log.info(f"Finished saving/uploading snapshot [{name}] on all etcd hosts")


async def _save_one(session: Session, host: Host, name: str) -> None:
    containers, spec = session.on(host), session.plan.snapshot_once(host, name)
    session.log.info(f"[etcd] Running snapshot save once on host [{host.address}]")
    await containers.remove_if_present(spec.name)
    await containers.run(spec, "etcd")
    await containers.pause()
    status = await containers.wait(spec.name)
    _, stderr = await containers.output(spec.name) if status else ("", "")
    await containers.remove(spec.name)
    if status != 0:
        raise RkeError(
            f"[etcd] Failed to take one-time snapshot on host [{host.address}], exit code [{status}]: {stderr}"
        )


async def restore(session: Session, name: str) -> None:
    """Empty the current state, distribute and compare, clean ALL nodes, restore, bring everything up again."""
    state = state_file.read(session)
    await check_legacy(session)
    state_file.write(session, state_file.FullState(state.desired, {}))
    await session.tunnel()
    bundle = {key: pair for key, pair in state.bundle.items() if key in {"kube-ca", "kube-node"}}
    await gather(_restore_certs(session, host, bundle) for host in session.cluster.etcd_hosts)
    await prepare(session, name)
    session.log.info("Cleaning old kubernetes cluster")
    await _clean_nodes(session)
    for host in session.cluster.etcd_hosts:
        await restore_one(session, host, name)
        await _remove_plain(session, host, name)
    session.log.info("Initiating Kubernetes cluster")
    await init(session)
    try:
        await build(session)
    except RkeError as error:
        if "Provisioning incomplete" not in str(error):
            raise
        session.log.warning(str(error))
    await _restart_pods(session)
    await _remove_old_nodes(session)
    session.log.info(f"Finished restoring snapshot [{name}] on all etcd hosts")


async def _restore_certs(session: Session, host: Host, bundle: pki.Bundle) -> None:
    spec = session.plan.on_certs("cert-deployer", toolbox.deploy_certs(toolbox.SSL_DIR))
    await session.on(host).attached(spec, pki.tar_of(pki.files(bundle)))


async def _clean_nodes(session: Session) -> None:
    """The point of no return: service containers, certificates and data of every node of the yml."""
    cluster = session.cluster
    await remove_worker(session, cluster.worker_hosts, force=True)
    await remove_control(session, cluster.control_hosts, force=True)
    await remove_etcd(session, cluster.etcd_hosts, force=True)

    async def clean(host: Host) -> None:
        await session.on(host).pause()
        session.log.info(f"[hosts] Cleaning up host [{host.address}]")
        await clean_up(session, host, (SSL_DIR, *CNI_DIRS, ETCD_DIR))

    await gather(clean(host) for host in cluster.hosts)


async def _remove_plain(session: Session, host: Host, name: str) -> None:
    containers, spec = session.on(host), session.plan.remove_snapshot(name)
    session.log.info(f"[etcd] Removing snapshot [{name}] from host [{host.address}]")
    await containers.remove_if_present(spec.name)
    await containers.once(spec, "etcd")


async def _restart_pods(session: Session) -> None:
    """rke deletes the pods and Kubernetes makes new ones; here their containers are restarted."""
    session.log.info("Restarting network, ingress, and metrics pods")

    async def restart(host: Host) -> None:
        transport = session.on(host).transport
        listed = await transport.docker("ps", "-a", "--format", "{{.Names}}")
        pods = [
            name
            for name in listed.text.splitlines()
            if name.startswith("k8s_") and any(word in name for word in POD_WORDS)
        ]
        if pods:
            await transport.docker("restart", *pods)

    await gather(restart(host) for host in session.cluster.hosts)


async def _remove_old_nodes(session: Session) -> None:
    """Node objects that the yml does not name."""
    api = Api(session)
    kept = {f"/registry/minions/{host.hostname}" for host in session.cluster.hosts}
    for key in await api.keys("/registry/minions/"):
        if key not in kept:
            await api.delete(key)
