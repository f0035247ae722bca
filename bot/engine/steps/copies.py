"""Steps that handle copies of a snapshot: check them, store one off-site, stage one on every etcd node."""

from collections.abc import AsyncIterator, Mapping

from bot.core import snapshots
from bot.core.events import Data, Json
from bot.core.facts import S3, Copy, Integrity
from bot.core.plans import mapping, objects
from bot.engine.context import Context, each
from bot.engine.ports import Node
from bot.errors import BotError, NeedsPerson


async def read_back(context: Context, name: str) -> dict[str, Copy | Exception | None]:
    """The copy of `name` on every etcd node, read back; None where there is none, the error where it could not be
    read.
    """

    async def look(node: Node) -> Copy | None:
        await context.say(node.spec.address, "reading back")
        copy = await node.check_copy(name)
        await context.say(node.spec.address, copy.integrity.value if copy else "no copy")
        return copy

    return await each(await context.nodes("etcd"), look)


async def check(context: Context) -> Data:
    """Read the new snapshot back on every etcd node. rke's exit status proves nothing (pitfalls: 1, F19)."""
    answers = await read_back(context, context.job.snapshot)
    copies = [snapshots.copy_to_json(copy) for copy in answers.values() if isinstance(copy, Copy)]
    missing: list[Json] = [
        {"node": address, "why": str(copy) if isinstance(copy, Exception) else "rke left no file there"}
        for address, copy in answers.items()
        if not isinstance(copy, Copy)
    ]
    intact = [copy for copy in answers.values() if isinstance(copy, Copy) and copy.integrity is Integrity.INTACT]
    if not intact:
        save = context.job.result("rke_save")
        what = str(save.get("error") or "rke left no intact copy on any etcd node.")
        lines = tuple(f"{m['node']}  {m['why']}" for m in objects(missing))
        raise NeedsPerson(what, str(save.get("meaning") or "Look at rke's output, then save again."), lines)
    return {"copies": copies, "missing": missing}


async def store(context: Context) -> Data:
    """Store the intact copy with the highest revision off-site. A failure makes the save partial, not failed."""
    copies = [snapshots.copy_from_json(raw) for raw in objects(context.job.result("check_copies")["copies"])]
    best = max(
        (copy for copy in copies if copy.integrity is Integrity.INTACT),
        key=lambda copy: (copy.revision or 0, copy.where),
    )
    nodes = {node.spec.address: node for node in await context.nodes("etcd")}
    await context.say("off-site", f"sending from {best.where}")
    try:
        stored = await context.store.put(context.cluster.name, best, nodes[best.where].read_copy(best))
    except BotError as error:
        return {"copy": None, "from": best.where, "problem": str(error)}
    await context.say("off-site", "stored, checked")
    return {"copy": snapshots.copy_to_json(stored), "from": best.where, "problem": ""}


async def stage(context: Context) -> Data:
    """Put the plan's copy on every etcd node and prove the same bytes everywhere: rke v0.1.x compares nothing, and
    would start members with different data (pitfalls F23).
    """
    chosen = snapshots.copy_from_json(mapping(context.plan.notes["copy"]))
    sources = {node.spec.address: node for node in await context.nodes("etcd")}

    async def place(node: Node) -> str:
        address = node.spec.address
        if _equal(await node.check_copy(chosen.name), chosen):
            await context.say(address, "equal bytes")
            return "equal bytes"
        await context.say(address, f"copying {chosen.file_size / 2**20:.1f} MiB")
        await node.write_copy(chosen, _bytes(context, sources, chosen))
        return "copied"

    placed = await each(tuple(sources.values()), place)
    problems = [f"{address}  {answer}" for address, answer in placed.items() if isinstance(answer, Exception)]
    proof = await read_back(context, chosen.name)
    problems += [f"{address}  {_why(copy)}" for address, copy in proof.items() if not _equal(copy, chosen)]
    if problems:
        what = f"{chosen.name} is not the same on every etcd node."
        raise NeedsPerson(what, "Nothing was restored. Mend the nodes below and ask again.", tuple(problems))
    return {"nodes": {address: str(answer) for address, answer in placed.items()}}


def _bytes(context: Context, nodes: Mapping[str, Node], copy: Copy) -> AsyncIterator[bytes]:
    if copy.where == S3:
        return context.store.get(context.cluster.name, copy)
    return nodes[copy.where].read_copy(copy)


def _equal(found: Copy | Exception | None, chosen: Copy) -> bool:
    return (
        isinstance(found, Copy)
        and found.integrity is Integrity.INTACT
        and (found.file_sha256, found.form) == (chosen.file_sha256, chosen.form)
    )


def _why(found: Copy | Exception | None) -> str:
    if isinstance(found, Copy):
        return found.problem or f"sha256 {found.file_sha256[:12]} is not the approved one"
    return str(found) if found else "no copy"
