"""`/etcd-snapshot …`: parse, look who asks, one use case, one answer. The buttons `start.*` do the same."""

import time

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.core import approvals, commands
from bot.core.cluster import Cluster
from bot.core.commands import Cancel, Clusters, Command, Help, List, Restore, Save, Status, UnknownCommand
from bot.core.job import Job
from bot.core.policy import Action, ApprovalPolicy
from bot.engine.usecases import Look, Person, UseCases
from bot.errors import Refused
from handlers import around, blocks
from handlers.answers import Answers, Said, recorded
from handlers.blocks.message import View
from handlers.directory import Directory
from handlers.payload import Body, Caller, of_command

_LOOKS = 2  # that many looks in a row without a living worker, and it is said


class Commands:
    """Carries out what people type."""

    def __init__(self, usecases: UseCases, directory: Directory, answers: Answers) -> None:
        self._usecases = usecases
        self._directory = directory
        self._answers = answers

    async def listener(self, ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        """bolt's listener for the slash command."""
        await self._answers.command(ack, respond, self.typed(of_command(body), str(body.get("text") or "")))

    async def typed(self, caller: Caller, text: str) -> Said:
        """The answer to a line of text."""
        try:
            command = commands.parse(text)
        except UnknownCommand as error:
            return Said(blocks.wrong_command(error, next((cluster.name for cluster in self._here(caller)), "")))
        return await self.carry_out(caller, command)

    async def carry_out(self, caller: Caller, command: Command, *, replaces: str = "") -> Said:
        """The answer to a command; raises BotError when it is not to be. `replaces` is the message a list renews."""
        match command:
            case Help(topic):
                return await self._help(caller, topic)
            case Clusters():
                return await self._clusters(caller)
            case Status(job, wanted):
                return await self._status(caller, job, wanted)
            case Cancel(job):
                return await self._cancel(caller, job)
            case List(wanted):
                return await self._list(caller, wanted, replaces)
            case Save(name, wanted):
                return await self._save(caller, name, wanted)
            case Restore():
                return await self._restore(caller, command)

    # --- what changes something

    async def _save(self, caller: Caller, name: str, wanted: str) -> Said:
        cluster, person = await self._allowed(caller, wanted, Action.SAVE)
        receipt = await recorded(
            lambda: self._usecases.save(person, cluster.name, name or None, caller.channel, caller.trigger)
        )
        return Said(blocks.recorded_save(cluster.name, receipt.job_id))

    async def _restore(self, caller: Caller, command: Restore) -> Said:
        cluster, person = await self._allowed(caller, command.cluster, Action.RESTORE)
        receipt = await recorded(
            lambda: self._usecases.restore(
                person, cluster.name, command.snapshot, caller.channel, caller.trigger, reason=command.reason
            )
        )
        return Said(blocks.recorded_restore(cluster.name, command.snapshot, receipt.job_id))

    async def _cancel(self, caller: Caller, prefix: str) -> Said:
        job = await self._job_here(caller, prefix)
        person = await self.person(caller, self._usecases.clusters[job.cluster])
        answer = await self._usecases.cancel(person, job.id)
        return Said(blocks.cancel_answer(answer))

    # --- what only looks

    async def _list(self, caller: Caller, wanted: str, replaces: str) -> Said:
        cluster, person = await self._allowed(caller, wanted, Action.READ)
        await recorded(
            lambda: self._usecases.look(
                person, Look.LIST, cluster.name, caller.channel, caller.trigger, replaces=replaces
            )
        )
        return Said(blocks.recorded_list(cluster.name))

    async def _status(self, caller: Caller, prefix: str, wanted: str) -> Said:
        if prefix:
            job = await self._job_here(caller, prefix)
            await self._allowed(caller, job.cluster, Action.READ)
            return Said(blocks.job_status(*await self._seen(job.id)), in_channel=True)
        shown = [wanted] if wanted else [cluster.name for cluster in self._here(caller)] or [""]
        clusters = [(await self._allowed(caller, name, Action.READ))[0] for name in shown]
        jobs = {cluster.name: await self._usecases.jobs(cluster.name) for cluster in clusters}
        return Said(blocks.status_message(jobs, time.time()), in_channel=True)

    async def _seen(self, job_id: str) -> tuple[Job, View]:
        """The job and what stands around it now, as its living message shows it."""
        lost = 0
        while True:
            job = await self._usecases.job(job_id)
            assert job is not None  # a job that was found stays in the journal
            about = await self._usecases.occupancy(job.cluster)
            lost = lost + 1 if around.lost(job, about) else 0
            if lost in (0, _LOOKS):
                lines = await self._usecases.side.lines(job.id)
                return job, around.view(job, about, lines, time.time(), worker_alive=not lost)

    async def _clusters(self, caller: Caller) -> Said:
        return Said(blocks.clusters_message(self._here(caller)))

    async def _help(self, caller: Caller, topic: str) -> Said:
        """Of a channel's several clusters the first one is the example."""
        names = [cluster.name for cluster in self._here(caller)]
        cluster = commands.choose_cluster(self._usecases.clusters, caller.channel, names[0] if names else "")
        person = await self.person(caller, cluster)
        may = [action for action in Action if self._usecases.may(person, action, cluster)]
        approver = approvals.is_approver(cluster.approvals, person.voter)
        return Said(blocks.help_message(cluster, may, may_approve=approver, topic=topic))

    # --- who and where

    async def person(
        self, caller: Caller, cluster: Cluster, policy: ApprovalPolicy | None = None, *, live: bool = False
    ) -> Person:
        """Who acts, with the groups that matter on that cluster, and in a job's own `policy` if it has one."""
        named = {group for grant in cluster.grants.values() for group in grant.groups}
        groups = sorted(named.union(cluster.approvals.groups, policy.groups if policy else ()))
        return await self._directory.person(caller.team, caller.user, groups, live=live)

    async def _allowed(self, caller: Caller, wanted: str, action: Action) -> tuple[Cluster, Person]:
        cluster = commands.choose_cluster(self._usecases.clusters, caller.channel, wanted)
        person = await self.person(caller, cluster)
        if not self._usecases.may(person, action, cluster):
            raise Refused(f"You may not {action} on {cluster.name}.", "The administrator of this bot decides who may.")
        return cluster, person

    def _here(self, caller: Caller) -> list[Cluster]:
        return [cluster for cluster in self._usecases.clusters.values() if caller.channel in cluster.channels]

    async def _job_here(self, caller: Caller, prefix: str) -> Job:
        """The job of one of this channel's clusters; jobs of other channels are not told apart from none."""
        job = await self._usecases.job(prefix)
        if job is None or job.cluster not in {cluster.name for cluster in self._here(caller)}:
            raise Refused(f"There is no job {prefix} here.", "Type /etcd-snapshot status to see the jobs.")
        return job
