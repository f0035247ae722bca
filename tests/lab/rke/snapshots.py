"""`rke etcd snapshot-save` and `snapshot-restore` of v0.1.x.

Source: cmd/etcd.go, cluster/etcd.go, services/etcd.go of v0.1.20. Transcripts: `v0.1.20-save-3-nodes-ok.txt`,
`v0.1.20-restore-same-file-on-all-three-nodes.txt` and the failures beside them.
"""

from .config import Host
from .etcd_plane import run_plane
from .hosts import ETCD_DIR, clean_up, extract_bundles, save_bundles
from .log import RkeError
from .session import Session


async def save(session: Session, name: str) -> None:
    """Each member's own snapshot, one host after the other; the first failure ends the run."""
    await session.tunnel()
    for host in session.cluster.etcd_hosts:
        await _save_one(session, host, name)
    await save_bundles(session)
    session.log.info(f"Finished saving snapshot [{name}] on all etcd hosts")


async def _save_one(session: Session, host: Host, name: str) -> None:
    """A left-over container is updated or started again [v0.1.20-next-save-with-the-left-over-container.txt]."""
    containers, spec = session.on(host), session.plan.snapshot_once(host, name)
    session.log.info(f"[etcd] Saving snapshot [{name}] on host [{host.address}]")
    await containers.run(spec, "etcd")
    await containers.pause()
    try:
        status = await containers.wait(spec.name)
    except RkeError as error:
        # the container stays, and with restart policy always it goes on taking this name
        raise RkeError(f"Failed to take etcd snapshot exit code [1]: {error}") from error
    if status != 0:
        raise RkeError(f"Failed to take etcd snapshot exit code [{status}]: <nil>")
    await containers.remove(spec.name)


async def restore(session: Session, name: str) -> None:
    """Remove etcd and its data on ALL hosts first, look at the files afterwards, compare nothing."""
    await session.tunnel()
    hosts = session.cluster.etcd_hosts
    for host in hosts:
        await session.on(host).remove_if_present("etcd")
        await session.on(host).pause()
        await clean_up(session, host, (ETCD_DIR,))
    for host in hosts:
        await restore_one(session, host, name)
    try:
        await run_plane(session)
    except RkeError as error:
        raise RkeError(f"[etcd] Failed to bring up Etcd Plane: {error}") from error
    await extract_bundles(session)
    session.log.info(f"Finished restoring snapshot [{name}] on all etcd hosts")


async def restore_one(session: Session, host: Host, name: str) -> None:
    """etcd-restore on one host [v0.1.20-restore-file-missing-on-node-3.txt, -file-truncated-on-node-2.txt]."""
    containers = session.on(host)
    session.log.info(f"[etcd] Restoring [{name}] snapshot on etcd host [{host.address}]")
    if not session.settings.legacy:
        await containers.remove_if_present("etcd-restore")
    await containers.pause()
    try:
        status, tail = await containers.once(session.plan.etcd_restore(host, name), "etcd")
    except RkeError as error:
        raise RkeError(f"[etcd] Failed to restore etcd snapshot: {error}") from error
    if status != 0:
        raise RkeError(
            "[etcd] Failed to restore etcd snapshot: Failed to run etcd restore container, exit status is: "
            f"{status}, container logs: {tail}"
        )
