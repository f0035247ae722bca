"""The first steps of a restore: is everything as it was approved, and is there a way back?"""

from collections.abc import Mapping

from bot.core import snapshots
from bot.core.events import Data
from bot.core.facts import Copy, Integrity, Member
from bot.core.findings import Level
from bot.core.gather import drift
from bot.engine.context import Context, each
from bot.engine.gather import gather
from bot.engine.ports import Node
from bot.errors import BotError, NeedsPerson


async def revalidate(context: Context) -> Data:
    """Gather again and compare with the approved plan: a pinned fact that changed, or a new red finding, ends the job
    before anything was changed.
    """
    fresh = await gather(context)
    changed = drift(context.plan, fresh)
    red = [finding for finding in fresh.findings if finding.level is Level.RED]
    if changed or red:
        lines = (*changed, *(finding.text for finding in red))
        what = "The cluster is not as it was when the plan was approved."
        raise NeedsPerson(what, "Nothing was changed. Ask for the restore again: it makes a new plan.", lines)
    return {}


async def safety_copy(context: Context) -> Data:
    """Save today's data of the member with the highest revision, off-site too. Works without quorum, which rke's own
    snapshot-save does not (pitfalls F34).
    """
    name = f"safety-{context.job.id}"

    async def member(node: Node) -> Member:
        return await node.member()

    nodes = {node.spec.address: node for node in await context.nodes("etcd")}
    answers = await each(tuple(nodes.values()), member)
    alive = [answer for answer in answers.values() if isinstance(answer, Member) and not answer.error]
    problems = tuple(f"{m.address}  {m.error}" for m in answers.values() if isinstance(m, Member) and m.error)
    if not alive:
        if not context.plan.pins.get("safety"):
            return {"copy": None, "on": [], "off_site": False, "problem": "no etcd member answers"}
        raise NeedsPerson("No etcd member answers, so there is no safety copy.", "Nothing was changed.", problems)
    best = max(alive, key=lambda found: found.revision)
    if kept := await _kept(nodes, name):
        best = next(member for member in alive if member.address == kept)
    await context.say(best.address, "saving")
    copy = await nodes[best.address].safety_copy(name)
    await context.say(best.address, f"saved, {copy.integrity.value}")
    problem = await _off_site(context, nodes[best.address], copy)
    return {"copy": snapshots.copy_to_json(copy), "on": [best.address], "off_site": not problem, "problem": problem}


async def _kept(nodes: Mapping[str, Node], name: str) -> str:
    """Where a broken-off earlier attempt has left an intact safety copy, "" if nowhere: there must not be two."""

    async def look(node: Node) -> Copy | None:
        return await node.check_copy(name)

    answers = await each(tuple(nodes.values()), look)
    found = (a for a, copy in answers.items() if isinstance(copy, Copy) and copy.integrity is Integrity.INTACT)
    return next(found, "")


async def _off_site(context: Context, node: Node, copy: Copy) -> str:
    """Store the safety copy off-site too; S3 being down does not block a restore."""
    try:
        await context.store.put(context.cluster.name, copy, node.read_copy(copy))
    except BotError as error:
        return str(error)
    await context.say("off-site", "stored, checked")
    return ""
