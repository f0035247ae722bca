"""docker version, info, ps, inspect, images, logs, top: what only looks."""

import json
import re
from collections.abc import Callable, Sequence

from tests.lab.nodes.docker.engine import DockerError, Engine, NoSuchContainerError
from tests.lab.nodes.docker.images import Image, with_tag
from tests.lab.nodes.docker.model import Container, human_duration, seconds_since
from tests.lab.nodes.docker.options import Parsed
from tests.lab.nodes.docker.template import render
from tests.lab.nodes.gate import Call

Row = dict[str, object]


async def version(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Client and server version."""
    side: Row = {
        "Version": engine.version,
        "ApiVersion": "1.39",
        "GitCommit": "039a7df9ba",
        "GoVersion": "go1.11.13",
        "Os": "linux",
        "Arch": "amd64",
        "BuildTime": "2019-09-04T16:55:50.000000000+00:00",
    }
    value: Row = {"Client": side, "Server": {**side, "MinAPIVersion": "1.12", "KernelVersion": "4.15.0"}}
    if parsed.value("format"):
        await call.out(render(parsed.value("format"), value) + "\n")
        return 0
    for name in ("Client", "Server"):
        await call.out(
            f"{name}: Docker Engine - Community\n Version:           {engine.version}\n"
            " API version:       1.39\n Go version:        go1.11.13\n Git commit:        039a7df9ba\n"
            " OS/Arch:           linux/amd64\n\n"
        )
    return 0


async def info(engine: Engine, call: Call, parsed: Parsed) -> int:
    """What the daemon says about itself."""
    containers = engine.containers()
    running = sum(c.state.running for c in containers)
    value: Row = {
        "ID": "LAB0:LAB0:LAB0:LAB0",
        "Containers": len(containers),
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": len(containers) - running,
        "Images": len(engine.images),
        "Driver": "overlay2",
        "DockerRootDir": "/var/lib/docker",
        "ServerVersion": engine.version,
        "Name": engine.place.name,
        "OperatingSystem": "Ubuntu 18.04.6 LTS",
        "OSType": "linux",
        "Architecture": "x86_64",
        "KernelVersion": "4.15.0",
        "NCPU": 2,
        "MemTotal": 4_000_000_000,
        "LiveRestoreEnabled": False,
        "CgroupDriver": "cgroupfs",
        "LoggingDriver": "json-file",
        "SecurityOptions": ["name=seccomp,profile=default"],
        "Warnings": None,
    }
    if parsed.value("format"):
        await call.out(render(parsed.value("format"), value) + "\n")
        return 0
    lines = [
        f"Containers: {len(containers)}",
        f" Running: {running}",
        " Paused: 0",
        f" Stopped: {len(containers) - running}",
        f"Images: {len(engine.images)}",
        f"Server Version: {engine.version}",
        "Storage Driver: overlay2",
        f"Name: {engine.place.name}",
        "Docker Root Dir: /var/lib/docker",
    ]
    await call.out("\n".join(lines) + "\n")
    return 0


# --- ps ---------------------------------------------------------------------------------------------------


def _ps_row(container: Container, *, whole: bool) -> Row:
    command = " ".join(container.spec.argv)
    quoted = f'"{command if whole or len(command) <= 20 else command[:19] + "…"}"'
    return {
        "ID": container.id if whole else container.short_id,
        "Names": container.name,
        "Image": container.spec.reference,
        "Command": quoted,
        "CreatedAt": f"{container.created[:10]} {container.created[11:19]} +0000 UTC",
        "RunningFor": f"{human_duration(seconds_since(container.created))} ago",
        "Status": container.status_text(),
        "State": container.state.status,
        "Ports": "",
        "Labels": ",".join(f"{k}={v}" for k, v in container.spec.labels.items()),
        "Mounts": ",".join(b.source for b in container.spec.binds),
        "LocalVolumes": "0",
        "Networks": container.spec.network,
        "Size": "0B",
    }


_PS_COLUMNS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
}


async def ps(engine: Engine, call: Call, parsed: Parsed) -> int:
    """List containers, newest first."""
    tests = [_filter(text) for text in parsed.all("filter")]
    everything = parsed.on("all") or any(t.startswith("status=") for t in parsed.all("filter"))
    chosen = [
        c for c in engine.containers() if (everything or parsed.on("latest") or c.state.running) and _passes(c, tests)
    ]
    if parsed.on("latest"):
        chosen = chosen[:1]
    rows = [_ps_row(c, whole=parsed.on("no-trunc")) for c in chosen]
    if parsed.on("quiet") and not parsed.value("format"):
        await call.out("".join(f"{row['ID']}\n" for row in rows))
    else:
        await call.out(_table(rows, parsed.value("format"), _PS_COLUMNS))
    return 0


Filter = tuple[str, Callable[[Container], bool]]


def _filter(text: str) -> Filter:
    key, equals, value = text.partition("=")
    if not equals:
        raise DockerError("bad format of filter (expected name=value)")
    tests: dict[str, Callable[[Container], bool]] = {
        "name": lambda c: bool(re.search(value, c.name) or re.search(value, f"/{c.name}")),
        "id": lambda c: c.id.startswith(value),
        "status": lambda c: c.state.status == value,
        "ancestor": lambda c: with_tag(value) == c.spec.image.name or c.spec.image.repository == value,
        "label": lambda c: value in c.spec.labels or value in {f"{k}={v}" for k, v in c.spec.labels.items()},
        "network": lambda c: c.spec.network == value,
        "exited": lambda c: c.state.status == "exited" and str(c.state.exit_code) == value,
    }
    if key not in tests:
        raise DockerError(f"Invalid filter '{key}'")
    return key, tests[key]


def _passes(container: Container, tests: Sequence[Filter]) -> bool:
    """Values of one key are alternatives, different keys must all hold."""
    keys = {key for key, _ in tests}
    return all(any(test(container) for k, test in tests if k == key) for key in keys)


def _table(rows: list[Row], template: str, columns: dict[str, str]) -> str:
    """Rows as docker's formatter prints them: the default table, ``table …`` or a plain template."""
    if not template:
        template = "table " + "\\t".join(f"{{{{.{key}}}}}" for key in columns)
    wanted_table = template.startswith("table ")
    template = template.removeprefix("table ").replace("\\t", "\t").replace("\\n", "\n")
    lines = [render(template, row) for row in rows]
    if not wanted_table:
        return "".join(f"{line}\n" for line in lines)
    heads: Row = {key: columns.get(key, key.upper()) for key in [*columns, *(rows[0] if rows else ())]}
    return _aligned([render(template, heads), *lines])


def _aligned(lines: list[str]) -> str:
    cells = [line.split("\t") for line in lines]
    widths = [max(map(len, column)) + 3 for column in zip(*cells, strict=True)]
    text = ["".join(c.ljust(w) for c, w in zip(row, [*widths[:-1], 0], strict=True)) for row in cells]
    return "".join(f"{line}\n" for line in text)


# --- inspect ----------------------------------------------------------------------------------------------


def _image_object(image: Image) -> Row:
    return {
        "Id": image.id,
        "RepoTags": [image.name],
        "RepoDigests": [f"{image.repository}@{image.id}"],
        "Created": "2019-11-01T00:00:00Z",
        "Architecture": "amd64",
        "Os": "linux",
        "Size": 100_000_000,
        "Config": {"Cmd": list(image.default_command), "Entrypoint": None, "Env": None, "Labels": None},
    }


def _look_up(engine: Engine, name: str, kind: str) -> Row | None:
    if kind in {"", "container"}:
        try:
            return engine.runtime(name).container.inspect()
        except NoSuchContainerError:
            pass
    if kind in {"", "image"}:
        for image in engine.images.values():
            if with_tag(name) == image.name or (
                len(name) > 5 and image.id.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))
            ):
                return _image_object(image)
    return None


