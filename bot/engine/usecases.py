"""What people can ask for. Each call decides, records, and returns what the person must be told; nothing is carried
out here.

A call that is repeated with the same key (Slack delivers twice) has no second effect.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from bot.core import approvals, plans, snapshots
from bot.core.approvals import Ballot, CancelCode, ChoiceCode, VoteCode, Voter
from bot.core.cluster import Cluster
from bot.core.events import Draft, EventType, Json
from bot.core.job import Job
from bot.core.plans import Kind, Plan
from bot.core.policy import Action
from bot.core.transitions import Phase
from bot.engine.ports import Attempt, Index, Journal, Occupancy, Page, Query, Side
from bot.errors import Conflict, Refused

Answer = TypeVar("Answer")
_TRIES: Final = 8  # of a decision that others keep overtaking
_SHOWN_OUTPUT: Final = 2500  # bytes of rke output that fit a modal


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, by Slack ids, as Slack says: `groups` are those of the configured groups that he or she is in. Bots,
    guests, strangers, deactivated people and those of other teams are no full members.
    """

    team: str
    user: str
    groups: frozenset[str] = frozenset()
    full_member: bool = True

    @property
    def id(self) -> str:
        """`TEAM/USER`, as events name people."""
        return f"{self.team}/{self.user}"

    @property
    def voter(self) -> Voter:
        """The same person as approvals see them."""
        return Voter(self.id, self.groups, self.full_member)


class Look(StrEnum):
    """What a query can ask for."""

    LIST = "list"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request that is safely recorded. `first` is False when this very request had been recorded before."""

    job_id: str
    first: bool


@dataclass(frozen=True, slots=True)
class VoteAnswer:
    """What became of a click on Approve or Deny; `job` as it stands now."""

    code: VoteCode
    job: Job


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """What became of a cancel (or of a wish for a new plan); `job` as it stands now."""

    code: CancelCode
    job: Job


@dataclass(frozen=True, slots=True)
class ChoiceAnswer:
    """What became of an answer to the bot's question; `job` as it stands now."""

    code: ChoiceCode
    job: Job


