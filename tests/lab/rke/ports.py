"""`rke up`'s port check: only when hosts are new, and only its lines (the lab's ports are not the check's business).

Source: cluster/network.go; lines as in `v1.0.16-restore-after-files-deleted.txt` and `v0.1.20-up-existing-cluster.txt`.
"""

from .config import Host
from .session import Session

LISTENERS = (
    ("etcd", "rke-etcd-port-listener"),
    ("controlplane", "rke-cp-port-listener"),
    ("worker", "rke-worker-port-listener"),
)
CHECKS = (
    ("[network] Running etcd <-> etcd port checks", "etcd"),
    ("[network] Running control plane -> etcd port checks", "controlplane"),
    ("[network] Running control plane -> worker port checks", "controlplane"),
    ("[network] Running workers -> control plane port checks", "worker"),
)


def check(session: Session, new: list[Host]) -> None:
    """Say what was checked. `new`: hosts without running services, where a listener can bind."""
    log = session.log
    if not new:
        log.info("[network] No hosts added existing cluster, skipping port check")
        return
    log.info("[network] Deploying port listener containers")
    for role, name in LISTENERS:
        for host in (host for host in new if role in host.roles):
            log.info(f"[network] Successfully started [{name}] container on host [{host.address}]")
    log.info("[network] Port listener containers deployed successfully")
    for line, role in CHECKS:
        log.info(line)
        for host in session.cluster.with_role(role):
            log.info(f"[network] Successfully started [rke-port-checker] container on host [{host.address}]")
            log.info(f"[remove/rke-port-checker] Successfully removed container on host [{host.address}]")
    log.info("[network] Checking KubeAPI port Control Plane hosts")
    log.info("[network] Removing port listener containers")
    for role, name in LISTENERS:
        for host in (host for host in new if role in host.roles):
            log.info(f"[remove/{name}] Successfully removed container on host [{host.address}]")
    log.info("[network] Port listener containers removed successfully")
