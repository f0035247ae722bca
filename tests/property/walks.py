"""Random lives of jobs: legal ones for whoever needs a job in any state, and attempts at illegal ones."""

from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from bot.core.events import Event, EventType, Json
from bot.core.job import Job, apply
from bot.core.plans import Kind
from bot.core.transitions import Phase, Writer, writer
from bot.errors import Fatal
from tests.unit import jobs

_E = EventType
PEOPLE = ("T1/U1", "T1/U2", "T1/U3", "T1/U4")


@dataclass(frozen=True, slots=True)
class Walk:
    """A job and the events that made it."""

    job: Job
    events: tuple[Event, ...]


def data_of(type_: EventType, job: Job, dice: Random) -> dict[str, Json]:
    """Data of the right shape for that event: mostly as a correct writer would fill it in, sometimes off by one."""
    step = (job.current or 0) + dice.choice([0] * 9 + [1])
    now = job.steps[step] if 0 <= step < len(job.steps) else None
    digest = job.plan.digest if job.plan else "0" * 64
    policy = jobs.with_policy(required=dice.randint(1, 2))
    red = [jobs.RED] if type_ is _E.BLOCKED else []
    plan = jobs.restore_plan(*red, *dice.choice([(), (jobs.YELLOW,)]))
    shapes: dict[EventType, dict[str, Json]] = {
        _E.REQUESTED: {
            "kind": job.kind.value,
            "cluster": "prod",
            "snapshot": "before-upgrade",
            "channel": "C1",
            "team": "T1",
            "reason": dice.choice(["", "it broke"]),
            "options": {},
            "plan": jobs.save_plan().to_json() if job.kind is Kind.SAVE else None,
        },
        _E.VOTE_CAST: {"verdict": dice.choice(["approve"] * 19 + ["deny"]), "digest": digest},
        _E.APPROVED: {"digest": digest, "execute_by": 5000.0},
        _E.QUEUED: {"execute_by": 0 if job.kind is Kind.SAVE else 5000.0},
        _E.CLAIMED: {"lost_for": dice.choice([0, 0, 12.5])},
        _E.STEP_STARTED: {"step": step, "attempt": (now.attempt if now else 0) + dice.choice([1] * 5 + [0])},
        _E.STEP_SUCCEEDED: {"step": step, "attempt": now.attempt if now else 0, "result": {}},
        _E.STEP_FAILED: {"step": step, "attempt": now.attempt if now else 0, "error": "it failed", "todo": "look"},
        _E.NEEDS_HUMAN: {"what": "rke failed", "choices": ["again", "hand-over"], "no_return": dice.random() < 0.5},
        _E.HUMAN_CHOICE: {
            "choice": dice.choice(["again", "hand-over", "other"]),
            "answers": (job.question.version if job.question else 0) + dice.choice([0] * 5 + [1]),
        },
        _E.FAILED: {"what": "it failed", "todo": "look"},
        _E.DENIED: {"reason": "no"},
        _E.EXPIRED: {"which": "approval"},
        _E.CANCELLED: {"done": []},
        _E.PLAN_AGAIN: {"why": "asked"},
    }
    if type_ in (_E.PLANNED, _E.BLOCKED):
        return {"plan": plan.to_json(), "policy": policy.to_json(), "expires_at": job.last_at + 3600}
    return shapes.get(type_, {})


def attempt(job: Job, type_: EventType, dice: Random) -> Event:
    """An event of that type at the end of the journal, by the right kind of writer."""
    worker = writer(type_, job.phase) is Writer.PROGRESS
    token = max(job.token, 1) + dice.choice([0, 0, 0, 1]) if worker else None
    by = "worker:w1" if worker else dice.choice(PEOPLE[1:] * 6 + PEOPLE[:1])
    at = job.last_at + dice.choice([0.5, 1.0, 60.0])
    return Event(type_, job.id, job.version + 1, at, by, "run-1", f"e{job.version}", token, data_of(type_, job, dice))


def follows(job: Job, event: Event) -> Job | None:
    """The job after `event`, None if that is not legal."""
    try:
        return apply(job, event)
    except Fatal:
        return None


def walk(seed: int, steps: int, kind: Kind) -> Walk:
    """A legal life of a job of at most that many events. Ends are rare, so that jobs get far."""
    dice = Random(seed)
    job = Job("7f3a91c2", kind=kind)
    events: list[Event] = []
    while len(events) < steps and not job.ended:
        event, job = _next(dice, job)
        events.append(event)
    return Walk(job, tuple(events))


def walks(*kinds: Kind) -> st.SearchStrategy[Walk]:
    """Lives of jobs, up to any point of them. From a seed: drawing every choice from hypothesis would be too slow."""
    return st.builds(walk, st.integers(0, 2**32), st.integers(1, 60), st.sampled_from(kinds or tuple(Kind)))


dices = st.integers(0, 2**32).map(Random)

_FORWARD = {
    Phase.NEW: (_E.REQUESTED,),
    Phase.GATHERING: (_E.QUEUED, _E.PLANNED),
    Phase.BLOCKED: (_E.PLAN_AGAIN,),
    Phase.VOTING: (_E.VOTE_CAST, _E.APPROVED),
    Phase.APPROVED: (_E.QUEUED,),
    Phase.QUEUED: (_E.CLAIMED,),
    Phase.RUNNING: (_E.STEP_STARTED, _E.STEP_SUCCEEDED, _E.SUCCEEDED),
    Phase.ASKING: (_E.HUMAN_CHOICE,),
    Phase.AGAIN: (_E.STEP_STARTED,),
    Phase.GIVING_UP: (_E.FAILED,),
}


def _next(dice: Random, job: Job) -> tuple[Event, Job]:
    """The next event and the job after it: mostly one that leads on, sometimes any legal one."""
    forward = _FORWARD[job.phase] * 6 if dice.random() < 0.95 else ()
    while True:
        for type_ in (*forward, *dice.sample(tuple(_E), len(_E))):
            event = attempt(job, type_, dice)
            if after := follows(job, event):
                return event, after
