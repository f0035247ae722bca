"""A job before it runs: checking, blocked, waiting for votes, waiting for its turn."""

from collections.abc import Sequence

from bot.core import plans
from bot.core.findings import Finding, Level, count
from bot.core.job import Job
from bot.core.plans import Kind, Plan
from bot.core.policy import ApprovalPolicy
from handlers.blocks import facts, kit, progress, words
from handlers.blocks.message import Block, View

Draft = tuple[str, list[Block]]  # the notification and the blocks

MANY_YELLOW = 5  # above this the green findings move to the modal
MOST_YELLOW = 60
MANY_RED = 8
FINDING = 450  # characters of one finding


def cancel_button(job: Job, label: str = "Cancel") -> Block:
    """Cancels while nothing has been changed."""
    asks = kit.confirm(
        f"Cancel this {job.kind}?",
        f"Nothing has been changed on {job.cluster}. The plan and its votes end here.",
        f"Cancel {job.kind}",
    )
    return kit.button("job.cancel", label, {"job": job.id}, asks=asks)


def gathering(job: Job, view: View) -> Draft:
    """Reading the nodes and writing a plan (08)."""
    again = "The earlier plan and its votes are void." if job.voided else ""
    blocks = [
        kit.header(f"{job.cluster}: restore asked, checking{' again' if job.voided else ''}"),
        kit.section(
            "*Nothing is changed while this checks.*",
            "It reads the nodes, checks the copies and writes a plan for approval.",
            again,
        ),
        *progress.checks(job, view),
        *kit.actions([kit.button("job.cancel", "Cancel", {"job": job.id})]),
        kit.context(
            f"{words.NO_ESTIMATE.capitalize()} · updated {words.clock_secs(view.now)}",
            f"Asked by {words.person(job.requester)} · {facts.job_id(job)}",
        ),
    ]
    text = f"{job.cluster}: restore of {job.snapshot} asked for. Checking, nothing is changed."
    return text, blocks


def waiting(job: Job, view: View) -> Draft:
    """Queued: decided, not started."""
    what = f"{job.cluster}: {job.kind} waits for"
    before_it = view.ahead + bool(view.holder)  # the holder has left the queue
    for_whom = f" {words.plural(before_it, 'job')} before it" if before_it else " a worker"
    until = f"It must start by {words.clock(job.deadline)}, else it expires." if job.deadline else ""
    holder = f"Job {words.code(view.holder)} is at work on the cluster or holds it." if view.holder else ""
    approved = "It is approved. " if job.kind is Kind.RESTORE else ""
    blocks = [
        kit.header(f"{what}{for_whom}"),
        kit.section(
            f"*Nothing is changed yet.* {approved}{job.kind.capitalize()} {words.code(job.snapshot)} starts by itself.",
            holder,
            until,
        ),
        *progress.checklist(job, view),
        *kit.actions([cancel_button(job, f"Cancel {job.kind}")]),
        kit.context(f"Updated {words.clock_secs(view.now)}", facts.people(job)),
    ]
    return f"{what}{for_whom}. Nothing is changed yet.", blocks


def blocked(job: Job, _view: View) -> Draft:
    """The plan has red findings (10)."""
    red = facts.findings(job.plan, Level.RED)
    counts = count(job.plan.findings) if job.plan else {}
    number = words.plural(len(red), "red finding")
    also = f"Also: {counts.get(Level.YELLOW, 0)} yellow, {counts.get(Level.GREEN, 0)} green. "
    more = f"{len(red) - MANY_RED} more red findings stand in the full plan." if len(red) > MANY_RED else ""
    asked = f"Asked by {words.person(job.requester)} at {words.clock(job.requested_at)}"
    again = kit.button("job.plan_again", "Check again", {"job": job.id}, "primary")
    blocks = [
        kit.header(f"{job.cluster}: restore blocked, {number}"),
        kit.section(
            "*Nothing was changed. Nobody can approve this plan*: run as it is, it would destroy data and not bring "
            "the cluster back."
        ),
        *(_red(index, finding) for index, finding in enumerate(red[:MANY_RED], 1)),
        kit.rich(kit.para(kit.text(also, strong=True), *([more] if more else []))),
        *kit.actions([again, *(facts.plan_button(job) if more else []), cancel_button(job)]),
        kit.context(f"{asked} · checked {words.clock_secs(job.planned_at)} · {facts.job_id(job)}"),
    ]
    return f"{job.cluster}: restore blocked by {number}. Nobody can approve it. Nothing was changed.", blocks


