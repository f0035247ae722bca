"""`rke up` of v0.1.x: the cluster's state and certificates come from the cluster itself.

Source: cmd/up.go, cluster/state.go, cluster/certificates.go of v0.1.20. Transcripts:
`v0.1.20-up-existing-cluster.txt`, `v0.1.20-up-first-run-kube-apiserver-not-answering.txt`,
`v0.1.20-swap-rke-up-afterwards.txt`.
"""

import yaml

from . import addons, pki, ports, toolbox
from .api import Api, answers, server_of
from .config import Cluster, Host, Tree, cluster_of, parse
from .etcd_plane import run_plane
from .hosts import backup_hosts, clean_logs
from .kube import STATE, KubeObject, config_map, secret
from .log import RkeError
from .planes import run_control, run_worker
from .reconcile import Up, added, rebuild_admin_config, reconcile, regenerate, shown, write_admin_config
from .session import Session, gather

PLANES = "[etcd,controlPlane]"


async def up(session: Session, *, port_check: bool = True, update_only: bool = False) -> None:
    """Bring the cluster to what the yml says; raises RkeError, also at the very end when a host was skipped."""
    await session.tunnel()
    run = await _known(session)
    if port_check:
        new = {host.address: host for role in ("etcd", "controlplane", "worker") for host in added(run, role)}
        ports.check(session, list(new.values()))
    await _authenticate(run)
    await reconcile(run)
    await _deploy_certificates(run)
    session.log.info("Pre-pulling kubernetes images")
    session.log.info("Kubernetes images pulled successfully")
    await _planes(run, update_only and run.current is not None)
    addons.sync_labels(session)
    addons.deploy(session)
    check_all_included(session)
    session.log.info("Finished building Kubernetes cluster successfully")


def check_all_included(session: Session) -> None:
    """rke goes on without hosts it could not reach and says so only now."""
    if session.inactive:
        names = ",".join(host.address for host in session.inactive)
        raise RkeError(f"Provisioning incomplete, host(s) [{names}] skipped because they could not be contacted")


async def _planes(run: Up, update_only: bool) -> None:
    session = run.session
    if update_only:
        session.log.info("[etcd] Building up etcd plane..")
        session.log.info("[etcd] Successfully started etcd plane..")
    else:
        try:
            await run_plane(session)
        except RkeError as error:
            raise RkeError(f"[etcd] Failed to bring up Etcd Plane: {error}") from error
        await run_control(session)
    addons.authorize(session)
    await _save_state(run)
    await run_worker(session)
    new = added(run, "worker") if run.current is not None else []
    await gather(clean_logs(session, host) for host in new)


async def _known(session: Session) -> Up:
    """The old cluster: from the API, else from the nodes; none without a kube_config file beside the yml."""
    api = Api(session)
    run = Up(session, api, None, {})
    if not session.cluster.kube_config.exists():
        return run
    session.log.info("[state] Found local kube config file, trying to get state from cluster")
    server = server_of(session.cluster.kube_config)
    if server is None or not await answers(session, server):
        session.log.info("[reconcile] Local config is not valid, rebuilding admin config")
        await rebuild_admin_config(run)
    tree = await _state_from_kubernetes(run) or await _state_from_nodes(session)
    if tree is None:
        return run
    run.current = cluster_of(session.cluster.path, tree)
    run.bundle = await _certificates(run)
    down = {host.address for host in session.inactive}
    for host in (host for host in run.current.etcd_hosts if host.address not in down):
        if host.etcd_cert not in run.bundle:
            await regenerate(run, host)
    return run


async def _state_from_kubernetes(run: Up) -> Tree | None:
    log = run.session.log
    log.info("[state] Fetching cluster state from Kubernetes")
    for _ in range(6):
        found = await _try_get(run, STATE)
        if found is not None:
            log.info("[state] Successfully Fetched cluster state to Kubernetes ConfigMap: cluster-state")
            return parse(found.data["cluster-state"].decode())
        await run.session.wait(5)
    log.info("Timed out waiting for kubernetes cluster to get state")
    return None


