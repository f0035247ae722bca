"""What is posted for everybody to see: the snapshots of a cluster, and how all clusters stand."""

from collections.abc import Mapping, Sequence
from typing import Final

from bot.core import plans
from bot.core.facts import S3
from bot.core.job import Job
from bot.core.snapshots import Snapshot, copy_from_json, latest, merge
from bot.core.transitions import Phase
from bot.engine.ports import Query
from handlers.blocks import facts, kit, words
from handlers.blocks.message import Block, Message

MAX_ROWS: Final = 60
RENEWS: Final = "renews"  # in a button's value: the answer takes the place of the message it is clicked on
_TABLE_CHARACTERS: Final = 6_000  # of the rows; the same rows are longer as a list, and a message holds some 11,000
_MAX_CLUSTERS: Final = 40
_NOTED: Final = 5


def query_message(query: Query) -> Message:
    """The answer of a query."""
    result = query.result or {}
    error = facts.string(result, "error")
    if error:
        return list_failed(query.cluster, error, facts.string(result, "todo"))
    rows = merge(copy_from_json(copy) for copy in plans.objects(result.get("copies", ())))
    answered = {place: str(why) for place, why in plans.mapping(result.get("answered", {})).items()}
    nodes = {node: answered.get(node, "") for node in facts.strings(result, "etcd_nodes")}
    s3 = {S3: answered[S3]} if S3 in answered else {}
    return list_message(query.cluster, rows, nodes | s3, plans.number(result.get("at") or 0))


def list_failed(cluster: str, what: str, todo: str) -> Message:
    """Nothing could be looked at."""
    parts = [kit.bold(what), *([kit.para(kit.text("To do: ", strong=True), todo)] if todo else [])]
    blocks = [
        kit.header(f"{cluster}: snapshots not known"),
        kit.section("*The list could not be made.* It says nothing about whether there are snapshots."),
        kit.rich(*parts),
        *kit.actions([_look_again(cluster)]),
    ]
    return kit.finished(f"{cluster}: the snapshots could not be listed. {what}", blocks)


def list_message(cluster: str, rows: Sequence[Snapshot], answered: Mapping[str, str], now: float) -> Message:
    """The snapshots of a cluster, newest first (06). `answered` has every place that was asked, the etcd nodes, then
    S3, with "" or why it did not answer. `now` is when they were asked, 0 if that is not known.
    """
    if not rows:
        return list_empty(cluster, answered, now)
    nodes, silent = [place for place in answered if place != S3], _silent(answered)
    shown = _fitting(rows, len(nodes))
    newest, sentence = _newest(rows, len(nodes), now)
    count = words.plural(len(rows), "snapshot")
    bad = [row for row in rows if row.worst.value == "corrupt"]
    noted = f" {len(bad)} {'has' if len(bad) == 1 else 'have'} a corrupt copy." if bad else ""
    blocks = [
        kit.header(f"{cluster}: {count}{silent}"),
        kit.section(sentence),
        _table(cluster, shown, len(nodes)),
        *([kit.section(_attention(bad))] if bad else []),
        *_unanswered(answered),
        *kit.actions([kit.button("start.save", "Save now", {"cluster": cluster}), _look_again(cluster)]),
        kit.context(
            f"{_who_answered(answered, now)} Intact: the hash at the end of the file matches.",
            f"Nodes: etcd nodes that {'answered and ' if any(answered[node] for node in nodes) else ''}hold a copy.",
            f"The {len(shown)} newest of {len(rows)} are shown." if len(shown) < len(rows) else "",
        ),
    ]
    return kit.finished(f"{cluster}: {count}{silent}. {newest}{noted}", blocks)