async def inspect(engine: Engine, call: Call, parsed: Parsed) -> int:
    """Low-level information; what is missing is named, the rest is shown, exit status 1."""
    kind, template = parsed.value("type"), parsed.value("format")
    noun = {"": "object", "container": "container", "image": "image"}[kind]
    found: list[Row] = []
    missing: list[str] = []
    for name in parsed.arguments:
        value = _look_up(engine, name, kind)
        if value is None:
            missing.append(name)
        else:
            found.append(value)
    if template:
        await call.out("".join(render(template, value) + "\n" for value in found) or "\n")
    else:
        await call.out(json.dumps(found, indent=4) + "\n")
    for name in missing:
        await call.err(f"Error: No such {noun}: {name}\n")
    return 1 if missing else 0


# --- images, logs, top ------------------------------------------------------------------------------------

_IMAGE_COLUMNS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
}


async def images(engine: Engine, call: Call, parsed: Parsed) -> int:
    """The images this node has."""
    wanted = parsed.arguments[0] if parsed.arguments else ""
    rows: list[Row] = [
        {
            "Repository": image.repository,
            "Tag": image.tag,
            "ID": image.id.removeprefix("sha256:")[:12] if not parsed.on("no-trunc") else image.id,
            "CreatedSince": "2 years ago",
            "Size": "100MB",
        }
        for image in engine.images.values()
        if wanted in {"", image.repository, image.name}
    ]
    if parsed.on("quiet") and not parsed.value("format"):
        await call.out("".join(f"{row['ID']}\n" for row in rows))
    else:
        await call.out(_table(rows, parsed.value("format"), _IMAGE_COLUMNS))
    return 0


async def logs(engine: Engine, call: Call, parsed: Parsed) -> int:
    """A container's output so far, each stream on its own; ``--tail`` counts lines."""
    try:
        container = engine.runtime(parsed.arguments[0]).container
    except NoSuchContainerError as error:
        await call.err(f"Error: {error}\n")
        return 1
    lines = _lines(container)
    tail = parsed.value("tail", "all")
    if tail.isdigit():
        lines = lines[len(lines) - min(int(tail), len(lines)) :]
    for stream, line, stamp in lines:
        text = f"{stamp} ".encode() + line if parsed.on("timestamps") else line
        await (call.out if stream == 1 else call.err)(text)
    return 0


def _lines(container: Container) -> list[tuple[int, bytes, str]]:
    """Log entries cut into lines, in the order they were written."""
    lines: list[tuple[int, bytes, str]] = []
    open_line: dict[int, int] = {}
    for stream, data, stamp in container.logs:
        for part in data.splitlines(keepends=True):
            if stream in open_line:
                at = open_line.pop(stream)
                lines[at] = (stream, lines[at][1] + part, lines[at][2])
            else:
                at = len(lines)
                lines.append((stream, part, stamp))
            if not part.endswith(b"\n"):
                open_line[stream] = at
    return lines


async def top(engine: Engine, call: Call, parsed: Parsed) -> int:
    """The main process only."""
    container = engine.runtime(parsed.arguments[0]).container
    if not container.state.running:
        raise DockerError(f"Container {container.id} is not running")
    await call.out(_aligned(["UID\tPID\tCMD", f"root\t{container.state.pid}\t{' '.join(container.spec.argv)}"]))
    return 0
