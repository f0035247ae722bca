"""Control plane and worker plane: start or update what a node's roles ask for, or tear it down.

Source: services/controlplane.go, workerplane.go, healthcheck.go of v0.1.20 and v1.0.16; lines as in
`v0.1.20-up-existing-cluster.txt` and `v1.0.16-restore-after-files-deleted.txt`.
"""

from .api import answers
from .config import Host
from .log import RkeError
from .plan import control_names
from .session import Session, gather

HEALTH_URL = {
    "kube-apiserver": "https://localhost:6443/healthz",
    "kube-controller-manager": "http://localhost:10252/healthz",
    "kube-scheduler": "http://localhost:10251/healthz",
    "kubelet": "https://localhost:10250/healthz",
    "kube-proxy": "http://localhost:10256/healthz",
}


async def sidekick(session: Session, host: Host) -> None:
    """service-sidekick is only ever created."""
    if not await session.on(host).create(session.plan.sidekick()):
        session.log.info(f"[sidekick] Sidekick container already created on host [{host.address}]")


async def service(session: Session, host: Host, name: str, plane: str) -> None:
    """One kube container: run, health check, log link."""
    containers = session.on(host)
    await containers.run(session.plan.component(host, name), plane)
    if name in HEALTH_URL:
        await _health_check(session, host, name)
    await containers.link_log(session.plan, name, plane)


async def _health_check(session: Session, host: Host, name: str) -> None:
    """Ten attempts; the FATAL text is that of `v0.1.20-up-first-run-kube-apiserver-not-answering.txt`."""
    session.log.info(f"[healthcheck] Start Healthcheck on service [{name}] on host [{host.address}]")
    for _ in range(10):
        if await _is_up(session, host, name):
            session.log.info(f"[healthcheck] service [{name}] on host [{host.address}] is healthy")
            return
        await session.wait(20)
    url = HEALTH_URL[name]
    where = url.split("/")[2]
    raise RkeError(
        f"Failed to verify healthcheck: Failed to check {url} for service [{name}] on host [{host.address}]: Get "
        f'"{url}": Unable to access the service on {where}. The service might be still starting up. Error: ssh: '
        "rejected: connect failed (Connection refused), log: "
    )


async def _is_up(session: Session, host: Host, name: str) -> bool:
    if name == "kube-apiserver":
        return await answers(session, host.internal_address)
    found = await session.on(host).inspect(name)
    return found is not None and bool(found["State"]["Running"])


async def run_control(session: Session) -> None:
    """All controlplane hosts at once."""
    session.log.info("[controlplane] Building up Controller Plane..")

    async def deploy(host: Host) -> None:
        await session.on(host).pause()
        if host.is_worker:
            await session.on(host).remove_if_present("nginx-proxy")
        await sidekick(session, host)
        for name in control_names(host):
            await service(session, host, name, "controlplane")

    try:
        await gather(deploy(host) for host in session.cluster.control_hosts)
    except RkeError as error:
        raise RkeError(f"[controlPlane] Failed to bring up Control Plane: {error}") from error
    session.log.info("[controlplane] Successfully started Controller Plane..")


async def run_worker(session: Session) -> None:
    """kubelet and kube-proxy on all hosts at once; nginx-proxy where there is no controlplane role."""
    session.log.info("[worker] Building up Worker Plane..")

    async def deploy(host: Host) -> None:
        await session.on(host).pause()
        if not host.is_control:
            await session.on(host).run(session.plan.component(host, "nginx-proxy"), "worker")
            await session.on(host).link_log(session.plan, "nginx-proxy", "worker")
        await sidekick(session, host)
        for name in ("kubelet", "kube-proxy"):
            await service(session, host, name, "worker")

    try:
        await gather(deploy(host) for host in session.cluster.hosts)
    except RkeError as error:
        raise RkeError(f"[workerPlane] Failed to bring up Worker Plane: {error}") from error
    session.log.info("[worker] Successfully started Worker Plane..")


async def remove_worker(session: Session, hosts: list[Host], force: bool = False) -> None:
    """kubelet, kube-proxy, nginx-proxy, service-sidekick; a controlplane host keeps them unless forced."""
    session.log.info("[worker] Tearing down Worker Plane..")
    for host in hosts:
        if host.is_control and not force:
            session.log.info(f"[worker] Host [{host.address}] is already a controlplane host, nothing to do.")
            return
        for name in ("kubelet", "kube-proxy", "nginx-proxy", "service-sidekick"):
            await session.on(host).remove_if_present(name)
    session.log.info("[worker] Successfully tore down Worker Plane..")


async def remove_control(session: Session, hosts: list[Host], force: bool = False) -> None:
    """The controlplane containers, and the worker's unless the host stays a worker."""
    session.log.info("[controlplane] Tearing down the Controller Plane..")
    for host in hosts:
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            await session.on(host).remove_if_present(name)
        if host.is_worker and not force:
            session.log.info(
                f"[controlplane] Host [{host.address}] is already a worker host, skipping delete kubelet and kubeproxy."
            )
            continue
        for name in ("kubelet", "kube-proxy", "service-sidekick"):
            await session.on(host).remove_if_present(name)
    session.log.info("[controlplane] Successfully tore down Controller Plane..")


async def remove_etcd(session: Session, hosts: list[Host], force: bool = False) -> None:
    """etcd, and the worker's containers unless the host has every other role."""
    session.log.info("[etcd] Tearing down etcd plane..")
    for host in hosts:
        await session.on(host).remove_if_present("etcd")
        if not host.is_worker or not host.is_control or force:
            for name in ("kubelet", "kube-proxy", "nginx-proxy", "service-sidekick"):
                await session.on(host).remove_if_present(name)
    session.log.info("[etcd] Successfully tore down etcd plane..")
