"""A save that made copies: which, where, and what that means (04, 05)."""

from collections.abc import Mapping

from bot.core import plans
from bot.core.events import Json
from bot.core.facts import S3, Copy
from bot.core.job import Job
from handlers.blocks import facts, kit, progress, words
from handlers.blocks.before import Draft
from handlers.blocks.message import Block, View


def _by_place(job: Job) -> Mapping[str, Copy | None]:
    """Every place that should have a copy, in the order of the yml, off-site last."""
    found = {copy.where: copy for copy in facts.copies(job.verdict)}
    return {place: found.get(place) for place in (*facts.etcd_nodes(job), S3)}


def _sizes(copies: list[Copy]) -> str:
    shown = sorted({copy.size for copy in copies})
    low, high = words.size(shown[0]), words.size(shown[-1])
    return f"Copies, {low} each" if low == high else f"Copies, {low} to {high}"


def _coverage(copies: Mapping[str, Copy | None]) -> str:
    nodes = [place for place in copies if place != S3]
    good = [place for place in nodes if facts.is_intact(copies[place])]
    off_site = " and off-site" if facts.is_intact(copies.get(S3)) else ""
    return f"{len(good)} of {words.plural(len(nodes), 'etcd node')}{off_site}"


def succeeded(job: Job, view: View) -> Draft:
    """Intact everywhere (04)."""
    copies = _by_place(job)
    there = [copy for copy in copies.values() if copy]
    where = _coverage(copies)
    took = facts.running_for(job, job.ended_at)
    rows = [("where", "revision", "sha256")]
    # On a phone the hash gives way to a long address: 6 digits still tell copies apart.
    room = words.PHONE - max(len(facts.place(copy.where)) for copy in there) - 13 if there else 12
    rows += [(facts.place(c.where), _revision(c), c.sha256[: min(12, max(6, room))]) for c in there]
    blocks = [
        kit.header(f"{job.cluster}: save succeeded, {job.snapshot}"),
        kit.section(
            f"*Intact on {where}.* Every copy on a node was read back: the hash etcd wrote at the file's end matches.",
            "The off-site copy is one of them; S3 checked its sha256." if facts.is_intact(copies.get(S3)) else "",
        ),
        *([kit.rich(kit.bold(_sizes(there)), kit.pre(words.columns(rows)))] if there else []),
        *_differences(there),
        *progress.checklist(job, view),
        *kit.actions([kit.button("start.list", "List", {"cluster": job.cluster})]),
        kit.context(f"Taken {words.moment(_taken(job, there))} · {took}", facts.people(job)),
    ]
    return f"{job.cluster}: {job.snapshot} saved on {where}, all copies intact. {took}.", blocks


def _taken(job: Job, copies: list[Copy]) -> float:
    return max((copy.taken_at for copy in copies), default=job.ended_at)


def _revision(copy: Copy) -> str:
    return words.thousands(copy.revision) if copy.revision is not None else "unknown"


def _differences(copies: list[Copy]) -> list[Block]:
    """Why hashes differ, before anybody is alarmed by it."""
    revisions = [copy.revision for copy in copies if copy.revision is not None]
    if len({copy.sha256 for copy in copies}) < 2 or not revisions:
        return []
    spread = max(revisions) - min(revisions)
    apart = (
        f"The copies are {words.plural(spread, 'revision')} apart." if spread else "All copies hold the same revision."
    )
    newest = spread > 0 and any(copy.where == S3 and copy.revision == max(revisions) for copy in copies)
    one = "A restore puts one copy on all nodes" + ("; off-site is the newest." if newest else ".")
    return [kit.section("The sha256 differ because every etcd member takes its own snapshot.", apart, one)]


