"""v0.2 and later: bring one snapshot to every etcd host and compare md5 before anything is destroyed.

Source: cluster/etcd.go PrepareBackup and services/etcd.go of v1.0.16. Transcripts:
`v1.0.16-restore-after-files-deleted.txt`, `v1.0.16-restore-name-exists-nowhere.txt`.
"""

import os
import re
from typing import Any

from . import toolbox
from .config import Host, section
from .log import RkeError
from .session import Session

NO_S3 = "failed to prepare backup: restoring S3 backups with no cluster level S3 configuration is not supported"
LOCAL_NAME = re.compile(r"c-[a-z0-9].*?-.l-")


async def prepare(session: Session, name: str) -> None:
    """Raises RkeError; etcd of the serving host is stopped by then, and stays so when the sums differ."""
    config: Any = session.cluster.etcd.get("backup_config")
    local = config is None or LOCAL_NAME.match(name) is not None
    storage = section(config, "s3backupconfig") if isinstance(config, dict) else {}
    if local:
        await _distribute(session, name)
    elif storage:
        # whatever lies on the nodes is overwritten (fault F31)
        for host in session.cluster.etcd_hosts:
            await _from_s3(session, host, name, storage)
    else:
        raise RkeError(NO_S3)
    if not await _same_everywhere(session, name):
        raise RkeError("etcd snapshots are not consistent")


async def _distribute(session: Session, name: str) -> None:
    server, errors = await _first_server(session, name)
    hosts = session.cluster.etcd_hosts
    if server is None:
        for host in hosts:
            await _start_etcd(session, host)
        raise RkeError(f"failed to start backup server on all etcd nodes: [{' '.join(errors)}]")
    for host in hosts:
        if host.address != server.address:
            await _download(session, host, server, name)
    await session.on(server).remove_if_present("etcd-Serve-backup")


async def _first_server(session: Session, name: str) -> tuple[Host | None, list[str]]:
    """Only hosts up to the first that has the file lose their etcd: the server uses etcd's port."""
    errors: list[str] = []
    for host in session.cluster.etcd_hosts:
        await _stop_etcd(session, host)
        try:
            await _serve(session, host, name)
        except RkeError as error:
            session.log.warning(f"failed to start backup server on host [{host.address}]: {error}")
            errors.append(str(error))
            continue
        return host, errors
    return None, errors


async def _stop_etcd(session: Session, host: Host) -> None:
    """Three tries."""
    for attempt in (1, 2, 3):
        session.log.info(
            f"Stopping container [etcd] on host [{host.address}] with stopTimeoutDuration [5s], try #{attempt}"
        )
        stopped = await session.on(host).transport.docker("stop", "-t", "5", "etcd")
        if stopped.status == 0:
            return
        session.log.warning(f"Can't stop Docker container [etcd] for host [{host.address}]: {stopped.error}")


async def _start_etcd(session: Session, host: Host) -> None:
    error = ""
    for attempt in (1, 2, 3):
        session.log.info(f"Starting container [etcd] on host [{host.address}], try #{attempt}")
        started = await session.on(host).transport.docker("start", "etcd")
        if started.status == 0:
            return
        error = started.error.splitlines()[0]
        session.log.warning(f"Can't start Docker container [etcd] on host [{host.address}]: {error}")
    session.log.warning(f"failed to start etcd container on host [{host.address}]: {error}")


async def _serve(session: Session, host: Host, name: str) -> None:
    containers = session.on(host)
    session.log.info(f"[etcd] starting backup server on host [{host.address}]")
    spec = session.plan.backup("etcd-Serve-backup", toolbox.serve(name))
    await containers.remove_if_present(spec.name)
    await containers.run(spec, "etcd")
    await containers.pause()
    if await _is_serving(session, host, name):
        return
    tail = await containers.logs(spec.name, 1)
    await containers.remove(spec.name)
    raise RkeError(f"Failed to run backup server container, container logs: {tail}")


async def _is_serving(session: Session, host: Host, name: str) -> bool:
    """The container either has the plain file ready or has died; rke waits five seconds instead."""
    containers = session.on(host)
    while True:
        found = await containers.inspect("etcd-Serve-backup")
        if found is None or not found["State"]["Running"]:
            return False
        look = ("exec", "etcd-Serve-backup", "sh", "-c", "test -f /tmp/serving")
        if (await containers.transport.docker(*look)).status == 0:
            return True
        await session.wait(5)


async def _download(session: Session, host: Host, server: Host, name: str) -> None:
    session.log.info(f"[etcd] Get snapshot [{name}] on host [{host.address}]")
    served = await session.on(server).transport.docker("exec", "etcd-Serve-backup", "cat", f"/backup/{name}")
    if served.status != 0:
        raise RkeError(
            f"Failed to download etcd snapshot from backup server [{server.address}], exit code [1]: {served.error}"
        )
    await _receive(session, host, name, served.out)


async def _receive(session: Session, host: Host, name: str, content: bytes) -> None:
    containers = session.on(host)
    spec = session.plan.backup("etcd-download-backup", toolbox.download(name))
    await containers.remove_if_present(spec.name)
    done = await containers.transport.docker("run", "-i", *spec.arguments(), stdin=content)
    session.log.info(f"[etcd] Successfully started [{spec.name}] container on host [{host.address}]")
    await containers.wait(spec.name)
    await containers.remove(spec.name)
    if done.status != 0:
        raise RkeError(f"Failed to download etcd snapshot, exit code [{done.status}]: {done.error}")


async def _same_everywhere(session: Session, name: str) -> bool:
    session.log.info("[etcd] Checking if all snapshots are identical")
    sums: set[str] = set()
    for host in session.cluster.etcd_hosts:
        containers, spec = session.on(host), session.plan.checksum(name)
        await containers.run(spec, "etcd")
        await containers.wait(spec.name)
        found, stderr = await containers.output(spec.name)
        if stderr:
            return False
        await containers.remove(spec.name)
        session.log.info(f"[etcd] Checksum of etcd snapshot on host [{host.address}] is [{found.strip()}]")
        sums.add(found)
    return len(sums) == 1


async def _from_s3(session: Session, host: Host, name: str, storage: dict[str, Any]) -> None:
    session.log.info(f"[etcd] Get snapshot [{name}] on host [{host.address}]")
    if not storage.get("endpoint") or not storage.get("bucket_name"):
        raise RkeError(f"failed to get snapshot [{name}] from s3 on host [{host.address}], invalid s3 configurations")
    file, content = await s3_object(name, storage)
    await _receive(session, host, file, content)
    if file.endswith(".zip"):
        spec = session.plan.backup("etcd-download-backup", toolbox.unpack(file.removesuffix(".zip")))
        status, tail = await session.on(host).once(spec, "etcd")
        if status != 0:
            raise RkeError(f"Failed to download etcd snapshot from s3, exit code [{status}]: {tail}")


async def s3_object(name: str, storage: dict[str, Any]) -> tuple[str, bytes]:
    """The first object whose key starts with [folder/]NAME: its base name and content [rke-tools v0.1.69]."""
    from .s3 import fetch  # noqa: PLC0415  # boto3 takes half a second to import; every other run does without

    scheme = os.environ.get("RKE_DOUBLE_S3_SCHEME", "http")
    return await fetch(f"{scheme}://{storage['endpoint']}", name, storage)
