"""Starting etcd on every etcd host, its members, and its rolling snapshots.

Source: services/etcd.go of v0.1.20 and v1.0.16 (RunEtcdPlane, AddEtcdMember, RemoveEtcdMember, ReloadEtcdCluster).
"""

import asyncio

from .config import Host
from .containers import Containers
from .hosts import save_bundle
from .log import RkeError
from .session import Session
from .toolbox import SSL_DIR


async def run_plane(session: Session) -> None:
    """etcd, rolling snapshots, bundle and log link, host after host. v0.1.x does not ask whether etcd is healthy."""
    session.log.info("[etcd] Building up etcd plane..")
    for host in session.cluster.etcd_hosts:
        containers = session.on(host)
        await containers.pause()
        if not session.settings.legacy:
            await _fix_permissions(session, containers)
        await containers.run(session.plan.etcd(host), "etcd")
        if session.cluster.etcd.get("snapshot", True):
            await _rolling(session, host)
            await save_bundle(session, host)
        else:
            await containers.remove_if_present("etcd-rolling-snapshots")
        await containers.link_log(session.plan, "etcd", "etcd")
    if session.settings.legacy:
        session.log.info("[etcd] Successfully started etcd plane..")
    else:
        session.log.info("[etcd] Successfully started etcd plane.. Checking etcd cluster health")
        await _check_health(session)


async def _fix_permissions(session: Session, containers: Containers) -> None:
    spec, where = session.plan.fix_permissions(), containers.where
    await containers.attached(spec)
    session.log.info(f"Successfully started [{spec.name}] container {where}")
    session.log.info(f"[remove/{spec.name}] Successfully removed container {where}")


async def _rolling(session: Session, host: Host) -> None:
    containers, spec = session.on(host), session.plan.rolling(host)
    if session.settings.legacy:
        session.log.info(f"[etcd] Saving snapshot [{spec.name}] on host [{host.address}]")
    else:
        # rke v1.0.16 prints the wrong container's name here
        session.log.info(f"[etcd] Running rolling snapshot container [etcd-snapshot-once] {containers.where}")
        await containers.remove_if_present(spec.name)
    await containers.run(spec, "etcd")
    await session.wait(5)
    found = await containers.inspect(spec.name)
    if found is not None and (found["State"]["Status"] == "exited" or found["State"].get("Restarting")):
        session.log.warning("Etcd rolling snapshot container failed to start correctly")
        await containers.remove(spec.name)


async def healthy(session: Session, host: Host) -> bool:
    """The member answers a linearizable read."""
    call = ("exec", "etcd", "etcdctl", "endpoint", "health")
    return (await session.on(host).transport.docker(*call)).status == 0


async def trusted(session: Session, host: Host) -> bool:
    """The node's CA is the one rke holds; plain http cannot show this, so the files are compared (fault F27)."""
    if not session.authority:
        return True
    spec = session.plan.on_certs("cert-fetcher", f"cat {SSL_DIR}kube-ca.pem")
    return (await session.on(host).attached(spec)).strip() == session.authority.strip()


async def _check_health(session: Session) -> None:
    """One healthy member is enough [v1.0.16 services/etcd.go RunEtcdPlane]."""
    sick: list[str] = []
    for host in session.cluster.etcd_hosts:
        for _ in range(5):
            if await trusted(session, host) and await healthy(session, host):
                return
            await session.wait(20)
        session.log.warning(
            f"failed to check etcd health: failed to get /health for host [{host.address}]: Get "
            f'"https://{host.address}:2379/health": remote error: tls: bad certificate'
        )
        sick.append(host.address)
    raise RkeError(
        f"etcd cluster is unhealthy: hosts [{','.join(sick)}] failed to report healthy. Check etcd container logs on "
        "each host for more information"
    )


async def members(session: Session, host: Host) -> list[list[str]]:
    """`etcdctl member list` of one host as fields; raises RkeError when it does not answer."""
    listed = await session.on(host).transport.docker("exec", "etcd", "etcdctl", "member", "list")
    if listed.status != 0:
        raise RkeError(f"Failed to list etcd members from host [{host.address}]: {listed.error}")
    return [[part.strip() for part in line.split(",")] for line in listed.text.splitlines()]


async def remove_member(session: Session, gone: Host) -> bool:
    """Take a member out; False (a warning in rke) when no host knows it or none answers."""
    session.log.info(f"[remove/etcd] Removing member [etcd-{gone.hostname}] from etcd cluster")
    for host in session.cluster.etcd_hosts:
        try:
            known = await members(session, host)
        except RkeError:
            continue
        identity = next((fields[0] for fields in known if fields[2] == f"etcd-{gone.hostname}"), None)
        if identity is None:
            continue
        if await _change_members(session, host, "remove", identity):
            session.log.info(f"[remove/etcd] Successfully removed member [etcd-{gone.hostname}] from etcd cluster")
            return True
    session.log.warning(f"[reconcile] Failed to delete etcd member [etcd-{gone.hostname}] from etcd cluster")
    return False


async def _change_members(session: Session, host: Host, *words: str) -> bool:
    """`etcdctl member …`; etcd refuses as "unhealthy" until members have known each other for five seconds.

    A real cluster is older than that when rke comes; one of a test need not be.
    """
    for _ in range(40):
        done = await session.on(host).transport.docker("exec", "etcd", "etcdctl", "member", *words)
        if done.status == 0 or "unhealthy cluster" not in done.error:
            return done.status == 0
        await asyncio.sleep(0.25)
    return False


async def is_member(session: Session, host: Host) -> bool:
    """Some other host lists this one's peer URL. Raises RkeError when none could be asked."""
    refused: RkeError | None = None
    for other in session.cluster.etcd_hosts:
        if other.address == host.address:
            continue
        try:
            known = await members(session, other)
        except RkeError as error:
            refused = RkeError(f"Failed to create etcd client for host [{other.address}]: {error}")
            continue
        if any(session.plan.url(host, 2380) in fields[3] for fields in known):
            session.log.info(f"[etcd] member [{host.address}] is already part of the etcd cluster")
            return True
        return False
    if refused is not None:
        raise refused
    return False


async def add_member(session: Session, host: Host) -> None:
    """Announce a new member; raises RkeError when no other host accepts it."""
    name = f"etcd-{host.hostname}"
    session.log.info(f"[add/etcd] Adding member [{name}] to etcd cluster")
    for other in session.cluster.etcd_hosts:
        if other.address == host.address:
            continue
        if await _change_members(session, other, "add", name, f"--peer-urls={session.plan.url(host, 2380)}"):
            session.log.info(f"[add/etcd] Successfully Added member [{name}] to etcd cluster")
            return
    raise RkeError(f"Failed to add etcd member [{name}] to etcd cluster")


async def reload(session: Session, new: Host) -> None:
    """Update the old members' containers, then start the new one (v0.1.x order); raises RkeError if unhealthy."""
    ready = [host for host in session.cluster.etcd_hosts if host.address in session.ready]
    others = [host for host in ready if host.address != new.address]
    order = [*others, new] if session.settings.legacy else [new, *others]
    for host in order:
        containers = session.on(host)
        await containers.run(session.plan.etcd(host), "etcd")
        await containers.link_log(session.plan, "etcd", "etcd")
        await _settle(session, host)
    if not any([await healthy(session, host) for host in ready]):
        raise RkeError("[etcd] Etcd Cluster is not healthy")


async def _settle(session: Session, host: Host) -> None:
    """rke waits a fixed time between members; the double waits until this one answers, with a bound."""
    for _ in range(40):
        if await healthy(session, host):
            return
        await session.wait(10)
