"""Restarting containers on the nodes, judged one by one: after a restore every component holds caches from the
future.
"""

import asyncio
from collections.abc import Sequence

from bot.core import verdicts
from bot.core.events import Data
from bot.engine.context import Context, each
from bot.engine.heartbeat import obey_cancel
from bot.engine.ports import Node
from bot.errors import NeedsPerson

KUBERNETES = ("kube-apiserver", "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy")
_TRIES = 3
_HEALTHY_SECONDS = 180


async def restart_api(context: Context) -> Data:
    """kube-apiserver first, then, once it is healthy, controller-manager and scheduler: `rke up` needs them fresh."""
    nodes = await context.nodes("controlplane")

    async def api(node: Node) -> tuple[str, ...]:
        await context.say(node.spec.address, "restarting API")
        done = await _restart(node, ["kube-apiserver"])
        await _healthy(node)
        await context.say(node.spec.address, "API answers")
        return done

    async def rest(node: Node) -> tuple[str, ...]:
        return await _restart(node, ["kube-controller-manager", "kube-scheduler"])

    first = _all(await each(nodes, api))
    second = _all(await each(nodes, rest))
    return {"restarted": {address: first[address] + second[address] for address in first}}


async def restart_all(context: Context) -> Data:
    """The manual's restart on every node, whatever is there: Kubernetes components, then every network container."""

    async def restart(node: Node) -> tuple[str, ...]:
        there = await node.containers()
        components = [name for name in KUBERNETES if name in there]
        networks = [name for name in verdicts.network_containers(tuple(there)) if there[name].running]
        await context.say(node.spec.address, f"restarting {len(components) + len(networks)}")
        done = await _restart(node, components)
        if "kube-apiserver" in components:
            await _healthy(node)
        done += await _restart(node, networks)
        await context.say(node.spec.address, f"{len(done)} restarted")
        return done

    reachable = [facts.node for facts in await context.facts((await context.look())[1].nodes) if facts.reachable]
    return {"restarted": _all(await each([context.site.node(spec) for spec in reachable], restart))}


async def _restart(node: Node, names: Sequence[str]) -> tuple[str, ...]:
    """Restart these; a container that is not there is no error, one that fails is tried again."""
    left = list(names)
    errors: dict[str, str] = {}
    for _ in range(_TRIES):
        if not left:
            break
        answers = await node.restart(left)
        errors = {name: error for name, error in answers.items() if error}
        left = list(errors)
    if left:
        lines = tuple(f"{node.spec.address}  {name}: {error}" for name, error in errors.items())
        raise NeedsPerson(f"{node.spec.address} could not restart {', '.join(left)}.", "Look at docker there.", lines)
    return tuple(names)


async def _healthy(node: Node) -> None:
    """Wait until this node's API server says that it is healthy."""
    clock = asyncio.get_running_loop().time
    until = clock() + _HEALTHY_SECONDS
    while said := await node.api_health():
        if clock() > until:
            what = f"The API server of {node.spec.address} is not healthy after {_HEALTHY_SECONDS} s: {said}"
            raise NeedsPerson(what, "Look at `docker logs kube-apiserver` there.")
        obey_cancel()
        await asyncio.sleep(0.5)


def _all(answers: dict[str, tuple[str, ...] | Exception]) -> dict[str, tuple[str, ...]]:
    """The answers, or NeedsPerson with every node's trouble."""
    lines = tuple(f"{address}  {answer}" for address, answer in answers.items() if isinstance(answer, Exception))
    if lines:
        raise NeedsPerson(f"{len(lines)} of {len(answers)} nodes could not be restarted.", "Run the step again.", lines)
    return {address: answer for address, answer in answers.items() if isinstance(answer, tuple)}
