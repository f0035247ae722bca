"""A job while it runs, and while it waits for a person's choice."""

from bot.core.findings import Level
from bot.core.job import Job, Question, StepRun, StepState
from bot.core.plans import Kind
from bot.core.transitions import Phase
from handlers.blocks import facts, kit, progress, words
from handlers.blocks.before import Draft
from handlers.blocks.message import Block, View

_TAKEOVER_SHOWN = 60.0  # seconds a take-over is told in the message; after that the thread and the journal keep it
_AGAIN = "again"
_DESTROYING = ("cleaned", "cleaning", "etcd removed", "restored", "restoring")  # progress words of rke's output
_CANCEL_SAVE = (
    "rke is not interrupted. The save stops when the running step has ended. Files already written stay on the nodes."
)
_CANCEL_RESTORE = (
    "The data of {cluster} is untouched. The running step ends first, then rolling snapshots that it stopped run "
    "again. The safety copy and the staged files stay."
)


def _step(job: Job) -> tuple[int, StepRun]:
    at = job.current
    index = len(job.steps) - 1 if at is None else at
    return index + 1, job.steps[index]


def running(job: Job, view: View) -> Draft:
    """The living message of a job at work (03, 14, 14b, 15a, 15b)."""
    number, run = _step(job)
    lost = not view.worker_alive
    what = f"{job.kind}, worker lost at step {number}" if lost else f"{job.kind} running, {facts.step_word(job)}"
    heading = f"Step {number}, as last reported" if lost else _heading(job, view)
    blocks = [
        kit.header(f"{job.cluster}: {what}"),
        *_opening(job, view),
        *_taken_over(job, view),
        *_cancelled(job),
        *_no_return(job, view),
        *progress.running_lines(job, view, heading),
        *([] if lost else facts.way_back(job)),
        *progress.checklist(job, view),
        *kit.actions(_running_buttons(job, run)),
        kit.context(*_small_print(job, view)),
    ]
    return _text(job, number, view), blocks


def _text(job: Job, number: int, view: View) -> str:
    if not view.worker_alive:
        return f"{job.cluster}: {job.kind}, worker lost at step {number}. Another one takes over, usually within 30 s."
    if job.kind is Kind.SAVE:
        return f"{job.cluster}: saving {job.snapshot}, {facts.step_word(job)}. The cluster keeps running."
    if _taken_over(job, view):
        return f"{job.cluster}: restore running, {facts.step_word(job)}. A worker was lost and replaced."
    where = (
        "past the point of no return."
        if job.past_no_return
        else "The cluster is untouched, "
        + ("the running step ends, then it stops." if job.cancel_at else "cancel is possible.")
    )
    joint = ", " if job.past_no_return else ". "
    return f"{job.cluster}: restore running, {facts.step_word(job)}{joint}{where}"


def _heading(job: Job, view: View) -> str:
    number, run = _step(job)
    since = run.started_at if run.state is StepState.RUNNING else 0
    elapsed = f", {words.duration(view.now - since)}" if since and job.kind is Kind.RESTORE else ""
    return f"Step {number}: {run.step.long_title}{elapsed}"


def _opening(job: Job, view: View) -> list[Block]:
    if not view.worker_alive:
        return [
            kit.section(
                "*The worker does not report any more.*",
                _without_worker(_step(job)[1]),
                "Another worker takes over, usually within 30 s. Nothing to do for you.",
            )
        ]
    if job.kind is Kind.SAVE:
        on = f" on {words.plural(len(facts.etcd_nodes(job)), 'etcd node')}" if facts.etcd_nodes(job) else ""
        return [kit.section(f"Saving {words.code(job.snapshot)}{on}. The cluster keeps running.")]
    return [kit.section(_health(job), f"Running {facts.running_for(job, view.now)}, {words.NO_ESTIMATE}.")]


def _without_worker(run: StepRun) -> str:
    if run.state is not StepState.RUNNING:
        return "No step is running."
    if run.step.detached:
        return "rke does not need it: what has been started on the RKE host goes on there."
    return "The running step only reads or can be repeated."


def _health(job: Job) -> str:
    number, run = _step(job)
    if run.state is StepState.FAILED and job.past_no_return:
        return f"*Step {number} failed.* The bot stops here and asks what to do."
    if run.state is StepState.FAILED:
        return f"*Step {number} failed. What was prepared is being put back.*"
    repeated = [str(index + 1) for index, run in enumerate(job.steps) if run.attempt > 1]
    if repeated:
        return f"*Step {words.joined(repeated)} did not end at the first attempt.*"
    yellow = len(facts.findings(job.plan, Level.YELLOW))
    if yellow:
        return f"*No step has failed; {words.plural(yellow, 'yellow finding was', 'yellow findings were')} confirmed.*"
    return "*Nothing has failed.*"


