"""Collect, in parallel and read-only, what a restore plan rests on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bot.core import gather as decide
from bot.core import snapshots
from bot.core.facts import Copy, Form, Member, Unread
from bot.core.plans import Plan
from bot.engine.context import Context, each
from bot.engine.ports import Node
from bot.errors import BotError, Unreachable

_AT_ONCE: Final = (
    3  # copies that are read back at once on a node: each costs it a container and reads of the whole file
)


@dataclass(frozen=True, slots=True)
class _Look:
    """What reading back the copies of a snapshot gave."""

    name: str
    copies: tuple[Copy, ...]
    unread: tuple[Unread, ...]


async def gather(context: Context, *, run_active: bool = False) -> Plan:
    """The plan of this restore, from what rke host, nodes and S3 answer now. Raises Refused or Unreachable when not
    even the RKE host can be asked.
    """
    await context.say("check:1", "running")
    facts, yml = await context.look()
    nodes, stored = await asyncio.gather(context.facts(yml.nodes), _stored(context))
    etcd = [context.site.node(n.node) for n in nodes if n.reachable and "etcd" in n.node.roles]
    members = await _members(etcd)
    await context.say("check:1", f"done, {sum(n.reachable for n in nodes)} of {len(nodes)} nodes answer")
    await context.say("check:2", "running")
    off_site, s3_error = stored
    named = context.job.snapshot != decide.LATEST
    look = None if named else await _latest(etcd, off_site)
    await context.say("check:2", f"done, {look.name if look else context.job.snapshot}")
    await context.say("check:3", "running")
    look = look or await _look(etcd, off_site, context.job.snapshot)
    await context.say("check:3", f"done, {len(look.copies)} copies")
    await context.say("check:4", "running")
    plan = decide.plan_restore(
        context.cluster,
        facts,
        yml,
        nodes,
        look.copies,
        look.name,
        members=members,
        s3_error=s3_error,
        now=await context.now(),
        run_active=run_active,
        unread=look.unread,
    )
    await context.say("check:4", "done")
    return plan


async def _members(etcd: Sequence[Node]) -> tuple[Member, ...]:
    """What etcd says of itself on every etcd node that answers."""
    return tuple(await asyncio.gather(*(node.member() for node in etcd)))


async def _stored(context: Context) -> tuple[tuple[Copy, ...], str]:
    try:
        return await context.store.copies(context.cluster.name), ""
    except BotError as error:
        return (), str(error)


async def _latest(etcd: Sequence[Node], off_site: Sequence[Copy]) -> _Look:
    """The newest snapshot with an intact copy, and the newer ones that could not be read.

    Files are read back from the newest on, until what is left cannot be newer: a file is never older than its data.
    """
    best, found, passed = None, _Look(decide.LATEST, (), ()), list[Unread]()
    for row in snapshots.merge([*off_site, *await _listing(etcd)]):
        if best is not None and best.taken_at >= row.taken_at:
            break
        if row.name.startswith(snapshots.SAFETY):
            continue
        look = await _look(etcd, off_site, row.name)
        newest = snapshots.latest(snapshots.merge(look.copies))
        if newest is None:
            passed += look.unread
        elif best is None or newest.taken_at > best.taken_at:
            best, found = newest, look
    return replace(found, unread=(*found.unread, *passed))


async def _listing(etcd: Sequence[Node]) -> tuple[Copy, ...]:
    """The snapshot files on the etcd nodes, unchecked."""

    async def look(node: Node) -> tuple[Copy, ...]:
        return await node.copies()

    answers = await each(etcd, look)
    return tuple(copy for copies in answers.values() if isinstance(copies, tuple) for copy in copies)


async def _look(etcd: Sequence[Node], off_site: Sequence[Copy], name: str) -> _Look:
    """All copies of one snapshot: those on the nodes read back, those off-site as they were recorded."""

    async def look(node: Node) -> Copy | None:
        return await node.check_copy(name)

    answers = await each(etcd, look)
    read = [copy for copy in answers.values() if isinstance(copy, Copy)]
    unread = [Unread(name, where, str(why)) for where, why in answers.items() if isinstance(why, Exception)]
    return _Look(name, (*read, *(copy for copy in off_site if copy.name == name)), tuple(unread))


async def read_back(node: Node, until: float) -> list[Copy]:
    """Every snapshot on a node, those read back that could be until `until` (seconds of the running loop's clock), the
    newest first; the others are not checked, `problem` says why. Raises Unreachable when not even their names came.
    """
    try:
        async with asyncio.timeout_at(until):
            listed = await node.copies()
    except TimeoutError:
        raise Unreachable(f"{node.spec.address} did not list its snapshots in time.") from None
    names = {copy.name: copy for copy in sorted(listed, key=lambda copy: copy.form is Form.ZIP)}
    newest = sorted(names.values(), key=lambda copy: -copy.taken_at)
    gate = asyncio.Semaphore(_AT_ONCE)
    checks = await asyncio.gather(*(_checked(node, copy, gate, until) for copy in newest))
    return [copy for copy in checks if copy]


async def _checked(node: Node, copy: Copy, gate: asyncio.Semaphore, until: float) -> Copy | None:
    try:
        async with asyncio.timeout_at(until), gate:
            return await node.check_copy(copy.name)
    except TimeoutError:
        return replace(copy, problem="there was no time to read it")
    except BotError as error:
        return replace(copy, problem=error.what)
