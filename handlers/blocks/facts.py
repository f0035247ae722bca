"""What messages say about a job, read out of its plan, results and verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core import plans
from bot.core.events import Data
from bot.core.facts import S3, Copy, Integrity
from bot.core.findings import Finding, Level
from bot.core.job import Job, StepState, Vote
from bot.core.plans import Kind, Plan
from bot.core.snapshots import copy_from_json
from handlers.blocks import kit, words
from handlers.blocks.message import Block

NOTHING_REMOVED = "rke had removed nothing yet."


def copies(raw: Data) -> tuple[Copy, ...]:
    """The copies in a result or verdict."""
    return tuple(copy_from_json(item) for item in plans.objects(raw.get("copies", ())))


def copy(raw: Data) -> Copy | None:
    """The one copy in a result or in a plan's notes, if there is one."""
    value = raw.get("copy")
    return copy_from_json(plans.mapping(value)) if value else None


def strings(raw: Data, key: str) -> tuple[str, ...]:
    """A list of strings, empty when it is not there."""
    return plans.strings(raw.get(key, ()))


def string(raw: Data, key: str) -> str:
    """A string, empty when it is not there."""
    return str(raw.get(key) or "")


def etcd_nodes(job: Job) -> tuple[str, ...]:
    """Addresses of the etcd nodes as far as they are known."""
    if job.kind is Kind.RESTORE:
        return strings(job.plan.notes, "etcd_nodes") if job.plan else ()
    return strings(job.verdict, "etcd_nodes") or strings(job.result("check"), "etcd")


def findings(plan: Plan | None, level: Level) -> tuple[Finding, ...]:
    """The findings of one level, in the order of the plan."""
    return tuple(f for f in plan.findings if f.level is level) if plan else ()


def votes(job: Job) -> tuple[Vote, ...]:
    """The votes that count: those of one Redis process, the newest. Earlier ones must be cast again."""
    return tuple(vote for vote in job.votes if vote.run_id == job.votes[-1].run_id)


def approvals(job: Job) -> tuple[Vote, ...]:
    """The approving votes that count."""
    return tuple(vote for vote in votes(job) if vote.approve)


def missing(job: Job) -> int:
    """How many more approvals are needed."""
    return max(0, job.policy.required - len(approvals(job))) if job.policy else 0


def taken_at(job: Job) -> float:
    """When the data of the snapshot to restore was taken, 0 if that is not known."""
    return plans.number(job.plan.notes.get("taken_at") or 0) if job.plan else 0


def data_of(job: Job) -> str:
    """What etcd goes back to: the time of the snapshot's data, or its name; mrkdwn."""
    taken = taken_at(job)
    return words.moment(taken) if taken else words.code(job.snapshot)


def old(job: Job) -> str:
    """How old the snapshot was when the plan was made."""
    taken = taken_at(job)
    return f"{words.age(job.planned_at - taken)} old" if taken else "of unknown age"


def running_for(job: Job, now: float) -> str:
    """How long a started job has run by now, or ran."""
    return words.duration((job.ended_at or now) - (job.started_at or job.queued_at or job.requested_at))


def stopped(job: Job) -> str:
    """Where a job stands or stopped: "in step 4 of 10", "after step 4 of 10", "before step 1"."""
    at = job.current
    if at is None:
        return f"after step {len(job.steps)} of {len(job.steps)}"
    if job.steps[at].state is not StepState.PENDING:
        return f"in step {at + 1} of {len(job.steps)}"
    return f"after step {at} of {len(job.steps)}" if at else "before step 1"


def step_word(job: Job) -> str:
    """The step a job is at, "step 6 of 10"."""
    at = job.current
    return f"step {len(job.steps) if at is None else at + 1} of {len(job.steps)}"


def place(where: str) -> str:
    """A place as people call it."""
    return "off-site" if where == S3 else where


def state(found: Copy | None) -> str:
    """A copy's state in one or two words."""
    return found.integrity.value if found else "no copy"


def is_intact(found: Copy | None) -> bool:
    """Whether there is a copy and it is intact."""
    return found is not None and found.integrity is Integrity.INTACT


