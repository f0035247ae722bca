"""`Lab` composes the parts.

It starts Redis, S3, a Slack workspace and, per cluster, an RKE host and nodes with a running etcd, and writes the
configuration with which a bot finds them. Nothing leaves 127.0.0.0/8 and nothing needs root.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Protocol, Self

from tests.lab.bot import Bot, Command
from tests.lab.config import BotConfig, Json, secrets_of
from tests.lab.manifest import bot_scopes
from tests.lab.nodes import Machines, Node, RkeHost
from tests.lab.redis import RedisServer
from tests.lab.s3 import S3
from tests.lab.slack import Channel, User, UserGroup, Workspace


class Part(Protocol):
    """What the lab composes."""

    def start(self) -> Coroutine[None, None, object]:
        """Return once it serves."""

    def stop(self) -> Coroutine[None, None, object]:
        """Leave nothing behind."""


class Lab:
    """All parts together; `async with` starts them and stops them in reverse order.

    `clusters` names one set of machines each. The cast: alice asks, bob and carol are in the approvers' group,
    dave is nobody in particular; all are in #ops.
    """

    def __init__(
        self,
        base: Path,
        *,
        clusters: Sequence[str] = ("rancher-prod",),
        rke: str = "v0.1.20",
        nodes: int = 3,
        spares: int = 0,
        bastion: bool = False,
        bring_up: bool = True,
        workspace: Workspace | None = None,
    ) -> None:
        """Keep everything below `base`; `bring_up=False` leaves the nodes without a cluster."""
        self.base = base
        self.machines = {
            name: Machines(base / name, nodes=nodes, spares=spares, rke=rke, bastion=bastion) for name in clusters
        }
        self.redis = RedisServer(base / "redis")
        self.s3 = S3(base / "s3")
        self.workspace = workspace or Workspace(scopes=bot_scopes())
        self.known_hosts = base / "known_hosts"
        self._bring_up = bring_up
        self._exit = contextlib.AsyncExitStack()

    async def start(self) -> Self:
        """Start every part, side by side; returns when each cluster is healthy."""
        self.base.mkdir(parents=True, exist_ok=True)
        self._exit = contextlib.AsyncExitStack()
        try:
            async with asyncio.TaskGroup() as tasks:
                parts: list[Part] = [self.redis, self.s3, self.workspace, *self.machines.values()]
                for part in parts:
                    self._exit.push_async_callback(part.stop)
                    tasks.create_task(part.start())
            if self._bring_up:
                async with asyncio.TaskGroup() as tasks:
                    for machines in self.machines.values():
                        tasks.create_task(machines.bring_up())
        except BaseException:
            await self._exit.aclose()
            raise
        known: list[str] = [machines.known_hosts.read_text() for machines in self.machines.values()]
        self.known_hosts.write_text("".join(known))
        self._invite()
        return self

    async def stop(self) -> None:
        """Stop every part and every bot that was started here."""
        await self._exit.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def cluster(self) -> str:
        """The first cluster's name."""
        return next(iter(self.machines))

    @property
    def nodes(self) -> list[Node]:
        """The first cluster's nodes, in the order of its rancher-cluster.yml."""
        return self.machines[self.cluster].nodes

    @property
    def rke_host(self) -> RkeHost:
        """The machine where the first cluster's `rke` is."""
        return self.machines[self.cluster].rke_host

    @property
    def channel(self) -> Channel:
        """#ops, the channel of every cluster."""
        return self.workspace.channel("ops")

    @property
    def approvers(self) -> UserGroup:
        """The user group whose members approve restores."""
        return self.workspace.usergroup("etcd-approvers")

    def user(self, name: str) -> User:
        """A person of the cast, or a stranger created by this call."""
        return self.workspace.user(name)

    def config(self) -> BotConfig:
        """A configuration for this lab, to be changed before it is written."""
        return BotConfig.of(self)

    def write_config(self, **changes: Json) -> Path:
        """Write the bot's configuration; a change names a path, as `worker__lease="2s"`."""
        return self.config().change(**changes).write(self.base / "etcd-snapshot-bot.yaml")

    def env(self) -> dict[str, str]:
        """The environment of a bot: the secrets of this lab, and a home of its own."""
        return secrets_of(self)

    async def bot(self, command: Command = "run", *, name: str = "bot", config: Path | None = None) -> Bot:
        """Start a bot as a user would; it is stopped with the lab at the latest."""
        path = config or self.write_config()
        bot = Bot(self.base / f"{name}.log", command, config=path, env=self.env())
        bot.start()
        self._exit.push_async_callback(bot.stop)
        return bot

    def _invite(self) -> None:
        cast = [self.user(name) for name in ("alice", "bob", "carol", "dave")]
        self.workspace.channel("ops", members=cast)
        self.workspace.usergroup("etcd-approvers", [self.user("bob"), self.user("carol")])
