"""Jobs led through legal events by a list of numbers, with texts as hostile and facts as odd as they may get."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bot.core.events import Draft, EventType, Json
from bot.core.facts import S3, Copy, Form, Integrity
from bot.core.findings import Finding, Level
from bot.core.job import Job
from bot.core.plans import Kind, Plan, restore_steps, save_steps
from bot.core.policy import ApprovalPolicy
from bot.core.snapshots import copy_to_json
from bot.core.transitions import Phase
from tests.unit import jobs

PEOPLE: Final = ("T1/U1", "T1/U2", "T1/U3", "T1/U4")
POLICY: Final = ApprovalPolicy(2, ("U2", "U3", "U4"), ("S1",), True, 3600, 1800)


class Walk:
    """One life of a job. `numbers` decide everything that is open; `text` is what people and machines write."""

    def __init__(self, kind: Kind, numbers: Sequence[int], text: str, nodes: Sequence[str]) -> None:
        self._numbers = iter(numbers)
        self._text = text
        self._nodes = tuple(nodes)
        self._kind = kind

    def _pick(self, below: int) -> int:
        return next(self._numbers, 0) % below

    def lives(self) -> Iterator[tuple[Job, Job]]:
        """Each job before and after one event, until the numbers or the events end."""
        before = Job("7f3a91c2")
        after = self._requested(before)
        yield before, after
        for _ in range(60):
            before = after
            possible = self._possible(before)
            if not possible:
                return
            for draft in possible[self._pick(len(possible))]():
                after = jobs.append(before, [draft], by=self._person(before, draft), at=before.last_at + 7)
                yield before, after
                before = after

    def _person(self, job: Job, draft: Draft) -> str:
        voted = {vote.person for vote in job.votes} if draft.type is EventType.VOTE_CAST else set()
        free = [person for person in PEOPLE if person not in voted]
        return free[self._pick(len(free))]

    def _requested(self, job: Job) -> Job:
        asked: dict[str, Json] = {"kind": self._kind.value, "cluster": "prod", "channel": "C1", "reason": self._text}
        plan = Plan(Kind.SAVE, "prod", self._name(), save_steps()).to_json() if self._kind is Kind.SAVE else None
        more: dict[str, Json] = {**asked, "snapshot": self._name(), "plan": plan}
        return jobs.append(job, [Draft(EventType.REQUESTED, more)], by=PEOPLE[0], at=1_795_338_140)

    def _name(self) -> str:
        return self._text[:128] or "before-upgrade"

    def _possible(self, job: Job) -> list[Callable[[], list[Draft]]]:
        """What may happen now; each is a list of drafts of one append."""
        cancel = [self._cancel] if not job.cancel_at and not job.past_no_return else []
        match job.phase:
            case Phase.GATHERING if self._kind is Kind.SAVE:
                return [lambda: [Draft(EventType.QUEUED, {"execute_by": 0})]]
            case Phase.GATHERING:
                return [self._planned] * 9 + self._at_once(job)
            case Phase.BLOCKED:
                return [lambda: [Draft(EventType.PLAN_AGAIN, {"why": "asked"})], self._expired, *self._at_once(job)]
            case Phase.VOTING:
                return [lambda: self._vote(job)] * 12 + self._rare(job)
            case Phase.QUEUED:
                claimed = Draft(EventType.CLAIMED, {"lost_for": 0})
                return [lambda: [claimed]] * 9 + [self._expired, self._ask, *self._at_once(job)]
            case Phase.RUNNING:
                return self._running(job) + cancel
            case Phase.ASKING:
                choice = ("again", "hand-over")[self._pick(2)]
                answers = job.question.version if job.question else 0
                return [lambda: [Draft(EventType.HUMAN_CHOICE, {"choice": choice, "answers": answers})]]
            case Phase.AGAIN:
                return [lambda: self._start(job)] if job.current is not None and not job.cancel_at else [self._ask]
            case Phase.GIVING_UP:
                return [self._failed]
            case _:
                return []

    def _rare(self, job: Job) -> list[Callable[[], list[Draft]]]:
        return [lambda: [Draft(EventType.PLAN_AGAIN, {"why": "drift"})], self._expired, *self._at_once(job)]

    def _running(self, job: Job) -> list[Callable[[], list[Draft]]]:
        lost = Draft(EventType.CLAIMED, {"lost_for": 12})
        at = job.current
        if at is None:
            return [self._succeeded, self._partial]
        if job.cancel_at and not job.past_no_return:
            return [lambda: [Draft(EventType.CANCELLED, {"done": [self._text or "Nothing."] * self._pick(3)})]]
        run = job.steps[at]
        if run.state == "running":
            return [lambda: self._step(job, at)] * 12 + [lambda: [lost], lambda: self._break(job, at)]
        if run.state == "failed":
            return [self._ask, self._failed]
        return [lambda: self._start(job)] * 12

    def _start(self, job: Job) -> list[Draft]:
        at = job.current or 0
        return [Draft(EventType.STEP_STARTED, {"step": at, "attempt": job.steps[at].attempt + 1})]

    def _step(self, job: Job, at: int) -> list[Draft]:
        run = job.steps[at]
        result = self._result(run.step.kind)
        return [Draft(EventType.STEP_SUCCEEDED, {"step": at, "attempt": run.attempt, "result": result})]

    def _break(self, job: Job, at: int) -> list[Draft]:
        data: dict[str, Json] = {"step": at, "attempt": job.steps[at].attempt, "error": self._text, "todo": self._text}
        return [Draft(EventType.STEP_FAILED, {**data, "lines": [self._text] * self._pick(30)})]

    def _cancel(self) -> list[Draft]:
        return [Draft(EventType.CANCEL_REQUESTED)]

    def _at_once(self, job: Job) -> list[Callable[[], list[Draft]]]:
        both = [Draft(EventType.CANCEL_REQUESTED), Draft(EventType.CANCELLED, {"done": []})]
        return [lambda: both] if not job.cancel_at else []

    def _expired(self) -> list[Draft]:
        return [Draft(EventType.EXPIRED, {"which": ("approval", "execution")[self._pick(2)]})]

    def _ask(self) -> list[Draft]:
        data: dict[str, Json] = {"what": self._text, "todo": self._text, "lines": [self._text] * self._pick(40)}
        return [Draft(EventType.NEEDS_HUMAN, {**data, "choices": ["again", "hand-over"], "no_return": False})]

    def _failed(self) -> list[Draft]:
        return [Draft(EventType.FAILED, {"what": self._text, "todo": self._text})]

    def _vote(self, job: Job) -> list[Draft]:
        assert job.plan
        voted = {vote.person for vote in job.votes}
        approve = self._pick(8) > 0
        if len(voted) == len(PEOPLE):
            return self._expired()
        digest = job.plan.digest
        data: dict[str, Json] = {"verdict": "approve" if approve else "deny", "digest": digest, "reason": self._text}
        cast = Draft(EventType.VOTE_CAST, {**data, "acknowledged": [finding.id for finding in job.plan.findings]})
        if approve and len(voted) + 1 >= POLICY.required:
            done: dict[str, Json] = {"digest": digest, "execute_by": 1_795_360_000.0}
            return [cast, Draft(EventType.APPROVED, done), Draft(EventType.QUEUED, done)]
        return [cast] if approve else [cast, Draft(EventType.DENIED, {"reason": self._text})]

    def _planned(self) -> list[Draft]:
        red = self._pick(6) == 0
        few = (0, 1, 3, 7, 80)[self._pick(5)]
        found = [
            Finding(f"f{n}", level, self._text or "A fact.", self._text, self._text)
            for n in range(few)
            for level in (Level.YELLOW, Level.GREEN, *((Level.RED,) if red else ()))
        ]
        copy = None if self._pick(3) == 0 else copy_to_json(self._copy(S3))
        notes: dict[str, Json] = {
            "copy": copy,
            "etcd_nodes": list(self._nodes),
            "nodes": [{"address": node, "roles": ["etcd"]} for node in self._nodes],
            "kubernetes_version": self._text,
            "taken_at": 1_795_330_000 if copy else 0,
            "stale": bool(self._pick(2)),
        }
        pins: dict[str, Json] = {"sha256": "ab" * 32, "source": S3, "rke_version": self._text[:300], "rke": "cd" * 32}
        steps = restore_steps(rke_restarts=bool(self._pick(2)))
        plan = Plan(Kind.RESTORE, "prod", self._name(), steps, pins, notes, tuple(found))
        kind = EventType.BLOCKED if red and few else EventType.PLANNED
        data: dict[str, Json] = {"plan": plan.to_json(), "policy": POLICY.to_json(), "expires_at": 1_795_350_000.0}
        return [Draft(kind, data)]

    def _copy(self, where: str) -> Copy:
        state = tuple(Integrity)[self._pick(3)]
        revision = (None, 5, 1_204_311)[self._pick(3)]
        size = (0, 20_000_000, 9_000_000_000)[self._pick(3)]
        return Copy(self._name(), where, Form.PLAIN, size, size, 1_795_330_000, "ab" * 32, "", state, revision)

    def _result(self, kind: str) -> Mapping[str, Json]:
        some = self._nodes[: self._pick(len(self._nodes) + 1)]
        rest = [{"node": node, "why": self._text} for node in self._nodes if node not in some]
        copies = [copy_to_json(self._copy(node)) for node in some]
        status, lines = self._pick(2), [self._text] * self._pick(20)
        one = copies[0] if copies else None
        results: Mapping[str, Mapping[str, Json]] = {
            "check": {"rke": "v0.1.20", "etcd": list(self._nodes), "skipped": rest},
            "rke_save": {"status": status, "warnings": list(lines), "tail": list(lines), "error": self._text},
            "check_copies": {"copies": copies, "missing": rest},
            "store": {"copy": one, "from": "", "problem": self._text},
            "safety_copy": {"copy": one, "on": list(some), "off_site": bool(status), "problem": self._text},
            "verify": {"checks": self._checks()},
        }
        return results.get(kind, {"status": status, "warnings": list(lines), "tail": list(lines)})

    def _checks(self) -> list[Json]:
        bad = self._pick(9)
        return [{"name": self._text, "ok": n != bad, "text": self._text, "todo": self._text} for n in range(8)]

    def _verdict(self) -> dict[str, Json]:
        if self._kind is Kind.RESTORE:
            return {"checks": self._checks(), "left": [self._text] * self._pick(4), "seconds": self._pick(9999)}
        places = [*self._nodes, S3][: self._pick(len(self._nodes) + 2)]
        problems: list[Json] = [{"where": node, "what": self._text, "todo": self._text} for node in self._nodes]
        copies: list[Json] = [copy_to_json(self._copy(place)) for place in places]
        return {"copies": copies, "etcd_nodes": list(self._nodes), "problems": problems, "seconds": 31}

    def _succeeded(self) -> list[Draft]:
        return [Draft(EventType.SUCCEEDED, self._verdict())]

    def _partial(self) -> list[Draft]:
        return [Draft(EventType.PARTIAL, self._verdict())]
