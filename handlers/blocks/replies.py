"""The short replies in a job's thread: an edit notifies nobody, so what must be noticed is said there too."""

from collections.abc import Callable
from typing import Final

from bot.core import plans
from bot.core.facts import S3
from bot.core.findings import Level
from bot.core.job import Job
from bot.core.plans import Kind
from bot.core.transitions import Phase
from handlers.blocks import facts, words
from handlers.blocks.message import Reply, View


def replies(before: Job, after: Job, _view: View) -> tuple[Reply, ...]:
    """What to say about the one event that leads from `before` to `after`: nothing or one reply."""
    text, broadcast = _told(before, after)
    return (Reply(f"{after.id}:{after.version}", text, broadcast),) if text else ()


_Told = tuple[str, bool]  # the text, and whether the channel sees it too
_NOTHING: Final[_Told] = ("", False)


def _told(before: Job, after: Job) -> _Told:
    if after.phase is not before.phase and after.phase in _ENTERED:
        return _ENTERED[after.phase](before, after)
    if len(after.votes) > len(before.votes):
        return _vote(after), False
    if after.voided > before.voided:
        votes = f" and its {words.plural(len(before.votes), 'vote')} are" if before.votes else " is"
        return f"The plan{votes} void. The checks run again and write a new one.", False
    if len(after.takeovers) > len(before.takeovers):
        lost = words.duration(after.takeovers[-1].lost_for)
        return f"Worker lost for {lost}, another one resumes at {facts.step_word(after)}.", False
    if after.cancel_at and not before.cancel_at and after.phase is Phase.RUNNING:
        who = words.person(after.cancel_by)
        return f"{who} cancelled it. It stops when the running step has ended.", False
    return _NOTHING


def _cluster(job: Job) -> str:
    return words.plain(job.cluster)


def _vote(job: Job) -> str:
    vote = job.votes[-1]
    if not vote.approve:
        return ""  # Denied follows in the same append and says it
    missing = facts.missing(job)
    if missing:
        needed = f"{words.plural(missing, 'more approval')} by another person {'is' if missing == 1 else 'are'} needed."
        return f"{words.person(vote.person)} approved. {needed}"
    required = job.policy.required if job.policy else 0
    return (
        f"{words.person(vote.person)} approved, {required} of {required}. The restore starts when the cluster is free."
    )


def _asked(_before: Job, job: Job) -> _Told:
    if not job.policy:
        return _NOTHING
    groups = "".join(f"<!subteam^{group}> " for group in job.policy.groups)
    who = groups + "".join(f"<@{user}> " for user in job.policy.users)
    needed = words.plural(job.policy.required, "approval")
    return (
        f"{who}{_cluster(job)}: a restore of {words.plain(job.snapshot)} waits for {needed} until "
        f"{words.clock(job.deadline)}. The plan is at the top of this thread."
    ), False


def _blocked(_before: Job, job: Job) -> _Told:
    red = len(facts.findings(job.plan, Level.RED))
    return f"Restore blocked: {words.plural(red, 'red finding')}. Nothing was changed.", False


def _denied(_before: Job, job: Job) -> _Told:
    deny = next((vote for vote in job.votes if not vote.approve), None)
    by = f" by {words.person(deny.person)}" if deny else ""
    return f"Restore denied{by}. Nothing was changed.", True


def _expired(_before: Job, job: Job) -> _Told:
    kind = job.kind.capitalize()
    if job.verdict.get("which") == "execution":
        return f"{kind} expired: it did not start in time. Nothing was changed.", True
    if not job.policy or facts.findings(job.plan, Level.RED):
        return f"{kind} expired. Nothing was changed.", True
    given = len(facts.approvals(job))
    within = words.duration(job.policy.approval_lifetime)
    count = f"{given} of {words.plural(job.policy.required, 'approval')}"
    return f"{kind} expired: {count} in {within}. Nothing was changed.", True


