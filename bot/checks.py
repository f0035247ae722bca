"""`etcd-snapshot-bot check`: looks at everything the bot stands on, and says for each what to do."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot import wiring
from bot.adapters.s3 import S3Store
from bot.core.cluster import Cluster
from bot.core.facts import NodeFacts
from bot.errors import BotError
from bot.settings import Settings

OK, WARNING, FAILED = "ok", "warning", "failed"
_SKEW = 2.0  # seconds between our clock and Redis' that are worth a warning


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at; `todo` is empty when nothing is to be done."""

    what: str
    state: str
    seen: str
    todo: str = ""


async def run(settings: Settings) -> int:
    """Print the table; 0 if nothing failed, else 1."""
    groups = await asyncio.gather(
        _slack(settings),
        _redis(settings),
        _s3(settings),
        *(_cluster(settings, cluster) for cluster in settings.clusters.values()),
    )
    rows = [Row("configuration", OK, f"{len(settings.clusters)} clusters"), *(row for group in groups for row in group)]
    table = Table("", "what", "seen", "to do", show_edge=False)
    for row in rows:
        table.add_row(row.state, row.what, row.seen, row.todo)
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(table)
    return 1 if any(row.state == FAILED for row in rows) else 0


async def _tried(what: str, look: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
    """The rows of `look`; one failed row when it raises."""
    try:
        async with asyncio.timeout(30):
            return await look()
    except BotError as error:
        return [Row(what, FAILED, error.what, error.todo)]
    except TimeoutError:
        return [Row(what, FAILED, "no answer within 30 s", "Check network and address.")]


async def _slack(settings: Settings) -> list[Row]:
    slack = settings.slack

    async def look() -> list[Row]:
        rows = []
        try:
            client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
            who = await client.auth_test()
            rows.append(Row("Slack bot token", OK, f"{who['user']} in {who['team']}"))
            if slack.mode == "socket":
                opener = AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
                await opener.apps_connections_open(app_token=slack.app_token)
                rows.append(Row("Slack socket", OK, "a connection may be opened"))
        except (SlackClientError, OSError) as error:
            rows.append(Row("Slack", FAILED, str(error), "Check the tokens and the app's installation."))
        return rows

    return await _tried("Slack", look)


async def _redis(settings: Settings) -> list[Row]:
    async def look() -> list[Row]:
        async with wiring.stores(settings) as redis:
            started = time.time()
            health = await redis.client.health()
            rows = [Row("Redis", OK, f"version {health.version}")]
            skew = abs(health.time - (started + time.time()) / 2)
            rows.append(Row("Redis clock", WARNING if skew > _SKEW else OK, f"{skew:.1f} s apart from ours"))
            durable, seen, todo = health.durable(settings.redis.durability)
            rows.append(Row("Redis durability", OK if durable else FAILED, seen, todo))
            return rows

    return await _tried("Redis", look)


async def _s3(settings: Settings) -> list[Row]:
    async def look() -> list[Row]:
        async with S3Store.of(settings.s3) as store:
            for name in settings.clusters:
                await store.copies(name)
        return [Row("S3", OK, f"bucket {settings.s3.bucket} can be listed")]

    return await _tried("S3", look)


async def _cluster(settings: Settings, cluster: Cluster) -> list[Row]:
    async def look() -> list[Row]:
        async with AsyncExitStack() as stack:
            site = await stack.enter_async_context(wiring.ssh_sites(settings).open(cluster, None))
            facts = await site.host.look()
            rows = [Row(f"{cluster.name}: RKE host", OK, f"rke {facts.version}, {cluster.yml} read")]
            specs = site.read_yml(facts).nodes
            nodes = await asyncio.gather(*(site.node(spec).look() for spec in specs))
            return rows + [_node(cluster, node) for node in nodes]

    return await _tried(f"{cluster.name}: RKE host", look)


def _node(cluster: Cluster, facts: NodeFacts) -> Row:
    what = f"{cluster.name}: node {facts.node.address}"
    if not facts.reachable:
        return Row(what, FAILED, facts.error, "Check SSH and docker there.")
    if facts.access == "none":
        return Row(
            what, FAILED, f"docker {facts.docker}, snapshots cannot be read", "Allow that user `sudo -n` or docker."
        )
    return Row(what, OK, f"docker {facts.docker}, files of root through {facts.access.value}")