@dataclass(frozen=True, slots=True)
class Safety:
    """The safety copy a restore made before it destroyed anything."""

    copy: Copy
    places: Sequence[str]

    def sentence(self) -> str:
        """Name, size and places, in mrkdwn."""
        where = words.plain(words.joined(self.places))
        return f"{words.code(self.copy.name)}, {words.size(self.copy.size)}, {state(self.copy)}, on {where}"


def safety(job: Job) -> Safety | None:
    """The safety copy, None if there is none (yet)."""
    result = job.result("safety_copy")
    found = copy(result)
    if found is None:
        return None
    return Safety(found, [*strings(result, "on"), *(["off-site"] if result.get("off_site") else [])])


def way_back(job: Job) -> list[Block]:
    """What leads back to the data before this restore: the safety copy, or that there is none."""
    made = safety(job)
    if made:
        return [kit.section(f"Way back: safety copy {made.sentence()}.")]
    result = job.result("safety_copy")
    if not result:
        return []
    why = string(result, "problem") or "No member could be saved."
    return [kit.rich(kit.para(kit.text("No way back: no safety copy was made. ", strong=True), kit.text(why)))]


def problem_word(job: Job) -> str:
    """What kept a save with all its copies from being green, short enough for a headline; the whole stands below it."""
    found = [string(problem, "what") for problem in plans.objects(job.verdict.get("problems", ()))]
    if not found:
        return "not all of it is known"
    return words.clip(found[0].partition(": ")[0].rstrip("."), 90) if len(found) == 1 else f"{len(found)} problems"


def job_id(job: Job) -> str:
    """The id as code, as the last words of the small print."""
    return f"job {words.code(job.id)}"


def asked(job: Job) -> str:
    """Who asked and when, the plan and the ids."""
    plan = f" · plan {words.code(words.short(job.plan.digest))}" if job.plan and job.kind is Kind.RESTORE else ""
    return f"Asked by {words.person(job.requester)} at {words.clock(job.requested_at)}{plan} · {job_id(job)}"


def people(job: Job) -> str:
    """Who approved and when, who asked, the id."""
    who = [f"{words.person(vote.person)} {words.clock(vote.at)}" for vote in approvals(job)]
    approved = f"Approved by {words.joined(who)} · asked" if who else "Asked"
    return f"{approved} by {words.person(job.requester)} · {job_id(job)}"


def reason(job: Job) -> list[Block]:
    """The reason given with the command, as a quote; nothing when none was given."""
    return [kit.bold("Reason given"), kit.quote(job.reason)] if job.reason else []


def destroyed(job: Job) -> bool | None:
    """Whether rke has removed anything of the old cluster in a restore; None while nobody knows, because its output has
    not been judged yet, or only that of a later attempt.
    """
    if not job.past_no_return or job.plan is None or job.plan.no_return is None:
        return False
    run = job.steps[job.plan.no_return]
    if run.state is StepState.DONE or run.result.get("destroyed"):
        return True
    judged = run.state is StepState.FAILED and "destroyed" in run.result and run.attempt == 1
    return False if judged else None


def output_button(job: Job) -> list[Block]:
    """Shows the output of the newest rke run, of an ended restore that of snapshot-restore."""
    ran = [index for index, run in enumerate(job.steps) if run.step.detached and run.attempt]
    if not ran:
        return []
    shown = next((index for index in ran if job.ended and job.steps[index].step.no_return), ran[-1])
    return [kit.button("job.output", "Show rke output", {"job": job.id, "step": shown + 1})]


def plan_button(job: Job) -> list[Block]:
    """Opens the whole plan."""
    ids: dict[str, str | int] = {"job": job.id, "plan": job.plan.digest if job.plan else ""}
    return [kit.button("job.plan", "Show full plan", ids)] if job.plan else []


def error(job: Job) -> list[Block]:
    """The exact error of the step that failed last, and the sentence that decodes it."""
    at = job.current
    run = job.steps[at] if at is not None else None
    if run is None or not run.error:
        return []
    shown = [kit.bold("Why"), kit.pre(words.clip(run.error, 1500))]
    if run.lines:
        shown.append(kit.pre(kit.tail(run.lines)))
    return [kit.rich(*shown, *([kit.para(run.todo)] if run.todo else []))]
