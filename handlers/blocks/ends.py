"""The last form of a job's message: six ends, and what each of them means."""

from bot.core import plans
from bot.core.events import Data
from bot.core.findings import Level
from bot.core.job import Job
from bot.core.plans import Kind
from handlers.blocks import facts, kit, progress, words
from handlers.blocks.before import Draft
from handlers.blocks.message import Block, View


def _and(parts: list[Block]) -> list[Block]:
    return [kit.rich(*parts)] if parts else []


def _ask_again(job: Job) -> Block:
    command = f"/etcd-snapshot restore {job.snapshot}"
    return kit.rich(kit.pre(command))


# --- without having run -----------------------------------------------------------------------------------


def denied(job: Job, _view: View) -> Draft:
    """Somebody denied it (12)."""
    given = facts.votes(job)
    deny = next((vote for vote in given if not vote.approve), None)
    who = f"{words.person(deny.person)} denied it at {words.clock(deny.at)}." if deny else ""
    reason = facts.string(job.verdict, "reason") or (deny.reason if deny else "")
    votes = [
        f"{words.person(vote.person)} {'approve' if vote.approve else 'deny'} {words.clock(vote.at)}" for vote in given
    ]
    plan = words.code(words.short(job.plan.digest)) if job.plan else ""
    asked = "both votes are" if job.policy and job.policy.required == 2 else "the votes are"
    blocks = [
        kit.header(f"{job.cluster}: restore denied, nothing changed"),
        kit.section(who, "One deny ends it. The cluster was only read."),
        *_and([kit.bold("Reason"), kit.quote(reason)] if reason else []),
        kit.section(f"*Votes on plan {plan}:* {', '.join(votes)}."),
        kit.section(
            "*If it is still needed:* settle the reason first, then ask again. That writes a new plan, and "
            f"{asked} asked for again."
        ),
        _ask_again(job),
        *kit.actions(facts.plan_button(job)),
        kit.context(facts.asked(job)),
    ]
    why = f" Reason: {words.clip(reason, 56)}" if reason else ""
    return f"{job.cluster}: restore of {job.snapshot} denied. Nothing was changed.{why}", blocks


def expired(job: Job, _view: View) -> Draft:
    """Nobody decided in time, or it did not start in time (13)."""
    given = facts.approvals(job)
    required = job.policy.required if job.policy else 0
    count = f"{len(given)} of {words.plural(required, 'approval')}"
    if facts.string(job.verdict, "which") == "execution":
        first, with_count = f"*It did not start by {words.clock(job.ended_at)}, so the approvals are void.*", ""
    elif facts.findings(job.plan, Level.RED):
        first, with_count = f"*The red findings were still there at {words.clock(job.ended_at)}.*", ""
    elif not job.plan:
        first, with_count = f"*The checks had not ended by {words.clock(job.ended_at)}.*", ""
    else:
        first, with_count = f"*{count} had come by {words.clock(job.ended_at)}.*", f" with {count}"
    who = f"{words.joined([words.person(vote.person) for vote in given])} approved, nobody denied." if given else ""
    voted = f", and {'both' if required == 2 else 'all'} approvals are asked for again" if required else ""
    blocks = [
        kit.header(f"{job.cluster}: {job.kind} expired, nothing changed"),
        kit.section(first, who, "The cluster was only read."),
        kit.section(
            f"*If it is still needed:* ask again. The checks run anew because the cluster has moved on{voted}."
        ),
        *([_ask_again(job)] if job.kind is Kind.RESTORE else []),
        *kit.actions(facts.plan_button(job) if job.kind is Kind.RESTORE else []),
        kit.context(facts.asked(job)),
    ]
    return f"{job.cluster}: {job.kind} of {job.snapshot} expired{with_count}. Nothing was changed.", blocks