def partial(job: Job, view: View) -> Draft:
    """Intact somewhere, not everywhere (05)."""
    copies = _by_place(job)
    there = [copy for copy in copies.values() if copy]
    gaps = {place: copy for place, copy in copies.items() if not facts.is_intact(copy)}
    where, short = _coverage(copies), _short(gaps) if gaps else facts.problem_word(job)
    again = kit.button("start.save", "Save again", {"cluster": job.cluster}, "primary")
    blocks = [
        kit.header(f"{job.cluster}: save partial, {short}"),
        kit.section(f"*{words.code(job.snapshot)} is intact on {where}.*", *_gaps(gaps)),
        kit.rich(
            kit.bold(_sizes(there) if there else "Copies"),
            kit.pre(_table(job, copies)),
        ),
        kit.section("*What it means.*", *_meaning(gaps)),
        *_problems(job),
        *_rke_said(job),
        *progress.checklist(job, view),
        *kit.actions([again, *facts.output_button(job)]),
        kit.context(
            f"Taken {words.moment(_taken(job, there))} · asked by {words.person(job.requester)} · {facts.job_id(job)}"
        ),
    ]
    text = f"{job.cluster}: save partial: {job.snapshot} is on {where}; {short}."
    return text, blocks


def _table(job: Job, copies: Mapping[str, Copy | None]) -> str:
    """One line per place, on a phone's width: why there is no copy is cut short here and stands in full below."""
    why = {facts.string(m, "node"): facts.string(m, "why") for m in plans.objects(_missing(job))}
    room = words.PHONE - max(len(facts.place(place)) for place in copies) - 2
    lines = {facts.place(p): _fitting(_line(c, why.get(p, "")), max(room, 9)) for p, c in copies.items()}
    return progress.node_lines({"where": "state"} | lines if len(lines) < progress.MANY else lines)


def _fitting(line: str, room: int) -> str:
    """The line, or its first words where the rest would be a stump."""
    return line if len(line) <= room else words.clip(line, room) if room > 24 else line.partition(", ")[0]


def _missing(job: Job) -> Json:
    return job.result("check_copies").get("missing", ())


def _line(copy: Copy | None, why: str) -> str:
    if copy is None:
        return f"no copy, {why}" if why else "no copy"
    return f"{facts.state(copy)}, revision {_revision(copy)}" if facts.is_intact(copy) else facts.state(copy)


def _short(gaps: Mapping[str, Copy | None]) -> str:
    nodes = [place for place in gaps if place != S3]
    if not nodes:
        return "not off-site"
    word = "no copy" if all(gaps[node] is None for node in nodes) else "no intact copy"
    return f"{word} on {nodes[0] if len(nodes) == 1 else f'{len(nodes)} nodes'}"


def _gaps(gaps: Mapping[str, Copy | None]) -> list[str]:
    return [_gap(place, copy) for place, copy in gaps.items()] or ["No copy is missing; something else went wrong."]


def _gap(place: str, copy: Copy | None) -> str:
    if place == S3:
        return "No copy is off-site." if copy is None else f"The off-site copy is {facts.state(copy)}."
    name = words.plain(place)
    return f"{name} has no copy." if copy is None else f"The copy on {name} is {facts.state(copy)}."


def _meaning(gaps: Mapping[str, Copy | None]) -> list[str]:
    sentences = ["The snapshot can be restored: one intact copy is enough."]
    lost = [words.plain(place) for place, copy in gaps.items() if copy is None and place != S3]
    if lost:
        sentences.append(f"A restore will not start while {words.joined(lost, 'or')} is unreachable.")
    if S3 in gaps:
        sentences.append("It is not off-site: what destroys the nodes destroys it too.")
    return sentences


def _problems(job: Job) -> list[Block]:
    problems = plans.objects(job.verdict.get("problems", ()))
    items = [
        kit.para(f"{facts.string(problem, 'what')} ", *_todo(facts.string(problem, "todo")))
        for problem in problems[: progress.MANY]
    ]
    return [kit.rich(kit.bold("What happened, what to do"), kit.bullets(items))] if items else []


def _todo(todo: str) -> list[Block | str]:
    return [kit.text("To do: ", strong=True), todo] if todo else []


def _rke_said(job: Job) -> list[Block]:
    """The exact error, and a word about an exit status that misleads."""
    result = job.result("rke_save")
    lines = [*facts.strings(result, "warnings"), *([facts.string(result, "error")] if result.get("error") else [])]
    status = int(plans.number(result.get("status") or 0))
    if not lines:
        return []
    skipped = "rke ended with status 0 and wrote “on all etcd hosts”. It does so when it has skipped a host."
    decoded = facts.string(result, "meaning") or (f"rke ended with status {status}." if status else skipped)
    return [kit.rich(kit.bold("Exact error"), kit.pre(kit.tail(lines)), kit.para(decoded))]
