"""The Kubernetes API as the double sees it: is a kube-apiserver answering, and the objects behind it in etcd."""

import asyncio
import base64
import contextlib
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .config import Host
from .kube import KubeObject
from .log import RkeError
from .session import Session

API_TIMEOUT = 5.0


@dataclass(frozen=True)
class Api:
    """Reads and writes objects through the first etcd member that answers."""

    session: Session

    async def get(self, key: str) -> KubeObject | None:
        """One object, None when it is not there. Raises RkeError when no member answers."""
        value = (await self._etcdctl("get", key, "--print-value-only")).removesuffix(b"\n")
        return KubeObject.decode(value) if value else None

    async def put(self, found: KubeObject) -> None:
        """Store one object."""
        await self._etcdctl("put", found.key, stdin=found.encode())

    async def delete(self, key: str) -> bool:
        """Remove one object; tells whether there was one."""
        return (await self._etcdctl("del", key)).strip() not in {b"", b"0"}

    async def keys(self, prefix: str) -> list[str]:
        """Keys below a prefix."""
        listed = await self._etcdctl("get", prefix, "--prefix", "--keys-only")
        return [line for line in listed.decode().splitlines() if line]

    async def _etcdctl(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        refused = "no etcd member was reached"
        flags = ("-i",) if stdin is not None else ()
        for host in self.session.cluster.etcd_hosts:
            transport = self.session.on(host).transport
            done = await transport.docker("exec", *flags, "etcd", "etcdctl", *arguments, stdin=stdin)
            if done.status == 0:
                return done.out
            refused = done.error
        raise RkeError(refused)


def server_of(kube_config: Path) -> str | None:
    """The API server's host name in a kubeconfig, None when it cannot be read."""
    try:
        tree: Any = yaml.safe_load(kube_config.read_text())
        return str(tree["clusters"][0]["cluster"]["server"]).split("//")[1].split(":")[0]
    except (OSError, yaml.YAMLError, LookupError, TypeError):
        return None


def _client_context(kube_config: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError, yaml.YAMLError, LookupError, TypeError, ssl.SSLError):
        tree: Any = yaml.safe_load(kube_config.read_text())
        user = tree["users"][0]["user"]
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


async def answers(session: Session, address: str) -> bool:
    """`ok` from https://ADDRESS:6443/healthz with the admin certificate; always True with the check switched off."""
    if not session.settings.api_server:
        return True
    try:
        async with asyncio.timeout(API_TIMEOUT):
            return await _healthz(address, _client_context(session.cluster.kube_config))
    except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError):
        return False


async def _healthz(address: str, context: ssl.SSLContext) -> bool:
    reader, writer = await asyncio.open_connection(address, 6443, ssl=context)
    try:
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        return (await reader.read()).rstrip().endswith(b"ok")
    finally:
        writer.close()


async def first_active(session: Session, hosts: list[Host]) -> Host | None:
    """The first controlplane host whose API server answers."""
    for host in hosts:
        if await answers(session, host.internal_address):
            return host
    return None