async def _try_get(run: Up, key: str) -> KubeObject | None:
    """An object through the API: None also when no API server or no etcd member answers."""
    session = run.session
    if not any([await answers(session, host.internal_address) for host in session.cluster.control_hosts]):
        return None
    try:
        return await run.api.get(key)
    except RkeError:
        return None


async def _state_from_nodes(session: Session) -> Tree | None:
    session.log.info("[state] Fetching cluster state from Nodes")
    spec = session.plan.on_certs("cluster-state-deployer", toolbox.read_state())
    for host in session.cluster.hosts:
        session.log.info(f"[state] Successfully started [{spec.name}] container on host [{host.address}]")
        try:
            text = await session.on(host).attached(spec)
        except RkeError:
            continue
        session.log.info("[state] Successfully fetched cluster state from Nodes")
        return parse(text.decode())
    return None


async def _certificates(run: Up) -> pki.Bundle:
    """Secrets of the cluster; without them the backup on the nodes."""
    log = run.session.log
    log.info("[certificates] Getting Cluster certificates from Kubernetes")
    bundle: pki.Bundle = {}
    try:
        for key in await run.api.keys("/registry/secrets/kube-system/kube-"):
            found = await run.api.get(key)
            if found is not None and "Certificate" in found.data:
                bundle[found.name] = pki.Pair(found.data["Certificate"], found.data.get("Key", b""))
    except RkeError:
        bundle = {}
    if pki.CA in bundle:
        log.info("[certificates] Successfully fetched Cluster certificates from Kubernetes")
        return bundle
    bundle = await _backup(run.session)
    if not bundle:
        raise RkeError("Failed to Get Kubernetes certificates: <nil>")
    log.info("[certificates] Certificate backup found on backup hosts")
    return bundle


async def _backup(session: Session) -> pki.Bundle:
    """cert-fetcher: the copy in .tmp of the first host that has one."""
    spec = session.plan.on_certs("cert-fetcher", toolbox.fetch_certs())
    for host in backup_hosts(session):
        session.log.info(f"[certificates] Successfully started [cert-fetcher] container on host [{host.address}]")
        bundle = pki.bundle_of(pki.untar(await session.on(host).attached(spec)))
        if pki.CA in bundle:
            return bundle
    return {}


async def _authenticate(run: Up) -> None:
    """A new cluster recovers its certificates from the nodes, or gets a new CA."""
    if run.current is not None:
        return
    session = run.session
    session.log.info(f"[certificates] Attempting to recover certificates from backup on {PLANES} hosts")
    run.bundle = await _backup(session)
    if run.bundle:
        session.log.info(f"[certificates] Certificate backup found on {PLANES} hosts")
        for host in session.cluster.etcd_hosts:
            if host.etcd_cert not in run.bundle:
                await regenerate(run, host)
        return
    session.log.info(f"[certificates] No Certificate backup found on {PLANES} hosts")
    run.bundle = generate(session)
    session.log.info(f"[certificates] Temporarily saving certs to {PLANES} hosts")
    spec = session.plan.on_certs("cert-deployer", toolbox.deploy_certs(toolbox.TEMP_CERTS))
    contents = pki.tar_of(pki.files(run.bundle))
    await gather(_deploy(session, host, spec.name, toolbox.TEMP_CERTS, contents) for host in backup_hosts(session))
    session.log.info(f"[certificates] Saved certs to {PLANES} hosts")


