"""The checklist of a job, and the lines of its nodes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from bot.core import plans
from bot.core.job import Job, StepRun, StepState
from bot.core.plans import Kind
from bot.core.transitions import Phase
from handlers.blocks import facts, kit, words
from handlers.blocks.message import Block, View

MANY: Final = 12  # nodes; more than these are summed up
CHECK: Final = "check:"  # keys of the progress lines of the checks before a plan

_CHECKS: Final = (
    "Reach the RKE host and every node",
    "Find the copies of {name}",
    "Check the copies",
    "Write the plan",
)
_FINISHED: Final = frozenset(
    (
        *("API answers", "copied", "done", "equal bytes", "file written", "intact", "reachable", "ready", "restarted"),
        *("restored", "stopped", "stored, checked"),
    )
)
_ON_ETCD_NODES: Final = frozenset(("rke_save", "check_copies", "stage", "rke_restore"))
_NOT_RUN: Final = frozenset((Phase.CANCELLED, Phase.FAILED, Phase.EXPIRED))


def node_lines(lines: Mapping[str, str], expected: Sequence[str] = (), width: int = words.PHONE) -> str:
    """One line per node. `expected` nodes without a line are waiting. Of many nodes those that are not finished come
    first, and the rest is summed up.
    """
    told = {words.clip(k, 80): words.clip(v, 80) for k, v in lines.items() if not k.startswith(CHECK)}
    known = dict.fromkeys(expected, "waiting") | told
    rows = list(known.items())
    if len(rows) > MANY:
        rows.sort(key=lambda row: _state(row[1]).lstrip("0123456789 ") in _FINISHED)
    rest = Counter(_state(text) for _, text in rows[MANY:])
    more = [f"{count} more: {state}" for state, count in rest.most_common(MANY)]
    return "\n".join([words.columns(rows[:MANY], width), *more])


def _state(line: str) -> str:
    return re.split(r"\s{2,}", line.strip(), maxsplit=1)[0]


def running_lines(job: Job, view: View, heading: str) -> list[Block]:
    """The running step and its nodes, outside the checklist, which Slack shows folded."""
    at = job.current
    kind = job.steps[at].step.kind if at is not None else ""
    shown = node_lines(view.lines, facts.etcd_nodes(job) if kind in _ON_ETCD_NODES else ())
    return [kit.rich(kit.bold(heading), *([kit.pre(shown)] if shown else []))]


def checklist(job: Job, view: View) -> list[Block]:
    """The plan block of a job with steps."""
    if not job.steps:
        return []
    tasks = [_task(job, index, view) for index in range(len(job.steps))]
    return [kit.plan(f"plan-{job.id}", _title(job), tasks)]


def _title(job: Job) -> str:
    steps = f"{len(job.steps)} steps"
    if job.phase in (Phase.SUCCEEDED, Phase.PARTIAL):
        return _done_title(job)
    if job.phase in (Phase.CANCELLED, Phase.FAILED, Phase.EXPIRED):
        return f"{job.phase.capitalize()} {facts.stopped(job)}"
    if job.phase is Phase.ASKING:
        return f"Stopped {facts.stopped(job).replace('in step', 'at step')}"
    if job.phase in (Phase.RUNNING, Phase.AGAIN, Phase.GIVING_UP):
        at = job.current
        return f"{facts.step_word(job).capitalize()}: {job.steps[at].step.long_title if at is not None else 'verdict'}"
    return f"The {steps}, {words.NO_ESTIMATE}" if job.kind is Kind.RESTORE else f"The {steps}, none has started"


def _done_title(job: Job) -> str:
    short = [run.step.title for run in job.steps if shortfall(job, run)]
    done, took = f"{len(job.steps) - len(short)} of {len(job.steps)} steps done", facts.running_for(job, job.ended_at)
    if not short:
        return f"{done} in {took}"
    return f"{done}, {short[0]} is partial, {took}" if len(short) == 1 else f"{done}, {len(short)} partial, {took}"


def _task(job: Job, index: int, view: View) -> Block:
    run = job.steps[index]
    status, state = _outcome(job, index)
    title = f"{run.step.title}: {state}" if state else run.step.title
    return kit.task(index + 1, title, status, _details(job, run, view, status))


def _details(job: Job, run: StepRun, view: View, status: str) -> str:
    if run.step.kind == "check_copies" and job.phase is Phase.SUCCEEDED:
        found = [(copy.where, facts.state(copy)) for copy in facts.copies(run.result)]
        return node_lines(dict(found), width=words.TASK_COLUMNS)
    if status == "error" and run.state is not StepState.DONE and not job.phase.startswith("cancel"):
        return node_lines(view.lines, width=words.TASK_COLUMNS)
    return ""


def _outcome(job: Job, index: int) -> tuple[str, str]:
    """Icon and words of a step; the icon alone would be information by symbol."""
    run = job.steps[index]
    took = words.duration(run.ended_at - run.started_at)
    if run.state is StepState.DONE:
        partial = shortfall(job, run)
        return ("error", partial) if partial else ("complete", f"done, {_measure(run, took)}")
    if run.state is StepState.PENDING:
        return ("pending", "not run" if job.phase in _NOT_RUN else "")
    if job.phase is Phase.CANCELLED:
        return ("error", "cancelled")
    if run.state is StepState.FAILED:
        return ("error", f"failed, {took}")
    if job.phase in (Phase.ASKING, Phase.GIVING_UP, Phase.FAILED):
        return ("error", "not known how it ended")
    return ("in_progress", f"running, attempt {run.attempt}" if run.attempt > 1 else "running")


def _measure(run: StepRun, took: str) -> str:
    """How long a step took, or what says more than that."""
    if run.step.kind == "check_copies" and run.result.get("missing"):
        found, lost = len(facts.copies(run.result)), len(plans.objects(run.result["missing"]))
        return f"{found} of {found + lost} copies"
    if run.step.kind == "safety_copy" and not run.result.get("off_site"):
        return f"{took}, not off-site"
    return took


def shortfall(job: Job, run: StepRun) -> str:
    """Why a step that ended is not all green, in a few words; empty when it is."""
    result = run.result
    status = int(plans.number(result.get("status") or 0))
    if status:
        return f"failed, status {status}"
    match run.step.kind:
        case "check":
            skipped = plans.objects(result.get("skipped", ()))
            return f"partial, {words.plural(len(skipped), 'node')} skipped" if skipped else ""
        case "rke_save":
            lost = len(plans.objects(job.result("check_copies").get("missing", ())))
            total = len(facts.etcd_nodes(job))
            return f"partial, {total - lost} of {total} nodes" if lost else ""
        case "check_copies":
            bad = [copy for copy in facts.copies(result) if not facts.is_intact(copy)]
            return f"partial, {len(bad)} not intact" if bad else ""
        case "store":
            return "" if result.get("copy") or not result else "failed, not off-site"
        case "safety_copy":
            return "" if result.get("copy") or not result else "failed, no copy"
        case "verify":
            checks = plans.objects(result.get("checks", ()))
            good = sum(bool(check.get("ok")) for check in checks)
            return f"partial, {good} of {len(checks)} checks" if good < len(checks) else ""
    return ""


def checks(job: Job, view: View) -> list[Block]:
    """The checks before a plan: the running one, and all of them as a checklist of its own."""
    states = [view.lines.get(f"{CHECK}{number}", "") for number in range(1, len(_CHECKS) + 1)]
    titles = [title.format(name=words.clip(job.snapshot, 60)) for title in _CHECKS]
    statuses = [_check_status(state) for state in states]
    at = next((index for index, status in enumerate(statuses) if status != "complete"), len(_CHECKS) - 1)
    tasks = [
        kit.task(index + 1, f"{title}: {state}" if state else title, status)
        for index, (title, state, status) in enumerate(zip(titles, states, statuses, strict=True))
    ]
    now = titles[at][0].lower() + titles[at][1:]
    lines = node_lines(view.lines)
    return [
        kit.rich(kit.bold(f"Check {at + 1}: {now}"), *([kit.pre(lines)] if lines else [])),
        kit.plan(f"checks-{job.id}", f"Check {at + 1} of {len(_CHECKS)}: {now}", tasks),
    ]


def _check_status(state: str) -> str:
    if not state:
        return "pending"
    word = re.split(r"[, ]", state, maxsplit=1)[0]
    return {"done": "complete", "failed": "error", "partial": "error"}.get(word, "in_progress")