def _red(number: int, finding: Finding) -> Block:
    todo = kit.para(kit.text("To do: ", strong=True), words.clip(finding.todo, FINDING))
    return kit.rich(kit.bold(f"Red {number}. {words.clip(finding.text, FINDING)}"), todo)


def voting(job: Job, view: View) -> Draft:
    """The plan, and the votes so far (09, 11)."""
    assert job.plan
    assert job.policy
    have, missing = len(facts.approvals(job)), facts.missing(job)
    more = " more" if have else ""
    blocks = [
        kit.header(f"{job.cluster}: restore waits for {words.plural(missing, f'{more} approval'.strip())}"),
        consequence(job),
        kit.section(_votes(job, job.policy) + "\n" + _until(job, job.policy)),
        *([kit.rich(*facts.reason(job))] if job.reason else []),
        findings(job.plan),
        kit.rich(kit.bold("Snapshot and plan"), kit.pre(words.columns(pinned(job, job.plan), 60))),
        *progress.checklist(job, view),
        *kit.actions([*vote_buttons(job), *facts.plan_button(job), cancel_button(job)]),
        kit.context(facts.asked(job)),
    ]
    return _voting_text(job, have, missing), blocks


def _voting_text(job: Job, have: int, missing: int) -> str:
    what, until = f"{job.cluster}: restore of {job.snapshot}", words.utc(job.deadline)
    if have:
        return f"{what} has {have} of {words.plural(have + missing, 'approval')}. {missing} more by {until}."
    counts = count(job.plan.findings) if job.plan else {}
    found = f"{counts.get(Level.RED, 0)} red, {words.plural(counts.get(Level.YELLOW, 0), 'yellow finding')}"
    taken = facts.taken_at(job)
    lost = f"of the last {words.age(job.planned_at - taken)} would be lost." if taken else "since then would be lost."
    lost = f"All changes {lost}"
    return f"{what} needs {words.plural(missing, 'approval')} by {until}. {found}. {lost}"


def consequence(job: Job) -> Block:
    """What happens to the data and the cluster."""
    assert job.plan
    taken = facts.taken_at(job)
    before = (
        f", {words.duration(job.requested_at - taken)} before this was asked" if taken else ", whose age is not known"
    )
    step = f"from step {job.plan.no_return + 1} on" if job.plan.no_return is not None else "meanwhile"
    stale = "*Another job was at work while this was checked;* it is checked once more before anything is changed."
    return kit.section(
        f"*All data in etcd goes back to {facts.data_of(job)}{before}.*",
        "Later changes are lost.",
        f"The Kubernetes API and Rancher are down {step}, and for some seconds near the end; {words.NO_ESTIMATE}.",
        "Running containers keep running; their network restarts once.",
        stale if job.plan.notes.get("stale") else "",
    )


def _votes(job: Job, policy: ApprovalPolicy) -> str:
    given = facts.approvals(job)
    who = words.approvers(policy)
    not_asker = "" if policy.requester_counts else f"not {words.person(job.requester)} who asked"
    if not given:
        people = "1 person" if policy.required == 1 else f"{policy.required} different people"
        but = f", {not_asker}" if not_asker else ""
        total = f"{words.plural(policy.people, 'person', 'people')} in all."
        return f"*{words.plural(policy.required, 'approval')} needed, 0 so far:* {people} of {who}{but}. {total}"
    so_far = words.joined([_vote(job, index) for index in range(len(given))])
    but = words.joined([n for n in (not_asker, *(f"not {words.person(v.person)}" for v in given)) if n])
    needed = f"*{facts.missing(job)} more needed* from {who}, {but}."
    return f"*{len(given)} of {policy.required} approvals:* {so_far}.\n{needed}"


