"""kube-apiserver of a node, as far as anyone asks it: health and versions over HTTPS with client certificates.

It answers ``ok`` only while the etcd behind it answers. Without a client certificate of the cluster's authority it says
401, as an API server with anonymous access switched off.
"""

import asyncio
import contextlib
import json
import ssl
from pathlib import Path

from tests.lab.nodes.etcdhttp import healthy

SECURE_PORT = 6443


class ApiServer:
    """One HTTPS server; opened and closed with its container."""

    def __init__(self, address: str, etcd: tuple[str, int], ssl_directory: Path) -> None:
        self._address = address
        self._etcd = etcd
        self._ssl = ssl_directory
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; stays closed when its certificates are missing, as the real one then does not come up."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._ssl / "kube-apiserver.pem", self._ssl / "kube-apiserver-key.pem")
            context.load_verify_locations(self._ssl / "kube-ca.pem")
        except (OSError, ssl.SSLError):
            return
        context.verify_mode = ssl.CERT_OPTIONAL
        with contextlib.suppress(OSError):
            self._server = await asyncio.start_server(self._serve, self._address, SECURE_PORT, ssl=context)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = request.split(b"\r\n", 1)[0].decode().split(" ", 2)
            status, kind, body = await self._answer(method, target.partition("?")[0], writer)
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + (b"" if method == "HEAD" else body))
            await writer.drain()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, ValueError):
            return
        finally:
            writer.close()

    async def _answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> tuple[str, str, bytes]:
        if not writer.get_extra_info("peercert"):
            return _failure(401, "Unauthorized")
        if path == "/version":
            return _success({"major": "1", "minor": "17", "gitVersion": "v1.17.17"})
        if path in {"/healthz", "/readyz", "/livez"}:
            return ("200 OK", "text/plain", b"ok") if await healthy(*self._etcd) else _unhealthy()
        return _failure(404, "the server could not find the requested resource")


def _success(value: object) -> tuple[str, str, bytes]:
    return "200 OK", "application/json", json.dumps(value).encode()


def _failure(code: int, message: str) -> tuple[str, str, bytes]:
    reason = {401: "Unauthorized", 404: "NotFound"}[code]
    value = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"} | {
        "message": message,
        "reason": reason,
        "code": code,
    }
    return f"{code} {reason}", "application/json", json.dumps(value).encode()


def _unhealthy() -> tuple[str, str, bytes]:
    body = b"[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\nhealthz check failed\n"
    return "500 Internal Server Error", "text/plain", body