def _taken_over(job: Job, view: View) -> list[Block]:
    if not job.takeovers or not view.worker_alive or view.now - job.takeovers[-1].at > _TAKEOVER_SHOWN:
        return []
    last = job.takeovers[-1]
    run = job.steps[min(last.step, len(job.steps) - 1)]
    since, until = words.clock_secs(last.at - last.lost_for), words.clock_secs(last.at)
    lost = f"A worker was lost at {since}, another took over at {until}."
    return [kit.section(lost, _resumed(last.step + 1, run, last.at))]


def _resumed(number: int, run: StepRun, at: float) -> str:
    """What the take-over at `at` meant for that step. Whether rke had been launched stands on the RKE host only."""
    if run.attempt > 1 and run.started_at >= at:
        return f"Step {number} was started again: what it had done is left as it is."
    if not run.attempt or run.started_at >= at or 0 < run.ended_at <= at:
        return "No step was running, so none is repeated."
    if run.step.detached:
        return f"If rke had been started in step {number}, it is followed to its end and not started again."
    return f"Step {number} is carried out from its beginning again, which does no harm."


def _cancelled(job: Job) -> list[Block]:
    if not job.cancel_at:
        return []
    who = f"*{words.person(job.cancel_by)} cancelled it at {words.clock_secs(job.cancel_at)}.*"
    return [kit.section(who, "It stops when the running step has ended; rke is never interrupted.")]


def _no_return(job: Job, view: View) -> list[Block]:
    if job.kind is Kind.SAVE or job.plan is None or job.plan.no_return is None:
        return []
    if not job.past_no_return:
        cancel = "" if job.cancel_at else "It can still be cancelled."
        step = job.plan.no_return + 1
        return [
            kit.section(f"*Before the point of no return*, which is step {step}. The cluster serves as before.", cancel)
        ]
    since = f"*Past the point of no return* since {words.clock_secs(job.no_return_at)}: it can no longer be cancelled."
    at = job.current
    state = (
        _torn_down(job, view)
        if at is not None and at <= job.plan.no_return
        else "etcd holds the data of the snapshot; the Kubernetes components come back step by step."
    )
    return [kit.section(since, state, "If a step fails, the bot stops and offers the next steps here.")]


def _torn_down(job: Job, view: View) -> str:
    """How far rke has come in the step of no return, as far as its output says."""
    destroyed = facts.destroyed(job)
    if destroyed or (destroyed is None and any(line.startswith(_DESTROYING) for line in view.lines.values())):
        return "etcd and the Kubernetes API are down."
    return facts.NOTHING_REMOVED if destroyed is False else "rke removes etcd; with it the Kubernetes API goes down."


def _running_buttons(job: Job, run: StepRun) -> list[Block]:
    buttons = []
    if not job.cancel_at and not job.past_no_return:
        body = _CANCEL_SAVE if job.kind is Kind.SAVE else _CANCEL_RESTORE.format(cluster=job.cluster)
        asks = kit.confirm(f"Cancel this {job.kind}?", body, f"Cancel {job.kind}")
        buttons.append(kit.button("job.cancel", f"Cancel {job.kind}", {"job": job.id}, asks=asks))
    if job.kind is Kind.RESTORE and (job.past_no_return or run.step.detached):
        buttons += facts.output_button(job)
    return buttons


def _small_print(job: Job, view: View) -> tuple[str, str]:
    if job.kind is Kind.SAVE:
        first = f"{words.NO_ESTIMATE.capitalize()} · updated {words.clock_secs(view.now)}"
    else:
        first = f"Updated {words.clock_secs(view.now)} · started {words.clock_secs(job.started_at)}"
    return first, facts.people(job)


def asking(job: Job, view: View) -> Draft:
    """The job stopped and a person must choose (16)."""
    assert job.question
    number, run = _step(job)
    at = f"at step {number}" if run.attempt else "before step 1"
    past = job.past_no_return
    nothing = facts.destroyed(job) is False
    danger = "before anything was destroyed" if nothing else "after the point of no return"
    where = f"in step {number}" if run.attempt else at
    what = f"The {job.kind} stopped {where}" + (f", {danger}" if job.kind is Kind.RESTORE else "")
    untouched = " Cluster data is not touched." if job.kind is Kind.RESTORE else " The cluster keeps running."
    removed = f" {facts.NOTHING_REMOVED}" if nothing else ""
    effect = removed if past else untouched
    blocks = [
        kit.header(f"{job.cluster}: {job.kind} needs a decision {at}"),
        kit.section(f"*{what}.*{effect} Nothing happens until one of you decides."),
        *([] if job.question.what == run.error else [_question(job.question)]),
        *facts.error(job),
        *facts.way_back(job),
        kit.rich(kit.bold("What you can do"), kit.bullets(_choices(job, job.question), ordered=True)),
        *kit.actions([*_choice_buttons(job, job.question), *facts.output_button(job)]),
        *progress.checklist(job, view),
        kit.context(
            f"On hold since {words.clock_secs(job.question.at)}: no other job runs on {words.plain(job.cluster)}. "
            "list and status work.",
            f"May decide: {words.approvers(job.policy) if job.policy else 'who may save here'} · {facts.job_id(job)}",
        ),
    ]
    return f"{job.cluster}: {job.kind} stopped {where} and needs a decision. {job.question.what}", blocks


