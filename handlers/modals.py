"""Submitted forms: approve with findings confirmed, deny with a reason. A form names job and plan, never a right."""

import time
from typing import Final

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.approvals import VoteCode
from bot.engine.usecases import UseCases
from handlers import blocks
from handlers.answers import Answers, Said
from handlers.buttons import Buttons, Ids
from handlers.payload import Body, Caller, ids, of_view

_SHORTEST_REASON: Final = 3  # characters


class Modals:
    """What each callback id does."""

    def __init__(self, usecases: UseCases, buttons: Buttons, answers: Answers, client: AsyncWebClient) -> None:
        self._usecases = usecases
        self._buttons = buttons
        self._answers = answers
        self._client = client

    async def approve(self, ack: AsyncAck, body: Body) -> None:
        """bolt's listener for the approve form."""
        caller, about = of_view(body), _about(body)
        await self._answers.form(ack, self._approve(caller, about, body), lambda said: self._tell(caller, said))

    async def deny(self, ack: AsyncAck, body: Body) -> None:
        """bolt's listener for the deny form."""
        caller, about = of_view(body), _about(body)
        await self._answers.form(ack, self._deny(caller, about, body), lambda said: self._tell(caller, said))

    async def _approve(self, caller: Caller, about: Ids, body: Body) -> Said:
        job, person = await self._buttons.voter(caller, about)
        confirmed = _confirmed(body)
        answer = await self._usecases.vote(
            person, job.id, str(about.get("plan", "")), approve=True, acknowledged=confirmed
        )
        left_open = answer.code is VoteCode.UNACKNOWLEDGED
        errors = {blocks.ACK_BLOCK: blocks.not_all_confirmed(answer.job)} if left_open else {}
        return Said(blocks.vote_answer(answer, person.id, approve=True, now=time.time()), errors=errors)

    async def _deny(self, caller: Caller, about: Ids, body: Body) -> Said:
        reason = _reason(body)
        if len(reason) < _SHORTEST_REASON:
            return Said(blocks.refusal(blocks.TOO_SHORT), errors={blocks.REASON_BLOCK: blocks.TOO_SHORT})
        job, person = await self._buttons.voter(caller, about)
        answer = await self._usecases.vote(person, job.id, str(about.get("plan", "")), approve=False, reason=reason)
        return Said(blocks.vote_answer(answer, person.id, approve=False, now=time.time()))

    async def _tell(self, caller: Caller, said: Said) -> None:
        """Only this person sees it; a direct message has nobody else in it anyway."""
        message = said.message
        if caller.channel.startswith("D"):
            await self._client.chat_postMessage(channel=caller.channel, text=message.text, blocks=message.blocks)
        else:
            await self._client.chat_postEphemeral(
                channel=caller.channel, user=caller.user, text=message.text, blocks=message.blocks
            )


def _confirmed(body: Body) -> tuple[str, ...]:
    """The ids of the findings whose boxes are ticked."""
    fields = body["view"]["state"]["values"].values()
    boxes = [field[blocks.ACK_ACTION] for field in fields if blocks.ACK_ACTION in field]
    return tuple(str(option["value"]) for box in boxes for option in box.get("selected_options") or ())


def _reason(body: Body) -> str:
    field = body["view"]["state"]["values"].get(blocks.REASON_BLOCK, {}).get(blocks.REASON_ACTION, {})
    return " ".join(str(field.get("value") or "").split())


def _about(body: Body) -> Ids:
    return dict(ids(body["view"].get("private_metadata") or ""))
