"""Socket Mode as Slack runs it: hello, envelopes, acknowledgements, refresh and broken connections.

Source of the frames: docs.slack.dev/apis/events-api/using-socket-mode.
"""

import asyncio
import contextlib
import json
import secrets
import time
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.lab.slack.state import Ack
from tests.lab.slack.store import Store
from tests.lab.slack.transport import Envelope
from tests.lab.slack.wire import JsonObject

#: Slack lets one app hold ten connections (docs.slack.dev, "Using multiple connections").
MAX_CONNECTIONS = 10
#: A URL of apps.connections.open is good for one connection, soon.
TICKET_SECONDS = 30.0
PING_SECONDS = 10.0


@dataclass(eq=False)
class Connection:
    """One open socket. A silent one looks open, but nothing passes it in either direction."""

    ws: web.WebSocketResponse
    request: web.Request
    number: int
    silent: bool = False
    delivered: list[str] = field(default_factory=list)
    pings: int = 0

    def cut(self) -> None:
        """Break the TCP connection without a closing handshake."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass
class _Pending:
    answer: asyncio.Future[JsonObject]
    ack: Ack


class SocketMode:
    """The server's side of all sockets of the app."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.connections: list[Connection] = []
        self.connected_ever = 0
        self._turn = 0
        self._pending: dict[str, _Pending] = {}

    def new_url(self) -> str:
        """A single-use WebSocket URL, the answer of apps.connections.open."""
        ticket = secrets.token_hex(12)
        self._store.tickets[ticket] = self._store.clock.now()
        host = self._store.base_url.removeprefix("http://")
        return f"ws://{host}/link/?ticket={ticket}&app_id={self._store.app_id}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Accept a connection with a fresh ticket and serve it until it closes."""
        given_at = self._store.tickets.pop(request.query.get("ticket", ""), None)
        if given_at is None or self._store.clock.now() - given_at > TICKET_SECONDS:
            return web.json_response({"ok": False, "error": "invalid_ticket"}, status=401)
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        if len(self.connections) >= MAX_CONNECTIONS:
            await ws.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await ws.close()
            return ws
        self.connected_ever += 1
        connection = Connection(ws, request, self.connected_ever)
        self.connections.append(connection)
        pinging = asyncio.create_task(self._ping(connection))
        try:
            await ws.send_json(self._hello())
            self._store.changed()
            async for message in ws:
                await self._receive(connection, message.type, message.data)
        finally:
            pinging.cancel()
            self.connections.remove(connection)
            self._store.changed()
        return ws

    @staticmethod
    async def _ping(connection: Connection) -> None:
        """Slack pings its clients too; the answers are not looked at."""
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(PING_SECONDS)
                if not connection.silent:
                    await connection.ws.ping(b"Ping from the lab")

    def _hello(self) -> JsonObject:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "connection_info": {"app_id": self._store.app_id},
            "debug_info": {"host": "lab", "build_number": 1, "approximate_connection_time": 18060},
        }

    async def _receive(self, connection: Connection, kind: WSMsgType, data: str | bytes) -> None:
        if connection.silent:
            return
        if kind is WSMsgType.PING:
            connection.pings += 1
            await connection.ws.pong(data.encode() if isinstance(data, str) else bytes(data))
        elif kind is WSMsgType.TEXT and isinstance(data, str) and data.startswith("{"):
            self._acknowledge(json.loads(data))

    def _acknowledge(self, frame: JsonObject) -> None:
        pending = self._pending.get(str(frame.get("envelope_id")))
        if pending is None:
            return
        if pending.answer.done():
            pending.ack.late = pending.ack.error is not None
        else:
            pending.answer.set_result(frame.get("payload") or {})
        self._store.changed()

    def _in_turn(self) -> list[Connection]:
        """All sockets, beginning with the one whose turn it is."""
        if not self.connections:
            return []
        self._turn += 1
        start = self._turn % len(self.connections)
        return self.connections[start:] + self.connections[:start]

    async def _send(self, envelope: Envelope) -> bool:
        """Hand the envelope to one socket; False when none is open. A silent one swallows it."""
        for connection in self._in_turn():
            try:
                if not connection.silent:
                    await connection.ws.send_json(self._frame(envelope))
            except ConnectionError:
                continue
            connection.delivered.append(envelope.id)
            return True
        return False

    async def deliver(self, envelope: Envelope, limit: float) -> Ack:
        """Send the envelope over ONE of the open sockets, in turn, and wait for its acknowledgement."""
        ack = Ack(envelope.id)
        pending = _Pending(asyncio.get_running_loop().create_future(), ack)
        self._pending[envelope.id] = pending
        started = time.monotonic()
        try:
            if await self._send(envelope):
                ack.payload = await asyncio.wait_for(pending.answer, limit)
            else:
                ack.error = "dispatch_failed"
        except TimeoutError:
            ack.error = "operation_timeout"
        ack.seconds = time.monotonic() - started
        return ack

    @staticmethod
    def _frame(envelope: Envelope) -> JsonObject:
        frame: JsonObject = {
            "type": envelope.kind,
            "envelope_id": envelope.id,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.accepts_response,
        }
        if envelope.kind == "events_api" or envelope.retry_attempt:
            frame |= {"retry_attempt": envelope.retry_attempt, "retry_reason": envelope.retry_reason}
        return frame

    async def refresh(self, reason: str = "refresh_requested") -> None:
        """Tell every client to reconnect; also `warning` (10 s before) and `link_disabled`."""
        for connection in list(self.connections):
            await connection.ws.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "lab"}})

    def drop(self, index: int | None = None) -> None:
        """Cut one socket (by index) or all of them, as a broken network does."""
        for connection in self.connections if index is None else [self.connections[index]]:
            connection.cut()

    def silence(self, index: int | None = None) -> None:
        """Let one socket or all of them look open while nothing passes: no pong, no envelope, no ack."""
        for connection in self.connections if index is None else [self.connections[index]]:
            connection.silent = True
