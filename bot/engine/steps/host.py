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
from bot.engine.steps import copies
from bot.errors import NeedsPerson

_TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class RkeCommand:
    """One rke command as a detached step. With `clean` the helper containers of earlier runs are removed right before
    it is launched: they block or falsify a run (pitfalls F4, F26). A `whole` one has failed when it left out an etcd
    node: rke v0.1.x says status 0 then, and that node would come back as a stranger (pitfalls F24).
    """

    words: tuple[str, ...]
    named: bool
    clean: bool
    lenient: bool = False
    whole: bool = False
    tolerated: str = ""  # an error with these words is a result: it says that a worker was left out

    def arguments(self, context: Context) -> Sequence[str]:
        """What follows `rke`: the config is named without its directory, as rke runs in it."""
        name = ("--name", context.job.snapshot) if self.named else ()
        return (*self.words, *name, "--config", posixpath.basename(context.cluster.yml))

    async def before(self, context: Context) -> None:
        """The preconditions, right before the launch. A save removes only helpers that do not run: a running one may
        be somebody's. A restore demands every etcd and controlplane node and the approved bytes, yml and rke once
        more.
        """
        if self.whole:
            await demand_as_approved(context)
        if self.clean:
            await remove_leftovers(context, running=self.whole)

    def progress(self, output: str) -> Mapping[str, str]:
        """Progress words per node, from rke's log so far."""
        return rke_log.progress(output)

    def result(self, status: int, output: str, etcd_nodes: Collection[str]) -> Data:
        """The step's result; NeedsPerson with rke's words when it failed. A lenient command's files are judged
        instead.
        """
        log = rke_log.read(output)
        tail = tuple(output.splitlines()[-_TAIL_LINES:])
        if status and not self.lenient and not (self.tolerated and self.tolerated in log.error):
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
UP = RkeCommand(("up",), named=False, clean=False, tolerated="Provisioning incomplete")


async def prepare(context: Context) -> Data:
    """Back up state and yml beside themselves, stop rolling snapshots, remove leftovers."""
    backups = await context.site.host.back_up(context.job.id)
    await context.say("RKE host", "yml and state backed up")
    stopped = await stop_rolling(context)
    removed = await remove_leftovers(context, running=True)
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


async def start_rolling(context: Context, nodes: Sequence[str]) -> tuple[str, ...]:
    """Start the rolling snapshots of these nodes where they do not run; the nodes where they were started."""

    async def start(node: Node) -> bool:
        found = (await node.containers()).get(ROLLING)
        if found is None or found.running:
            return False
        _judge(node, await node.restart([ROLLING]))
        return True

    answers = await each([node for node in await context.nodes("etcd") if node.spec.address in nodes], start)
    _raise_first(answers)
    return tuple(address for address, started in answers.items() if started is True)


async def demand_as_approved(context: Context) -> None:
    """Refuse to go on unless the cluster is as it was approved: nothing may be restored onto less, or from other
    bytes.
    """
    facts, yml = await context.look()
    pins = context.plan.pins
    wrong = [name for name, now in (("yml", facts.yml_sha256), ("rke", facts.binary_sha256)) if pins.get(name) != now]
    lines = [f"{name} is not the approved one" for name in wrong]
    needed = [seen for seen in await context.facts(yml.nodes) if seen.node.roles & {"etcd", "controlplane"}]
    lines += [f"{seen.node.address}  {seen.error}" for seen in needed if not seen.reachable]
    if lines:
        what = "Not everything that the restore needs is as it was approved."
        raise NeedsPerson(what, "Mend what stands below, then go on.", tuple(lines))
    await copies.stage(context)


async def remove_leftovers(context: Context, *, running: bool) -> tuple[str, ...]:
    """Remove rke's helper containers, also those that are `running`, from every node that answers; "ADDRESS NAME" of
    each that was removed.
    """

    async def clean(node: Node) -> tuple[str, ...]:
        found = await node.containers()
        there = [name for name in leftovers(found) if running or not found[name].running]
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
    """Undo what the steps before the point of no return did; one line per thing, for the end's message. What they had
    done is looked up on the nodes, since a step that was broken off has no result.
    """
    began = {run.step.kind for run in context.job.steps if run.attempt}
    done = []
    if "prepare" in began:
        started = await start_rolling(context, strings(context.plan.notes.get("rolling", ())))
        done += [f"Rolling snapshots run again on {', '.join(started)}."] if started else []
    if context.job.result("safety_copy").get("copy"):
        done.append(f"The safety copy safety-{context.job.id} was kept.")
    if "stage" in began:
        done.append(f"The chosen copy of {context.job.snapshot} stays on the etcd nodes.")
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
