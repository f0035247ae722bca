"""People and operators at work on a lab: they type, click and fill in forms, and read what comes of it.

The demo and the end-to-end tests act through `Stage`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.adapters.redis_client import RedisClient
from bot.adapters.redis_journal import RedisJournal
from bot.adapters.redis_outbox import RedisIndex
from bot.core.events import Event, encode
from bot.settings import load
from tests.lab.bot import Bot
from tests.lab.lab import Lab
from tests.lab.slack import Ack, Channel, Message
from tests.lab.slack.state import Ephemeral
from tests.lab.slack.wire import JsonObject

SLASH = "/etcd-snapshot"
ENDS = ("succeeded", "partial", "failed", "cancelled", "denied", "expired")
STOPS = ("blocked", "needs a decision")
_JOB = re.compile(r"Job `([0-9a-f]{12})`")
_NOT_YET = "Not confirmed yet"
_PATIENCE = 60.0  # seconds, for answers; a machine that builds something else meanwhile is slow


class NotAsItShouldBe(AssertionError):
    """The story did not go as it must; the text says what was seen instead."""


def expect(what: str, truth: object) -> None:
    """Go on only if that holds."""
    if not truth:
        raise NotAsItShouldBe(what)


@dataclass
class Stage:
    """A lab with a bot in front of its people. `config` is the file the bot was started with; `say` hears the story."""

    lab: Lab
    config: Path
    say: Callable[[str], None] = lambda _text: None

    async def types(self, name: str, text: str, channel: Channel | None = None) -> str:
        """Somebody types a command: everything that he or she is told privately, or `""` if it went to all."""
        self.say(f"{name}: {SLASH} {text}")
        seen = len(self.lab.user(name).ephemerals)
        ack = await self.lab.user(name).slash(channel or self.lab.channel, SLASH, text)
        expect(f"{name}'s command was acknowledged: {ack.error}", ack.ok)
        if ack.payload.get("response_type") == "in_channel":
            return ""
        said = await self._heard(name, seen)
        if said.startswith(_NOT_YET):
            said = await self._heard(name, seen + 1)
        return said

    async def asks(self, name: str, text: str, channel: Channel | None = None) -> "Thread":
        """Somebody asks for a job; its thread."""
        said = await self.types(name, text, channel)
        found = _JOB.search(said)
        expect(f"{text!r} made a job: {said}", found)
        assert found is not None
        return Thread(self, found[1], channel or self.lab.channel)

    async def clicks(
        self, name: str, message: Message | Ephemeral, action: str, value: JsonObject | None = None
    ) -> str:
        """Somebody clicks a button that answers privately, and confirms where a dialogue asks: the answer."""
        self.say(f"{name}: clicks {action}")
        seen = len(self.lab.user(name).ephemerals)
        expect_ok(name, await self.lab.user(name).click(message, action, value))
        return await self._heard(name, seen)

    async def approves(self, name: str, message: Message) -> str:
        """Somebody clicks Approve, and confirms everything that is asked: what he or she is told."""
        form = "vote.approve_form" in json.dumps(message.blocks)
        if not form:
            return await self.clicks(name, message, "vote.approve")
        return await self._fills(name, message, "vote.approve_form", "")

    async def denies(self, name: str, message: Message, reason: str) -> str:
        """Somebody clicks Deny and gives a reason: what he or she is told."""
        return await self._fills(name, message, "vote.deny_form", reason)

    async def _fills(self, name: str, message: Message, action: str, text: str) -> str:
        """Open a form and send it with all boxes ticked and its text field filled in."""
        self.say(f"{name}: clicks {action}")
        user = self.lab.user(name)
        heard, open_before = len(user.ephemerals), len(user.modals)
        expect_ok(name, await user.click(message, action))
        await self.lab.workspace.wait_for(
            lambda: len(user.modals) > open_before or len(user.ephemerals) > heard, _PATIENCE
        )
        if len(user.modals) > open_before:
            form = user.modals[-1]
            expect_ok(name, await user.submit(form, filled(form.blocks, text)))
        return await self._heard(name, heard)

    async def _heard(self, name: str, seen: int) -> str:
        """What somebody is told privately after the first `seen` messages, with the text of its blocks."""
        user = self.lab.user(name)
        await self.lab.workspace.wait_for(lambda: len(user.ephemerals) > seen, _PATIENCE)
        told = user.ephemerals[seen]
        said = " ".join([told.text, *words(told.blocks)])
        self.say(f"{name} sees, privately: {told.text}")
        return said

    async def finds(self, header: str, timeout: float = 120) -> Message:
        """The newest message of the channel with that in its header, waited for."""

        def look() -> Message | None:
            found = [m for m in self.lab.channel.messages if header in header_of(m)]
            return found[-1] if found else None

        found = await self.lab.workspace.wait_for(look, timeout)
        assert found is not None
        return found

    async def journals(self) -> dict[str, list[JsonObject]]:
        """Every job's events, their chain verified, as JSON."""
        async with self.journal() as (journal, index):
            ids = (*await index.open_jobs(), *await index.ended_jobs(100))
            return {job: [as_json(event) for event in await journal.history(job)] for job in ids}

    @asynccontextmanager
    async def journal(self) -> AsyncIterator[tuple[RedisJournal, RedisIndex]]:
        """The bot's journal, to look into."""
        client = RedisClient(self.lab.redis.url)
        try:
            keyring = load(self.config, self.lab.env()).keyring
            yield RedisJournal(client, keyring, str, 0), RedisIndex(client)
        finally:
            await client.close()


