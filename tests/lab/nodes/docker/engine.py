"""dockerd of one node: which containers and images there are, and what may be done to them."""

import asyncio
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.nodes.docker.images import Image, Programs, find, with_tag
from tests.lab.nodes.docker.model import Container, Spec
from tests.lab.nodes.docker.runtime import Hooks, Runtime, StartError

VERSION = "18.09.9"
HOST_NETWORK = "host"


class DockerError(Exception):
    """dockerd refuses; the text is its own, without a prefix."""


class NoSuchContainerError(DockerError):
    """No container of that name or id."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"No such container: {reference}")


@dataclass(frozen=True)
class Place:
    """What the engine must know about its node."""

    name: str
    address: str
    directory: Path
    df_switch: Path
    real: Callable[[str], Path]
    mark: dict[str, str]
    private_address: Callable[[], str]


class Engine:
    """Containers by name; every method speaks Docker's own error texts through DockerError."""

    def __init__(self, place: Place, hooks: Hooks) -> None:
        self.place = place
        self.version = VERSION
        self.dead = False
        self.hung = False
        self.images: dict[str, Image] = {}
        self._hooks = hooks
        self._programs = Programs(place.directory / "programs", place.df_switch)
        self._runtimes: dict[str, Runtime] = {}

    def create_files(self) -> None:
        """Write what the containers' programs need on disk."""
        self._programs.create()

    # --- looking ------------------------------------------------------------------------------------------

    def containers(self) -> list[Container]:
        """All containers, newest first."""
        return [r.container for r in reversed(self._runtimes.values())]

    def runtime(self, reference: str) -> Runtime:
        """A container by name, id or unique beginning of its id; raises NoSuchContainerError."""
        name = reference.removeprefix("/")
        for runtime in self._runtimes.values():
            if runtime.container.name == name or runtime.container.id == reference:
                return runtime
        matching = [r for i, r in self._runtimes.items() if len(reference) > 2 and i.startswith(reference)]
        if len(matching) != 1:
            raise NoSuchContainerError(reference)
        return matching[0]

    # --- doing --------------------------------------------------------------------------------------------

    def pull(self, reference: str) -> Image:
        """Get an image from the registry; raises DockerError when it has none of that name."""
        image = find(reference)
        if image is None:
            repository = with_tag(reference).rpartition(":")[0]
            raise DockerError(
                f"pull access denied for {repository}, repository does not exist or may require 'docker login'"
            )
        self.images[image.name] = image
        return image

    def create(self, spec: Spec) -> Runtime:
        """Create a container; raises DockerError for a name in use."""
        identifier = secrets.token_hex(32)
        name = spec.name or f"lab_{identifier[:8]}"
        for runtime in self._runtimes.values():
            if runtime.container.name == name:
                raise DockerError(
                    f'Conflict. The container name "/{name}" is already in use by container '
                    f'"{runtime.container.id}". You have to remove (or rename) that container to be able '
                    "to reuse that name."
                )
        address = self.place.address if spec.network == HOST_NETWORK else self.place.private_address()
        scratch = self.place.directory / "containers" / identifier[:12]
        container = Container(identifier, name, spec, address, scratch)
        runtime = Runtime(container, self._programs, self.place.mark, self._hooks, self._forget)
        self._runtimes[identifier] = runtime
        return runtime

    async def remove(self, reference: str, *, force: bool) -> None:
        """Remove a container; raises DockerError for a running one without ``force``."""
        runtime = self.runtime(reference)
        container = runtime.container
        if container.state.running:
            if not force:
                raise DockerError(
                    f"You cannot remove a {container.state.status} container {container.id}. "
                    "Stop the container before attempting removal or force remove"
                )
            await runtime.stop(0)
        self._forget(container)

    def rename(self, reference: str, name: str) -> None:
        """Give a container another name; raises DockerError for a name in use."""
        container = self.runtime(reference).container
        for other in self.containers():
            if other.name == name and other is not container:
                raise DockerError(
                    f'Conflict. The container name "/{name}" is already in use by container "{other.id}". '
                    "You have to remove (or rename) that container to be able to reuse that name."
                )
        container.name = name

    def _forget(self, container: Container) -> None:
        self._runtimes.pop(container.id, None)
        shutil.rmtree(container.scratch, ignore_errors=True)

    # --- power --------------------------------------------------------------------------------------------

    async def power_off(self) -> None:
        """End every process at once and keep the containers."""
        runtimes = list(self._runtimes.values())
        by_hand = {r.container.id for r in runtimes if r.container.state.stopped_by_hand}
        await asyncio.gather(*(r.stop(0) for r in runtimes))
        for runtime in runtimes:
            runtime.container.state.stopped_by_hand = runtime.container.id in by_hand

    async def power_on(self) -> None:
        """Start what the restart policies say, as dockerd does when it starts."""
        for runtime in list(self._runtimes.values()):
            container = runtime.container
            policy = container.restart.partition(":")[0]
            if policy == "always" or (policy == "unless-stopped" and not container.state.stopped_by_hand):
                try:
                    await runtime.start()
                except StartError:
                    continue
