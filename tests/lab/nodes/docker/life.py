"""docker restart, stop, start, kill, rm, wait, rename, update."""

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable

from tests.lab.nodes.docker.engine import DockerError, Engine, NoSuchContainerError
from tests.lab.nodes.docker.options import Parsed
from tests.lab.nodes.docker.run import sink
from tests.lab.nodes.docker.runtime import Runtime, StartError
from tests.lab.nodes.gate import Call

_GRACE = "10"


async def _each(
    call: Call, names: list[str], act: Callable[[str], Awaitable[None]], prefix: str = "Error response from daemon: "
) -> int:
    """Do one thing to every name in turn: done ones are printed, failed ones explained; others still follow."""
    status = 0
    for name in names:
        try:
            await act(name)
        except NoSuchContainerError as error:
            await call.err(f"{prefix}{error}\n")
            status = 1
        except DockerError as error:
            await call.err(f"Error response from daemon: {error}\n")
            status = 1
        else:
            await call.out(f"{name}\n")
    return status


def _grace(parsed: Parsed) -> float:
    return float(parsed.value("time", parsed.value("timeout", _GRACE)))


async def restart(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Restart, one after the other; a missing one does not keep the others from it (exit status 1)."""

    async def act(name: str) -> None:
        await _starting(name, engine.runtime(name).restart(_grace(parsed)))

    return await _each(call, parsed.arguments, act)


async def stop(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Stop; an already stopped container is fine."""

    async def act(name: str) -> None:
        await engine.runtime(name).stop(_grace(parsed))

    return await _each(call, parsed.arguments, act)


async def start(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Start; with ``-a`` stay attached to the first one and return its exit code."""
    if parsed.on("attach"):
        return await _start_attached(engine.runtime(parsed.arguments[0]), call, parsed)

    async def act(name: str) -> None:
        await _starting(name, engine.runtime(name).start())

    status = await _each(call, parsed.arguments, act)
    if status:
        failed = [n for n in parsed.arguments if not _running(engine, n)]
        await call.err(f"Error: failed to start containers: {', '.join(failed)}\n")
    return status


async def _start_attached(runtime: Runtime, call: Call, parsed: Parsed) -> int:
    await _starting(
        runtime.container.name,
        runtime.start(sink(call), call.stdin if parsed.on("interactive") else subprocess.DEVNULL),
    )
    return await runtime.wait()


async def _starting(name: str, work: Awaitable[None]) -> None:
    try:
        await work
    except StartError as error:
        raise DockerError(f"OCI runtime create failed: starting container process caused: {error}: unknown") from error


def _running(engine: Engine, name: str) -> bool:
    try:
        return engine.runtime(name).container.state.running
    except NoSuchContainerError:
        return False


async def kill(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Send a signal, SIGKILL by default."""
    word = parsed.value("signal", "KILL").upper().removeprefix("SIG")
    number = signal.Signals(int(word)) if word.isdigit() else signal.Signals[f"SIG{word}"]

    async def act(name: str) -> None:
        try:
            runtime = engine.runtime(name)
        except NoSuchContainerError as error:
            raise DockerError(f"Cannot kill container: {name}: {error}") from error
        if not runtime.container.state.running:
            identifier = runtime.container.id
            raise DockerError(f"Cannot kill container: {name}: Container {identifier} is not running")
        await runtime.kill(number)

    return await _each(call, parsed.arguments, act)


async def rm(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Remove. With ``--force`` a missing container is an error up to 19.03 and none from 20.10 on."""
    force = parsed.on("force")

    async def act(name: str) -> None:
        await engine.remove(name, force=force)

    status = await _each(call, parsed.arguments, act, prefix="Error: ")
    modern = int(engine.version.split(".")[0]) >= 20
    if status and force and modern and not any(_exists(engine, n) for n in parsed.arguments):
        return 0
    return status


def _exists(engine: Engine, name: str) -> bool:
    try:
        engine.runtime(name)
    except NoSuchContainerError:
        return False
    return True


async def wait(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Print each container's exit code when it has stopped."""
    status = 0
    for name in parsed.arguments:
        try:
            runtime = engine.runtime(name)
        except NoSuchContainerError as error:
            await call.err(f"Error response from daemon: {error}\n")
            status = 1
            continue
        ended, gone = asyncio.ensure_future(runtime.wait()), asyncio.ensure_future(call.gone())
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not ended.done():
            ended.cancel()
            return 1
        await call.out(f"{ended.result()}\n")
    return status


async def rename(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Rename."""
    old, new = parsed.arguments
    try:
        engine.rename(old, new)
    except DockerError as error:
        await call.err(f"Error response from daemon: {error}\n")
        await call.err(f"Error: failed to rename container named {old}\n")
        return 1
    return 0


async def update(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Change a restart policy."""

    async def act(name: str) -> None:
        container = engine.runtime(name).container
        container.restart = parsed.value("restart", container.restart)

    return await _each(call, parsed.arguments, act)