@dataclass
class Thread:
    """One job as people see it: the living message and what is said below it."""

    stage: Stage
    job: str
    channel: Channel
    stops: set[str] = field(default_factory=set)

    @property
    def message(self) -> Message | None:
        """The living message; None before it is there."""
        found = [m for m in self.channel.messages if job_of(m) == self.job and not m.deleted]
        expect(f"job {self.job} has one message: {[m.text for m in found]}", len(found) <= 1)
        return found[0] if found else None

    @property
    def header(self) -> str:
        """The header of the living message, `""` before it is there."""
        return header_of(self.message) if self.message else ""

    @property
    def text(self) -> str:
        """All words of the living message."""
        return " ".join([self.message.text, *words(self.message.blocks)]) if self.message else ""

    @property
    def replies(self) -> list[str]:
        """What was said in the thread, oldest first."""
        top = self.message
        if top is None:
            return []
        return [m.text for m in self.channel.all_messages if m.thread_ts == top.ts and m.ts != top.ts]

    async def shows(self, header: str, timeout: float = 240, *, text: str = "") -> Message:
        """Wait until header and words of the message say that. Another end, or an unexpected stop, fails at once."""

        def look() -> Message | None:
            if header in self.header and text in self.text:
                return self.message
            for end in (*ENDS, *(stop for stop in STOPS if stop not in self.stops)):
                expect(
                    f"the job comes to {header!r} {text!r}: {self.text}",
                    end not in self.header or header in self.header,
                )
            return None

        try:
            found = await self.stage.lab.workspace.wait_for(look, timeout)
        except TimeoutError as error:
            raise NotAsItShouldBe(f"waited for {header!r} {text!r}, the message says: {self.text}") from error
        assert found is not None
        self.stops |= {stop for stop in STOPS if stop in self.header}
        return found

    async def says(self, text: str, timeout: float = 120) -> str:
        """Wait for a reply with that text."""

        def look() -> str:
            return next((reply for reply in self.replies if text in reply), "")

        return await self.stage.lab.workspace.wait_for(look, timeout)

    async def events(self) -> list[Event]:
        """The journal, its chain verified."""
        async with self.stage.journal() as (journal, _):
            return list(await journal.history(self.job))

    async def reaches(self, event: str, timeout: float = 120, **data: object) -> Event:
        """Wait until the journal has an event of that type with that data. No message is waited for."""
        async with self.stage.journal() as (journal, _), asyncio.timeout(timeout):
            while True:
                for found in await journal.history(self.job):
                    if found.type == event and all(found.data.get(key) == value for key, value in data.items()):
                        return found
                await asyncio.sleep(0.02)


async def listening(lab: Lab, bot: Bot) -> None:
    """Return when the bot takes commands; NotAsItShouldBe with its last words when it does not."""
    await says(bot, "socket.connected" if lab.workspace.transport == "socket" else "http.serving")
    if lab.workspace.transport == "socket":
        await lab.workspace.connected()


async def says(bot: Bot, event: str, timeout: float = 120) -> None:
    """Return when the bot's log has that event."""
    try:
        async with asyncio.timeout(timeout):
            while event not in bot.output():
                expect(f"the bot runs:\n{bot.output()[-3000:]}", bot.status is None)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotAsItShouldBe(f"the bot does not say {event}:\n{bot.output()[-3000:]}") from None


def expect_ok(name: str, ack: Ack) -> None:
    """The app has acknowledged in time and found no fault with a form."""
    expect(f"{name}'s click was taken: {ack.errors or ack.error}", ack.ok and not ack.errors)


def header_of(message: Message) -> str:
    """The text of a message's header block, "" if it has none."""
    return next((str(block["text"]["text"]) for block in message.blocks if block["type"] == "header"), "")


def job_of(message: Message) -> str:
    """The job whose living message this is, by the metadata the bot gave it; "" if it is none."""
    metadata = message.metadata or {}
    top = message.thread_ts in (None, message.ts)  # a message with replies is in its own thread
    return str(metadata.get("event_payload", {}).get("job", "")) if top else ""


def words(blocks: Sequence[JsonObject]) -> Iterator[str]:
    """Every text that blocks show, in their order."""
    for block in blocks:
        yield from _words(block)


def _words(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("text", "title") and isinstance(inner, str):
                yield inner
            elif key != "confirm":
                yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)


def filled(blocks: Sequence[JsonObject], text: str = "") -> dict[str, object]:
    """The answer that ticks every box of a form and writes `text` into its fields."""
    answer: dict[str, object] = {}
    for block in (block for block in blocks if block["type"] == "input"):
        kind = block["element"]["type"]
        answer[block["block_id"]] = True if kind == "checkboxes" else text
    return answer


def as_json(event: Event) -> JsonObject:
    """An event as in the journal."""
    body: JsonObject = json.loads(encode(event))
    return body