def _cancelled(_before: Job, job: Job) -> _Told:
    who = words.person(job.cancel_by)
    if job.kind is Kind.SAVE:
        return f"Save cancelled by {who}. The cluster kept running.", True
    point = " before the point of no return" if job.mutated else ""
    return f"Restore cancelled by {who}{point}. Cluster data was not touched.", True


def _asking(_before: Job, job: Job) -> _Told:
    people = dict.fromkeys((job.requester, *(vote.person for vote in job.votes)))
    who = " ".join(words.person(person) for person in people)
    where = facts.stopped(job).partition(" of ")[0]
    effect = "The cluster keeps running." if job.kind is Kind.SAVE else _state_of_cluster(job)
    return f"{who} {_cluster(job)}: the {job.kind} stopped {where} and needs a decision. {effect}", True


def _state_of_cluster(job: Job) -> str:
    destroyed = facts.destroyed(job)
    if not job.past_no_return:
        return "Cluster data is not touched."
    if destroyed is None:
        return "The cluster may be down or half restored."
    return "The cluster is down or half restored." if destroyed else facts.NOTHING_REMOVED


def _chosen(_before: Job, job: Job) -> _Told:
    if job.question is None or not job.question.choice:
        return _NOTHING
    who = words.person(job.question.chosen_by)
    if job.phase is Phase.AGAIN:
        return f"{who} chose to go on with {facts.step_word(job)}.", True
    return f"{who} takes over by hand. The bot makes sure that nothing of this job runs any more.", True


def _succeeded(_before: Job, job: Job) -> _Told:
    name = words.plain(job.snapshot)
    if job.kind is Kind.SAVE:
        nodes = len(facts.etcd_nodes(job))
        return f"Save succeeded: {name} is intact on {nodes} of {words.plural(nodes, 'etcd node')} and off-site.", False
    nodes, checks = len(facts.etcd_nodes(job)), len(plans.objects(job.verdict.get("checks", ())))
    on = f"{nodes} of {words.plural(nodes, 'node')}"
    return f"Restore succeeded: {name} is back on {on}, {checks} of {words.plural(checks, 'check')} green.", True


def _partial(_before: Job, job: Job) -> _Told:
    if job.kind is Kind.RESTORE:
        checks = plans.objects(job.verdict.get("checks", ()))
        bad = [facts.string(check, "name") for check in checks if not check.get("ok")]
        names = words.plain(words.clip(words.joined(bad), 100))
        count = f"{len(checks) - len(bad)} of {words.plural(len(checks), 'check')} are green"
        return f"Restore partial: etcd was restored, {count}. Not green: {names}.", True
    copies = facts.copies(job.verdict)
    good = {copy.where for copy in copies if facts.is_intact(copy)}
    nodes = facts.etcd_nodes(job)
    on = words.joined([words.plain(node) for node in nodes if node not in good])
    gaps = [*([f"on {on}"] if on else []), *(["off-site"] if S3 not in good else [])]
    count = f"{len(good & set(nodes))} of {words.plural(len(nodes), 'node')}"
    name = words.plain(job.snapshot)
    if not gaps:
        why = words.plain(facts.problem_word(job))
        return f"Save partial: {name} is intact on {count} and off-site, but: {why}.", True
    return f"Save partial: no intact copy of {name} {words.joined(gaps)}. Intact on {count}.", True


def _failed(_before: Job, job: Job) -> _Told:
    what = words.plain(words.clip(facts.string(job.verdict, "what"), 200))
    return f"{job.kind.capitalize()} failed {facts.stopped(job).partition(' of ')[0]}. {what}", True


_ENTERED: Final[dict[Phase, Callable[[Job, Job], _Told]]] = {
    Phase.VOTING: _asked,
    Phase.BLOCKED: _blocked,
    Phase.DENIED: _denied,
    Phase.EXPIRED: _expired,
    Phase.CANCELLED: _cancelled,
    Phase.ASKING: _asking,
    Phase.AGAIN: _chosen,
    Phase.GIVING_UP: _chosen,
    Phase.SUCCEEDED: _succeeded,
    Phase.PARTIAL: _partial,
    Phase.FAILED: _failed,
}
