"""The life of one container: its process, its output, its restart policy."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.lab.nodes.docker.images import Programs
from tests.lab.nodes.docker.model import Container, now, seconds_since
from tests.lab.nodes.docker.sandbox import NotExecutableError, Sandbox
from tests.lab.nodes.processes import signal_group, spawn

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 60.0
_STEADY = 10.0
"""dockerd's own figures: 100 ms doubling up to a minute, forgotten after ten seconds of running."""

Sink = Callable[[int, bytes], Awaitable[None]]
"""Takes output as it appears: the stream's number and the data."""


class StartError(Exception):
    """The container's process cannot be started; the text is Docker's, ``status`` is 126 or 127."""

    def __init__(self, text: str, status: int = 127) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Hooks:
    """What the node does when a container's state changes."""

    started: Callable[[Container], Awaitable[None]]
    ended: Callable[[Container], Awaitable[None]]


@dataclass
class Runtime:
    """Runs one container; all changes of its state happen here."""

    container: Container
    programs: Programs
    mark: dict[str, str]
    hooks: Hooks
    removed: Callable[[Container], None]
    _process: asyncio.subprocess.Process | None = None
    _supervisor: asyncio.Task[None] | None = None
    _exits: list[asyncio.Future[int]] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _backoff: float = _FIRST_BACKOFF
    _execs: set[int] = field(default_factory=set)

    async def start(self, sink: Sink | None = None, stdin: int = subprocess.DEVNULL) -> None:
        """Start the process; does nothing when it runs. Raises StartError."""
        async with self._lock:
            if self.container.state.status == "running":
                return
            await self._end_supervisor()
            self.container.state.stopped_by_hand = False
            await self._launch(sink, stdin)

    async def stop(self, grace: float) -> None:
        """SIGTERM, after ``grace`` seconds SIGKILL; no restart follows."""
        async with self._lock:
            await self._stop(grace)

    async def restart(self, grace: float) -> None:
        """Stop and start again; raises StartError."""
        async with self._lock:
            await self._stop(grace)
            self.container.state.stopped_by_hand = False
            await self._launch(None, subprocess.DEVNULL)

    async def kill(self, number: signal.Signals) -> None:
        """Send a signal; after SIGKILL the restart policy does not apply, as in dockerd."""
        if number is signal.SIGKILL:
            await self.stop(0)
        elif self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def crash(self) -> None:
        """Kill the process behind dockerd's back: the restart policy applies."""
        assert self._process is not None
        signal_group(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """The exit code: at once when nothing runs, else of the next exit."""
        if not self.container.state.running:
            return self.container.state.exit_code
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._exits.append(waiter)
        return await waiter

    def sandbox(self) -> Sandbox:
        """The container's rewriting rules."""
        return Sandbox(self.container, self.programs)

    async def execute(self, words: list[str], env: list[str], stdin: int, sink: Sink) -> int:
        """Run another command in the container, as ``docker exec``; raises NotExecutableError.

        It goes on when the caller of docker goes away, as in Docker.
        """
        sandbox = self.sandbox()
        file, *argv = sandbox.argv(words)
        child = await spawn(
            argv,
            executable=file,
            env=sandbox.environment(env, self.mark),
            cwd=self.container.scratch,
            stdin=stdin,
        )
        self._execs.add(child.pid)
        await asyncio.gather(forward(1, child.stdout, sink), forward(2, child.stderr, sink))
        status = await child.wait()
        self._execs.discard(child.pid)
        return status if status >= 0 else 128 - status

    # --- inside -------------------------------------------------------------------------------------------

    async def _launch(self, sink: Sink | None, stdin: int) -> None:
        state, sandbox = self.container.state, self.sandbox()
        try:
            file, *argv = sandbox.argv(self.container.spec.argv)
            self._process = await spawn(
                argv,
                executable=file,
                env=sandbox.environment([], self.mark),
                cwd=self.container.scratch,
                stdin=stdin,
            )
        except (NotExecutableError, OSError) as error:
            state.exit_code, state.error = 127, str(error)
            raise StartError(str(error)) from error
        state.status, state.pid, state.exit_code, state.error = "running", self._process.pid, 0, ""
        state.started_at = now()
        await self.hooks.started(self.container)
        self._supervisor = asyncio.create_task(self._supervise(self._process, sink))

    async def _supervise(self, process: asyncio.subprocess.Process, sink: Sink | None) -> None:
        pumps = [
            asyncio.create_task(self._pump(number, stream, sink))
            for number, stream in ((1, process.stdout), (2, process.stderr))
        ]
        status = await process.wait()
        signal_group(process.pid, signal.SIGKILL)
        for pid in self._execs:
            signal_group(pid, signal.SIGKILL)
        await asyncio.gather(*pumps)
        await self.hooks.ended(self.container)
        state = self.container.state
        state.status, state.pid, state.finished_at = "exited", 0, now()
        state.exit_code = status if status >= 0 else 128 - status
        self._process = None
        again = self._should_restart()
        if again:
            state.status = "restarting"
        elif self.container.spec.auto_remove:
            self.removed(self.container)
        for waiter in self._exits:
            if not waiter.done():
                waiter.set_result(state.exit_code)
        self._exits.clear()
        if again:
            await self._restart_by_policy()

    async def _pump(self, number: int, stream: asyncio.StreamReader | None, sink: Sink | None) -> None:
        async def keep(number: int, data: bytes) -> None:
            self.container.write_log(number, data)
            if sink is not None:
                await sink(number, data)

        await forward(number, stream, keep)

    def _should_restart(self) -> bool:
        state, (policy, _, limit) = self.container.state, self.container.restart.partition(":")
        if state.stopped_by_hand:
            return False
        if policy == "on-failure":
            return state.exit_code != 0 and (not limit or state.restart_count < int(limit))
        return policy in {"always", "unless-stopped"}

    async def _restart_by_policy(self) -> None:
        state = self.container.state
        if seconds_since(state.started_at) > _STEADY:
            self._backoff = _FIRST_BACKOFF
        await asyncio.sleep(self._backoff)
        self._backoff = min(self._backoff * 2, _LONGEST_BACKOFF)
        try:
            await self._launch(None, subprocess.DEVNULL)
        except StartError:
            state.status = "exited"
        state.restart_count += 1

    async def _stop(self, grace: float) -> None:
        state = self.container.state
        state.stopped_by_hand = True
        if self._process is None:
            await self._end_supervisor()
            if state.status == "restarting":
                state.status = "exited"
            return
        process, supervisor = self._process, self._supervisor
        assert supervisor is not None
        if grace > 0:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await asyncio.wait({supervisor}, timeout=grace)
        signal_group(process.pid, signal.SIGKILL)
        await supervisor
        self._backoff = _FIRST_BACKOFF

    async def _end_supervisor(self) -> None:
        """Drop a restart that is only waiting for its turn; let an ending be finished."""
        task = self._supervisor
        if task is not None and not task.done():
            if self.container.state.status == "restarting":
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._supervisor = None


async def forward(number: int, stream: asyncio.StreamReader | None, sink: Sink) -> None:
    """Copy a process's output to a sink until it ends."""
    assert stream is not None
    while data := await stream.read(64 * 1024):
        await sink(number, data)