def cancelled(job: Job, view: View) -> Draft:
    """A person cancelled it before its point of no return (19)."""
    who = words.person(job.cancel_by)
    made = facts.safety(job)
    done = [line for line in facts.strings(job.verdict, "done") if made is None or made.copy.name not in line]
    kept = f"Safety copy {made.copy.name}, {facts.state(made.copy)}, on {words.joined(made.places)}." if made else ""
    where = facts.stopped(job) if job.started_at else "before it started"
    restore = job.kind is Kind.RESTORE
    untouched = "Cluster data was not touched." if restore else "The cluster kept running."
    point = ", before the point of no return" if restore and job.mutated else ""
    served = "etcd served without a break." if job.mutated else "The cluster was only read."
    lists = [
        *([kit.bold("Put back" if restore else "What there is"), kit.bullets(done)] if done else []),
        *([kit.bold("Kept"), kit.bullets([kept])] if kept else []),
    ]
    at = f"Cancelled {words.clock_secs(job.cancel_at)}"
    blocks = [
        kit.header(f"{job.cluster}: {job.kind} cancelled" + (", data not touched" if restore else "")),
        kit.section(f"*{who} cancelled it {where}{point}.*", served),
        *_and(lists),
        *progress.checklist(job, view),
        kit.context(f"{at}, ended {words.clock_secs(job.ended_at)}", facts.people(job)),
    ]
    short = where.partition(" of ")[0]
    return f"{job.cluster}: {job.kind} of {job.snapshot} cancelled {short}. {untouched}", blocks


# --- a restore that ran -----------------------------------------------------------------------------------


def _checks(job: Job, *, ok: bool) -> list[Data]:
    return [check for check in plans.objects(job.verdict.get("checks", ())) if bool(check.get("ok")) is ok]


def _took(job: Job) -> str:
    seconds = plans.number(job.verdict.get("seconds") or 0)
    return words.duration(seconds) if seconds else facts.running_for(job, job.ended_at)


def _check_text(check: Data) -> str:
    return facts.string(check, "text") or facts.string(check, "name")


def _verified(job: Job) -> list[Block]:
    good, bad = _checks(job, ok=True), _checks(job, ok=False)
    head = kit.bold(f"Verified, {len(good)} of {len(good) + len(bad)}")
    return [head, kit.bullets([_check_text(check) for check in good])] if good else [head]


def _left(job: Job) -> list[Block]:
    left = facts.strings(job.verdict, "left")
    return [kit.bold("Left for you"), kit.bullets(left, ordered=True)] if left else [kit.para("Nothing is left to do.")]


def _when(job: Job) -> str:
    span = f"{words.clock(job.started_at)} to {words.clock(job.ended_at)}"
    made = facts.safety(job)
    return f"{span} · Way back: safety copy {made.sentence()}." if made else span


def _nodes(job: Job) -> str:
    count = len(facts.etcd_nodes(job))
    return f"all {count} nodes" if count > 1 else "the etcd node"


def restore_succeeded(job: Job, view: View) -> Draft:
    """Every check is green (17)."""
    took, count = _took(job), len(facts.etcd_nodes(job))
    left = facts.strings(job.verdict, "left")
    by_hand = f" {words.plural(len(left), 'thing')} left to do by hand." if left else " Nothing is left to do."
    status = kit.button("start.status", "Status", {"cluster": job.cluster})
    blocks = [
        kit.header(f"{job.cluster}: restore succeeded in {took}"),
        kit.section(
            f"*etcd holds the data of {facts.data_of(job)} on {_nodes(job)}, and the cluster works.*",
            f"Changes from then until {words.clock(job.no_return_at)} are gone from etcd.",
        ),
        kit.rich(*_verified(job), *_left(job)),
        *progress.checklist(job, view),
        *kit.actions([*facts.output_button(job), status]),
        kit.context(_when(job), facts.people(job)),
    ]
    verified = f"{count} of {words.plural(count, 'node')} verified."
    return f"{job.cluster}: restore of {job.snapshot} succeeded in {took}. {verified}{by_hand}", blocks


