"""A machine's SSH server: behaves as OpenSSH's sshd does for commands without a terminal.

What differs from a plain asyncssh server, because a client may depend on it: a client that goes away does not end the
remote command (which only meets closed pipes); the channel stays open while any process holds its output; at most ten
sessions run over one connection (MaxSessions); forwarding leads to loopback addresses only.
"""

import asyncio
import contextlib
import ipaddress
import signal
from collections.abc import Awaitable, Callable

import asyncssh

from tests.lab.nodes.direct import Direct, finish, serve
from tests.lab.nodes.processes import signal_group

MAX_SESSIONS = 10
"""OpenSSH's default for MaxSessions."""

_CHUNK = 256 * 1024

Starter = Callable[[str], Awaitable[asyncio.subprocess.Process]]
"""Starts a command string by the user's shell, with pipes on all three streams."""


class Sshd:
    """One SSH server on a fixed address; can be closed and opened again under the same host key."""

    def __init__(
        self, address: str, port: int, user: str, start: Starter, direct: Callable[[str], Direct | None]
    ) -> None:
        self.address = address
        self.port = port
        self.user = user
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.accepted_keys: list[asyncssh.SSHKey] = []
        self.log: list[str] = []
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._start = start
        self._direct = direct
        self._background: set[asyncio.Future[int]] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._silent: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; does nothing when the server is listening already."""
        await self._close_silent()
        if self._acceptor is None:
            self._acceptor = await asyncssh.listen(
                self.address,
                self.port,
                server_factory=lambda: _Server(self),
                server_host_keys=[self.host_key],
                encoding=None,
                allow_scp=False,
                line_editor=False,
            )

    async def close(self) -> None:
        """Refuse connections from now on and cut the existing ones."""
        await self._close_silent()
        if self._acceptor is not None:
            self._acceptor.close()
            for connection in list(self.connections):
                connection.abort()
            await self._acceptor.wait_closed()
            self._acceptor = None

    async def drop_background(self) -> None:
        """Forget commands whose clients are gone already."""
        tasks = list(self._background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def silence(self) -> None:
        """Accept connections and never say a word, as a machine that hangs does."""
        await self.close()
        self._silent = await asyncio.start_server(_say_nothing, self.address, self.port)

    async def _close_silent(self) -> None:
        if self._silent is not None:
            self._silent.close()
            await self._silent.wait_closed()
            self._silent = None

    async def session(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one command to its end; the exit status goes to the client."""
        command = session.command
        if command is None:
            session.stderr.write(b"This machine runs commands only; there is no interactive shell.\n")
            session.exit(1)
            return
        self.log.append(command)
        direct = self._direct(command)
        if direct is not None:
            await serve(session, direct, self._background)
        else:
            await self._run(session, command)

    async def _run(self, session: asyncssh.SSHServerProcess[bytes], command: str) -> None:
        """By a shell."""
        try:
            child = await self._start(command)
        except OSError as error:
            session.stderr.write(f"/bin/sh: {error}\n".encode())
            session.exit(127)
            return
        feeding = asyncio.create_task(_feed(session, child))
        await asyncio.gather(_copy(child.stdout, session.stdout), _copy(child.stderr, session.stderr))
        status = await child.wait()
        feeding.cancel()
        finish(session, status)


async def _feed(session: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    """Copy the client's input to the command; a vanished client is the end of the input."""
    assert child.stdin is not None
    try:
        while data := await _read(session, child):
            child.stdin.write(data)
            await child.stdin.drain()
    except (OSError, asyncssh.Error):
        return
    finally:
        child.stdin.close()


async def _read(session: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> bytes:
    """The client's next input; signals it sends go to the command's process group, as in sshd since 7.9."""
    while True:
        try:
            return await session.stdin.read(_CHUNK)
        except asyncssh.SignalReceived as received:
            signal_group(child.pid, signal.Signals[f"SIG{received.signal}"])


async def _copy(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    """Copy the command's output; when the client is gone, close the pipe so that a writer gets SIGPIPE."""
    assert source is not None
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
            if target.is_closing():
                _close_reader(source)
                return
    except (OSError, asyncssh.Error):
        _close_reader(source)


def _close_reader(source: asyncio.StreamReader) -> None:
    transport = getattr(source, "_transport", None)
    if isinstance(transport, asyncio.BaseTransport):
        transport.close()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(_CHUNK):
            pass
    writer.close()


class _Server(asyncssh.SSHServer):
    """Policy of one connection: public keys only, loopback forwarding only, a bounded number of sessions."""

    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd
        self._connection: asyncssh.SSHServerConnection | None = None
        self._open = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Register, so that a fault can cut it."""
        self._connection = conn
        self._sshd.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._connection is not None:
            self._sshd.connections.discard(self._connection)

    def session_requested(self) -> asyncssh.SSHServerProcess[bytes]:
        """Open a session unless the connection has its ten."""
        if self._open >= MAX_SESSIONS:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        self._open += 1
        return asyncssh.SSHServerProcess(self._session, None, 3, allow_scp=False)

    async def _session(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        try:
            await self._sshd.session(session)
        finally:
            self._open -= 1

    def begin_auth(self, username: str) -> bool:
        """Everybody must authenticate."""
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Only the machine's user, only with a known key."""
        return username == self._sshd.user and key in self._sshd.accepted_keys

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Forward to loopback addresses, as a jump host; anything else is prohibited."""
        try:
            return ipaddress.ip_address(dest_host).is_loopback
        except ValueError:
            return False