@dataclass(frozen=True, slots=True)
class UseCases:
    """The commands and clicks of people. Every call may raise Unreachable: nothing is known to be recorded then, try
    again.
    """

    journal: Journal
    index: Index
    side: Side
    clusters: Mapping[str, Cluster]

    def may(self, person: Person, action: Action, cluster: Cluster) -> bool:
        """Whether that person has that role on that cluster. Default deny."""
        grant = cluster.grants.get(action)
        return person.full_member and grant is not None and grant.covers(person.user, person.groups)

    async def save(self, person: Person, cluster: str, name: str | None, channel: str, key: str) -> Receipt:
        """Record a save and queue it. Raises Refused for a bad name."""
        self._demand(person, Action.SAVE, cluster)
        if name:
            snapshots.check_name(name)

        def request(page: Page) -> list[Draft]:
            snapshot = name or snapshots.default_name(cluster, page.now)
            plan = Plan(Kind.SAVE, cluster, snapshot, plans.save_steps())
            data: dict[str, Json] = {"kind": "save", "cluster": cluster, "snapshot": snapshot, "channel": channel}
            requested = Draft(EventType.REQUESTED, {**data, "plan": plan.to_json()})
            return [requested, Draft(EventType.QUEUED, {"execute_by": 0})]

        return await self._request(person, key, request)

    async def restore(
        self, person: Person, cluster: str, snapshot: str, channel: str, key: str, reason: str = ""
    ) -> Receipt:
        """Record the wish for a restore; a worker writes the plan, then votes are asked for. Raises Refused for a bad
        name.
        """
        self._demand(person, Action.RESTORE, cluster)
        if snapshot != snapshots.LATEST:
            snapshots.check_existing(snapshot)
        data: dict[str, Json] = {"kind": "restore", "cluster": cluster, "snapshot": snapshot, "channel": channel}
        draft = Draft(EventType.REQUESTED, {**data, "reason": reason})
        return await self._request(person, key, lambda _page: [draft])

    async def look(
        self, person: Person, what: Look, cluster: str, channel: str, key: str, replaces: str = ""
    ) -> Receipt:
        """Queue a query; its result is posted to the channel, over the message with ts `replaces` if given."""
        self._demand(person, Action.READ, cluster)
        query = Query(_id(person, key), what.value, cluster, channel, person.id, replaces)
        return Receipt(query.id, await self.index.ask(query))

    async def vote(
        self,
        person: Person,
        job_id: str,
        digest: str,
        *,
        approve: bool,
        reason: str = "",
        acknowledged: tuple[str, ...] = (),
    ) -> VoteAnswer:
        """Count a vote on the plan with that digest, if it may be counted."""

        async def decide(page: Page) -> VoteAnswer:
            ballot = Ballot(digest, approve, reason, acknowledged)
            verdict = approvals.judge_vote(page.job, person.voter, ballot, page.now, page.run_id)
            return VoteAnswer(verdict.code, await self._record(page, person, verdict.drafts))

        return await self._decide(job_id, decide)

    async def cancel(self, person: Person, job_id: str) -> CancelAnswer:
        """Cancel a job, at once or at the next safe point."""

        async def decide(page: Page) -> CancelAnswer:
            verdict = approvals.judge_cancel(page.job, may=self._may_cancel(person, page.job))
            return CancelAnswer(verdict.code, await self._record(page, person, verdict.drafts))

        return await self._decide(job_id, decide)

    async def choose(self, person: Person, job_id: str, version: int, choice: str) -> ChoiceAnswer:
        """Answer the question a job asked at journal version `version`."""

        async def decide(page: Page) -> ChoiceAnswer:
            verdict = approvals.judge_choice(page.job, version, choice, may=self._may_choose(person, page.job))
            return ChoiceAnswer(verdict.code, await self._record(page, person, verdict.drafts))

        return await self._decide(job_id, decide)

    async def plan_again(self, person: Person, job_id: str) -> CancelAnswer:
        """Gather anew and write a new plan; votes so far are void."""

        async def decide(page: Page) -> CancelAnswer:
            if not self._may_cancel(person, page.job):
                return CancelAnswer(CancelCode.FORBIDDEN, page.job)
            if page.job.phase not in (Phase.BLOCKED, Phase.VOTING):
                return CancelAnswer(CancelCode.ENDED if page.job.ended else CancelCode.TOO_LATE, page.job)
            drafts = [Draft(EventType.PLAN_AGAIN, {"why": "asked"})]
            return CancelAnswer(CancelCode.REQUESTED, await self._record(page, person, drafts))

        return await self._decide(job_id, decide)

    async def job(self, job_id: str) -> Job | None:
        """A job by its id or a prefix of it that fits only one; None if there is none."""
        if (job := (await self.journal.read(job_id)).job).version:
            return job
        known = (*await self.index.open_jobs(), *await self.index.ended_jobs(1000))
        fits = [known_id for known_id in known if job_id and known_id.startswith(job_id)]
        return (await self.journal.read(fits[0])).job if len(fits) == 1 else None

    async def jobs(self, cluster: str | None, *, ended: int = 0) -> tuple[Job, ...]:
        """The open jobs, oldest first, then at most `ended` of those that have ended, newest first; of one cluster if
        given.
        """
        ids = [*await self.index.open_jobs(), *(await self.index.ended_jobs(ended * 10) if ended else ())]
        jobs = [(await self.journal.read(job_id)).job for job_id in ids]
        mine = [job for job in jobs if cluster in (None, job.cluster)]
        return tuple([job for job in mine if not job.ended] + [job for job in mine if job.ended][:ended])

    async def occupancy(self, cluster: str) -> Occupancy:
        """Who has that cluster now, and who waits."""
        return await self.index.occupancy(cluster)

    async def output(self, job_id: str, step: int) -> str:
        """The last lines of rke's output in the last attempt of that step; "" if there is none."""
        job = await self.job(job_id)
        if job is None or not 0 <= step < len(job.steps):
            return ""
        attempt = Attempt(job.id, step, job.steps[step].attempt)
        return (await self.side.tail(attempt, _SHOWN_OUTPUT)).decode(errors="replace")

    def _demand(self, person: Person, action: Action, cluster: str) -> None:
        known = self.clusters.get(cluster)
        if known is None:
            raise Refused(f"There is no cluster {cluster}.", f"Known here: {', '.join(sorted(self.clusters))}.")
        if not self.may(person, action, known):
            raise Refused(f"You may not {action} on {cluster}.", "The administrator of this bot decides who may.")

    def _may_cancel(self, person: Person, job: Job) -> bool:
        cluster = self.clusters.get(job.cluster)
        return job.requester == person.id or (cluster is not None and self.may(person, Action.CANCEL, cluster))

    def _may_choose(self, person: Person, job: Job) -> bool:
        """A restore's question is answered by its approvers, a save's by whoever may save."""
        cluster = self.clusters.get(job.cluster)
        if job.policy is not None:
            return approvals.is_approver(job.policy, person.voter)
        return cluster is not None and self.may(person, Action.SAVE, cluster)

    async def _request(self, person: Person, key: str, drafts: Callable[[Page], list[Draft]]) -> Receipt:
        page = await self.journal.read(_id(person, key))
        if page.job.version:
            return Receipt(page.job.id, first=False)
        try:
            await self.journal.decide(page, person.id, drafts(page))
        except Conflict:  # the same request in another delivery, or nothing was recorded: the journal says which
            if (await self.journal.read(page.job.id)).job.version:
                return Receipt(page.job.id, first=False)
            raise
        return Receipt(page.job.id, first=True)

    async def _record(self, page: Page, person: Person, drafts: tuple[Draft, ...] | list[Draft]) -> Job:
        return (await self.journal.decide(page, person.id, drafts)).job if drafts else page.job

    async def _decide(self, job_id: str, decide: Callable[[Page], Awaitable[Answer]]) -> Answer:
        """Read, decide, append; decide again when somebody was faster."""
        for _ in range(_TRIES):
            page = await self.journal.read(job_id)
            if not page.job.version:
                raise Refused(f"There is no job {job_id}.", "`/etcd-snapshot status` lists the jobs.")
            try:
                return await decide(page)
            except Conflict:
                continue
        raise Conflict(f"Job {job_id} keeps changing.", "Try again in a moment.")


def _id(person: Person, key: str) -> str:
    """The id of the job or query that this request makes: the same for the same team and key."""
    return hashlib.sha256(f"{person.team}|{key}".encode()).hexdigest()[:12]