def restore_partial(job: Job, view: View) -> Draft:
    """All steps ran, not all checks are green (18)."""
    good, bad = _checks(job, ok=True), _checks(job, ok=False)
    total = len(good) + len(bad)
    are = "is" if len(bad) == 1 else "are"
    keep = " Do not delete the safety copy." if facts.safety(job) else ""
    count = f"{len(bad)} of {words.plural(total, 'check')}"
    blocks = [
        kit.header(f"{job.cluster}: restore partial, {count} not green"),
        kit.section(
            f"*etcd was restored to the data of {facts.data_of(job)}, and {len(good)} of "
            f"{words.plural(total, 'check')} are green.* {count} {are} not green.",
        ),
        *(_not_green(check) for check in bad[: progress.MANY]),
        kit.rich(*_verified(job), *(_left(job) if job.verdict.get("left") else [])),
        *progress.checklist(job, view),
        *kit.actions(facts.output_button(job)),
        kit.context(_when(job), facts.people(job)),
    ]
    names = words.joined([facts.string(check, "name") for check in bad])
    return f"{job.cluster}: restore partial: {count} not green: {words.clip(names, 60)}.{keep}", blocks


def _not_green(check: Data) -> Block:
    todo = facts.string(check, "todo")
    lines = _check_text(check).replace("; ", "\n")
    shown = [kit.bold(f"Not green: {facts.string(check, 'name')}"), kit.pre(words.clip(lines, 500))]
    return kit.rich(*shown, *([kit.para(kit.text("To do: ", strong=True), todo)] if todo else []))


def failed(job: Job, view: View) -> Draft:
    """It ended without its result, or a person took over."""
    what, todo = facts.string(job.verdict, "what"), facts.string(job.verdict, "todo")
    restore = job.kind is Kind.RESTORE
    if not restore and not job.mutated:
        first, short = "*Nothing was saved.* Nothing was changed, and the cluster keeps running.", ", nothing changed"
    elif not restore:
        first, short = f"*There is no snapshot {words.code(job.snapshot)} to rely on.* The cluster keeps running.", ""
    elif job.past_no_return and facts.destroyed(job) is False:
        first = f"*{facts.NOTHING_REMOVED}* What was prepared for the restore stays as it is: look at the cluster."
        short = ", nothing removed"
    elif job.past_no_return:
        first = "*It stopped after the point of no return: the cluster needs you.* The bot does nothing more on it."
        short = ", cluster needs you"
    elif job.mutated:
        first, short = "*It stopped before the point of no return.* Cluster data was not touched.", ", data not touched"
    else:
        first, short = "*Nothing was changed.* The cluster was only read.", ", nothing changed"
    over = job.question
    by = (
        f"{words.person(over.chosen_by)} took over by hand at {words.clock(over.chosen_at)}."
        if over and over.choice == "hand-over"
        else ""
    )
    done = facts.strings(job.verdict, "done")
    errors = facts.error(job)
    told = [
        *([kit.bold(what)] if what and not by and not errors else []),
        *([kit.para(kit.text("To do: ", strong=True), todo)] if todo and not errors else []),
        *([kit.bold("Put back, kept"), kit.bullets(done)] if done else []),
    ]
    again = [kit.button("start.save", "Save again", {"cluster": job.cluster}, "primary")] if not restore else []
    blocks = [
        kit.header(f"{job.cluster}: {job.kind} failed{short}"),
        kit.section(first, by),
        *errors,
        *_and(told),
        *facts.way_back(job),
        *progress.checklist(job, view),
        *kit.actions([*again, *facts.output_button(job)]),
        kit.context(f"Ended {words.clock_secs(job.ended_at)}", facts.people(job)),
    ]
    return f"{job.cluster}: {job.kind} of {job.snapshot} failed{short}. {words.clip(what, 80)}", blocks
