"""A cluster node: SSH, dockerd, etcd and kube-apiserver, with the switches for its faults."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.lab.nodes import etcdhttp
from tests.lab.nodes.apiserver import ApiServer
from tests.lab.nodes.direct import Direct, docker_words
from tests.lab.nodes.docker.cli import Docker
from tests.lab.nodes.docker.engine import Engine, Place
from tests.lab.nodes.docker.images import known
from tests.lab.nodes.docker.model import Container
from tests.lab.nodes.docker.runtime import Hooks
from tests.lab.nodes.gate import Call, Handler, MemoryCall
from tests.lab.nodes.hosts import Host, Site
from tests.lab.nodes.paths import ETCD_DATA, KUBERNETES, SNAPSHOTS

CLIENT_PORT = 2379
PEER_PORT = 2380
ALL_ROLES = ("controlplane", "worker", "etcd")


class Node(Host):
    """A machine with a dockerd; ``roles`` are those in the cluster's yml."""

    def __init__(
        self,
        site: Site,
        name: str,
        address: str,
        private_address: Callable[[], str],
        roles: tuple[str, ...] = ALL_ROLES,
    ) -> None:
        self.roles = roles
        super().__init__(site, name, address)
        place = Place(
            name=name,
            address=address,
            directory=self.root / "docker",
            df_switch=self.paths.df_switch,
            real=self.paths.real,
            mark=site.warden.mark(name),
            private_address=private_address,
        )
        self.engine = Engine(place, Hooks(self._container_started, self._container_ended))
        self.docker = Docker(self.engine)
        self.api_server = ApiServer(address, (address, CLIENT_PORT), self.real(f"{KUBERNETES}/ssl"))

    @property
    def docker_log(self) -> list[list[str]]:
        """Docker command lines run on this node, without the word docker."""
        return self.docker.log

    @property
    def snapshots(self) -> Path:
        """The real directory of /opt/rke/etcd-snapshots; it may not exist yet."""
        return self.real(SNAPSHOTS)

    # --- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """SSH and dockerd; no container runs yet."""
        self.engine.create_files()
        await super().start()

    async def stop(self) -> None:
        """End everything on this node, and give back its disk space: every member preallocates 128 MB."""
        await self.engine.power_off()
        await super().stop()
        for directory in (self.real(ETCD_DATA), self.root / "docker"):
            shutil.rmtree(directory, ignore_errors=True)

    async def down(self) -> None:
        """Cut the power: SSH, containers, sessions."""
        await self.sshd.close()
        await self.engine.power_off()
        await super().down()

    async def up(self) -> None:
        """Power on: containers start as their restart policies say, then SSH answers."""
        await self.engine.power_on()
        await super().up()

    def has_images(self) -> None:
        """Give the node every image a cluster of its kind uses."""
        self.engine.images.update({image.name: image for image in known()})

    # --- use from tests -----------------------------------------------------------------------------------

    async def docker_cli(self, *argv: str, stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
        """Run ``docker ARGV`` inside the lab process, without SSH; it is not recorded in ``docker_log``."""
        with MemoryCall(argv, stdin) as call:
            status = await self.docker(call)
            self.docker.log.pop()
            return status, *(await call.finish())

    async def etcdctl(self, *argv: str, stdin: bytes | None = None) -> str:
        """``docker exec etcd etcdctl …``; returns stdout, raises RuntimeError with stderr when it fails."""
        status, out, err = await self.docker_cli("exec", "-i", "etcd", "etcdctl", *argv, stdin=stdin)
        if status:
            raise RuntimeError(f"etcdctl {' '.join(argv)} on {self.name} ended with {status}: {err.decode()}")
        return out.decode(errors="replace")

    async def put(self, key: str, value: str | bytes) -> None:
        """Write a key through this node's member."""
        data = value.encode() if isinstance(value, str) else value
        await self.etcdctl("put", key, stdin=data)

    async def get(self, key: str) -> str | None:
        """Read a key from this node's member, linearizably; None when it does not exist."""
        return _first_value(await self.etcdctl("get", key, "-w", "json"))

    async def get_local(self, key: str) -> str | None:
        """Read a key from this member's own data, without asking the others."""
        return _first_value(await self.etcdctl("get", key, "-w", "json", "--consistency=s"))

    async def etcd_healthy(self, *, within: float = 2.0) -> bool:
        """Whether this node's member answers within so many seconds and has a leader."""
        return await etcdhttp.healthy(self.address, CLIENT_PORT, within=within)

    def containers(self) -> dict[str, str]:
        """Name to status of every container."""
        return {c.name: c.state.status for c in self.engine.containers()}

    def container(self, name: str) -> Container:
        """One container; raises NoSuchContainerError."""
        return self.engine.runtime(name).container

    # --- faults -------------------------------------------------------------------------------------------

    def docker_dead(self) -> None:
        """dockerd does not answer; containers go on."""
        self.engine.dead = True

    def docker_hung(self) -> None:
        """dockerd takes requests and never answers."""
        self.engine.hung = True

    def docker_alive(self) -> None:
        """End ``docker_dead`` and ``docker_hung`` (requests already hanging go on hanging)."""
        self.engine.dead = self.engine.hung = False

    def docker_version(self, version: str) -> None:
        """Change the version dockerd and its CLI report."""
        self.engine.version = version

    def sudo_off(self) -> None:
        """``sudo -n`` asks for a password."""
        self.sudo.allowed = False

    def sudo_on(self) -> None:
        """End ``sudo_off``."""
        self.sudo.allowed = True

    def remove_file(self, name: str) -> None:
        """Delete a snapshot of this node."""
        (self.snapshots / name).unlink()

    def corrupt_file(self, name: str) -> None:
        """Flip one byte of a snapshot: the database's last (only its trailing sha256 tells), a zip's middle one."""
        path = self.snapshots / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2 if name.endswith(".zip") else -33] ^= 0xFF
        path.write_bytes(data)

    def truncate_file(self, name: str) -> None:
        """Cut a snapshot in half."""
        path = self.snapshots / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def disk(self, free_bytes: int | None, total_bytes: int = 100 * 1024**3) -> None:
        """Let ``df`` report these figures for every file system; None lets it report the real ones."""
        if free_bytes is None:
            self.paths.df_switch.unlink(missing_ok=True)
        else:
            self.paths.df_switch.write_text(f"{total_bytes} {free_bytes}\n")

    async def stop_container(self, name: str) -> None:
        """Stop a container, as an operator would."""
        await self.engine.runtime(name).stop(0)

    def crash_container(self, name: str) -> None:
        """Kill a container's process; the restart policy applies."""
        self.engine.runtime(name).crash()

    async def leave_container(self, name: str) -> None:
        """Leave a helper container behind, stopped, as a failed rke run does."""
        image = next(i.name for i in known() if i.repository == "rancher/rke-tools")
        await self.docker_cli("run", "-d", "--name", name, "--net", "host", image, "sh", "-c", "exit 1")
        await self.docker_cli("wait", name)

    # --- inside -------------------------------------------------------------------------------------------

    def _handlers(self) -> dict[str, Handler]:
        return {**super()._handlers(), "docker": self._docker}

    async def _docker(self, call: Call) -> int:
        """Through the stub: the shell's words lead to the lab's directories, Docker's own shall not."""
        call.argv = [self.paths.canonical(word) for word in call.argv]
        return await self.docker(call)

    def _direct(self, command: str) -> Direct | None:
        words = docker_words(command)
        if words is None or not self.has_stub(self.bin / "docker", "docker"):
            return None
        return Direct(words, str(self.home), self.docker)

    async def _container_started(self, container: Container) -> None:
        if _runs(container, "kube-apiserver"):
            await self.api_server.open()

    async def _container_ended(self, container: Container) -> None:
        if _runs(container, "kube-apiserver"):
            await self.api_server.close()


def _runs(container: Container, program: str) -> bool:
    return program in [Path(word).name for word in container.spec.argv[:2]]


def _first_value(answer: str) -> str | None:
    kvs = json.loads(answer).get("kvs", [])
    return base64.b64decode(kvs[0].get("value", "")).decode(errors="replace") if kvs else None
