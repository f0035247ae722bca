"""The only place where clients are built and parts are joined. Closing runs in reverse order."""

import asyncio
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters.redis_client import Durability, RedisClient
from bot.adapters.redis_journal import RedisJournal
from bot.adapters.redis_outbox import RedisIndex, RedisOutbox, RedisSide
from bot.adapters.redis_queue import RedisQueue
from bot.adapters.s3 import S3Store
from bot.adapters.site import SshSites
from bot.adapters.ssh import SshKeys
from bot.engine.reads import Reader
from bot.engine.runner import Tools
from bot.engine.usecases import UseCases
from bot.engine.worker import Worker
from bot.settings import Settings
from handlers import app
from handlers.answers import Answers
from handlers.directory import Directory
from handlers.http_mode import HttpMode
from handlers.poster import Poster
from handlers.reporter import Reporter
from handlers.socket_mode import SocketMode

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that lives in Redis. `owner` names this process in leases."""

    owner: str
    client: RedisClient
    journal: RedisJournal
    queue: RedisQueue
    index: RedisIndex
    outbox: RedisOutbox
    side: RedisSide


@asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    """The parts that share one Redis client; closed at the end."""
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    client = RedisClient(settings.redis.url, Durability(settings.redis.durability))
    lease = settings.worker.lease
    journal = RedisJournal(client, settings.keyring, lambda: uuid.uuid4().hex, lease)
    queue = RedisQueue(client, owner, lease, time.monotonic)
    try:
        yield Stores(owner, client, journal, queue, RedisIndex(client), RedisOutbox(client), RedisSide(client))
    finally:
        await client.close()


def ssh_sites(settings: Settings) -> SshSites:
    """The clusters' machines, with keys and known hosts read once."""
    ssh = settings.ssh
    return SshSites(SshKeys.load(ssh.known_hosts, ssh.keys, agent=ssh.agent, connect_timeout=ssh.connect_timeout))


@asynccontextmanager
async def worker(settings: Settings, redis: Stores) -> AsyncIterator[Worker]:
    """A worker with its own SSH and S3 clients."""
    async with AsyncExitStack() as stack:
        sites = ssh_sites(settings)
        store = await stack.enter_async_context(S3Store.of(settings.s3))
        tools = Tools(redis.journal, sites, store, redis.side, dict(settings.clusters))
        reader = Reader(tools, redis.index)
        runs, reads = min(32, max(4, len(settings.clusters))), settings.worker.parallel_reads
        yield Worker(redis.queue, redis.index, tools, reader, time.monotonic, runs, reads, settings.worker.grace)


@dataclass(frozen=True, slots=True)
class SlackSide:
    """What listens to Slack and what reports to it."""

    front: SocketMode | HttpMode
    reporter: Reporter
    answers: Answers

    async def run(self) -> None:
        """Listen and report until cancelled; then finish the answers that are under way."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.front.run())
                group.create_task(self.reporter.run())
        finally:
            await self.answers.close()


def slack_side(settings: Settings, redis: Stores) -> SlackSide:
    """The Slack side: nothing in it works on a cluster."""
    slack = settings.slack
    client = app.web_client(slack.bot_token, slack.api_url)
    directory, answers = Directory(client), Answers()
    usecases = UseCases(redis.journal, redis.index, redis.side, settings.clusters)
    bolt = app.build(client, usecases, directory, answers, slack.signing_secret)
    poster = Poster(app.posting_client(slack.bot_token, slack.api_url), redis.outbox)
    reporter = Reporter(poster, redis.journal, redis.index, redis.outbox, redis.side, directory, redis.owner)
    if slack.mode == "http":
        return SlackSide(HttpMode(bolt, slack.signing_secret, *slack.listen, slack.path), reporter, answers)
    app_client = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
    return SlackSide(SocketMode(bolt, app_client), reporter, answers)


async def run(settings: Settings, *, works: bool, talks: bool) -> None:
    """The bot until SIGTERM or SIGINT: a worker if it `works`, the Slack side if it `talks`. The first signal drains
    (the configured grace), a second one leaves at once and another worker takes over.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stopping)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(stores(settings))
        tasks: list[asyncio.Task[None]] = []
        if talks:
            tasks.append(asyncio.create_task(slack_side(settings, redis).run()))
        if works:
            working = await stack.enter_async_context(worker(settings, redis))
            tasks.append(asyncio.create_task(working.run(stopping)))
        _log.info("started", worker=works, slack=talks, owner=redis.owner, clusters=sorted(settings.clusters))
        await _until_stopped(tasks, stopping, draining=tasks[-1] if works else None)


def _stop(stopping: asyncio.Event) -> None:
    if stopping.is_set():
        os._exit(1)
    stopping.set()


async def _until_stopped(
    tasks: list[asyncio.Task[None]], stopping: asyncio.Event, draining: asyncio.Task[None] | None
) -> None:
    """Wait for the signal or for a part that fails; then let the worker drain, and only then stop talking."""
    signalled = asyncio.create_task(stopping.wait())
    await asyncio.wait([signalled, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    if draining:
        await asyncio.wait([draining])
    for task in tasks:
        if task is not draining:
            task.cancel()
    results = await asyncio.gather(signalled, *tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
