"""A running cluster of lab nodes to try the double on, and recorded runs to hold it against."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.lab.nodes import Machines, Node

from .transcript import Stream, Transcript, differences

CONFIG = "--config rancher-cluster.yml"
V0_1_NODES = {f"10.77.0.{number}": number for number in (1, 2, 3, 7)}
V1_0_NODES = {"10.77.0.4": 1, "10.77.0.5": 2, "10.77.0.6": 3}


@dataclass(frozen=True)
class Ran:
    """A finished run of rke."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """The log, on whichever stream this release writes it."""
        return (self.stderr or self.stdout).splitlines()

    @property
    def last(self) -> str:
        """The last line of the log."""
        return self.lines[-1]


@dataclass
class Bench:
    """Machines of one lab. The spare node is number 7, as in the recordings of a swapped node."""

    machines: Machines
    limits: dict[str, str] = field(default_factory=dict)

    @property
    def legacy(self) -> bool:
        """This is v0.1.x."""
        return self.machines.rke.startswith("v0.1.")

    @property
    def nodes(self) -> list[Node]:
        """The cluster's nodes."""
        return self.machines.nodes

    @property
    def spare(self) -> Node:
        """A node the cluster does not know."""
        return self.machines.spares[0]

    @property
    def numbers(self) -> dict[str, int]:
        """Address to node number."""
        return {node.address: number for number, node in enumerate(self.nodes, 1)} | {self.spare.address: 7}

    async def rke(self, arguments: str, **environment: str) -> Ran:
        """Run rke in the cluster's directory."""
        host = self.machines.rke_host
        words = " ".join(f"{name}={value}" for name, value in environment.items())
        ran = await host.run(f"cd {host.cluster_dir} && {words} rke {arguments}")
        return Ran(ran.exit_status or 0, _text(ran.stdout), _text(ran.stderr))

    async def replay(self, name: str, *, progress: bool | None = None, limits: Mapping[str, str] | None = None) -> Ran:
        """Run what a transcript ran and hold the status and both streams against it.

        Progress lines of v1.0 are left out unless asked for: rke polls, so their number depends on the machine.
        """
        progress = self.legacy if progress is None else progress
        recorded = Transcript.load(name)
        ran = await self.rke(recorded.arguments, **(limits or {}))
        assert ran.status == recorded.status, ran.lines[-5:]
        assert self.differences(recorded.stdout, ran.stdout, progress=progress) == []
        assert self.differences(recorded.stderr, ran.stderr, progress=progress) == []
        return ran

    def differences(self, expected: Stream, actual: str, *, progress: bool = True) -> list[str]:
        """What a stream has wrong."""
        recorded = V0_1_NODES if self.legacy else V1_0_NODES
        return differences(expected, recorded, actual, self.numbers, progress=progress)

    async def save(self, name: str) -> None:
        """`snapshot-save` that must succeed."""
        ran = await self.rke(f"etcd snapshot-save --name {name} {CONFIG}")
        assert ran.status == 0, ran.last

    async def save_equal(self, name: str) -> None:
        """Save, then make all nodes hold node 1's file."""
        await self.save(name)
        content = (self.nodes[0].snapshots / name).read_bytes()
        for node in self.nodes[1:]:
            (node.snapshots / name).write_bytes(content)

    async def restore(self, name: str, **environment: str) -> Ran:
        """`snapshot-restore`, whatever comes of it."""
        return await self.rke(f"etcd snapshot-restore --name {name} {CONFIG}", **environment)

    async def local_values(self, key: str) -> list[str]:
        """What each member has under a key, without asking the others."""
        read = ("get", key, "--print-value-only", "--consistency=s")
        return [(await node.etcdctl(*read)).strip() for node in self.nodes]

    def configure(self, **changes: object) -> None:
        """Change top-level keys of the yml."""
        path = self.machines.rke_host.config
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


def _text(stream: object) -> str:
    return stream.decode() if isinstance(stream, bytes) else ""


@asynccontextmanager
async def cluster(base: Path, version: str, *, bastion: bool = False, running: bool = True) -> AsyncIterator[Bench]:
    """Three nodes and a spare; `running=False` leaves the nodes empty, as before the first `rke up`."""
    async with Machines(base / "lab", nodes=3, spares=1, rke=version, bastion=bastion) as machines:
        if running:
            await machines.bring_up()
        yield Bench(machines)
