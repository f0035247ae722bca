"""A bot as processes of its own on a lab, and what an operator does to the machines meanwhile."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import Lab
from tests.lab.acting import Stage, Thread, listening, says
from tests.lab.bot import Bot, Command
from tests.lab.config import Json
from tests.lab.manifest import bot_scopes
from tests.lab.nodes import Node
from tests.lab.process import until
from tests.lab.slack import Workspace
from tests.lab.slack.wire import JsonObject
from tests.lab.slack.workspace import TransportName

ACK_SECONDS = 20.0
"""The limit of 3 s is tested where nothing else runs; here a slow machine must not fail a story about restores."""
BUGS = ("worker_failed", "answer.failed", "answer.not_accepted", "reporter.round_broken", "reporter.show_failed")
"""Events in a bot's log that nothing in these stories explains."""


Changes = Callable[[Lab], Mapping[str, Json]]


def _nothing(_lab: Lab) -> Mapping[str, Json]:
    return {}


@dataclass
class Scene(Stage):
    """A stage with its bots by name."""

    bots: dict[str, Bot] = field(default_factory=dict)

    async def starts(self, command: Command, name: str = "") -> Bot:
        """Start a process of the bot, or start it again; returns when it works."""
        name = name or command
        if name in self.bots:
            self.bots[name].log.unlink()
            self.bots[name].start()
        else:
            self.bots[name] = await self.lab.bot(command, name=name, config=self.config)
        if command == "worker":
            await says(self.bots[name], '"started"')
        else:
            await listening(self.lab, self.bots[name])
        return self.bots[name]

    async def saved(self, name: str) -> Thread:
        """Alice saves; it succeeds."""
        save = await self.asks("alice", f"save {name}")
        await save.shows("save succeeded")
        return save

    async def approved(self, snapshot: str) -> Thread:
        """Alice asks for a restore; bob and carol approve it."""
        restore = await self.asks("alice", f"restore {snapshot}")
        message = await restore.shows("waits for 2 approvals")
        for name in ("bob", "carol"):
            assert "Your approval is counted" in await self.approves(name, message)
        return restore

    async def colors(self) -> set[str | None]:
        """What the etcd members say of `color`."""
        return {await node.get("color") for node in self.lab.nodes}

    async def paint(self, color: str) -> None:
        """Write `color` into etcd."""
        await self.lab.nodes[0].put("color", color)

    # --- the RKE host

    @property
    def _log(self) -> Path:
        return self.lab.rke_host.home / "launches.jsonl"

    def launches(self, verb: str) -> list[JsonObject]:
        """Every launch of `rke VERB`, as the double wrote it down."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        found: list[JsonObject] = [json.loads(line) for line in lines]
        return [launch for launch in found if launch["argv"] and verb in launch["argv"][:2]]

    async def launched(self, verb: str, times: int) -> None:
        """Wait until `rke VERB` was launched that often in all."""

        async def enough() -> bool:
            return len(self.launches(verb)) >= times

        await until(f"rke {verb} was launched", enough, timeout=120)

    @asynccontextmanager
    async def pace(self, seconds: float) -> AsyncIterator[None]:
        """Let rke pause that long at each step on a host, so that there is time to act."""
        env = self.lab.rke_host.env
        env["RKE_DOUBLE_PACE"] = str(seconds)
        try:
            yield
        finally:
            del env["RKE_DOUBLE_PACE"]

    @asynccontextmanager
    async def somebody_runs_rke(self) -> AsyncIterator[None]:
        """A person on the RKE host holds the cluster's lock, as the manual of this bot says."""
        host = self.lab.rke_host
        async with host.connect() as connection:
            shell = await connection.create_process(f"flock {host.config}.lock sh -c 'echo held; cat'")
            assert (await shell.stdout.readline()).strip() == "held"
            try:
                yield
            finally:
                shell.stdin.write_eof()
                await shell.wait()


@asynccontextmanager
async def scene(
    base: Path,
    *,
    processes: Sequence[Command] = ("run",),
    rke: str = "v0.1.20",
    transport: TransportName = "socket",
    clusters: Sequence[str] = ("rancher-prod",),
    nodes: int = 3,
    bastion: bool = False,
    changes: Changes = _nothing,
) -> AsyncIterator[Scene]:
    """Start a lab and a bot whose configuration is changed as `changes` says of the lab. At the end nothing may have
    happened that Slack refuses, no process may have met what it did not expect, and every journal must verify.
    """
    workspace = Workspace(transport=transport, scopes=bot_scopes(), ack_seconds=ACK_SECONDS)
    async with AsyncExitStack() as stack:
        lab = Lab(base, clusters=clusters, rke=rke, nodes=nodes, bastion=bastion, workspace=workspace)
        await stack.enter_async_context(lab)
        acted = Scene(lab, lab.write_config(**changes(lab)))
        lab.rke_host.env["RKE_DOUBLE_LOG"] = str(acted._log)
        for command in processes:
            await acted.starts(command)
        yield acted
        assert workspace.violations == []
        for bot in acted.bots.values():
            assert [line for line in bot.output().splitlines() if any(bug in line for bug in BUGS)] == []
        assert await acted.journals() is not None


@asynccontextmanager
async def off(node: Node) -> AsyncIterator[None]:
    """The machine is powered off for a while; afterwards its etcd is a healthy member again."""
    await node.down()
    try:
        yield
    finally:
        await node.up()
        await until(f"etcd on {node.address} is back", node.etcd_healthy, timeout=120)


async def gone(pid: int) -> None:
    """Wait until a process is gone."""

    async def absent() -> bool:
        return not Path(f"/proc/{pid}").exists()

    await until(f"process {pid} is gone", absent, timeout=60)
