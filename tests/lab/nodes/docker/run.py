"""docker create, run, exec, cp, pull: what starts programs and moves files."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.nodes.docker.engine import DockerError, Engine, NoSuchContainerError
from tests.lab.nodes.docker.images import Image, with_tag
from tests.lab.nodes.docker.model import Bind, Spec
from tests.lab.nodes.docker.options import Parsed, UsageError
from tests.lab.nodes.docker.runtime import Runtime, Sink, StartError, forward
from tests.lab.nodes.docker.sandbox import NotExecutableError, make_bind
from tests.lab.nodes.gate import Call
from tests.lab.nodes.processes import spawn

_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


async def create(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Create a container and print its id."""
    runtime = await _create(engine, call, parsed)
    await call.out(f"{runtime.container.id}\n")
    return 0


async def run(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Create and start; attached it returns the program's exit status, 125 for dockerd's own refusals."""
    try:
        runtime = await _create(engine, call, parsed)
    except DockerError as error:
        await call.err(f"docker: Error response from daemon: {error}.\nSee 'docker run --help'.\n")
        return 125
    if parsed.on("detach"):
        return await _run_detached(engine, call, runtime)
    try:
        await runtime.start(sink(call), call.stdin if parsed.on("interactive") else subprocess.DEVNULL)
    except StartError as error:
        return await _not_started(engine, call, runtime, error)
    return await runtime.wait()


def sink(call: Call) -> Sink:
    """Output of a process to the caller's streams."""

    async def write(stream: int, data: bytes) -> None:
        await (call.out if stream == 1 else call.err)(data)

    return write


async def _run_detached(engine: Engine, call: Call, runtime: Runtime) -> int:
    try:
        await runtime.start()
    except StartError as error:
        await call.out(f"{runtime.container.id}\n")
        return await _not_started(engine, call, runtime, error)
    await call.out(f"{runtime.container.id}\n")
    return 0


async def _not_started(engine: Engine, call: Call, runtime: Runtime, error: StartError) -> int:
    if runtime.container.spec.auto_remove:
        await engine.remove(runtime.container.id, force=True)
    await call.err(
        "docker: Error response from daemon: OCI runtime create failed: container_linux.go:348: "
        f'starting container process caused "{error}": unknown.\n'
    )
    return error.status


async def _create(engine: Engine, call: Call, parsed: Parsed) -> Runtime:
    reference = parsed.arguments[0]
    image = engine.images.get(with_tag(reference)) or await _fetch(engine, call, reference)
    return engine.create(_spec(engine, parsed, image))


async def _fetch(engine: Engine, call: Call, reference: str) -> Image:
    await call.err(f"Unable to find image '{with_tag(reference)}' locally\n")
    image = engine.pull(reference)
    await call.err(_pull_text(image, fresh=True))
    return image


def _spec(engine: Engine, parsed: Parsed, image: Image) -> Spec:
    entrypoint = parsed.value("entrypoint")
    binds = [*_binds(engine, parsed), *_inherited(engine, parsed)]
    return Spec(
        name=parsed.value("name"),
        image=image,
        reference=parsed.arguments[0],
        entrypoint=(entrypoint,) if entrypoint else (),
        command=tuple(parsed.arguments[1:]),
        env=tuple(_environment(parsed)),
        binds=tuple(binds),
        network=parsed.value("network", parsed.value("net", "default")),
        restart=parsed.value("restart", "no") or "no",
        labels=dict(x.partition("=")[::2] for x in parsed.all("label")),
        user=parsed.value("user"),
        workdir=parsed.value("workdir"),
        memory=_bytes(parsed.value("memory", "0")),
        privileged=parsed.on("privileged"),
        auto_remove=parsed.on("rm"),
        open_stdin=parsed.on("interactive"),
        read_only=parsed.on("read-only"),
        volumes_from=tuple(parsed.all("volumes-from")),
    )


def _environment(parsed: Parsed) -> Iterator[str]:
    for entry in parsed.all("env"):
        if "=" in entry:
            yield entry


def _bytes(text: str) -> int:
    text = text.lower().removesuffix("ib").removesuffix("b") or "0"
    unit = _UNITS.get(text[-1])
    return int(float(text[:-1]) * unit) if unit else int(text)


def _binds(engine: Engine, parsed: Parsed) -> Iterator[Bind]:
    for spec in parsed.all("volume"):
        source, _, rest = spec.partition(":")
        target, _, mode = rest.partition(":")
        if not target:
            continue  # an anonymous volume: the container's private directory serves
        if not target.startswith("/"):
            raise DockerError(f"invalid volume specification: '{spec}': invalid mount config for type \"bind\"")
        yield make_bind(spec, source.rstrip("/") or "/", _source(engine, source), target, mode)
    for mount in parsed.all("mount"):
        parts = dict(p.partition("=")[::2] for p in mount.split(","))
        source = parts.get("source", parts.get("src", ""))
        target = parts.get("target", parts.get("destination", parts.get("dst", "")))
        if parts.get("type", "volume") == "bind" and not _source(engine, source).exists():
            raise DockerError(f'invalid mount config for type "bind": bind source path does not exist: {source}')
        if source:
            mode = "ro" if "readonly" in parts or "ro" in parts else ""
            yield make_bind(f"{source}:{target}", source, _source(engine, source), target, mode)


def _source(engine: Engine, source: str) -> Path:
    """A bind's source on the node, or the directory of a named volume."""
    if source.startswith("/"):
        return engine.place.real(source)
    return engine.place.directory / "volumes" / source


def _inherited(engine: Engine, parsed: Parsed) -> Iterator[Bind]:
    for name in parsed.all("volumes-from"):
        yield from engine.runtime(name.partition(":")[0]).container.spec.binds


async def execute(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Run a command in a running container; its streams are the caller's own."""
    name, *words = parsed.arguments
    try:
        runtime = engine.runtime(name)
    except NoSuchContainerError as error:
        await call.err(f"Error: {error}\n")
        return 1
    container = runtime.container
    if container.state.status == "restarting":
        raise DockerError(f"Container {container.id} is restarting, wait until the container is running")
    if container.state.status != "running":
        raise DockerError(f"Container {container.id} is not running")
    if parsed.on("tty") and not os.isatty(call.stdin):
        raise UsageError("the input device is not a TTY\n", 1)
    stdin = call.stdin if parsed.on("interactive") else subprocess.DEVNULL
    try:
        return await runtime.execute(words, parsed.all("env"), stdin, sink(call))
    except (NotExecutableError, OSError) as error:
        await call.out(
            "OCI runtime exec failed: exec failed: container_linux.go:348: "
            f'starting container process caused "{error}": unknown\r\n'
        )
        return 126


async def cp(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Copy out of or into a container; ``-`` is a tar stream."""
    source, target = parsed.arguments
    outward = ":" in source and not source.startswith(("/", "."))
    name, _, path = (source if outward else target).partition(":")
    try:
        inside = engine.runtime(name).sandbox().path(path)
    except NoSuchContainerError as error:
        await call.err(f"Error: {error}\n")
        return 1
    if outward and not inside.exists():
        await call.err(f"Error: No such container:path: {source}\n")
        return 1
    outside = target if outward else source
    return await _copy(engine, call, inside, outside, outward=outward)


async def _copy(engine: Engine, call: Call, inside: Path, outside: str, *, outward: bool) -> int:
    if outside == "-" and outward:
        argv = ["tar", "-C", str(inside.parent), "-cf", "-", inside.name]
    elif outside == "-":
        argv = ["tar", "-C", str(inside), "-xf", "-"]
    else:
        local = engine.place.real(outside) if outside.startswith("/") else Path(call.cwd) / outside
        argv = ["cp", "-a", *map(str, (inside, local) if outward else (local, inside))]
    child = await spawn(
        argv,
        env={"PATH": "/usr/bin:/bin", **engine.place.mark},
        cwd="/",
        stdin=call.stdin,
    )
    write = sink(call)
    await asyncio.gather(forward(1, child.stdout, write), forward(2, child.stderr, write))
    return 1 if await child.wait() else 0


async def pull(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Get an image."""
    fresh = with_tag(parsed.arguments[0]) not in engine.images
    image = engine.pull(parsed.arguments[0])
    await call.out(f"{image.name}\n" if parsed.on("quiet") else _pull_text(image, fresh=fresh))
    return 0


def _pull_text(image: Image, *, fresh: bool) -> str:
    word = "Downloaded newer image" if fresh else "Image is up to date"
    return f"{image.tag}: Pulling from {image.repository}\nDigest: {image.id}\nStatus: {word} for {image.name}\n"
