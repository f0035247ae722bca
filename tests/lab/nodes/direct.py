"""A docker command straight from an SSH session to the lab's dockerd.

Most commands on a node are one plain ``docker …``; starting a shell and a stub for each would cost more than
everything else the lab does. What the client sees is the same.
"""

import asyncio
import contextlib
import os
import re
import shlex
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncssh

from tests.lab.nodes.gate import Call

_PLAIN = re.compile(r"""docker (?:'[^']*'|"[^"$`\\!]*"|[\w./:=,@%+ -])+""", re.ASCII)
"""Only words no shell would change, bare or in quotes."""
_CHUNK = 256 * 1024


def docker_words(command: str) -> list[str] | None:
    """The arguments of docker when any shell would run just that; None when a shell is needed."""
    return shlex.split(command)[1:] if _PLAIN.fullmatch(command) else None


class SessionCall:
    """A call whose streams are an SSH session's."""

    def __init__(self, session: asyncssh.SSHServerProcess[bytes], argv: Sequence[str], cwd: str) -> None:
        self.argv = argv
        self.cwd = cwd
        self.stdin, self._feed_fd = os.pipe()
        self.killed_by: signal.Signals | None = None
        self._session = session
        self._gone = asyncio.Event()

    async def out(self, data: bytes | str) -> None:
        """Write to the session's stdout."""
        await self._write(self._session.stdout, data)

    async def err(self, data: bytes | str) -> None:
        """Write to the session's stderr."""
        await self._write(self._session.stderr, data)

    async def gone(self) -> None:
        """Return when the client went away or killed the command."""
        await self._gone.wait()

    async def watch(self) -> None:
        """Return when the session is closed."""
        await self._session.channel.wait_closed()
        self._gone.set()

    async def feed(self) -> None:
        """Copy the client's input to the call's stdin; notice a signal."""
        loop = asyncio.get_running_loop()
        pipe, self._feed_fd = os.fdopen(self._feed_fd, "wb", buffering=0), -1
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        try:
            while data := await self._session.stdin.read(_CHUNK):
                writer.write(data)
                await writer.drain()
        except asyncssh.SignalReceived as received:
            self.killed_by = signal.Signals[f"SIG{received.signal}"]
            self._gone.set()
        except (OSError, asyncssh.Error):
            return
        finally:
            transport.close()

    def close(self) -> None:
        """Let go of stdin."""
        for fd in (self.stdin, self._feed_fd):
            if fd >= 0:
                os.close(fd)

    async def _write(self, target: asyncssh.SSHWriter[bytes], data: bytes | str) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            if not target.is_closing():
                target.write(data.encode() if isinstance(data, str) else data)
                await target.drain()


@dataclass(frozen=True)
class Direct:
    """A command that needs no shell: its words, its directory, and who carries it out."""

    words: Sequence[str]
    cwd: str
    handler: Callable[[Call], Awaitable[int]]


async def serve(
    session: asyncssh.SSHServerProcess[bytes], direct: Direct, background: set[asyncio.Future[int]]
) -> None:
    """Carry out a call; when its client goes away first, it goes on in ``background``."""
    call = SessionCall(session, direct.words, direct.cwd)
    streams = [asyncio.create_task(work) for work in (call.feed(), call.watch())]
    gone = asyncio.create_task(call.gone())
    work = asyncio.ensure_future(direct.handler(call))
    work.add_done_callback(lambda _: call.close())
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            finish(session, work.result())
        else:
            background.add(work)
            work.add_done_callback(background.discard)
            finish(session, -(call.killed_by or signal.SIGPIPE))
    finally:
        for task in (*streams, gone):
            task.cancel()
        await asyncio.gather(*streams, gone, return_exceptions=True)


def finish(session: asyncssh.SSHServerProcess[bytes], status: int) -> None:
    """End a session with an exit status, or with a signal where the status is its negative number."""
    with contextlib.suppress(OSError):
        if status >= 0:
            session.exit(status)
        else:
            session.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
