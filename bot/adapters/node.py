"""One node of a cluster, over SSH: its containers by docker's command line, root's files by whatever way there is."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.adapters import docker, member, snapshot_files
from bot.adapters.fence import FencedMachine
from bot.adapters.ssh import Completed, Input, script
from bot.core import snapshots
from bot.core.facts import Access, Container, Copy, Form, Integrity, Member, NodeFacts, NodeSpec
from bot.errors import BotError, Refused, Retryable

_HASHING: Final = 600.0  # seconds to read a large snapshot back
_SAVING: Final = 900.0
_STOPPING: Final = 15.0  # docker kills a container after 10 s
_SSL: Final = "/etc/kubernetes/ssl"
_ETCD_DATA: Final = "/var/lib/etcd"
_ETCD_IMAGE: Final = re.compile(r"\S*coreos-etcd:v\d\S*|\S*/etcd:v\d\S*")
_TOOLS_IMAGE: Final = re.compile(r"\S*rke-tools:v\d\S*")

# SNAPSHOTS DATA: what the SSH user can see of the node, in one round trip.
_LOOK: Final = f"""
free() {{
  d=$1
  while [ ! -d "$d" ]; do d=${{d%/*}}; d=${{d:-/}}; done
  df -Pk "$d" | awk 'END {{ print $(NF - 2) }}'
}}
echo "clock $(date +%s)"
if [ "$(id -u)" = 0 ]; then echo access root; elif sudo -n true 2>/dev/null; then echo access sudo; fi
echo "snapshots $(free "$1")"
echo "data $(free "$2")"
version=$(sh -c '{docker.LIMIT}' sh 20 docker version --format '{{{{.Server.Version}}}}' 2>&1)
status=$?
echo "docker $status $(printf %s "$version" | tail -n 1)"
[ "$status" = 0 ] || exit 0
docker images --format 'image {{{{.Repository}}}}:{{{{.Tag}}}}' 2>/dev/null
{docker.LIST}
exit 0
"""


@dataclass(frozen=True, slots=True)
class _Ground:
    """How this node is worked on: found once, used by every call. Images are "" when the node has none."""

    access: Access
    tools: str
    etcd: str


class SshNode:
    """Implements the port Node over SSH. `prefix` is prefix_path of the yml."""

    def __init__(self, spec: NodeSpec, host: FencedMachine, prefix: str = "") -> None:
        self.spec, self._host, self._prefix = spec, host, prefix.rstrip("/")
        self._docker = docker.environment(spec.docker_socket)
        self._known: _Ground | None = None
        self._looking = asyncio.Lock()

    async def raise_fence(self) -> None:
        """Outdate earlier owners on this node; waits while one of their commands still runs."""
        await self._host.raise_fence()

    async def look(self) -> NodeFacts:
        """See the port."""
        try:
            return await self._look()
        except BotError as error:
            return NodeFacts(self.spec, error=str(error))

    async def _look(self) -> NodeFacts:
        paths = snapshot_files.DIRECTORY, self._prefix + _ETCD_DATA
        done = await self._user(script(_LOOK, *paths), timeout=60, name="look at docker and disks")
        text = done.stdout.decode(errors="replace")
        found = {word: rest for word, _, rest in (line.partition(" ") for line in text.splitlines())}
        status, _, said = found.get("docker", "1 ").partition(" ")
        there = docker.containers(text)
        self._known = _ground(found.get("access", ""), text, there)
        error = "" if status == "0" else f"docker on {self.spec.address} does not answer: {said or 'it hangs'}"
        return NodeFacts(
            node=self.spec,
            error=error,
            docker=said if status == "0" else "",
            access=self._known.access,
            containers=there,
            free_snapshots=_kib(found.get("snapshots", "")),
            free_data=_kib(found.get("data", "")),
            clock=float(found.get("clock", 0)),
        )

    async def _ground(self) -> _Ground:
        async with self._looking:
            if self._known is None:
                await self._look()
        assert self._known is not None
        return self._known

    async def _user(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 30,
        ok: Sequence[int] | None = (0,),
        name: str = "",
    ) -> Completed:
        """Run a command that changes nothing as the SSH user."""
        return await self._host.machines.run(
            self._host.machine, [*self._docker, *argv], timeout=timeout, ok=ok, name=name
        )

    async def _change(
        self,
        argv: Sequence[str],
        *,
        stdin: Input | None = None,
        timeout: float = 60,
        ok: Sequence[int] | None = (0,),
    ) -> Completed:
        """Run a command that changes something, under the fence."""
        return await self._host.run([*self._docker, *argv], stdin=stdin, timeout=timeout, ok=ok)

    async def _as_root(self, argv: Sequence[str], directory: str, *, write: bool = False) -> list[str]:
        """`argv` so that it runs as root with that directory. Raises Refused where there is no way (pitfall F30)."""
        ground = await self._ground()
        match ground.access:
            case Access.ROOT:
                return list(argv)
            case Access.SUDO:
                return ["sudo", "-n", *argv]
            case Access.CONTAINER:
                return _container(ground.tools, argv, directory, write=write)
        what = f"{self.spec.user} cannot read root's files on {self.spec.address}: no sudo, no image of rke-tools."
        raise Refused(what, "Allow sudo without a password there, or pull the cluster's rke-tools image.")

    # --- snapshot files -------------------------------------------------------------------------------------

    async def copies(self) -> tuple[Copy, ...]:
        """See the port. Of a zip, `size` is the file's until it is read back."""
        where = snapshot_files.DIRECTORY
        argv = await self._as_root(script(snapshot_files.LIST, where), where)
        done = await self._user(argv, timeout=60, name="list the snapshots")
        return tuple(snapshot_files.listed(done.stdout.decode(errors="replace"), self.spec.address))

    async def check_copy(self, name: str) -> Copy | None:
        """See the port. Where both forms are there, the zip: rke v0.2.5 and later overwrites the plain file by it."""
        zipped, plain = await asyncio.gather(self._check_zip(name), self._check_plain(name))
        return zipped or plain

    async def _check_plain(self, name: str) -> Copy | None:
        argv = await self._as_root(script(snapshot_files.CHECK, _path(name)), snapshot_files.DIRECTORY)
        facts, revision = await asyncio.gather(
            self._user(argv, timeout=_HASHING, ok=(0, snapshot_files.ABSENT), name=f"read {name} back"),
            self._revision(name),
        )
        if facts.status:
            return None
        return snapshot_files.plain(name, self.spec.address, facts.stdout.decode(), revision)

    async def _revision(self, name: str) -> int | None:
        """What etcd's own tool says; it does not notice flipped bytes (pitfall F22), so it proves nothing."""
        image = (await self._ground()).etcd
        if not image:
            return None
        argv = _container(image, script(snapshot_files.STATUS, _path(name)), snapshot_files.DIRECTORY)
        done = await self._user(argv, timeout=_HASHING, ok=None, name=f"read {name} back")
        if done.status == 127:  # images from etcd 3.5 on have no shell
            status = ["etcdctl", "snapshot", "status", _path(name), "-w", "json"]
            argv = _container(image, status, snapshot_files.DIRECTORY)
            done = await self._user(argv, timeout=_HASHING, ok=None, name=f"read {name} back")
        return snapshot_files.revision(done.stdout.decode(errors="replace"))

    async def _check_zip(self, name: str) -> Copy | None:
        """Look inside in a container of rke-tools: it has unzip and etcdctl, which the node may not have."""
        file = snapshots.file_name(name, Form.ZIP)
        if not any(copy.name == name and copy.form is Form.ZIP for copy in await self.copies()):
            return None
        image = (await self._ground()).tools
        if not image:
            raise Refused(f"{self.spec.address} has no rke-tools image to look into {file}.", "Pull it there.")
        argv = _container(image, script(snapshot_files.CHECK_ZIP, _path(file), name), snapshot_files.DIRECTORY)
        done = await self._user(argv, timeout=_HASHING, ok=(0, snapshot_files.ABSENT), name=f"read {file} back")
        return None if done.status else snapshot_files.zipped(name, self.spec.address, done.stdout.decode())

    async def read_copy(self, copy: Copy) -> AsyncIterator[bytes]:
        """See the port."""
        path = _path(snapshots.file_name(copy.name, copy.form))
        argv = await self._as_root(["cat", path], snapshot_files.DIRECTORY)
        async for chunk in self._host.machines.stream(self._host.machine, [*self._docker, *argv]):
            yield chunk

    async def write_copy(self, copy: Copy, chunks: AsyncIterator[bytes]) -> None:
        """See the port. The file keeps the snapshot's time."""
        other = Form.PLAIN if copy.form is Form.ZIP else Form.ZIP
        files = snapshots.file_name(copy.name, copy.form), snapshots.file_name(copy.name, other)
        words = snapshot_files.DIRECTORY, *files, copy.file_sha256, int(copy.taken_at)
        argv = await self._as_root(script(snapshot_files.WRITE, *words), snapshot_files.DIRECTORY, write=True)
        done = await self._change(argv, stdin=chunks, timeout=_SAVING, ok=None)
        if done.status:
            raise Retryable(f"{files[0]} did not reach {self.spec.address} whole: {done.said}", _todo(done))

    async def safety_copy(self, name: str) -> Copy:
        """See the port."""
        found = await self.check_copy(name)
        if found is not None and found.integrity is Integrity.INTACT:
            return found
        if error := (await self.member()).error:  # etcdctl would wait for it for ever
            raise Retryable(f"No safety copy on {self.spec.address}: {error}")
        part = _path(f".{name}.part")
        etcd = await self._user(member.INSPECT, ok=None)
        argv = member.save_command(self.spec.address, etcd, part, snapshot_files.DIRECTORY)
        keep = await self._as_root(
            script(snapshot_files.KEEP, snapshot_files.DIRECTORY, name), snapshot_files.DIRECTORY, write=True
        )
        await self._change(script(docker.LIMIT, int(_SAVING - 30), *argv), timeout=_SAVING)
        await self._change(keep)
        copy = await self.check_copy(name)
        if copy is None or copy.integrity is not Integrity.INTACT:
            raise Retryable(f"The safety copy on {self.spec.address} is not intact.", copy.problem if copy else "")
        return copy

    # --- containers -----------------------------------------------------------------------------------------

    async def containers(self) -> Mapping[str, Container]:
        """See the port."""
        facts = await self._look()
        if facts.error:
            raise Retryable(facts.error)
        return facts.containers

    async def restart(self, names: Sequence[str]) -> Mapping[str, str]:
        """See the port."""
        return await self._each(["restart"], names)

    async def stop(self, names: Sequence[str]) -> Mapping[str, str]:
        """See the port."""
        return await self._each(["stop"], names)

    async def remove(self, names: Sequence[str]) -> Mapping[str, str]:
        """See the port."""
        return await self._each(["rm", "-f"], names)

    async def _each(self, words: Sequence[str], names: Sequence[str]) -> Mapping[str, str]:
        if not names:
            return {}
        timeout = 60 + _STOPPING * len(names)
        done = await self._change(["docker", *words, *docker.checked(names)], timeout=timeout, ok=None)
        return docker.judged(names, done)

    # --- etcd and kube-apiserver ----------------------------------------------------------------------------

    async def member(self) -> Member:
        """See the port."""
        try:
            done = await self._user(script(member.ASK), timeout=45, ok=None, name="etcdctl endpoint status")
        except BotError as error:
            return Member(self.spec.address, error=str(error))
        return member.told(self.spec.address, done)

    async def hash_at(self, revision: int) -> int:
        """See the port. Before etcd 3.3 the sha256 of all keys and values stands in for hashkv."""
        done = await self._user(script(member.HASH, revision), timeout=120, name="etcdctl endpoint hashkv")
        return member.hash_told(self.spec.address, done)

    async def put_and_read(self, key: str, value: str) -> str:
        """See the port."""
        done = await self._change(script(member.PUT_AND_READ, key, value))
        return done.stdout.decode(errors="replace").removesuffix("\n")

    async def remove_key(self, key: str) -> None:
        """See the port."""
        await self._change(["docker", "exec", "etcd", "etcdctl", "del", "--", key])

    async def api_health(self) -> str:
        """See the port. kube-node's certificate is on every node; its key is root's."""
        ssl = self._prefix + _SSL
        key, url = f"{ssl}/kube-node-key.pem", f"https://{self.spec.internal_address or self.spec.address}:6443/healthz"
        curl = ["curl", "-sS", "-m", "10", "--cacert", f"{ssl}/kube-ca.pem", "--cert", f"{ssl}/kube-node.pem", "--key"]
        try:
            if (await self._ground()).access is Access.CONTAINER:
                cat = await self._as_root(["cat", key], ssl)  # the image has no curl, the user has no key
                words = script(f"{shlex.join(cat)} | {shlex.join([*curl, '/dev/stdin', url])}")
            else:
                words = await self._as_root([*curl, key, url], ssl)
            done = await self._user(words, ok=None, name="curl")
        except BotError as error:
            return str(error)
        said = done.stdout.decode(errors="replace").strip()
        if done.status == 0 and said == "ok":
            return ""
        return said.replace("\n", " ")[:300] or done.said


def _ground(access: str, text: str, there: Mapping[str, Container]) -> _Ground:
    images = [line.removeprefix("image ") for line in text.splitlines() if line.startswith("image ")]
    tools = next(filter(_TOOLS_IMAGE.fullmatch, images), "")
    etcd = there["etcd"].image if "etcd" in there else next(filter(_ETCD_IMAGE.fullmatch, images), "")
    if access:
        return _Ground(Access(access), tools, etcd)
    return _Ground(Access.CONTAINER if tools else Access.NONE, tools, etcd)


def _container(image: str, argv: Sequence[str], directory: str, *, write: bool = False) -> list[str]:
    """`argv` in a throwaway container without network that sees that directory only."""
    bind = f"{directory}:{directory}:{'z' if write else 'ro'}"
    options = ["--rm", "-i", "--network", "none", "--user", "0", "-e", "ETCDCTL_API=3", "-v", bind]
    return ["docker", "run", *options, "--entrypoint", argv[0], image, *argv[1:]]


def _path(file: str) -> str:
    return f"{snapshot_files.DIRECTORY}/{file}"


def _kib(text: str) -> int:
    return int(text) * 1024 if text.isdigit() else 0


def _todo(done: Completed) -> str:
    if b"No space left" in done.stderr:
        return f"Make room below {snapshot_files.DIRECTORY} there."
    return ""