def _question(question: Question) -> Block:
    lines = [kit.pre("\n".join(words.clip(line, 300) for line in question.lines[:20]))] if question.lines else []
    todo = [kit.para(question.todo)] if question.todo else []
    return kit.rich(kit.bold(question.what), *lines, *todo)


def _again_label(job: Job) -> str:
    number, run = _step(job)
    if not run.attempt:
        return "Go on"
    return f"Run step {number} again" if run.state is StepState.FAILED else f"Go on with step {number}"


def _choices(job: Job, question: Question) -> list[Block]:
    number, run = _step(job)
    rest = f"then steps {number + 1} to {len(job.steps)}" if number < len(job.steps) else "which is the last one"
    asks = " It needs no new approval: the plan is the one that was approved." if job.kind is Kind.RESTORE else ""
    again = (
        f"Recommended. A worker reads the RKE host first; what still runs there is followed and not started twice. "
        f"Step {number} ({run.step.long_title}) goes on or runs again, {rest}.{asks}"
    )
    made = facts.safety(job)
    back = f" The safety copy can then be restored with /etcd-snapshot restore {made.copy.name}." if made else ""
    over = f"The job ends as failed and the hold on the cluster is released once nothing of it runs any more.{back}"
    texts = {_AGAIN: (f"{_again_label(job)}. ", again)}
    return [
        kit.para(kit.text(title, strong=True), body)
        for title, body in (texts.get(choice, ("Take over by hand. ", over)) for choice in question.choices)
    ]


def _choice_buttons(job: Job, question: Question) -> list[Block]:
    return [_choice_button(job, question, number, choice) for number, choice in enumerate(question.choices, 1)]


def _choice_button(job: Job, question: Question, number: int, choice: str) -> Block:
    ids: dict[str, str | int] = {"job": job.id, "v": question.version, "choice": choice}
    if choice == _AGAIN:
        label = _again_label(job)
        body = _again_effect(job)
        title, style, yes = f"{label} on {job.cluster}?", "primary", label
    else:
        label, yes = "Take over by hand", "Take over"
        body = "The job ends as failed. The bot does nothing more on the cluster and releases its hold."
        body += f" {_left_as_it_is(job)}" if job.past_no_return else ""
        title, style = f"Take over {job.cluster} by hand?", ""
    return kit.button(f"human.choose.{number}", label, ids, style, kit.confirm(title, body, yes))


def _left_as_it_is(job: Job) -> str:
    destroyed = facts.destroyed(job)
    if destroyed is None:
        return "etcd may be removed: then it stays so until you bring it up."
    return "etcd stays as it is until you bring it up." if destroyed else facts.NOTHING_REMOVED


def _again_effect(job: Job) -> str:
    if job.kind is Kind.SAVE:
        return "The save goes on. What is written already stays. The cluster keeps running."
    if not job.past_no_return:
        return f"The restore of {words.clip(job.snapshot, 80)} goes on. Cluster data is not touched yet, but will be."
    number, run = _step(job)
    if not run.step.no_return:
        return f"Step {number} ({run.step.long_title}) goes on or runs again. etcd's data is not replaced once more."
    nodes = words.clip(words.joined(facts.etcd_nodes(job)), 100)
    return (
        f"Restores {words.clip(job.snapshot, 60)} on {nodes}. What is in etcd's data directories there is replaced. "
        "The safety copy stays."
    )


def chosen(job: Job, view: View) -> Draft:
    """A person chose; a worker acts on it."""
    question = job.question
    by, at = (question.chosen_by, question.chosen_at) if question else ("", job.last_at)
    number, _ = _step(job)
    if job.phase is Phase.AGAIN:
        head, what = f"going on with step {number}", f"chose to go on with step {number} at {words.clock_secs(at)}."
        then = "A worker reads the RKE host first, then the step goes on or runs again."
    else:
        head, what = "handed over", f"takes over by hand since {words.clock_secs(at)}."
        then = "The bot makes sure that nothing of this job runs any more, then releases its hold on the cluster."
    blocks = [
        kit.header(f"{job.cluster}: {job.kind}, {head}"),
        kit.section(f"*{words.person(by)} {what}*", then),
        *facts.way_back(job),
        *progress.checklist(job, view),
        kit.context(f"Updated {words.clock_secs(view.now)}", facts.people(job)),
    ]
    return f"{job.cluster}: {job.kind}, {head}. {then}", blocks
