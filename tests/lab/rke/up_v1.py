"""`rke up` of v1.0.x: state and certificates live in <base>.rkestate.

Source: cmd/up.go, cmd/common.go, cluster/state.go of v1.0.16. Transcripts: `v1.0.16-up-existing-cluster.txt`,
`v1.0.16-unsupported-docker.txt` (the state file is written before docker is looked at).
"""

from . import addons, pki, ports, state_file
from .api import Api
from .etcd_plane import run_plane
from .hosts import clean_logs
from .kube import config_map
from .log import RkeError
from .planes import run_control, run_worker
from .reconcile import Up, added, rebuild_admin_config, reconcile
from .session import Session, gather
from .state_file import FullState
from .up import check_all_included, deploy_to_hosts, generate

NO_STATE = "Timeout waiting for kubernetes cluster to get state"


async def up(session: Session, *, port_check: bool = True, update_only: bool = False) -> None:
    """The two halves of the command; raises RkeError."""
    await init(session)
    await build(session, port_check=port_check)


async def init(session: Session) -> None:
    """Write the desired state. Without a state file that means a NEW authority (fault F27)."""
    state = state_file.read(session)
    try:
        await check_legacy(session)
    except RkeError as error:
        session.log.warning(f"[state] can't fetch legacy cluster state from Kubernetes: {error}")
        session.inactive.clear()
    bundle = state.bundle
    if pki.CA in bundle:
        _complete(session, bundle)
    else:
        bundle = generate(session)
    state_file.write(session, state_file.with_desired(state, session.cluster, bundle))


async def check_legacy(session: Session) -> None:
    """Without a state file rke dials, and with a kube_config it looks for a v0.1 state that is not there."""
    if session.cluster.state_file.exists():
        return
    whole = session.cluster
    try:
        await session.tunnel()
    finally:
        session.cluster = whole
    if not session.cluster.kube_config.exists():
        return
    session.log.info("[state] Possible legacy cluster detected, trying to upgrade")
    session.log.info("[reconcile] Rebuilding and updating local kube config")
    session.log.info("[state] Fetching cluster state from Kubernetes")
    await session.wait(30)
    session.log.info("Timed out waiting for kubernetes cluster to get state")
    raise RkeError(NO_STATE)


def _complete(session: Session, bundle: pki.Bundle) -> None:
    """Certificates for hosts that are new in the yml; the admin's is always made anew."""
    authority = bundle[pki.CA]
    new = [host for host in session.cluster.etcd_hosts if host.etcd_cert not in bundle]
    if new:
        session.log.info("[certificates] Generating Kubernetes API server certificates")
        bundle["kube-apiserver"] = pki.api_pair(session.cluster, authority)
    session.log.info("[certificates] Generating admin certificates and kubeconfig")
    if "kube-admin" not in bundle:
        bundle["kube-admin"] = pki.client_pair(authority, "kube-admin")
    for host in new:
        session.log.info(f"[certificates] Generating {host.etcd_cert} certificate and key")
        bundle[host.etcd_cert] = pki.etcd_pair(session.cluster, authority)


async def build(session: Session, *, port_check: bool = True) -> None:
    """Make the desired state true; raises RkeError, at the very end for hosts that were skipped."""
    log = session.log
    state = state_file.read(session)
    log.info("Building Kubernetes cluster")
    session.forget()
    await session.tunnel()
    run = Up(session, Api(session), state_file.current_cluster(session, state), state.bundle)
    if port_check:
        new = {host.address: host for role in ("etcd", "controlplane", "worker") for host in added(run, role)}
        ports.check(session, list(new.values()))
    await _set_up_hosts(run)
    await reconcile(run)
    log.info("Pre-pulling kubernetes images")
    log.info("Kubernetes images pulled successfully")
    session.authority = run.bundle[pki.CA].certificate
    try:
        await run_plane(session)
    except RkeError as error:
        raise RkeError(f"[etcd] Failed to bring up Etcd Plane: {error}") from error
    await run_control(session)
    addons.authorize(session)
    await _save(run, state)
    await run_worker(session)
    fresh = added(run, "worker") if run.current is not None else []
    await gather(clean_logs(session, host) for host in fresh)
    addons.sync_labels(session)
    addons.deploy(session)
    check_all_included(session)
    log.info("Finished building Kubernetes cluster successfully")


async def _set_up_hosts(run: Up) -> None:
    log = run.session.log
    log.info("[certificates] Deploying kubernetes certificates to Cluster nodes")
    await deploy_to_hosts(run.session, run.bundle)
    await rebuild_admin_config(run)
    log.info("[certificates] Successfully deployed kubernetes certificates to Cluster nodes")


async def _save(run: Up, state: FullState) -> None:
    session = run.session
    now = state_file.applied(state, session.cluster, run.bundle)
    state_file.write(session, now)
    session.log.info("[state] Saving full cluster state to Kubernetes")
    await run.api.put(config_map("full-cluster-state", now.as_json()))
    # the line names the older ConfigMap; the object is full-cluster-state
    session.log.info("[state] Successfully Saved full cluster state to Kubernetes ConfigMap: cluster-state")
