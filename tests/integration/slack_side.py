"""The whole Slack side on a local workspace and a real Redis; a test plays the worker by appending its events."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from bot.adapters.redis_client import RedisClient
from bot.adapters.redis_journal import RedisJournal
from bot.adapters.redis_outbox import RedisIndex, RedisOutbox, RedisSide
from bot.adapters.redis_queue import RedisQueue
from bot.core.cluster import Cluster, SshTarget
from bot.core.events import Draft, EventType, Json, Keyring
from bot.core.findings import Finding, Level
from bot.core.job import Job
from bot.core.plans import Kind, Plan, restore_steps
from bot.core.policy import Action, ApprovalPolicy, Grant
from bot.engine.ports import Lane, Lease, Projection, Query
from bot.engine.usecases import UseCases
from handlers import app as slack_app
from handlers.answers import Answers
from handlers.directory import Directory
from handlers.http_mode import HttpMode
from handlers.poster import Poster
from handlers.reporter import Reporter
from handlers.socket_mode import SocketMode
from tests.lab.process import until
from tests.lab.redis import RedisServer
from tests.lab.slack import Message, Workspace

RING = Keyring("k1", {"k1": b"0123456789abcdef" * 2})
COMMAND = "/etcd-snapshot"
YELLOW = Finding("disk:1.1.1.1", Level.YELLOW, "1.1.1.1 has little space left.", confirm="The space is enough")
FENCED = Finding("silent:3.3.3.3", Level.YELLOW, "3.3.3.3 does not answer.", confirm="3.3.3.3 is powered off")
RED = Finding("gone", Level.RED, "No intact copy.", "Choose another snapshot.")
Transport = Literal["socket", "http"]


class SlackSide:
    """One bot process without its worker. People: alice asks, bob and carol approve, dave may nothing."""

    def __init__(self, workspace: Workspace, redis_url: str, owner: str = "one", ping: float = 0.3) -> None:
        self.workspace = workspace
        self.alice, self.bob, self.carol, self.dave = (
            workspace.user(name) for name in ("alice", "bob", "carol", "dave")
        )
        self.people = (self.alice, self.bob, self.carol, self.dave)
        self.operators = workspace.usergroup("operators", [self.alice, self.bob, self.carol])
        self.approvers = workspace.usergroup("approvers", [self.bob, self.carol, self.alice])
        self.ops = workspace.channel("ops", members=self.people)
        ids = itertools.count()
        self.redis = RedisClient(redis_url)
        self.journal = RedisJournal(self.redis, RING, lambda: f"{owner}-{next(ids)}", barrier=0.0)
        self.queue = RedisQueue(self.redis, owner, 10.0, time.monotonic)
        self.index, self.outbox = RedisIndex(self.redis), RedisOutbox(self.redis)
        self.side = RedisSide(self.redis)
        self.usecases = UseCases(self.journal, self.index, self.side, {"prod": self._cluster()})
        client = slack_app.web_client(workspace.bot_token, workspace.api_url)
        posting = slack_app.posting_client(workspace.bot_token, workspace.api_url)
        app_client = slack_app.web_client(workspace.app_token, workspace.api_url)
        self.answers = Answers()
        self.directory = Directory(client)
        self.app = slack_app.build(client, self.usecases, self.directory, self.answers, workspace.signing_secret)
        self.socket = SocketMode(self.app, app_client, ping_seconds=ping, token_seconds=0.5)
        self.http = HttpMode(self.app, workspace.signing_secret, "127.0.0.1", 0)
        poster = Poster(posting, self.outbox)
        self.reporter = Reporter(poster, self.journal, self.index, self.outbox, self.side, self.directory, owner)

    def _cluster(self) -> Cluster:
        policy = ApprovalPolicy(2, (), (self.approvers.id,), False, 3600, 1800)
        operators = Grant(groups=(self.operators.id,))
        grants = dict.fromkeys(Action, operators)
        return Cluster("prod", (self.ops.id,), SshTarget("127.0.0.1", "rke"), "/c.yml", policy, grants)

    # --- what a worker would do

    async def claim(self, lane: Lane = Lane.RUN) -> Lease:
        """The next lease of a lane."""
        lease = await self.queue.claim(lane)
        assert lease is not None
        return lease

    async def work(self, lease: Lease, *events: tuple[EventType, dict[str, Json]]) -> Job:
        """Append events as the worker with that lease."""
        page = await self.journal.read(lease.job)
        return (await self.journal.progress(lease, page, [Draft(kind, data) for kind, data in events])).job

    async def plan(self, job_id: str, findings: Sequence[Finding] = (), sha256: str = "ab" * 32) -> Job:
        """Write the plan of a restore that is being gathered."""
        lease = await self.claim(Lane.READ)
        assert lease.job == job_id
        page = await self.journal.read(job_id)
        pins: dict[str, Json] = {"sha256": sha256, "rke_version": "v0.1.20", "source": "s3", "nodes": ["1.1.1.1"]}
        notes: dict[str, Json] = {"etcd_nodes": ["1.1.1.1"], "taken_at": page.now - 3600, "stale": False}
        steps = restore_steps(rke_restarts=False)
        made = Plan(Kind.RESTORE, "prod", page.job.snapshot, steps, pins, notes, tuple(findings))
        data: dict[str, Json] = {
            "plan": made.to_json(),
            "policy": self._cluster().approvals.to_json(),
            "expires_at": page.now + 3600,
        }
        red = any(finding.level is Level.RED for finding in findings)
        job = await self.work(lease, (EventType.BLOCKED if red else EventType.PLANNED, data))
        await self.queue.release(lease)
        return job

    async def restore(self, findings: Sequence[Finding] = (), *, snapshot: str = "before-upgrade") -> Job:
        """A restore that alice asked for, up to its plan."""
        ack = await self.alice.slash(self.ops, COMMAND, f"restore {snapshot}")
        assert ack.ok, ack
        (job_id,) = [j for j in await self.index.open_jobs() if (await self.journal.read(j)).job.plan is None]
        return await self.plan(job_id, findings)

    async def answer_next(self, result: dict[str, Json]) -> Query:
        """Answer the next query."""
        lease = await self.claim(Lane.READ)
        query = await self.index.query(lease.job)
        assert query is not None
        await self.index.answer(lease, query, result)
        await self.queue.release(lease)
        return query

    # --- what people see

    @property
    def posts(self) -> list[Message]:
        """What stands in the channel besides replies that were broadcast."""
        return [message for message in self.ops.messages if not message.reply_broadcast]

    def shown(self, words: str) -> Message | None:
        """The newest message in the channel whose notification or blocks hold these words."""
        found = [m for m in self.posts if words in f"{m.text} {m.blocks}"]
        return found[-1] if found else None

    async def see(self, words: str) -> Message:
        """Wait for such a message."""
        found = await self.workspace.wait_for(lambda: self.shown(words))
        assert found is not None
        return found

    def thread(self, message: Message) -> list[str]:
        """The texts of the replies below a message."""
        return [reply.text for reply in self.ops.thread(message.ts)]

    async def reported(self, job_id: str) -> Projection:
        """What Slack was told of a job, once its replies are remembered too."""
        version = (await self.journal.read(job_id)).job.version

        async def remembered() -> bool:
            return (await self.outbox.projection(job_id)).replied >= version

        await until(f"the replies of {job_id} are remembered", remembered)
        return await self.outbox.projection(job_id)

    async def told(self, message: Message, words: str) -> None:
        """Wait for a reply with these words."""
        await self.workspace.wait_for(lambda: any(words in text for text in self.thread(message)))


@asynccontextmanager
async def running(
    workspace: Workspace,
    redis: RedisServer,
    *,
    owner: str = "one",
    transport: Transport = "socket",
    report: bool = True,
) -> AsyncIterator[SlackSide]:
    """A started process of the Slack side."""
    side = SlackSide(workspace, redis.url, owner)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(side.redis.close)
        stack.push_async_callback(side.answers.close)
        await stack.enter_async_context(_task(side.socket.run() if transport == "socket" else side.http.run()))
        if transport == "http":
            await asyncio.wait_for(side.http.started.wait(), 10)
            workspace.request_url = side.http.url
        else:
            await workspace.connected()
        if report:
            await stack.enter_async_context(_task(side.reporter.run()))
        yield side


@asynccontextmanager
async def reporting(side: SlackSide) -> AsyncIterator[None]:
    """The reporter of a side that was started without one."""
    async with _task(side.reporter.run()):
        yield


@asynccontextmanager
async def lab(
    base: Path, *, transport: Transport = "socket", report: bool = True, workspace: Workspace | None = None
) -> AsyncIterator[SlackSide]:
    """Workspace, Redis and one process of the Slack side. At the end the workspace must have seen nothing wrong."""
    made = workspace or Workspace(transport=transport, rates={})
    async with RedisServer(base) as redis, made, running(made, redis, transport=transport, report=report) as side:
        yield side
    assert made.violations == []


@asynccontextmanager
async def _task(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
