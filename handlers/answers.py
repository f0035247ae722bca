"""Answering a person: in time, truly, and in any case.

An ack says only what is so at that moment. Work that takes longer than the ack may is answered through the response
URL. A listener never lets an exception out: bolt would lose the ack (seen with slack-bolt 1.30).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.respond.async_respond import AsyncRespond

from bot.errors import BotError, Retryable
from handlers.blocks import refusal
from handlers.blocks.message import Message

ACK_AFTER: Final = 1.5  # seconds; Slack wants the ack within 3
FORM_AFTER: Final = 2.5  # a form can show errors at its fields only in the ack, so it waits longer
_KEEP_TRYING: Final = 20.0  # seconds; longer than Redis needs for a restart and its barrier
_NOT_YET: Final = (
    "Not confirmed yet: this takes longer than usual. Nothing runs before it is recorded. The answer follows here."
)

_Answer = TypeVar("_Answer")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: for one person, or for everybody in the channel. `errors` belong to fields of a form, by block id."""

    message: Message
    in_channel: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """As arguments of ack and respond."""
        kind = "in_channel" if self.in_channel else "ephemeral"
        return {"text": self.message.text, "blocks": list(self.message.blocks), "response_type": kind}


class Answers:
    """Runs the work behind commands and clicks. Work outlives its listener; `close` waits for it."""

    def __init__(self, ack_after: float = ACK_AFTER, form_after: float = FORM_AFTER) -> None:
        self._ack_after = ack_after
        self._form_after = form_after
        self._running: set[asyncio.Task[Any]] = set()

    async def command(self, ack: AsyncAck, respond: AsyncRespond, work: Coroutine[Any, Any, Said]) -> None:
        """Ack with the answer; if it takes too long, ack that it is not confirmed yet and answer later."""
        task = self._start(told(work))
        done, _ = await asyncio.wait({task}, timeout=self._ack_after)
        if done:
            await ack(**task.result().arguments())
            return
        await ack(text=_NOT_YET, response_type="ephemeral")
        self._start(self._later(respond, task))

    async def click(self, ack: AsyncAck, respond: AsyncRespond, work: Coroutine[Any, Any, Said | None]) -> None:
        """Ack when the work is done or time is up; the answer, if any, goes to the person who clicked."""
        task = self._start(told(work))
        await asyncio.wait({task}, timeout=self._ack_after)
        await ack()
        self._start(self._later(respond, task))

    async def form(
        self, ack: AsyncAck, work: Coroutine[Any, Any, Said], tell: Callable[[Said], Awaitable[object]]
    ) -> None:
        """Ack a form: with errors at its fields it stays open, else it closes and `tell` says what became of it."""
        task = self._start(told(work))
        done, _ = await asyncio.wait({task}, timeout=self._form_after)
        if done and task.result().errors:
            await ack(response_action="errors", errors=dict(task.result().errors))
            return
        await ack()
        self._start(self._told_by(tell, task))

    async def close(self) -> None:
        """Wait for what still runs."""
        while self._running:
            await asyncio.wait(set(self._running))

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _told_by(self, tell: Callable[[Said], Awaitable[object]], task: asyncio.Task[Said]) -> None:
        try:
            await tell(await task)
        except Exception as error:  # noqa: BLE001 - what was decided is recorded; only telling it failed
            _log.warning("answer.not_delivered", error=str(error))

    async def _later(self, respond: AsyncRespond, task: asyncio.Task[Said | None]) -> None:
        said = await task
        if said is None:
            return
        try:
            for blocks in (said.message.blocks, said.message.fallback_blocks, ()):
                form = said.arguments() | {"blocks": list(blocks) or None}
                answer = await respond(**form, replace_original=False)
                if answer.status_code < 400:
                    return
                _log.warning("answer.not_accepted", status=answer.status_code, error=answer.body)
        except Exception as error:  # noqa: BLE001 - what was decided is recorded; only telling it failed
            _log.warning("answer.not_delivered", error=str(error))


async def told(work: Awaitable[_Answer]) -> _Answer | Said:
    """The answer of `work`, or what went wrong, as an answer."""
    try:
        return await work
    except BotError as error:
        _log.info("answer.refused", kind=type(error).__name__, what=error.what)
        return Said(refusal(error.what, error.todo))
    except Exception:  # noqa: BLE001 - the person is told in any case; the log has the traceback
        _log.exception("answer.failed")
        return Said(refusal("The bot met an unexpected error.", "Nothing more was done. Look into the bot's log."))


async def recorded(call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """The result of a use case that recognises its own repetition, tried again while the store does not answer."""
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + _KEEP_TRYING, 0.1
    while True:
        try:
            return await call()
        except Retryable:
            if loop.time() + pause > until:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)
