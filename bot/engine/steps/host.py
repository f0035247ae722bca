"""Steps on the RKE host: the backups, and the rke commands that outlive this worker."""

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bot.core import rke_log
from bot.core.checks import ROLLING, leftovers
from bot.core.events import Data
from bot.core.plans import strings
from bot.engine.context import Context, each
from bot.engine.ports import Node
from bot.errors import NeedsPerson

_TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class RkeCommand:
    """One rke command as a detached step. With `clean` the helper containers of earlier runs are removed right
    before it is launched: they block or falsify a run (pitfalls F4, F26). A `whole` one has failed when it left out an
    etcd node: rke v0.1.x says status 0 then, and that node would come back as a stranger (pitfalls F24).
    """

    words: tuple[str, ...]
    named: bool
    clean: bool
    lenient: bool = False
    whole: bool = False

    def arguments(self, context: Context) -> Sequence[str]:
        """What follows `rke`: the config is named without its directory, as rke runs in it."""
        name = ("--name", context.job.snapshot) if self.named else ()
        return (*self.words, *name, "--config", posixpath.basename(context.cluster.yml))

    async def before(self, context: Context) -> None:
        """Remove helper containers of earlier runs."""
        if self.clean:
            await remove_leftovers(context)

    def progress(self, output: str) -> Mapping[str, str]:
        """Progress words per node, from rke's log so far."""
        return rke_log.progress(output)

    def result(self, status: int, output: str, etcd_nodes: Collection[str]) -> Data:
        """The step's result; NeedsPerson with rke's words when it failed. A lenient command's files are judged
        instead.
        """
        log = rke_log.read(output)
        tail = tuple(output.splitlines()[-_TAIL_LINES:])
        if status and not self.lenient:
            raise NeedsPerson(log.error or f"rke ended with status {status}.", log.meaning, tail)
        if self.whole and (lost := [node for node in etcd_nodes if node in log.skipped]):
            what = f"rke ended with status {status} but left out {', '.join(lost)}: etcd is restored without it."
            raise NeedsPerson(
                what, "Bring it back, then run the step again: rke then restores every node anew.", log.warnings
            )
        error = log.error if status else ""
        return {"status": status, "warnings": log.warnings, "tail": tail, "error": error, "meaning": log.meaning}


SAVE = RkeCommand(("etcd", "snapshot-save"), named=True, clean=True, lenient=True)
RESTORE = RkeCommand(("etcd", "snapshot-restore"), named=True, clean=True, whole=True)
UP = RkeCommand(("up",), named=False, clean=False)


async def prepare(context: Context) -> Data:
    """Back up state and yml beside themselves, stop rolling snapshots, remove leftovers."""
    backups = await context.site.host.back_up(context.job.id)
    await context.say("RKE host", "yml and state backed up")
    stopped = await stop_rolling(context)
    removed = await remove_leftovers(context)
    return {"backups": backups, "stopped": stopped, "removed": removed}


async def stop_rolling(context: Context) -> tuple[str, ...]:
    """Stop etcd-rolling-snapshots on the etcd nodes, so that no new snapshot is taken half-way; rke starts it again
    itself.
    """

    async def stop(node: Node) -> bool:
        found = (await node.containers()).get(ROLLING)
        if found is None or not found.running:
            return False
        _judge(node, await node.stop([ROLLING]))
        return True

    answers = await each(await context.nodes("etcd"), stop)
    _raise_first(answers)
    return tuple(address for address, stopped in answers.items() if stopped is True)


async def start_rolling(context: Context, nodes: Sequence[str]) -> None:
    """Start the rolling snapshots that `stop_rolling` stopped."""

    async def start(node: Node) -> None:
        _judge(node, await node.restart([ROLLING]))

    answers = await each([node for node in await context.nodes("etcd") if node.spec.address in nodes], start)
    _raise_first(answers)


async def remove_leftovers(context: Context) -> tuple[str, ...]:
    """Remove rke's helper containers from every node that answers; "ADDRESS NAME" of each that was there."""

    async def clean(node: Node) -> tuple[str, ...]:
        there = leftovers(await node.containers())
        if there:
            _judge(node, await node.remove(there))
        return tuple(f"{node.spec.address} {name}" for name in there)

    reachable = {
        facts.node.address for facts in await context.facts((await context.look())[1].nodes) if facts.reachable
    }
    answers = await each([node for node in await context.nodes() if node.spec.address in reachable], clean)
    _raise_first(answers)
    return tuple(line for lines in answers.values() if isinstance(lines, tuple) for line in lines)


async def put_back(context: Context) -> tuple[str, ...]:
    """Undo what the steps before the point of no return did; one line per thing, for the end's message."""
    stopped = strings(context.job.result("prepare").get("stopped", ()))
    done = []
    if stopped:
        await start_rolling(context, stopped)
        done.append(f"Rolling snapshots run again on {', '.join(stopped)}.")
    if context.job.result("safety_copy").get("copy"):
        done.append(f"The safety copy safety-{context.job.id} was kept.")
    return tuple(done)


def _judge(node: Node, answers: Mapping[str, str]) -> None:
    for name, error in answers.items():
        if error:
            raise NeedsPerson(
                f"{node.spec.address}: docker could not act on {name}: {error}", "Look at docker on that node."
            )


def _raise_first(answers: Mapping[str, object]) -> None:
    for answer in answers.values():
        if isinstance(answer, Exception):
            raise answer
