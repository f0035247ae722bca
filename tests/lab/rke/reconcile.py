"""`rke up` against the state it finds: hosts that left the yml are removed, new etcd hosts join.

Source: cluster/reconcile.go, hosts/hosts.go. Transcript: `v0.1.20-swap-rke-up-afterwards.txt`. v0.1.x reads that state
from the cluster itself, so that after a restore it is the state of the snapshot.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from . import pki, toolbox
from .api import Api, first_active, server_of
from .config import Cluster, Host, section
from .etcd_plane import add_member, is_member, reload, remove_member
from .hosts import CNI_DIRS, ETCD_DIR, SSL_DIR, clean_up
from .log import RkeError
from .planes import remove_control, remove_etcd, remove_worker
from .session import Session


@dataclass
class Up:
    """What one `rke up` knows: `current` is the cluster as it was, None for a new one."""

    session: Session
    api: Api
    current: Cluster | None
    bundle: pki.Bundle


def gone(up: Up, role: str) -> list[Host]:
    """Hosts of a role in the old state that the yml lacks; unreachable ones of the yml do not count."""
    if up.current is None:
        return []
    here = {host.address for host in up.session.cluster.with_role(role)}
    here |= {host.address for host in up.session.inactive}
    return [host for host in up.current.with_role(role) if host.address not in here]


def added(up: Up, role: str) -> list[Host]:
    """Hosts of a role that are new in the yml."""
    before = {host.address for host in up.current.with_role(role)} if up.current else set()
    return [host for host in up.session.cluster.with_role(role) if host.address not in before]


async def reconcile(up: Up) -> None:
    """Raises RkeError when a new etcd host cannot join."""
    log = up.session.log
    log.info("[reconcile] Reconciling cluster state")
    if up.current is None:
        log.info("[reconcile] This is newly generated cluster")
        return
    try:
        await _etcd(up)
    except RkeError as error:
        raise RkeError(f"Failed to reconcile etcd plane: {error}") from error
    await _workers(up)
    await _control(up)
    log.info("[reconcile] Reconciled cluster state successfully")


async def _etcd(up: Up) -> None:
    session = up.session
    session.log.info("[reconcile] Check etcd hosts to be deleted")
    for host in gone(up, "etcd"):
        if await remove_member(session, host) and await delete_node(up, host, host.is_control):
            await clean_host(up, host, "etcd", _clean_etcd)
    session.log.info("[reconcile] Check etcd hosts to be added")
    new = added(up, "etcd")
    if session.settings.legacy:
        await _certify(up, new)
    waiting = {host.address for host in new}
    for host in new:
        if session.settings.legacy:
            _refuse_without_v2(up, host)
        if not await is_member(session, host):
            await add_member(session, host)
        waiting.discard(host.address)
        members = [member.address for member in session.cluster.etcd_hosts if member.address not in waiting]
        session.ready = session.existing = tuple(members)
        await reload(session, host)


async def _certify(up: Up, new: list[Host]) -> None:
    """A certificate for each new etcd host, brought there at once; existing files stay."""
    for host in new:
        await regenerate(up, host)
    for host in new:
        contents = pki.tar_of(pki.files(up.bundle))
        spec = up.session.plan.on_certs("cert-deployer", toolbox.deploy_certs(toolbox.SSL_DIR))
        await up.session.on(host).attached(spec, contents)


async def regenerate(up: Up, host: Host) -> None:
    """A new etcd certificate signed by the cluster's CA."""
    log = up.session.log
    log.info(f"[certificates] Regenerating new etcd-{host.internal_address} certificate and key")
    up.bundle[host.etcd_cert] = pki.etcd_pair(up.session.cluster, up.bundle[pki.CA])
    log.info(f"[certificates] Successfully generated new etcd-{host.internal_address} certificate and key")


def _refuse_without_v2(up: Up, new: Host) -> None:
    """v0.1.x asks etcd's v2 members API, which images from 3.4 on have switched off (fault F39)."""
    tag = up.session.plan.images.etcd.rpartition(":")[2].lstrip("v")
    extra = section(up.session.cluster.etcd, "extra_args")
    release = [int(part) for part in tag.split(".")[:2] if part.isdigit()]
    if release < [3, 4] or str(extra.get("enable-v2", "")).lower() == "true":
        return
    others = [host for host in up.session.cluster.etcd_hosts if host.address != new.address]
    if others:
        raise RkeError(f"Failed to create etcd client for host [{others[-1].address}]: unexpected status code 404")


async def _workers(up: Up) -> None:
    for host in gone(up, "worker"):
        other = host.is_control if up.session.settings.legacy else host.is_control or host.is_etcd
        await delete_node(up, host, other)
        await clean_host(up, without(host, "worker"), "worker", _clean_worker)


