"""The first step of a save: is everything there that rke needs, and is the name free?"""

from bot.core.events import Data
from bot.core.facts import S3, NodeFacts, RkeFacts
from bot.engine.context import Context, each
from bot.engine.ports import Node
from bot.errors import BotError, NeedsPerson, Refused

_OLDEST_RKE = (0, 1, 7)  # the first release with `rke etcd` (rke v0.1.7)


async def check(context: Context) -> Data:
    """Check rke, yml, SSH and docker; refuse a taken name. Nodes that do not answer are named, and the save is then
    partial.
    """
    facts, yml = await context.look()
    _check_rke(facts)
    seen = await context.facts(yml.nodes)
    for node in seen:
        await context.say(node.node.address, "ready" if node.reachable else "no answer")
    etcd = {spec.address for spec in yml.with_role("etcd")}
    ready = [node for node in seen if node.reachable and node.node.address in etcd]
    skipped = [{"node": node.node.address, "why": node.error} for node in seen if not node.reachable]
    if not ready:
        raise NeedsPerson("No etcd node answers.", "Check SSH and docker on the nodes below.", _lines(seen))
    await _check_name(context, ready)
    return {"rke": facts.version, "etcd": [spec.address for spec in yml.with_role("etcd")], "skipped": skipped}


def _check_rke(facts: RkeFacts) -> None:
    if facts.family < _OLDEST_RKE:
        what = f"rke {facts.version} cannot save snapshots."
        raise Refused(what, "Use rke v0.1.7 or later on the RKE host.")


async def _check_name(context: Context, ready: list[NodeFacts]) -> None:
    """Decided under the lease, so that two saves cannot both find the name free. rke would overwrite the file or keep
    an old object without a word (pitfalls F11).
    """
    name = context.job.snapshot

    async def names(node: Node) -> set[str]:
        return {copy.name for copy in await node.copies()}

    answers = await each([context.site.node(node.node) for node in ready], names)
    silent = [f"{address}  {answer}" for address, answer in answers.items() if isinstance(answer, Exception)]
    if silent:
        what = f"It cannot be said whether a snapshot {name} is on these nodes, and rke would overwrite it."
        raise NeedsPerson(what, "Nothing was saved. Mend what stands below, then save again.", tuple(silent))
    places = [address for address, found in answers.items() if isinstance(found, set) and name in found]
    if await _off_site(context, name):
        places.append(S3)
    if places:
        where = ", ".join("off-site" if place == S3 else place for place in places)
        todo = "Choose another name, or none: the bot then makes one."
        raise Refused(f"A snapshot {name} is there already: {where}.", todo)


async def _off_site(context: Context, name: str) -> bool:
    """Whether the name is taken off-site. S3 being down makes a save partial, it does not stop it: nothing is ever
    stored over an object that is there.
    """
    try:
        return name in {copy.name for copy in await context.store.copies(context.cluster.name)}
    except BotError:
        return False


def _lines(seen: tuple[NodeFacts, ...]) -> tuple[str, ...]:
    return tuple(f"{node.node.address}  {node.error}" for node in seen if node.error)
