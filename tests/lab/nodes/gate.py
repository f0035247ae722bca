"""The lab's side of the ``docker`` and ``sudo`` stubs: one unix socket per machine."""

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

STDOUT = 1
STDERR = 2
_EXIT = 0
_LIMIT = 64 * 1024


class Call(Protocol):
    """A command somebody ran on a machine: what was asked, and where the answer goes."""

    argv: Sequence[str]
    cwd: str
    stdin: int

    async def out(self, data: bytes | str) -> None:
        """Write to the caller's stdout."""

    async def err(self, data: bytes | str) -> None:
        """Write to the caller's stderr."""

    async def gone(self) -> None:
        """Return when the caller went away before the answer."""


class PipedCall(Call, Protocol):
    """A call whose output descriptors a program may be given."""

    stdout: int
    stderr: int


Handler = Callable[[PipedCall], Awaitable[int]]
"""Carries out a call and returns its exit status."""


@dataclass
class SocketCall:
    """A call that came through a stub; the descriptors are the stub's own."""

    connection: socket.socket
    argv: Sequence[str]
    cwd: str
    stdin: int
    stdout: int
    stderr: int
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _gone: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def out(self, data: bytes | str) -> None:
        """Write to the stub's stdout."""
        await self._frame(STDOUT, data)

    async def err(self, data: bytes | str) -> None:
        """Write to the stub's stderr."""
        await self._frame(STDERR, data)

    async def exit(self, status: int) -> None:
        """End the stub with ``status``."""
        await self._frame(_EXIT, bytes([status & 0xFF]))

    async def gone(self) -> None:
        """Return when the stub was killed."""
        await self._gone.wait()

    async def watch(self) -> None:
        """Notice a killed stub: let go of its descriptors, so that whoever reads its output sees the end."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_recv(self.connection, 1)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (self.stdin, self.stdout, self.stderr):
            os.dup2(nowhere, fd, inheritable=False)
        os.close(nowhere)
        self._gone.set()

    async def _frame(self, kind: int, data: bytes | str) -> None:
        raw = data.encode() if isinstance(data, str) else data
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            async with self._writing:
                for start in range(0, max(len(raw), 1), _LIMIT):
                    part = raw[start : start + _LIMIT]
                    await loop.sock_sendall(self.connection, bytes([kind]) + len(part).to_bytes(4, "big") + part)


class MemoryCall:
    """A call made inside the lab process; collects the answer. Use as a context manager, then ``finish``."""

    def __init__(self, argv: Sequence[str], stdin: bytes | None = None) -> None:
        self.argv = argv
        self.cwd = "/"
        self._direct: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray()}
        self._input = stdin or b""

    def __enter__(self) -> Self:
        self.stdin, feed = os.pipe()
        self._out_pipe, self.stdout = os.pipe()
        self._err_pipe, self.stderr = os.pipe()
        self._pumps = [
            asyncio.ensure_future(asyncio.to_thread(_feed, feed, self._input)),
            asyncio.ensure_future(asyncio.to_thread(_drain, self._out_pipe)),
            asyncio.ensure_future(asyncio.to_thread(_drain, self._err_pipe)),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for name in ("stdin", "stdout", "stderr"):
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)

    async def out(self, data: bytes | str) -> None:
        """Collect stdout."""
        self._direct[STDOUT] += data.encode() if isinstance(data, str) else data

    async def err(self, data: bytes | str) -> None:
        """Collect stderr."""
        self._direct[STDERR] += data.encode() if isinstance(data, str) else data

    async def gone(self) -> None:
        """Never returns: the lab itself does not go away."""
        await asyncio.get_running_loop().create_future()

    async def finish(self) -> tuple[bytes, bytes]:
        """Everything written to stdout and stderr; call when the handler has returned."""
        self._close()
        _, out, err = await asyncio.gather(*self._pumps)
        return bytes(self._direct[STDOUT]) + (out or b""), bytes(self._direct[STDERR]) + (err or b"")


def _feed(fd: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(fd, "wb") as pipe:
        pipe.write(data)


def _drain(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as pipe:
        return pipe.read()


class Gate:
    """Accepts stubs on a unix socket and passes their calls to the handler of their kind."""

    def __init__(self, path: Path, handlers: dict[str, Handler]) -> None:
        self.path = path
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen; the socket exists when this returns."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        self._socket.bind(str(self.path))
        self._socket.listen(128)
        self._run(self._accept())

    async def stop(self) -> None:
        """Stop listening and drop the calls under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            connection.setblocking(False)
            self._run(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        fds: list[int] = []
        watch: asyncio.Task[None] | None = None
        try:
            head, fds = await _receive_fds(connection)
            kind, cwd, *argv = (await _receive(connection, int.from_bytes(head, "big"))).split("\0")
            call = SocketCall(connection, argv, cwd, *fds)
            watch = asyncio.create_task(call.watch())
            await call.exit(await self._handlers[kind](call))
        except ConnectionError:
            return
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
            for fd in fds:
                os.close(fd)
            connection.close()


async def _receive_fds(connection: socket.socket) -> tuple[bytes, list[int]]:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    if not ancillary:
        raise ConnectionResetError("a stub ended before its request")
    fds = array.array("i")
    fds.frombytes(ancillary[0][2])
    return head, list(fds)


async def _receive(connection: socket.socket, count: int) -> str:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        part = await loop.sock_recv(connection, count - len(data))
        if not part:
            raise ConnectionResetError("a stub ended in the middle of its request")
        data += part
    return data.decode("utf-8", "surrogateescape")
