"""Answers for one person: help, refusals, what became of a click. Never silent, never blaming."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from bot.core.approvals import CancelCode, ChoiceCode, VoteCode
from bot.core.cluster import Cluster
from bot.core.commands import SLASH, UnknownCommand, Verb
from bot.core.findings import Level
from bot.core.job import Job
from bot.core.policy import Action
from bot.core.transitions import Phase
from bot.engine.usecases import CancelAnswer, ChoiceAnswer, VoteAnswer
from handlers.blocks import facts, kit, words
from handlers.blocks.message import Block, Message

_READS: Final = (
    f"*Reads only*\n`{SLASH} list` snapshots, where their copies are, which are intact\n"
    f"`{SLASH} status [JOB]` clusters and jobs\n`{SLASH} clusters` the clusters of this channel"
)
_SAVES: Final = (
    "*Adds a snapshot, the cluster keeps running*\n"
    f"`{SLASH} save [NAME]` one intact copy per etcd node and one off-site"
)
_CANCELS: Final = f"*Stops a job before its point of no return*\n`{SLASH} cancel JOB`"
_OPTIONS: Final = "Where a channel has several clusters, add `--cluster NAME`."
_MORE: Final = {
    Verb.LIST: "Asks every etcd node and S3 now and posts one table to the channel, newest first. Changes nothing.",
    Verb.STATUS: "Posts the open jobs of this channel's clusters; with a job's id (or its beginning), that job.",
    Verb.CLUSTERS: "Shows the clusters of this channel. Only you see it.",
    Verb.HELP: "Explains all commands, or one.",
    Verb.SAVE: "Without a name it is called CLUSTER-YYYYMMDD-HHMMSSZ. Names have letters, digits, dot, dash and "
    "underscore, no leading dot or dash, at most 128 characters; a taken name is refused. Every copy is read back.",
    Verb.RESTORE: "Puts all data in etcd back to a snapshot; `latest` is the newest intact one. First it only checks "
    'and writes a plan; then the approvers vote on exactly that plan. Add `--reason "…"`: the approvers read it.',
    Verb.CANCEL: "At once before a job runs, between two steps while it runs. A restore can no longer be cancelled "
    "from its point of no return on: stopping there could leave no etcd.",
}
_USAGE: Final = {
    Verb.SAVE: " [NAME]",
    Verb.RESTORE: " NAME",
    Verb.STATUS: " [JOB]",
    Verb.CANCEL: " JOB",
    Verb.HELP: " [COMMAND]",
}


def _said(text: str, *blocks: Block) -> Message:
    return kit.finished(text, blocks)


# --- help and refusals ------------------------------------------------------------------------------------------------


def help_message(cluster: Cluster, may: Collection[Action], *, may_approve: bool, topic: str = "") -> Message:
    """What can be typed here (01), grouped by what it can break; with a topic only that command."""
    if topic:
        verb = Verb(topic)
        usage = f"{SLASH} {verb}{_USAGE.get(verb, '')}"
        return _said(f"{usage}: help.", kit.section(f"*{words.code(usage)}*\n{_MORE[verb]}"), kit.context(_OPTIONS))
    policy = cluster.approvals
    other = "" if policy.requester_counts else "other "
    people = words.plural(policy.required, f"{other}person", f"{other}people")
    restore = (
        f"*Replaces all data in etcd, {people} must approve*\n"
        f"`{SLASH} restore NAME` or `{SLASH} restore latest`\n"
        "Only checks and writes the plan at first. Nothing changes before all approvals."
    )
    buttons = [
        kit.button(f"start.{what}", label, {"cluster": cluster.name})
        for what, label in (("save", "Save now"), ("list", "List"), ("status", "Status"))
    ]
    allowed = [
        *(["list", "status"] if Action.READ in may else []),
        *(a.value for a in Action if a in may and a != "read"),
    ]
    approve = "You may approve" if may_approve else "You may not approve"
    return _said(
        f"Commands for {cluster.name}. Read only: list, status. Saves: save. Replaces data after "
        f"{words.plural(policy.required, 'approval')}: restore.",
        kit.header("What you can do here"),
        kit.section(f"This channel works on cluster *{words.plain(cluster.name)}*."),
        *(kit.section(part) for part in (_READS, _SAVES, restore, _CANCELS)),
        *kit.actions(buttons),
        kit.context(
            f"You may: {', '.join(allowed) or 'nothing'}. {approve} on this cluster.", f"More: `{SLASH} help restore`"
        ),
    )


def wrong_command(error: UnknownCommand, cluster: str = "") -> Message:
    """Nothing was done; what was typed, and the nearest valid line to copy (02)."""
    typed = words.clip(f"{SLASH} {error.typed.removeprefix(SLASH).strip()}".strip(), 300)
    button = kit.button("start.help", "Help", {"cluster": cluster})
    return _said(
        f"Nothing was done: {words.clip(error.what, 100)} Nearest: {words.clip(error.nearest, 160)}",
        kit.rich(kit.para(kit.text("Nothing was done. ", strong=True), error.what)),
        kit.rich(kit.para("You typed"), kit.pre(typed), kit.para("Nearest valid command"), kit.pre(error.nearest)),
        *kit.actions([button]),
    )


def refusal(what: str, todo: str = "") -> Message:
    """Why something was not done, and what to do."""
    more = [kit.para(todo)] if todo else []
    return _said(f"Nothing was done: {what} {todo}", kit.rich(kit.bold(what), *more))


def recorded_save(cluster: str, job_id: str) -> Message:
    """The save is safely recorded."""
    name = words.plain(cluster)
    return _said(
        f"Recorded: a save of {cluster}.",
        kit.section(
            f"*Recorded: a save of {name}.* Its message in this channel shows how it goes. Job {words.code(job_id)}"
        ),
    )


def recorded_restore(cluster: str, snapshot: str, job_id: str) -> Message:
    """The wish for a restore is safely recorded."""
    return _said(
        f"Recorded: the wish to restore {cluster} to {snapshot}. Nothing is changed yet.",
        kit.section(
            f"*Recorded: the wish to restore {words.plain(cluster)} to {words.code(snapshot)}.*",
            "Nothing is changed: it is checked first, then approvals are asked for.",
        ),
        kit.context(f"Job {words.code(job_id)}"),
    )


def recorded_list(cluster: str) -> Message:
    """The list will be posted."""
    text = f"Looking at the snapshots of {cluster}. The list is posted to this channel."
    return _said(text, kit.section(words.plain(text)))


def clusters_message(clusters: Sequence[Cluster]) -> Message:
    """The clusters of a channel."""
    count = words.plural(len(clusters), "cluster")
    lines = [f"{words.code(c.name)} on RKE host {words.plain(c.rke_host.address)}, {_approvals(c)}" for c in clusters]
    shown = lines[:40] or ["This channel belongs to no cluster."]
    return _said(f"{count} in this channel.", kit.section(f"*{count} in this channel*\n" + "\n".join(shown)))


def _approvals(cluster: Cluster) -> str:
    policy = cluster.approvals
    return f"a restore takes {words.plural(policy.people, 'person', 'people')} in all"


# --- clicks on a vote -------------------------------------------------------------------------------------------------


def vote_answer(answer: VoteAnswer, who: str, *, approve: bool, now: float) -> Message:
    """What became of a vote (21a to 21d). `who` is the person (`TEAM/USER`), `now` the time of the click (seconds)."""
    job = answer.job
    word = "approval" if approve else "deny"
    text, *sections = _VOTES[answer.code](job, who, word, now)
    plan = f" · plan {words.code(words.short(job.plan.digest))}" if job.plan else ""
    cancel = ". You can cancel it." if answer.code is VoteCode.SELF else ""
    return _said(text, *map(kit.section, sections), kit.context(f"Job {words.code(job.id)}{plan}{cancel}"))


_Answer = tuple[str, ...]  # the notification, then sections of mrkdwn


def _not_counted(word: str) -> str:
    return f"*Your {word} was not counted.*"


def _others(job: Job, who: str) -> str:
    names = [f"not {words.person(job.requester)}"] if job.policy and not job.policy.requester_counts else []
    you = [] if who == job.requester else ["not you"]
    return words.joined([*you, *names])


def _needed(job: Job) -> str:
    missing = facts.missing(job)
    return f"{missing} more {'person is' if missing == 1 else 'people are'} needed"


def _missing(job: Job) -> str:
    missing = facts.missing(job)
    return f"{words.plural(missing, 'approval')} {'is' if missing == 1 else 'are'}"


def _counted(job: Job, who: str, _word: str, _now: float) -> _Answer:
    return (
        f"Your approval is counted. {_needed(job)}.",
        f"*Your approval is counted.* {_needed(job)}, {_others(job, who)}.",
    )


def _approved(_job: Job, _who: str, _word: str, _now: float) -> _Answer:
    text = "Your approval is counted, it was the last one needed."
    return text, f"*{text}* The restore starts as soon as the cluster is free."


def _denied(job: Job, _who: str, _word: str, _now: float) -> _Answer:
    text = "Your deny ended this restore. Nothing was changed."
    return text, f"*Your deny ended this restore.* Nothing was changed on {words.plain(job.cluster)}."


def _late(job: Job, _who: str, word: str, now: float) -> _Answer:
    deny = next((vote for vote in job.votes if not vote.approve), None)
    name = words.plain(job.cluster)
    again = "If the restore is still needed, somebody asks again and you get a new plan to approve."
    if job.phase is Phase.DENIED and deny:
        ago = words.duration(now - deny.at)
        what = f"{words.person(deny.person)} denied this restore at {words.clock(deny.at)}, {ago} before your click."
        short = f"this restore was denied at {words.utc(deny.at)}. Nothing was changed."
        return _late_text(short), f"{_not_counted(word)} {what} Nothing was changed on {name}.", again
    if job.phase is Phase.CANCELLED:
        what = f"{words.person(job.cancel_by)} cancelled this restore at {words.clock(job.cancel_at)}."
        return _late_text("this restore was cancelled."), f"{_not_counted(word)} {what}", again
    if job.phase in (Phase.GATHERING, Phase.VOTING, Phase.BLOCKED):
        what = "The plan was replaced by a new one since. Read it at the top of the thread and vote there."
        return _late_text("the plan was replaced by a new one."), f"{_not_counted(word)} {what}"
    when = f" at {words.clock(job.approved_at)}" if job.approved_at else ""
    what = f"This restore was approved{when} by {words.joined([words.person(v.person) for v in facts.approvals(job)])}."
    stop = "To stop it before its point of no return, cancel it." if not (job.ended or job.past_no_return) else ""
    return _late_text("this restore was decided before."), f"{_not_counted(word)} {what} {stop}".rstrip()


def _late_text(why: str) -> str:
    return f"Your vote was not counted: {why}"


def _not_approver(job: Job, _who: str, word: str, _now: float) -> _Answer:
    who = words.approvers(job.policy) if job.policy else "nobody"
    name = words.plain(job.cluster)
    asked = "Slack says, asked just now, that you are not among them."
    return (
        f"Your vote was not counted: only approvers may vote on {job.cluster}.",
        f"{_not_counted(word)} Restores of {name} are approved by {who}. {asked}",
        f"You can help by reaching one of them. {_missing(job)} missing, until {words.clock(job.deadline)}.",
    )


def _self(job: Job, _who: str, word: str, _now: float) -> _Answer:
    missing = words.plural(facts.missing(job), "approval")
    who = words.approvers(job.policy) if job.policy else "nobody"
    others = words.plural(facts.missing(job), "other member", "other people")
    name, until = words.plain(job.cluster), words.clock(job.deadline)
    return (
        f"Your vote was not counted: you asked for this restore, so others must approve it. {missing} missing.",
        f"{_not_counted(word)} You asked for this restore, and on {name} the person who asks does not count.",
        f"{others} of {who} must approve until {until}. They have been told in the thread.",
    )


def _already(job: Job, who: str, _word: str, _now: float) -> _Answer:
    mine = next((vote for vote in job.votes if vote.person == who), None)
    utc = f" at {words.utc(mine.at)}" if mine else ""
    at = f"You approved at {words.clock(mine.at)}. " if mine else ""
    return (
        f"You have already approved this restore{utc}. {_needed(job)}.",
        f"*Your approval counts once.* {at}{_needed(job)}, {_others(job, who)}.",
        "To stop it, cancel it, or tell another approver to deny.",
    )


def _expired(job: Job, _who: str, word: str, _now: float) -> _Answer:
    at, name = job.ended_at or job.deadline, words.plain(job.cluster)
    return (
        _late_text(f"the time for votes ended at {words.utc(at)}. Nothing was changed."),
        f"{_not_counted(word)} The time for votes ended at {words.clock(at)}. Nothing was changed on {name}.",
        "If the restore is still needed, somebody asks again and you get a new plan to approve.",
    )


def _blocked(job: Job, _who: str, word: str, _now: float) -> _Answer:
    red = words.plural(len(facts.findings(job.plan, Level.RED)), "red finding")
    return (
        _late_text(f"the plan has {red}."),
        f"{_not_counted(word)} The plan has {red}, so nobody can approve it. Solve them, then press Check again.",
    )


def _unacknowledged(job: Job, _who: str, word: str, _now: float) -> _Answer:
    yellow = words.plural(len(facts.findings(job.plan, Level.YELLOW)), "yellow finding")
    return (
        _late_text("not every yellow finding was confirmed."),
        f"{_not_counted(word)} The plan has {yellow}, and each must be confirmed. Open Approve… again, or deny.",
    )


_VOTES: Final[dict[VoteCode, Callable[[Job, str, str, float], _Answer]]] = {
    VoteCode.COUNTED: _counted,
    VoteCode.APPROVED: _approved,
    VoteCode.DENIED: _denied,
    VoteCode.LATE: _late,
    VoteCode.NOT_APPROVER: _not_approver,
    VoteCode.SELF: _self,
    VoteCode.ALREADY: _already,
    VoteCode.EXPIRED: _expired,
    VoteCode.BLOCKED: _blocked,
    VoteCode.UNACKNOWLEDGED: _unacknowledged,
}


# --- cancel, new plan, choice -----------------------------------------------------------------------------------------


def cancel_answer(answer: CancelAnswer) -> Message:
    """What became of a cancel (20)."""
    job, code = answer.job, answer.code
    if code is CancelCode.TOO_LATE and job.past_no_return and job.phase is Phase.RUNNING:
        return _past_no_return(job)
    context = [kit.context(f"Job {words.code(job.id)}")] if job.version else []
    text = _cancel_text(code, job)
    return _said(text, kit.section(words.plain(text)), *context)


def _cancel_text(code: CancelCode, job: Job) -> str:
    what = f"the {job.kind} of {job.cluster}"
    match code:
        case CancelCode.CANCELLED:
            return f"Cancelled: {what}. Nothing was changed."
        case CancelCode.REQUESTED:
            return f"Recorded: {what} stops when the running step has ended."
        case CancelCode.ALREADY:
            return f"It was cancelled before: {what} stops when the running step has ended."
        case CancelCode.TOO_LATE:
            return f"Not cancelled: {what} waits for a decision. Choose Take over by hand there to end it."
        case CancelCode.ENDED:
            return f"Not cancelled: {what} has ended already, {job.phase}."
        case CancelCode.UNKNOWN:
            return "Not cancelled: there is no such job."
        case CancelCode.FORBIDDEN:
            return f"Not cancelled: you may not cancel {what}. Who asked for it may, and who has the right here."


_REMOVED: Final = (
    "etcd has been removed from all etcd nodes. Stopping now would leave the cluster without etcd. "
    "Going on brings it back."
)
_REMOVING: Final = (
    "rke removes etcd from all etcd nodes in this step, if it has not done so already. Stopping now could leave the "
    "cluster without etcd. Going on brings it back."
)
_REMOVALS: Final = {
    True: _REMOVED,
    False: f"{facts.NOTHING_REMOVED} The step has failed; the bot asks next what to do.",
    None: _REMOVING,
}
_RESTARTING: Final = (
    "etcd holds the data of the snapshot, but not every component has been restarted. Going on brings them back."
)


def _past_no_return(job: Job) -> Message:
    at = job.current
    restoring = at is not None and job.plan is not None and at <= (job.plan.no_return or 0)
    state = _REMOVALS[facts.destroyed(job)] if restoring else _RESTARTING
    made = facts.safety(job)
    name = made.copy.name if made else ""
    left = [
        "Wait. The message at the top of the thread shows every step.",
        "If a step fails, the bot stops by itself and offers to go on or to hand over.",
        *(["When it has ended: restore the safety copy, with approvals like any restore."] if name else []),
    ]
    return _said(
        f"Not cancelled: the restore of {job.cluster} is past its point of no return. Stopping would make it worse.",
        kit.section(
            f"*Not cancelled. The restore of {words.plain(job.cluster)} is past its point of no return* since "
            f"{words.clock_secs(job.no_return_at)}."
        ),
        kit.section(state),
        kit.rich(kit.bold("What is left to you"), kit.bullets(left)),
        *([kit.rich(kit.pre(f"{SLASH} restore {name}"))] if name else []),
        kit.context(f"Job {words.code(job.id)}"),
    )


def plan_again_answer(answer: CancelAnswer) -> Message:
    """What became of the wish for a new plan."""
    match answer.code:
        case CancelCode.REQUESTED:
            text = "It is checked again and gets a new plan. Votes on the old one are void."
        case CancelCode.FORBIDDEN:
            text = "Not checked again: who asked for the restore may, and who may cancel here."
        case _:
            text = f"Not checked again: the {answer.job.kind} is past that, {answer.job.phase}."
    return _said(text, kit.section(words.plain(text)), kit.context(f"Job {words.code(answer.job.id)}"))


def choice_answer(answer: ChoiceAnswer) -> Message:
    """What became of a choice (16)."""
    text = _choice_text(answer.code, answer.job)
    return _said(text, kit.section(words.plain(text)), kit.context(f"Job {words.code(answer.job.id)}"))


def _choice_text(code: ChoiceCode, job: Job) -> str:
    what = f"the {job.kind} of {job.cluster}"
    match code:
        case ChoiceCode.TAKEN:
            return f"Recorded: your choice for {what}. A worker acts on it."
        case ChoiceCode.LATE:
            return f"Your choice was not taken: {what} does not ask that any more, it is {job.phase}."
        case ChoiceCode.FORBIDDEN:
            who = "an approver of this restore decides" if job.policy else "who may save here decides"
            return f"Your choice was not taken: {who}."
