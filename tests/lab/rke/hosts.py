"""What rke does to a whole machine: empty directories, remove dead log links, pack and unpack certificates.

Source: hosts/hosts.go and pki/pki.go of v0.1.20; lines as in `v0.1.20-restore-same-file-on-all-three-nodes.txt`.
"""

from . import toolbox
from .config import Host
from .log import RkeError
from .session import Session, gather

ETCD_DIR = "/var/lib/etcd/"
SSL_DIR = "/etc/kubernetes/"
CNI_DIRS = ("/etc/cni/", "/opt/cni/", "/var/run/calico/", "/var/lib/cni/")


async def clean_up(session: Session, host: Host, directories: tuple[str, ...]) -> None:
    """Empty directories with kube-cleaner; a left-over kube-cleaner is run again with its OLD directories."""
    containers, where = session.on(host), f"host [{host.address}]"
    session.log.info(f"[hosts] Cleaning up {where}")
    session.log.info(f"[hosts] Running cleaner container on {where}")
    spec = session.plan.cleaner(directories)
    await containers.run(spec, spec.name)
    await containers.wait(spec.name)
    session.log.info(f"[hosts] Removing cleaner container on {where}")
    await containers.remove(spec.name)
    session.log.info(f"[hosts] Removing dead container logs on {where}")
    await clean_logs(session, host)
    session.log.info(f"[hosts] Successfully cleaned up {where}")


async def clean_logs(session: Session, host: Host) -> None:
    """rke-log-cleaner."""
    where = f"host [{host.address}]"
    await session.on(host).attached(session.plan.on_logs("rke-log-cleaner", toolbox.log_clean()))
    session.log.info(f"[cleanup] Successfully started [rke-log-cleaner] container on {where}")
    session.log.info(f"[remove/rke-log-cleaner] Successfully removed container on {where}")


async def save_bundle(session: Session, host: Host) -> None:
    """pki.bundle.tar.gz on one host; the line comes even when there was nothing to pack."""
    spec = session.plan.bundle(toolbox.pack_certs())
    status, _ = await session.on(host).once(spec, "certificates")
    if status != 0:
        raise RkeError(f"Failed to run certificate bundle compress, exit status is: {status}")
    session.log.info(
        f"[certificates] successfully saved certificate bundle [{toolbox.SNAPSHOT_DIR}/pki.bundle.tar.gz] "
        f"on host [{host.address}]"
    )


def backup_hosts(session: Session) -> list[Host]:
    """Hosts that hold certificates: etcd and controlplane."""
    return [host for host in session.cluster.hosts if host.is_etcd or host.is_control]


async def save_bundles(session: Session) -> None:
    """The bundle on every etcd and controlplane host."""
    await gather(save_bundle(session, host) for host in backup_hosts(session))


async def extract_bundles(session: Session) -> None:
    """Unpack the bundle into .tmp; fails only when no host had one [v0.1.20-swap-restore-with-the-new-node.txt]."""
    failed: list[str] = []

    async def extract(host: Host) -> None:
        spec = session.plan.bundle(toolbox.unpack_certs())
        status, tail = await session.on(host).once(spec, "certificates")
        if status == 0:
            session.log.info(
                f"[certificates] successfully extracted certificate bundle on host [{host.address}] to backup path "
                f"[{toolbox.TEMP_CERTS}]"
            )
            return
        failed.append(
            f"Failed to extract certificate bundle on host [{host.address}], please make sure etcd bundle exist in "
            f"/opt/rke/etcd-snapshots/pki.bundle.tar.gz: Failed to run certificate bundle extract, exit status is: "
            f"{status}, container logs: {tail}"
        )

    hosts = backup_hosts(session)
    await gather(extract(host) for host in hosts)
    if len(failed) == len(hosts):
        raise RkeError(",".join(failed))