def generate(session: Session) -> pki.Bundle:
    """All certificates of a new cluster, with the lines of the release."""
    log, cluster, legacy = session.log, session.cluster, session.settings.legacy
    request_header = "Generating Kubernetes API server aggregation layer requestheader client CA certificates"
    log.info("[certificates] Generating CA kubernetes certificates")
    authority = pki.new_authority()
    bundle: pki.Bundle = {pki.CA: authority}
    if not legacy:
        log.info(f"[certificates] {request_header}")
    for name, line in pki.SERVICES.items():
        log.info(f"[certificates] {line}")
        bundle[name] = (
            pki.api_pair(cluster, authority) if name == "kube-apiserver" else pki.client_pair(authority, name)
        )
        if name == "kube-apiserver" and not legacy:
            log.info("[certificates] Generating Service account token key")
    proxy = "[certificates] Generating Kubernetes API server proxy client certificates"
    if not legacy:
        log.info(proxy)
    for host in cluster.etcd_hosts:
        shown_name = f"etcd-{host.internal_address}" if legacy else host.etcd_cert
        log.info(f"[certificates] Generating {shown_name} certificate and key")
        bundle[host.etcd_cert] = pki.etcd_pair(cluster, authority)
    if legacy:
        log.info(f"[certificates] {request_header}")
        log.info(proxy)
    front = bundle[pki.AGGREGATION[0]] = pki.new_authority(pki.AGGREGATION[0])
    bundle[pki.AGGREGATION[1]] = pki.signed(front, pki.AGGREGATION[1])
    return bundle


async def _deploy(session: Session, host: Host, name: str, directory: str, contents: bytes) -> None:
    spec = session.plan.on_certs(name, toolbox.deploy_certs(directory))
    await session.on(host).attached(spec, contents)


async def deploy_to_hosts(session: Session, bundle: pki.Bundle) -> None:
    """cert-deployer on every host: files that are there stay as they are (fault F36)."""

    async def deploy(host: Host) -> None:
        contents = pki.tar_of(pki.files(pki.for_host(bundle, host)))
        await _deploy(session, host, "cert-deployer", toolbox.SSL_DIR, contents)

    await gather(deploy(host) for host in session.cluster.hosts)


async def _deploy_certificates(run: Up) -> None:
    session = run.session
    session.log.info("[certificates] Deploying kubernetes certificates to Cluster nodes")
    await deploy_to_hosts(session, run.bundle)
    path = session.cluster.kube_config
    if session.cluster.control_hosts and (run.current is None or not path.exists()):
        write_admin_config(run, session.cluster.control_hosts[0])
    else:
        session.log.info(f"Successfully Deployed local admin kubeconfig at [{shown(session, path.name)}]")
    session.log.info("[certificates] Successfully deployed kubernetes certificates to Cluster nodes")


async def _save_state(run: Up) -> None:
    """Secrets and ConfigMap cluster-state into Kubernetes, and the state as a file onto every node."""
    session, log = run.session, run.session.log
    text = state_text(session.cluster)
    log.info("[certificates] Save kubernetes certificates as secrets")
    for found in secrets(run.bundle):
        if await run.api.get(found.key) != found:
            await run.api.put(found)
    log.info("[certificates] Successfully saved certificates as kubernetes secret [k8s-certs]")
    log.info("[state] Saving cluster state to Kubernetes")
    await run.api.put(config_map("cluster-state", text))
    log.info("[state] Successfully Saved cluster state to Kubernetes ConfigMap: cluster-state")
    log.info("[state] Saving cluster state to cluster nodes")
    spec = session.plan.on_certs("cluster-state-deployer", toolbox.save_state())
    for host in session.cluster.hosts:
        await session.on(host).attached(spec, text.encode())
        log.info(f"[state] Successfully started [{spec.name}] container on host [{host.address}]")
        log.info(f"[remove/{spec.name}] Successfully removed container on host [{host.address}]")


def state_text(cluster: Cluster) -> str:
    """The yml as rke keeps it in the cluster: hosts that were reached, private keys included."""
    kept = {host.address for host in cluster.hosts}
    nodes = [node for node in cluster.tree.get("nodes") or [] if str(node.get("address")) in kept]
    return yaml.safe_dump(cluster.tree | {"nodes": nodes}, sort_keys=False)


def secrets(bundle: pki.Bundle) -> list[KubeObject]:
    """The certificates as v0.1.x keeps them in kube-system."""
    return [secret(name, {"Certificate": pair.certificate, "Key": pair.key}) for name, pair in bundle.items()]
