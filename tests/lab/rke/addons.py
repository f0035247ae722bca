"""What `rke up` does through the Kubernetes API after the planes: access rules, labels, addon jobs.

Only the lines and the point of failure matter here; jobs are not run. A failing network plugin ends the run, any
other addon is a warning [cluster/addons.go, cluster/cluster.go ConfigureCluster]. RKE_DOUBLE_FAILING_ADDONS names
addons that fail.
"""

from .log import RkeError
from .session import Session

JOB_FAILED = "Failed to get job complete status: <nil>"
AUTHZ = (
    ("rke-job-deployer ServiceAccount", "rke-job-deployer ServiceAccount"),
    ("system:node ClusterRoleBinding", "system:node ClusterRoleBinding"),
    ("kube-apiserver proxy ClusterRole and ClusterRoleBinding",) * 2,
)


def authorize(session: Session) -> None:
    """Service account and role bindings."""
    for wanted, made in AUTHZ:
        session.log.info(f"[authz] Creating {wanted}")
        session.log.info(f"[authz] {made} created successfully")


def sync_labels(session: Session) -> None:
    """Labels and taints of the Node objects."""
    session.log.info("[sync] Syncing nodes Labels and Taints")
    session.log.info("[sync] Successfully synced nodes Labels and Taints")


def deploy(session: Session) -> None:
    """Network plugin, DNS, metrics, ingress, user addons. Raises RkeError for the network plugin only."""
    log, legacy = session.log, session.settings.legacy
    network = session.cluster.tree.get("network")
    plugin = (network.get("plugin") if isinstance(network, dict) else None) or "canal"
    log.info(f"[network] Setting up network plugin: {plugin}")
    _job(session, "rke-network-plugin")
    if legacy:
        _optional(
            session, "rke-kubedns-addon", ["[addons] Setting up KubeDNS"], ["[addons] KubeDNS deployed successfully.."]
        )
    else:
        done = ["[addons] CoreDNS deployed successfully", "[dns] DNS provider coredns deployed successfully"]
        _optional(session, "rke-coredns-addon", ["[addons] Setting up coredns"], done)
    # v0.1.20 really says KubeDNS after the metrics server
    metrics = "[addons] KubeDNS deployed successfully.." if legacy else "[addons] Metrics Server deployed successfully"
    _optional(session, "rke-metrics-addon", ["[addons] Setting up Metrics Server"], [metrics])
    ingress = f"[ingress] ingress controller nginx {'is successfully deployed' if legacy else 'deployed successfully'}"
    _optional(session, "rke-ingress-controller", ["[ingress] Setting up nginx ingress controller"], [ingress])
    log.info("[addons] Setting up user addons")
    log.info("[addons] no user addons defined")


def _optional(session: Session, name: str, before: list[str], after: list[str]) -> None:
    for line in before:
        session.log.info(line)
    try:
        _job(session, name)
    except RkeError as error:
        session.log.warning(f"Failed to deploy addon execute job [{name}]: {error}")
        return
    for line in after:
        session.log.info(line)


def _job(session: Session, name: str) -> None:
    log = session.log
    if session.settings.legacy:
        log.info("[addons] Saving addon ConfigMap to Kubernetes")
        log.info(f"[addons] Successfully Saved addon to Kubernetes ConfigMap: {name}")
        log.info("[addons] Executing deploy job..")
    else:
        log.info(f"[addons] Saving ConfigMap for addon {name} to Kubernetes")
        log.info(f"[addons] Successfully saved ConfigMap for addon {name} to Kubernetes")
        log.info(f"[addons] Executing deploy job {name}")
    if name in session.settings.failing_addons:
        raise RkeError(JOB_FAILED)
