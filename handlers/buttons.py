"""Clicks. A button says what was clicked; who clicked stands in the signed payload, what is true in the journal."""

import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.core import approvals
from bot.core.approvals import VoteCode
from bot.core.cluster import Cluster
from bot.core.commands import Command, Help, List, Save, Status
from bot.core.job import Job
from bot.core.policy import Action
from bot.core.transitions import Phase
from bot.engine.usecases import Person, UseCases, VoteAnswer
from bot.errors import Refused
from handlers import blocks
from handlers.answers import Answers, Said
from handlers.blocks import Modal
from handlers.commands import Commands
from handlers.directory import Directory
from handlers.payload import Body, Caller, action_value, of_action

Ids: TypeAlias = dict[str, str | int]
Click: TypeAlias = Callable[[Caller, Ids], Coroutine[Any, Any, Said | None]]
_Form: TypeAlias = Callable[[Job, str, str], Modal]

_log = structlog.get_logger()


class Buttons:
    """What each action id does."""

    def __init__(
        self,
        usecases: UseCases,
        directory: Directory,
        commands: Commands,
        answers: Answers,
        client: AsyncWebClient,
    ) -> None:
        self._usecases = usecases
        self._directory = directory
        self._commands = commands
        self._answers = answers
        self._client = client
        self.clicks: Final[dict[str, Click]] = {
            "vote.approve": self._approve,
            "vote.approve_form": self._approve_form,
            "vote.deny_form": self._deny_form,
            "job.cancel": self._cancel,
            "job.plan": self._plan,
            "job.plan_again": self._plan_again,
            "job.output": self._output,
            "human.choose.1": self._choose,
            "human.choose.2": self._choose,
            "human.choose.3": self._choose,
            "start.list": self._list,
            "start.save": self._save,
            "start.status": self._status,
            "start.help": self._help,
        }

    async def listener(self, ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        """bolt's listener for every button."""
        caller, value = of_action(body), dict(action_value(body))
        click = self.clicks.get(str(body["actions"][0].get("action_id")))
        if click is None:
            await ack()
            return
        await self._answers.click(ack, respond, click(caller, value))

    # --- votes

    async def _approve(self, caller: Caller, value: Ids) -> Said:
        job, person = await self.voter(caller, value)
        answer = await self._usecases.vote(person, job.id, str(value.get("plan", "")), approve=True)
        return Said(blocks.vote_answer(answer, person.id, approve=True, now=time.time()))

    async def _approve_form(self, caller: Caller, value: Ids) -> Said | None:
        return await self._vote_form(caller, value, blocks.approve_modal, approve=True)

    async def _deny_form(self, caller: Caller, value: Ids) -> Said | None:
        return await self._vote_form(caller, value, blocks.deny_modal, approve=False)

    async def _vote_form(self, caller: Caller, value: Ids, render: _Form, *, approve: bool) -> Said | None:
        """Open the form; who may vote is decided when it is sent. A button that is out of date opens nothing."""
        job = await self._readable(caller, value)
        if job.phase is not Phase.VOTING or job.plan is None or job.plan.digest != value.get("plan"):
            late, who = VoteAnswer(VoteCode.LATE, job), f"{caller.team}/{caller.user}"
            return Said(blocks.vote_answer(late, who, approve=approve, now=time.time()))
        await self._open(caller, render(job, caller.channel, caller.ts))
        return None

    async def voter(self, caller: Caller, value: Ids) -> tuple[Job, Person]:
        """The job, and who votes, as Slack says now. Raises Unreachable when Slack does not say: nothing is counted
        then.
        """
        job = await self._job(value)
        groups = job.policy.groups if job.policy else ()
        return job, await self._directory.person(caller.team, caller.user, groups, live=True)

    # --- jobs

    async def _cancel(self, caller: Caller, value: Ids) -> Said:
        answer = await self._usecases.cancel(await self._person(caller, value), str(value.get("job", "")))
        return Said(blocks.cancel_answer(answer))

    async def _plan_again(self, caller: Caller, value: Ids) -> Said:
        answer = await self._usecases.plan_again(await self._person(caller, value), str(value.get("job", "")))
        return Said(blocks.plan_again_answer(answer))

    async def _choose(self, caller: Caller, value: Ids) -> Said:
        """An approver of its plan answers for a restore; a save has no plan to approve, so its roles decide."""
        job = await self._job(value)
        person = await self._commands.person(caller, self._cluster(job), job.policy, live=True)
        version, choice = value.get("v"), str(value.get("choice", ""))
        answer = await self._usecases.choose(person, job.id, version if isinstance(version, int) else 0, choice)
        return Said(blocks.choice_answer(answer))

    async def _plan(self, caller: Caller, value: Ids) -> None:
        await self._open(caller, blocks.plan_modal(await self._readable(caller, value)))

    async def _output(self, caller: Caller, value: Ids) -> None:
        job, step = await self._readable(caller, value), value.get("step")
        number = step if isinstance(step, int) else 0
        tail = await self._usecases.output(job.id, number - 1)
        await self._open(caller, blocks.output_modal(job, number, tail))

    # --- the same as a command

    async def _list(self, caller: Caller, value: Ids) -> Said:
        """Only a list is renewed in place; what else has the button, a verdict say, must stay."""
        replaces = caller.ts if value.get(blocks.RENEWS) else ""
        return await self._typed(caller, List(str(value.get("cluster", ""))), replaces=replaces)

    async def _save(self, caller: Caller, value: Ids) -> Said:
        return await self._typed(caller, Save(cluster=str(value.get("cluster", ""))))

    async def _status(self, caller: Caller, value: Ids) -> Said:
        return await self._typed(caller, Status(cluster=str(value.get("cluster", ""))))

    async def _help(self, caller: Caller, _value: Ids) -> Said:
        return await self._typed(caller, Help())

    async def _typed(self, caller: Caller, command: Command, *, replaces: str = "") -> Said:
        return await self._commands.carry_out(caller, command, replaces=replaces)

    # --- what is clicked on

    async def _job(self, value: Ids) -> Job:
        job = await self._usecases.job(str(value.get("job", "")))
        if job is None:
            raise Refused("This job is not known any more.", "Type /etcd-snapshot status to see the jobs.")
        return job

    async def _readable(self, caller: Caller, value: Ids) -> Job:
        """The job, for who may look at its cluster or approve its plan. Raises Refused for everybody else."""
        job = await self._job(value)
        cluster = self._cluster(job)
        person = await self._commands.person(caller, cluster, job.policy)
        approver = job.policy is not None and approvals.is_approver(job.policy, person.voter)
        if not (approver or self._usecases.may(person, Action.READ, cluster)):
            raise Refused(f"You may not look at {cluster.name}.", "The administrator of this bot decides who may.")
        return job

    async def _person(self, caller: Caller, value: Ids) -> Person:
        return await self._commands.person(caller, self._cluster(await self._job(value)))

    def _cluster(self, job: Job) -> Cluster:
        cluster = self._usecases.clusters.get(job.cluster)
        if cluster is None:
            raise Refused(f"The cluster {job.cluster} of this job is not configured any more.")
        return cluster

    async def _open(self, caller: Caller, modal: Modal) -> None:
        """Open a modal: the trigger is good for 3 s and one use."""
        for form in (modal, blocks.plain_modal(modal)):
            try:
                await self._client.views_open(trigger_id=caller.trigger, view=form)
            except SlackApiError as error:
                code = str(error.response.get("error"))
                _log.warning("modal.not_opened", error=code)
                if code not in ("invalid_arguments", "invalid_blocks"):
                    break
            else:
                return
        raise Refused("Slack did not open the form.", "Click again.")