def _vote(job: Job, index: int) -> str:
    vote = facts.approvals(job)[index]
    ids = [finding.id for finding in facts.findings(job.plan, Level.YELLOW)]
    numbers = [str(ids.index(one) + 1) for one in vote.acknowledged if one in ids]
    confirmed = f", confirmed yellow {words.joined(numbers)}" if numbers else ""
    return f"{words.person(vote.person)} at {words.clock(vote.at)}{confirmed}"


def _until(job: Job, policy: ApprovalPolicy) -> str:
    within = words.duration(policy.execution_lifetime)
    return f"Until {words.clock(job.deadline)}. It must start within {within} of the last approval. One deny ends it."


def findings(plan: Plan, *, green: bool = True) -> Block:
    """The findings, worst first; green ones in one item, or only counted when there is much yellow."""
    counts = count(plan.findings)
    yellow, fine = facts.findings(plan, Level.YELLOW), facts.findings(plan, Level.GREEN)
    head = f"Findings: {counts[Level.RED]} red, {counts[Level.YELLOW]} yellow, {counts[Level.GREEN]} green"
    items = [
        kit.para(kit.text(f"Yellow {n}. ", strong=True), words.clip(f"{f.text} {f.todo}".strip(), FINDING))
        for n, f in enumerate(yellow, 1)
    ]
    if len(yellow) > MOST_YELLOW:
        items[MOST_YELLOW:] = [kit.para(f"{len(yellow) - MOST_YELLOW} more yellow findings stand in the full plan.")]
    if green and fine and len(yellow) <= MANY_YELLOW:
        items.append(kit.para(kit.text("Green. ", strong=True), _fine(fine)))
    return kit.rich(kit.bold(head), *([kit.bullets(items)] if items else []))


def _fine(found: Sequence[Finding]) -> str:
    """Green findings in whole sentences, as many as one item holds."""
    said, left = "", len(found)
    for finding in found:
        if said and len(said) + len(finding.text) >= FINDING:
            break
        said, left = f"{said} {words.clip(finding.text, FINDING)}".strip(), left - 1
    return f"{said} {left} more in the full plan." if left else said


def pinned(job: Job, plan: Plan) -> list[tuple[str, str]]:
    """Which bytes, from where, by what."""
    copy, source = facts.copy(plan.notes), facts.string(plan.pins, "source")
    measure = f", {words.size(copy.size)}" if copy else ""
    revision = words.thousands(copy.revision) if copy and copy.revision is not None else "not known"
    where = f"{'S3 (off-site)' if facts.place(source) == 'off-site' else source}, {facts.state(copy)}"
    rke = facts.string(plan.pins, "rke_version") or facts.string(plan.pins, "rke")
    kubernetes = facts.string(plan.notes, "kubernetes_version")
    return [
        ("snapshot", f"{job.snapshot}{measure}"),
        ("sha256", words.short(facts.string(plan.pins, "sha256"))),
        ("revision", revision),
        ("copy", where),
        ("rke", rke),
        *([("cluster", kubernetes)] if kubernetes else []),
        ("plan", f"{words.short(plan.digest)}, {len(plan.steps)} steps"),
    ]


def vote_buttons(job: Job) -> list[Block]:
    """Approve and Deny. Approve never acts by itself: it opens the modal, or asks when there is nothing to confirm."""
    assert job.plan
    ids: dict[str, str | int] = {"job": job.id, "plan": job.plan.digest}
    if facts.findings(job.plan, Level.YELLOW):
        approve = kit.button("vote.approve_form", "Approve…", ids, "primary")
    else:
        asks = kit.confirm(
            f"Approve the restore of {job.cluster}?",
            f"All data in etcd goes back to {words.clip(job.snapshot, 80)}, {facts.old(job)}. Later changes are lost. "
            f"The Kubernetes API is down meanwhile. Your vote is for plan {words.short(job.plan.digest)}.",
            "Approve restore",
        )
        approve = kit.button("vote.approve", "Approve", ids, "primary", asks)
    return [approve, kit.button("vote.deny_form", "Deny…", ids)]


def nodes(plan: Plan) -> str:
    """The nodes of the plan with their roles, for the whole plan."""
    rows = [
        (str(node.get("address")), ", ".join(sorted(plans.strings(node.get("roles", ())))))
        for node in plans.objects(plan.notes.get("nodes", ()))
    ]
    return words.columns(rows)
