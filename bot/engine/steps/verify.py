"""The last step of a restore: look until everything is as it should be, or time is up, and tell the truth about it."""

import asyncio
from collections.abc import Mapping

from bot.core import verdicts
from bot.core.events import Data
from bot.core.facts import Container, Member, NodeFacts
from bot.engine.context import Context, each
from bot.engine.heartbeat import obey_cancel
from bot.engine.ports import Node

_PATIENCE = 120  # seconds until what is not green is reported as it is


async def verify(context: Context) -> Data:
    """Ask again until all checks are green, at most for two minutes: members rejoin and API servers start in their
    own time.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + _PATIENCE
    while True:
        checks = await _look(context)
        green = sum(bool(check["ok"]) for check in checks)
        await context.say("verified", f"{green} of {len(checks)} green")
        if green == len(checks) or clock() > until:
            return {"checks": checks}
        obey_cancel()
        await asyncio.sleep(1)


async def _look(context: Context) -> list[Data]:
    _, yml = await context.look()
    seen = await context.facts(yml.nodes)
    etcd = await context.nodes("etcd")
    control = await context.nodes("controlplane")
    members = [answer for answer in (await each(etcd, _member)).values() if isinstance(answer, Member)]
    revision = min((member.revision for member in members if not member.error), default=0)
    now = await context.now()
    return verdicts.verify_checks(
        yml,
        members=members,
        hashes=await _hashes(etcd, revision),
        revision=revision,
        written=await _written(context, etcd),
        api=await _api(control),
        containers=_containers(seen),
        restored_at={facts.node.address: context.job.no_return_at + facts.clock - now for facts in seen},
    )


async def _member(node: Node) -> Member:
    return await node.member()


async def _hashes(nodes: tuple[Node, ...], revision: int) -> Mapping[str, int]:
    """hashkv of every member at one revision; members that did not answer are left out."""

    async def ask(node: Node) -> int:
        return await node.hash_at(revision)

    answers = await each(nodes, ask) if revision else {}
    return {address: answer for address, answer in answers.items() if isinstance(answer, int)}


async def _written(context: Context, nodes: tuple[Node, ...]) -> Mapping[str, bool]:
    """Whether a key written through each member was read back through it."""

    async def ask(node: Node) -> bool:
        key, value = f"etcd-snapshot-bot/{context.job.id}/{node.spec.address}", str(context.job.version)
        read = await node.put_and_read(key, value)
        await node.remove_key(key)
        return read == value

    return {address: answer is True for address, answer in (await each(nodes, ask)).items()}


async def _api(nodes: tuple[Node, ...]) -> Mapping[str, str]:
    """What each API server says of its health, "" when it says ok."""

    async def ask(node: Node) -> str:
        return await node.api_health()

    return {address: str(answer) for address, answer in (await each(nodes, ask)).items()}


def _containers(seen: tuple[NodeFacts, ...]) -> Mapping[str, Mapping[str, Container]]:
    return {facts.node.address: facts.containers for facts in seen if facts.reachable}