async def _control(up: Up) -> None:
    leaving = gone(up, "controlplane")
    server = server_of(up.session.cluster.kube_config)
    leaving.sort(key=lambda host: host.address == server)
    if up.current is not None and leaving and len(leaving) == len(up.current.control_hosts):
        up.session.log.info("[reconcile] Deleting all current controlplane nodes, skipping deleting from k8s cluster")
    else:
        for host in leaving:
            await delete_node(up, host, other_role=False)
            await clean_host(up, host, "controlplane", _clean_control)
    await rebuild_admin_config(up)


def without(host: Host, role: str) -> Host:
    """The host as rke sees it after it took one role from it."""
    return replace(host, roles=tuple(kept for kept in host.roles if kept != role))


async def delete_node(up: Up, host: Host, other_role: bool) -> bool:
    """Cordon and delete the Node object; a host with another role stays in Kubernetes."""
    log, where = up.session.log, f"host [{host.address}]"
    if other_role:
        log.info(f"[hosts] {where} has another role, skipping delete from kubernetes cluster")
        return True
    log.info(f"[hosts] Cordoning {where}")
    key = f"/registry/minions/{host.hostname}"
    if await up.api.get(key) is None:
        log.warning(f"[hosts] Can't find node by name [{host.address}]")
        return True
    log.info(f"[hosts] Deleting {where} from the cluster")
    await up.api.delete(key)
    log.info(f"[hosts] Successfully deleted {where} from the cluster")
    return True


async def clean_host(up: Up, host: Host, plane: str, work: Callable[[Session, Host], Awaitable[None]]) -> None:
    """Services and files of a removed host; a host that cannot be reached is only a warning (fault F37)."""
    try:
        if host.address not in up.session.refused:
            await _reach(up.session, host)
        await work(up.session, host)
    except RkeError as error:
        up.session.log.warning(f"[reconcile] Couldn't clean up {plane} node [{host.address}]: {error}")


async def _reach(session: Session, host: Host) -> None:
    """rke dials a removed host once; the next time it goes on as if it were connected [the same transcript]."""
    try:
        await session.tunnel_up(host)
    except RkeError as error:
        session.refused[host.address] = str(error).removeprefix("Can't retrieve Docker Info: ")
        raise RkeError(f"Not able to reach the host: {error}") from error


async def _removed(removal: Awaitable[None], plane: str, first: str) -> None:
    try:
        await removal
    except RkeError as error:
        reason = str(error).replace("/v1.24/info", f"/v1.24/containers/{first}/json")
        raise RkeError(f"Couldn't remove {plane} plane: {reason}") from error


async def _clean_worker(session: Session, host: Host) -> None:
    await _removed(remove_worker(session, [host]), "worker", "kubelet")
    if host.is_control or host.is_etcd:
        session.log.info(f"[hosts] Host [{host.address}] is already a controlplane or etcd host, skipping cleanup.")
        return
    await clean_up(session, host, (SSL_DIR, *CNI_DIRS))


async def _clean_etcd(session: Session, host: Host) -> None:
    await _removed(remove_etcd(session, [host]), "etcd", "etcd")
    if host.is_worker or host.is_control:
        session.log.info(f"[hosts] Host [{host.address}] is already a worker or control host, skipping cleanup certs.")
        await clean_up(session, host, (ETCD_DIR,))
        return
    await clean_up(session, host, (ETCD_DIR, SSL_DIR))


async def _clean_control(session: Session, host: Host) -> None:
    await _removed(remove_control(session, [host]), "control", "kube-apiserver")
    if host.is_worker or host.is_etcd:
        session.log.info(f"[hosts] Host [{host.address}] is already a worker or etcd host, skipping cleanup.")
        return
    await clean_up(session, host, (SSL_DIR, *CNI_DIRS))


async def rebuild_admin_config(up: Up) -> None:
    """kube_config_<file> with the first controlplane host whose API server answers, else the last one tried."""
    session = up.session
    if not session.cluster.control_hosts:
        return
    session.log.info("[reconcile] Rebuilding and updating local kube config")
    active = await first_active(session, session.cluster.control_hosts)
    for host in session.cluster.control_hosts:
        write_admin_config(up, host)
        if host == active:
            session.log.info(f"[reconcile] host [{host.address}] is active master on the cluster")
            return


def write_admin_config(up: Up, host: Host) -> None:
    """Write kube_config_<file> for one API server; without an admin certificate only the address changes."""
    session = up.session
    path = session.cluster.kube_config
    if up.bundle.get("kube-admin"):
        name = str(session.cluster.tree.get("cluster_name") or "local")
        path.write_text(pki.kube_config(up.bundle, f"https://{host.address}:6443", name))
    session.log.info(f"Successfully Deployed local admin kubeconfig at [{shown(session, path.name)}]")


def shown(session: Session, name: str) -> str:
    """A file beside the yml, as rke prints it: ./NAME, or the directory --config named."""
    parent = session.cluster.path.parent
    return f"./{name}" if str(parent) == "." else f"{parent}/{name}"