def list_empty(cluster: str, answered: Mapping[str, str], now: float) -> Message:
    """No snapshot was found (07). Whether there is none is only known when every place answered."""
    silent = _silent(answered)
    state = {place: "did not answer" if why else "answered, no snapshot" for place, why in answered.items()}
    table = words.columns([("S3" if place == S3 else place, text) for place, text in state.items()])
    if silent:
        first, header = (
            f"*No snapshot was found, but not every place answered.*{' It may hold one.'}",
            "no snapshot found",
        )
    else:
        first, header = "*If etcd is lost now, there is nothing to restore from.*", "no snapshot"
    known = f"All {len(answered)} answered, so none is hidden by an error."
    blocks = [
        kit.header(f"{cluster}: {header}{silent}"),
        kit.section(first),
        kit.rich(kit.bold("Looked in /opt/rke/etcd-snapshots and in S3"), kit.pre(table)),
        *(_unanswered(answered) if silent else [kit.section(known)]),
        *kit.actions([kit.button("start.save", "Save now", {"cluster": cluster}, "primary")]),
        kit.context(f"Looked at {words.clock_secs(now)}" if now else "Looked at just now"),
    ]
    if silent:
        return kit.finished(f"{cluster}: no snapshot found{silent}.", blocks)
    return kit.finished(f"{cluster} has no snapshot. All nodes and S3 answered. Save one now.", blocks)


def _look_again(cluster: str) -> Block:
    return kit.button("start.list", "Look again", {"cluster": cluster, RENEWS: 1})


def _silent(answered: Mapping[str, str]) -> str:
    places = ["S3" if place == S3 else place for place, why in answered.items() if why]
    if not places:
        return ""
    return f", {places[0] if len(places) == 1 else f'{len(places)} places'} did not answer"


def _unanswered(answered: Mapping[str, str]) -> list[Block]:
    items = [
        kit.para(kit.text(f"{'S3' if place == S3 else place}: ", strong=True), why)
        for place, why in answered.items()
        if why
    ]
    return [kit.rich(kit.bold("Did not answer"), kit.bullets(items[:_NOTED]))] if items else []


def _who_answered(answered: Mapping[str, str], now: float) -> str:
    nodes = [why for place, why in answered.items() if place != S3]
    good = sum(not why for why in nodes)
    count = f"All {words.plural(good, 'etcd node')}" if good == len(nodes) else f"{good} of {len(nodes)} etcd nodes"
    s3 = "" if S3 not in answered else ", not S3," if answered[S3] else " and S3"
    return f"{count}{s3} answered{f' at {words.clock_secs(now)}' if now else ''}."


def _newest(rows: Sequence[Snapshot], nodes: int, now: float) -> tuple[str, str]:
    """The answer above the table: in plain words, and as mrkdwn."""
    row = latest(rows)
    if row is None:
        none = "No snapshot is known to be intact."
        return none, f"*{none}* A restore needs one intact copy."
    where = f"on {len(row.nodes)} of {words.plural(nodes, 'etcd node')}" if row.nodes else "on no etcd node"
    where += " and off-site" if row.off_site else ""
    old = f"{words.age(now - row.taken_at)} old" if now else f"taken {words.utc(row.taken_at, '%Y-%m-%d %H:%M UTC')}"
    sentence = f"*Newest intact: {words.code(row.name)}*, {old}, {where}. None is proven yet by a test restore."
    return f"Newest intact: {row.name}, {old}, {where}.", sentence


def _attention(bad: Sequence[Snapshot]) -> str:
    head = f"*{len(bad)} need{'s' if len(bad) == 1 else ''} attention.*"
    said = [_corrupt(row) for row in bad[:_NOTED]]
    more = [f"{len(bad) - _NOTED} more stand in the table."] if len(bad) > _NOTED else []
    return " ".join([head, *said, *more])


def _corrupt(row: Snapshot) -> str:
    if row.intact:
        use = (
            "Its other copies are intact; a restore uses those."
            if len(row.copies) > 2
            else "A restore uses another copy."
        )
    else:
        use = "It has no intact copy: it cannot be restored."
    return f"{words.code(row.name)} is {words.plain(row.in_words)}. {use}"


def _fitting(rows: Sequence[Snapshot], nodes: int) -> Sequence[Snapshot]:
    room = _TABLE_CHARACTERS
    for index, row in enumerate(rows[:MAX_ROWS]):
        room -= kit.characters(_row(row, nodes))
        if room < 0:
            return rows[:index]
    return rows[:MAX_ROWS]


