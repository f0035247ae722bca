"""Carries out one job of the run lane under one lease: asks core/recovery.py what comes next, does it, asks again."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import structlog

from bot.core import plans, recovery, rke_log, verdicts
from bot.core.cluster import Cluster
from bot.core.events import Data, Draft, EventType, Json
from bot.core.job import Job, StepState
from bot.core.plans import Kind
from bot.core.transitions import Phase
from bot.engine.context import each
from bot.engine.heartbeat import Heartbeat
from bot.engine.ports import (
    Attempt,
    AttemptState,
    Fence,
    Journal,
    Launch,
    Node,
    Observation,
    Page,
    Side,
    Site,
    Sites,
    Store,
)
from bot.engine.steps import ATTACHED, DETACHED, Context
from bot.engine.steps.host import put_back
from bot.errors import BotError, Conflict, Fatal, Fenced, NeedsPerson, Retryable, Unreachable

_log = structlog.get_logger()
PATIENCE: Final = 300.0  # seconds a machine may stay without an answer before the step is given up
_EARLY_PATIENCE: Final = 20.0  # while nothing was changed yet: a quick answer is worth more
_POLL: Final = 0.4  # seconds between two looks at a detached command
_RETRY: Final = 2.0  # seconds after a call that got no answer


@dataclass(frozen=True, slots=True)
class Tools:
    """What running a job takes."""

    journal: Journal
    sites: Sites
    store: Store
    side: Side
    clusters: dict[str, Cluster]
    patience: float = PATIENCE


@dataclass(slots=True)
class Runner:
    """One job under one lease. `run` returns when the job has ended, waits for a person, or the lease is lost."""

    tools: Tools
    heart: Heartbeat
    page: Page = field(init=False)
    context: Context = field(init=False)
    claimed: bool = False
    fenced_with: int = 0
    silent_since: float = 0
    following: dict[Attempt, tuple[int, str]] = field(default_factory=dict)

    @property
    def job(self) -> Job:
        """The job as last read."""
        return self.page.job

    async def run(self) -> None:
        """Work until there is nothing to do. Fenced is not an error here: another worker goes on."""
        await self._read()
        cluster = self.tools.clusters.get(self.job.cluster)
        if cluster is None:
            raise Fatal(f"job {self.job.id} is for cluster {self.job.cluster!r}, which is not configured")
        async with AsyncExitStack() as stack:
            site = await stack.enter_async_context(self.tools.sites.open(cluster, self._fence))
            self.context = self._new_context(cluster, site)
            while True:
                self.heart.check()
                step = recovery.think(self.job, self._standing())
                if isinstance(step, recovery.Release):
                    return
                await self._patiently(step)

    def _new_context(self, cluster: Cluster, site: Site) -> Context:
        return Context(self.job, cluster, site, self.tools.store, self.tools.side, self._now)

    async def _now(self) -> float:
        return (await self.tools.journal.read(self.job.id)).now

    def _standing(self) -> recovery.Standing:
        lease = self.heart.lease
        fenced = self.fenced_with == lease.token
        return recovery.Standing(self.claimed, fenced, lease.run_id, self.page.now, lease.lost_for)

    def _fence(self) -> Fence:
        self.heart.check()
        lease = self.heart.lease
        return Fence(self.job.cluster, lease.token, lease.owner, self.job.id, self.job.version, self.page.head_mac)

    async def _patiently(self, step: recovery.Next) -> None:
        """One operation. What may work later is tried again, then given up; a broken invariant is passed on."""
        try:
            await self._do(step)
            await self._answered(step)
        except Conflict:
            await self._again()
        except Fenced as error:
            await self._again(retoken=True, floor=error.floor)
        except Retryable as error:
            await self._silence(step, error)
        except Fatal:
            raise
        except BotError as error:
            await self._give_up(step, error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must reach a person, not come back under every lease
            _log.exception("broken", job=self.job.id, operation=type(step).__name__)
            what = f"The bot itself failed ({type(error).__name__})."
            await self._give_up(step, NeedsPerson(what, "Its log says more."))

    async def _answered(self, step: recovery.Next) -> None:
        """Patience begins anew. Raising the fence alone proves nothing: the silent command may be another one."""
        if self.silent_since and not isinstance(step, recovery.RaiseFence):
            self.silent_since = 0
            await self._begin()

    async def _silence(self, step: recovery.Next, error: Retryable) -> None:
        """Nothing is known of the operation: take a higher token, so that a late message of ours is refused."""
        now = self.heart.monotonic()
        self.silent_since = self.silent_since or now
        _log.warning("no_answer", job=self.job.id, operation=type(step).__name__, error=str(error))
        if now - self.silent_since > (self.tools.patience if self.job.mutated else _EARLY_PATIENCE):
            self.silent_since = 0
            await self._give_up(step, error)
            return
        await self.context.say("no answer", "trying again")
        await self.heart.pause(_RETRY)
        await self._again(retoken=True)

    async def _again(self, *, retoken: bool = False, floor: int = 0) -> None:
        """Read, to decide again. While Redis is silent, our own clock says how long the lease is ours."""
        try:
            if retoken:
                await self.heart.renew(floor, retoken=True)
            await self._read()
        except Unreachable:
            await self.heart.pause(_RETRY)

    async def _give_up(self, step: recovery.Next, error: BotError) -> None:
        """The operation cannot be done. Its step has failed; outside of a step a person decides if there were
        changes.
        """
        running = self.job.phase is Phase.RUNNING
        if isinstance(step, recovery.Attached):
            await self._step_failed(step.step, error)
        elif isinstance(step, recovery.Start) and running and not self.job.past_no_return:
            await self._put_back(EventType.FAILED, error)
        elif self.job.mutated or not running:
            lines = error.lines if isinstance(error, NeedsPerson) else ()
            await self._append(recovery.ask(error.what, error.todo, lines).drafts)
        else:
            await self._append(
                [Draft(EventType.FAILED, {"what": error.what, "todo": f"Nothing was changed. {error.todo}"})]
            )

    async def _do(self, step: recovery.Next) -> None:
        match step:
            case recovery.Append(drafts):
                await self._append(drafts)
            case recovery.RaiseFence(idle):
                await self._raise_fence(idle=idle)
            case recovery.Start(index, number):
                await self._start(index, number)
            case recovery.Attached(index):
                await self._attached(index)
            case recovery.Probe(index, attempt):
                await self._probe(index, Attempt(self.job.id, index, attempt))
            case recovery.PutBack(end):
                await self._put_back(end)
            case recovery.Conclude():
                end, verdict = verdicts.judge(self.job, self.page.now)
                await self._append([Draft(end, verdict)])
            case recovery.Release():
                raise Fatal("a released job is not worked on")

    async def _read(self) -> None:
        self.page = await self.tools.journal.read(self.heart.lease.job)

    async def _append(self, drafts: Sequence[Draft]) -> None:
        """Append what was decided from `page`. A page that is some seconds old is read again; the decision stands
        only if nothing has changed.
        """
        fresh = await self.tools.journal.read(self.job.id)
        if fresh.job.version != self.page.job.version:
            self.page = fresh
            raise Conflict(f"job {self.job.id} has changed meanwhile")
        self.page = await self.tools.journal.progress(self.heart.lease, fresh, drafts)
        self.claimed = self.claimed or drafts[0].type is EventType.CLAIMED
        self.context.job = self.job

    async def _raise_fence(self, *, idle: bool) -> None:
        """Outdate earlier owners. A marker this journal does not contain means that Redis was rolled back."""
        token = self.heart.lease.token
        mark = await self.context.site.host.raise_fence()
        if (
            self.job.phase is Phase.RUNNING
            and mark
            and mark.job == self.job.id
            and not await self._contains(mark.version, mark.mac)
        ):
            what = "Redis has lost events of this job: the RKE host has seen more than the journal holds."
            past = self.job.past_no_return or bool(await self.context.site.host.running(self.job.id))
            await self._append(recovery.ask(what, "Look at the cluster before you choose.", (), no_return=past).drafts)
            return
        if self.job.mutated:
            await self._fence_nodes()
        while idle and await self.context.site.host.running(self.job.id):
            await self.context.say("RKE host", "waiting for rke to end")
            await self.heart.pause(_POLL)
        self.fenced_with = token

    async def _fence_nodes(self) -> None:
        """A take-over: nothing of the earlier owner may still act anywhere. Nodes a restore needs must answer."""

        async def outdate(node: Node) -> None:
            await node.raise_fence()

        for address, answer in (await each(await self.context.nodes(), outdate)).items():
            needed = self.job.kind is Kind.RESTORE and not self._worker_only(address)
            if isinstance(answer, Exception) and (needed or not isinstance(answer, Unreachable)):
                raise answer

    def _worker_only(self, address: str) -> bool:
        nodes = plans.objects(self.job.plan.notes["nodes"]) if self.job.plan else ()
        return any(node["address"] == address and node["roles"] == ["worker"] for node in nodes)

    async def _contains(self, version: int, mac: str) -> bool:
        macs = await self.tools.journal.macs(self.job.id)
        return version <= len(macs) and (version == 0 or macs[version - 1] == mac)

    async def _attached(self, index: int) -> None:
        run = self.job.steps[index]
        await self._begin()
        _log.info("step", job=self.job.id, step=run.step.kind, attempt=run.attempt)
        try:
            result = await self.heart.guard(ATTACHED[run.step.kind](self.context))
        except (Unreachable, Fenced, Conflict):
            raise
        except BotError as error:
            await self._step_failed(index, error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must end the step, not come back under every lease
            _log.exception("step_broken", job=self.job.id, step=run.step.kind)
            what = f"The bot itself failed in this step ({type(error).__name__})."
            await self._step_failed(index, NeedsPerson(what, "Its log says more."))
        else:
            await self._step_succeeded(index, result)

    async def _begin(self) -> None:
        """A step begins (again): its lines are shown anew and the RKE host is asked anew."""
        self.context.seen.clear()
        await self.tools.side.clear(self.job.id)

    async def _probe(self, index: int, attempt: Attempt) -> None:
        offset, output = self.following.get(attempt, (0, ""))
        seen = await self.context.site.host.observe(attempt, offset)
        if self.job.phase is Phase.AGAIN:
            failed = seen.status != 0 or self.job.steps[index].state is StepState.FAILED
            dead = seen.state is AttemptState.DIED or (seen.state is AttemptState.ENDED and failed)
            await self._do(recovery.again(self.job, dead=dead))
            return
        match seen.state:
            case AttemptState.NEVER | AttemptState.DIED if self.job.cancel_at and not self.job.past_no_return:
                await self._put_back(EventType.CANCELLED)
            case AttemptState.NEVER:
                await self._launch(index, attempt)
            case AttemptState.DIED:
                await self._do(recovery.died(self.job, index))
            case _:
                await self._follow(index, attempt, seen, output)

    async def _start(self, index: int, attempt: int) -> None:
        """Record the start of a step. For a command its preconditions come first, and somebody else's rke is waited
        for: what is recorded as started past the point of no return must really be about to happen.
        """
        command = DETACHED.get(self.job.steps[index].step.kind)
        if command:
            if await self.context.site.host.busy():
                await self._wait_for_other_rke()
                return
            await self._begin()
            await self.heart.guard(command.before(self.context))
        await self._append([Draft(EventType.STEP_STARTED, {"step": index, "attempt": attempt})])

    async def _wait_for_other_rke(self) -> None:
        await self.context.say("RKE host", "somebody else's rke is running; waiting for it")
        await self.heart.pause(_RETRY)
        await self._read()

    async def _launch(self, index: int, attempt: Attempt) -> None:
        command = DETACHED[self.job.steps[index].step.kind]
        answer = await self.context.site.host.launch(attempt, command.arguments(self.context))
        _log.info("launch", job=self.job.id, step=index, attempt=attempt.attempt, answer=answer.value)
        if answer is Launch.BUSY:
            await self._wait_for_other_rke()

    async def _follow(self, index: int, attempt: Attempt, seen: Observation, output: str) -> None:
        """Take in new output; when the command has ended and all of it is read, end the step."""
        offset = self.following.get(attempt, (0, ""))[0] + len(seen.output)
        if seen.output:
            await self.tools.side.output(attempt, offset - len(seen.output), seen.output)
        output += seen.output.decode(errors="replace")
        self.following[attempt] = offset, output
        command = DETACHED[self.job.steps[index].step.kind]
        for key, words in command.progress(output).items():
            await self.context.say(key, words)
        if seen.state is AttemptState.RUNNING:
            await self.heart.pause(_POLL)
        elif offset >= seen.size:
            await self._ended(index, seen.status or 0, output)

    async def _ended(self, index: int, status: int, output: str) -> None:
        try:
            nodes = plans.strings(self.job.plan.notes.get("etcd_nodes", ())) if self.job.plan else ()
            result = DETACHED[self.job.steps[index].step.kind].result(status, output, nodes)
        except BotError as error:
            await self._step_failed(index, error, {"destroyed": rke_log.read(output).destroyed})
            return
        await self._step_succeeded(index, result)

    async def _step_succeeded(self, index: int, result: Data) -> None:
        await self._end_step(index, EventType.STEP_SUCCEEDED, {"result": result})
        await self._begin()  # or the next step would be shown with this one's lines until it says something

    async def _step_failed(self, index: int, error: BotError, result: Data | None = None) -> None:
        lines = error.lines if isinstance(error, NeedsPerson) else ()
        told: dict[str, Json] = {"error": error.what, "todo": error.todo, "lines": lines, "result": result or {}}
        await self._end_step(index, EventType.STEP_FAILED, told)

    async def _end_step(self, index: int, end: EventType, told: Data) -> None:
        """Record how a step ended. A cancel that came meanwhile does not make the result untrue: it is recorded all
        the same, so that what was done can be put back.
        """
        attempt = self.job.steps[index].attempt
        draft = Draft(end, {"step": index, "attempt": attempt, **told})
        while True:
            try:
                await self._append([draft])
            except Conflict:
                await self._read()
                run = self.job.steps[index]
                if (run.state, run.attempt, self.job.phase) != (StepState.RUNNING, attempt, Phase.RUNNING):
                    raise
            else:
                return

    async def _put_back(self, end: EventType, error: BotError | None = None) -> None:
        done: tuple[str, ...] = await self._undo() if self.job.mutated else ()
        if end is EventType.CANCELLED:
            await self._append([Draft(end, {"done": done})])
            return
        what, todo, lines = self._why(error)
        await self._append([Draft(end, {"what": what, "todo": todo, "lines": lines, "done": done})])

    async def _undo(self) -> tuple[str, ...]:
        """Put back; a person who takes over by hand is told what could not be, instead of being asked again."""
        try:
            return await put_back(self.context)
        except BotError as error:
            if self.job.phase is not Phase.GIVING_UP or isinstance(error, Fenced):
                raise
            return (f"Not everything could be put back: {error}",)

    def _why(self, error: BotError | None) -> tuple[str, str, tuple[str, ...]]:
        """What the end of a job that failed before the point of no return says."""
        if self.job.phase is Phase.GIVING_UP:
            return "A person took over by hand.", "The bot does nothing more on this cluster.", ()
        if error:
            return error.what, error.todo, error.lines if isinstance(error, NeedsPerson) else ()
        run = self.job.steps[self.job.current or 0]
        return run.error, run.todo, run.lines
