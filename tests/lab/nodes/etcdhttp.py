"""etcd's JSON gateway, for what the lab itself does many times and wants quick: health and bulk writes."""

import asyncio
import base64
import json
import urllib.request
from collections.abc import Mapping

_DEADLINE = 2.0
_BATCH = 100
"""etcd accepts 128 operations in one transaction by default (--max-txn-ops)."""


async def healthy(host: str, port: int, *, within: float = _DEADLINE) -> bool:
    """Whether the member at this address has a leader and answers within so many seconds."""
    return b'"health":"true"' in await _get(host, port, "/health", within)


async def _get(host: str, port: int, path: str, within: float) -> bytes:
    """The whole answer, empty when there is none in time."""
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


async def put_all(host: str, port: int, objects: Mapping[str, bytes]) -> None:
    """Write many keys; raises OSError when the member refuses."""
    operations = [{"requestPut": {"key": _b64(k.encode()), "value": _b64(v)}} for k, v in objects.items()]
    for start in range(0, len(operations), _BATCH):
        body = {"success": operations[start : start + _BATCH]}
        await asyncio.to_thread(_post, f"http://{host}:{port}/v3/kv/txn", body)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _post(url: str, body: object) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310  # the URL is the lab's own etcd
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_DEADLINE) as answer:
        answer.read()
