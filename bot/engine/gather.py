"""Collect, in parallel and read-only, what a restore plan rests on."""

import asyncio
from collections.abc import Sequence

from bot.core import gather as decide
from bot.core.facts import S3, Copy, Member, NodeFacts
from bot.core.plans import Plan
from bot.engine.context import Context, each
from bot.engine.ports import Node
from bot.errors import BotError


async def gather(context: Context, *, run_active: bool = False) -> Plan:
    """The plan of this restore, from what rke host, nodes and S3 answer now. Raises Refused or Unreachable when not
    even the RKE host can be asked.
    """
    await context.say("check:1", "running")
    facts, yml = await context.look()
    nodes, stored = await asyncio.gather(context.facts(yml.nodes), _stored(context))
    members = await _members(context, nodes)
    await context.say("check:1", f"done, {sum(n.reachable for n in nodes)} of {len(nodes)} nodes answer")
    await context.say("check:2", "running")
    off_site, s3_error = stored
    name = await _name(context, nodes, off_site)
    await context.say("check:2", f"done, {name}")
    await context.say("check:3", "running")
    copies = (*await _checked(context, nodes, name), *(copy for copy in off_site if copy.name == name))
    await context.say("check:3", f"done, {len(copies)} copies")
    await context.say("check:4", "running")
    now = await context.now()
    plan = decide.plan_restore(
        context.cluster,
        facts,
        yml,
        nodes,
        copies,
        name,
        members=members,
        s3_error=s3_error,
        now=now,
        run_active=run_active,
    )
    await context.say("check:4", "done")
    return plan


async def _members(context: Context, nodes: Sequence[NodeFacts]) -> tuple[Member, ...]:
    """What etcd says of itself on every etcd node that answers."""
    etcd = [context.site.node(facts.node) for facts in nodes if facts.reachable and "etcd" in facts.node.roles]
    return tuple(await asyncio.gather(*(node.member() for node in etcd)))


async def _stored(context: Context) -> tuple[tuple[Copy, ...], str]:
    try:
        return await context.store.copies(context.cluster.name), ""
    except BotError as error:
        return (), str(error)


async def _name(context: Context, nodes: Sequence[NodeFacts], off_site: Sequence[Copy]) -> str:
    """The snapshot asked for; `latest` is the newest one that has an intact copy, which needs every copy read back."""
    if context.job.snapshot != decide.LATEST:
        return context.job.snapshot
    found = {copy.name for _, copies in await listing(context, nodes) for copy in copies}
    checked = [copy for name in found for copy in await _checked(context, nodes, name)]
    return decide.latest([*checked, *off_site]) or decide.LATEST


async def listing(context: Context, nodes: Sequence[NodeFacts]) -> tuple[tuple[str, tuple[Copy, ...]], ...]:
    """The snapshot files on each etcd node that answers, unchecked."""

    async def look(node: Node) -> tuple[Copy, ...]:
        return await node.copies()

    etcd = [context.site.node(facts.node) for facts in nodes if facts.reachable and "etcd" in facts.node.roles]
    answers = await each(etcd, look)
    return tuple((address, copies) for address, copies in answers.items() if isinstance(copies, tuple))


async def _checked(context: Context, nodes: Sequence[NodeFacts], name: str) -> list[Copy]:
    async def look(node: Node) -> Copy | None:
        return await node.check_copy(name)

    etcd = [context.site.node(facts.node) for facts in nodes if facts.reachable and "etcd" in facts.node.roles]
    answers = await each(etcd, look)
    return [copy for copy in answers.values() if isinstance(copy, Copy)]


__all__ = ["S3", "gather", "listing"]