def _raw(text: str) -> Block:
    return {"type": "raw_text", "text": words.clip(text, 128) or "none"}


def _number(value: float, text: str) -> Block:
    return {"type": "raw_number", "value": value, "text": text}


def _row(row: Snapshot, nodes: int) -> list[Block]:
    when = {"type": "rich_text", "elements": [kit.para(kit.date(row.taken_at))]}
    return [
        _raw(row.name),
        when,
        _raw(row.in_words),
        _number(len(row.nodes), f"{len(row.nodes)} of {nodes}"),
        _raw("yes" if row.off_site else "no"),
        _number(round(row.size / 1024**2, 1), words.size(row.size)),
    ]


def _table(cluster: str, rows: Sequence[Snapshot], nodes: int) -> Block:
    heads = [_raw(head) for head in ("Name", "Taken", "Integrity", "Nodes", "Off-site", "Size")]
    return {
        "type": "data_table",
        "caption": f"Snapshots of {cluster}, newest first",
        "page_size": 10,
        "row_header_column_index": 0,
        "rows": [heads, *(_row(row, nodes) for row in rows)],
    }


# --- status -----------------------------------------------------------------------------------------------------------


def status_message(clusters: Mapping[str, Sequence[Job]], now: float) -> Message:
    """How the clusters stand (26), those that need somebody first. The jobs are the open ones of each cluster."""
    order = sorted(
        clusters, key=lambda name: (min((_RANK.get(job.phase, 2) for job in clusters[name]), default=3), name)
    )
    held = [name for name in clusters if any(job.phase is Phase.ASKING for job in clusters[name])]
    busy = [name for name in clusters if clusters[name] and name not in held]
    idle = len(clusters) - len(held) - len(busy)
    parts = ((len(held), "on hold"), (len(busy), "with jobs"), (idle, "without a job"))
    counts = ", ".join(f"{number} {what}" for number, what in parts if number)
    count = words.plural(len(clusters), "cluster")
    blocks = [
        kit.header(f"{count}: {counts}"),
        *(kit.section(_cluster(name, clusters[name])) for name in order[:_MAX_CLUSTERS]),
        kit.context(
            f"Looked at {words.clock_secs(now)}. Snapshots and their copies: {words.code('/etcd-snapshot list')}"
        ),
    ]
    worst = f" {words.joined(held)} {'needs' if len(held) == 1 else 'need'} a decision." if held else ""
    return kit.finished(f"{count}: {counts}.{worst}", blocks)


_RANK: Final = {Phase.ASKING: 0, Phase.BLOCKED: 1}


def _cluster(name: str, jobs: Sequence[Job]) -> str:
    if not jobs:
        return f"*{words.plain(name)}: no job*"
    held = any(job.phase is Phase.ASKING for job in jobs)
    head = "on hold, needs a decision" if held else words.plural(len(jobs), "open job")
    return "\n".join([f"*{words.plain(name)}: {head}*", *(_job(job) for job in jobs[:_NOTED])])


def _job(job: Job) -> str:
    what = f"{job.kind.capitalize()} {words.code(job.id)} of {words.code(job.snapshot)}"
    return f"{what} {state_words(job)}, asked by {words.person(job.requester)} {words.clock(job.requested_at)}"


def state_words(job: Job) -> str:
    """Where a job stands, as the rest of a sentence."""
    match job.phase:
        case Phase.GATHERING | Phase.NEW:
            return "is being checked"
        case Phase.BLOCKED:
            return "is blocked by red findings"
        case Phase.VOTING:
            return f"waits for {words.plural(facts.missing(job), 'approval')}"
        case Phase.QUEUED | Phase.APPROVED:
            return "waits for its turn"
        case Phase.RUNNING:
            return f"runs, {facts.step_word(job)}"
        case Phase.ASKING:
            return f"stopped {facts.stopped(job)}"
        case Phase.AGAIN | Phase.GIVING_UP:
            return f"goes on {facts.stopped(job)}" if job.phase is Phase.AGAIN else "is handed over"
        case _:
            return f"has ended: {job.phase}"
