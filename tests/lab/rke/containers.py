"""rke's own wrappers around docker: start or update, wait, remove; with the lines each release prints.

Source: docker/docker.go of v0.1.20 and v1.0.16. What matters to an operator: a *stopped* container of the wanted name
is started again with its OLD arguments; a running one with other arguments is replaced ("updated").
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, cast

from . import toolbox
from .config import Host
from .log import Log, RkeError
from .plan import ContainerSpec, Plan
from .settings import Settings
from .transport import NO_DAEMON, Transport

Inspection = dict[str, Any]


@dataclass(frozen=True)
class Containers:
    """Containers of one node."""

    host: Host
    transport: Transport
    log: Log
    settings: Settings

    @property
    def where(self) -> str:
        """How a line ends."""
        return f"on host [{self.host.address}]"

    def detail(self, message: str) -> None:
        """A progress line only v0.3 and later print."""
        if not self.settings.legacy:
            self.log.info(message)

    async def inspect(self, name: str) -> Inspection | None:
        """`docker inspect`, None for a container that is not there."""
        found = await self.transport.docker("inspect", "--type", "container", "--format", "{{json .}}", name)
        return cast("Inspection", json.loads(found.out)) if found.status == 0 else None

    async def run(self, spec: ContainerSpec, plane: str) -> None:
        """Make the container run as described (DoRunContainer)."""
        started = await self.transport.docker("run", "-d", *spec.arguments())
        if started.status == 0:
            self.detail(f"Image [{spec.image}] exists {self.where}")
            self.detail(f"Starting container [{spec.name}] {self.where}, try #1")
            self.log.info(f"[{plane}] Successfully started [{spec.name}] container {self.where}")
        elif "Conflict" in started.error:
            await self._present(spec, plane)
        else:
            raise RkeError(f"Failed to create [{spec.name}] container {self.where}: {started.error}")

    async def _present(self, spec: ContainerSpec, plane: str) -> None:
        found = await self.inspect(spec.name)
        if found is None:
            await self.run(spec, plane)
        elif not found["State"]["Running"]:
            if not self.settings.legacy:
                self.log.info(f"[{plane}] Starting stopped container [{spec.name}] {self.where}")
            await self._docker("start", spec.name, failure=f"Failed to start [{spec.name}] container {self.where}")
            self.log.info(f"[{plane}] Successfully started [{spec.name}] container {self.where}")
        else:
            if found["State"].get("Restarting"):
                await self.transport.docker("restart", "-t", "30", spec.name)
            if differs(found, spec):
                await self._update(spec, plane)

    async def _update(self, spec: ContainerSpec, plane: str) -> None:
        old = f"old-{spec.name}"
        await self.transport.docker("rm", "-f", old)
        await self.transport.docker("stop", "-t", "5", spec.name)
        await self._docker("rename", spec.name, old, failure=f"Can't rename Docker container [{spec.name}]")
        await self._docker(
            "run", "-d", *spec.arguments(), failure=f"Failed to create [{spec.name}] container {self.where}"
        )
        self.log.info(f"[{plane}] Successfully updated [{spec.name}] container {self.where}")
        await self.remove(old)

    async def _docker(self, *arguments: str, failure: str) -> bytes:
        done = await self.transport.docker(*arguments)
        if done.status != 0:
            raise RkeError(f"{failure}: {done.error}")
        return done.out

    async def create(self, spec: ContainerSpec) -> bool:
        """`docker create`; False when the name is taken."""
        return (await self.transport.docker("create", *spec.arguments())).status == 0

    async def wait(self, name: str) -> int:
        """Exit status of a one-shot container.

        v0.1.x asks once and gives up after 50 s with a sentence about the docker daemon
        [v0.1.20-save-etcd-container-stopped-on-node-2.txt]; later releases poll for five minutes.
        """
        if not self.settings.legacy:
            return await self._poll(name)
        try:
            waited = await self.transport.docker("wait", name, timeout=self.settings.response_timeout)
        except RkeError as error:
            raise RkeError(f"Error waiting for container [{name}] {self.where}: {error}") from error
        return int(waited.text or 1)

    async def _poll(self, name: str) -> int:
        while True:
            self.log.info(f"Waiting for [{name}] container to exit {self.where}")
            found = await self.inspect(name)
            if found is None:
                raise RkeError(f"Could not inspect container [{name}] {self.where}: Error: No such container: {name}")
            if not found["State"]["Running"]:
                return int(found["State"]["ExitCode"])
            self.log.info(f"Container [{name}] is still running {self.where}")
            await self.transport.docker("wait", name)

    async def logs(self, name: str, tail: int) -> str:
        """The container's standard error, as rke shows it in its FATAL lines."""
        return (await self.transport.docker("logs", "--tail", str(tail), name)).err.decode(errors="replace")

    async def output(self, name: str) -> tuple[str, str]:
        """Both streams of a finished container."""
        both = await self.transport.docker("logs", "--tail", "1", name)
        return both.out.decode(errors="replace"), both.err.decode(errors="replace")

    async def remove(self, name: str) -> bool:
        """`docker rm -f`; tells whether there was anything to remove."""
        removed = await self.transport.docker("rm", "-f", name)
        if removed.text:
            self.detail(f"Removing container [{name}] {self.where}, try #1")
        return bool(removed.text)

    async def remove_if_present(self, name: str) -> None:
        """Remove and say so, silently nothing when absent (DoRemoveContainer)."""
        if await self.remove(name):
            self.log.info(f"[remove/{name}] Successfully removed container {self.where}")

    async def once(self, spec: ContainerSpec, plane: str) -> tuple[int, str]:
        """Run a one-shot to its end and remove it: exit status and last lines of its standard error."""
        await self.run(spec, plane)
        status = await self.wait(spec.name)
        tail = await self.logs(spec.name, 5) if status else ""
        await self.remove(spec.name)
        return status, tail

    async def attached(self, spec: ContainerSpec, stdin: bytes | None = None) -> bytes:
        """Run a one-shot in the foreground; its standard output. Raises RkeError when it fails."""
        await self.transport.docker("rm", "-f", spec.name) if stdin is not None else None
        flags = ["-i", "--rm"] if stdin is not None else ["--rm"]
        done = await self.transport.docker("run", *flags, *spec.arguments(), stdin=stdin)
        if done.status != 0:
            raise RkeError(f"Failed to run [{spec.name}] container {self.where}: {done.error or NO_DAEMON}")
        return done.out

    async def link_log(self, plan: Plan, name: str, plane: str) -> None:
        """rke-log-linker, after each service it started."""
        found = await self.inspect(name)
        identity = str(found["Id"]) if found else "unknown"
        await self.attached(plan.on_logs("rke-log-linker", toolbox.log_link(name, identity)))
        self.log.info(f"[{plane}] Successfully started [rke-log-linker] container {self.where}")
        self.log.info(f"[remove/rke-log-linker] Successfully removed container {self.where}")

    async def pause(self) -> None:
        """Stay here for RKE_DOUBLE_PACE seconds, so that a test can kill rke between two steps of a node."""
        if self.settings.pace:
            await asyncio.sleep(self.settings.pace)


def differs(found: Inspection, spec: ContainerSpec) -> bool:
    """True when rke would replace the running container (IsContainerUpgradable): order does not matter."""
    config, host_config = found["Config"], found["HostConfig"]
    command = {*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())}
    return (
        config["Image"] != spec.image
        or command != set(spec.command)
        or not set(spec.env) <= set(config.get("Env") or ())
        or set(host_config.get("Binds") or ()) != set(spec.binds)
    )
