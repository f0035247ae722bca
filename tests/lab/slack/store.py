"""The tables of a workspace and the one condition that announces every change of them."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from tests.lab.slack.blocks import interactive_parts
from tests.lab.slack.clock import Clock
from tests.lab.slack.state import Ack, Call, Ephemeral, Message, UploadedFile, View, Violation
from tests.lab.slack.wire import JsonObject, SlackError

if TYPE_CHECKING:
    from tests.lab.slack.people import User

T = TypeVar("T")

#: What the app's manifest asks for; `Workspace(scopes=…)` narrows it to test `missing_scope`.
DEFAULT_SCOPES = frozenset(
    {
        "app_mentions:read",
        "channels:history",
        "channels:join",
        "channels:read",
        "chat:write",
        "commands",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "reactions:write",
        "usergroups:read",
        "users:read",
    }
)


@dataclass
class Trigger:
    """A `trigger_id` given out with a payload: good for one modal within 3 s."""

    user: str
    at: float
    view_id: str | None = None
    used: bool = False


@dataclass
class UserGroup:
    """A user group (`S…`), whose members `usergroups.users.list` tells."""

    id: str
    handle: str
    members: list[str] = field(default_factory=list)
    disabled: bool = False


@dataclass
class Channel:
    """A conversation: public (`C…`), private (`C…` too, as Slack names them today) or direct (`D…`)."""

    id: str
    name: str
    store: "Store" = field(repr=False)
    members: set[str] = field(default_factory=set)
    is_private: bool = False
    is_archived: bool = False
    dm_with: str | None = None

    @property
    def all_messages(self) -> list[Message]:
        """Every message that was not deleted, replies too, oldest first."""
        return [m for m in self.store.messages.values() if m.channel == self.id and not m.deleted]

    @property
    def messages(self) -> list[Message]:
        """The top level as people see it, oldest first: broadcast replies stand there too."""
        return [m for m in self.all_messages if m.thread_ts in (None, m.ts) or m.reply_broadcast]

    def thread(self, ts: str) -> list[Message]:
        """The replies below the message `ts`, without that message, oldest first."""
        return [m for m in self.all_messages if m.thread_ts == ts and m.ts != ts]

    def message(self, ts: str) -> Message:
        """The message with this `ts`; KeyError when there is none."""
        return self.store.messages[self.id, ts]


class Store:
    """All tables of one workspace. Whoever changes one calls `changed()`."""

    def __init__(self, *, clock: Clock | None = None, scopes: frozenset[str] = DEFAULT_SCOPES) -> None:
        mark = secrets.token_hex(4).upper()
        self.clock = clock or Clock()
        self.scopes = scopes
        self.team_id, self.team_domain, self.app_id = f"T{mark}", "lab", f"A{mark}"
        self.bot_user_id, self.bot_id = f"U{mark}BOT", f"B{mark}"
        self.bot_token = f"xoxb-lab-{secrets.token_hex(8)}"
        self.app_token = f"xapp-1-lab-{secrets.token_hex(8)}"
        self.signing_secret = secrets.token_hex(16)
        self.base_url = ""
        self.users: dict[str, User] = {}
        self.groups: dict[str, UserGroup] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self.ephemerals: list[Ephemeral] = []
        self.views: dict[str, View] = {}
        self.files: dict[str, UploadedFile] = {}
        self.triggers: dict[str, Trigger] = {}
        self.tickets: dict[str, float] = {}
        self.calls: list[Call] = []
        self.violations: list[Violation] = []
        self.acks: list[Ack] = []
        self.refused_block_types: set[str] = set()
        self.trigger_seconds = 3.0
        self._last_ts = 0
        self._ids = itertools.count(1)
        self._condition = asyncio.Condition()
        self._notices: set[asyncio.Task[None]] = set()

    def next_ts(self) -> str:
        """A message `ts`: Slack's time in microseconds, unique and rising."""
        self._last_ts = max(self._last_ts + 1, int(self.clock.now() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def next_id(self, prefix: str) -> str:
        """A new id in Slack's shape: the kind's letter, then capitals and digits."""
        return f"{prefix}0{self.app_id[1:5]}{next(self._ids):04d}"

    def changed(self) -> None:
        """Wake everybody who waits for a condition. Call it from the event loop, after the change."""
        task = asyncio.get_running_loop().create_task(self._notify())
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    async def _notify(self) -> None:
        async with self._condition:
            self._condition.notify_all()

    async def wait_for(self, predicate: Callable[[], T], timeout: float) -> T:
        """Wait until `predicate` gives something true and return that; TimeoutError after `timeout` seconds.

        A LookupError in it means "not there yet", so that `channel.messages[0].text` can be asked at once.
        """
        async with asyncio.timeout(timeout), self._condition:
            while True:
                with contextlib.suppress(LookupError):
                    if found := predicate():
                        return found
                await self._condition.wait()

    def violate(self, where: str, error: str, args: JsonObject, *reasons: str) -> None:
        """Note something the bot must never do."""
        self.violations.append(Violation(where, error, reasons, args))
        self.changed()

    def post(self, message: Message, metadata: JsonObject | None = None) -> Message:
        """Put a message into its conversation, naming blocks that have no id, as Slack does."""
        self.name_blocks(message.blocks)
        message.set_content(message.text, message.blocks, metadata, self.clock.now())
        self.messages[message.channel, message.ts] = message
        self.changed()
        return message

    def name_blocks(self, blocks: list[JsonObject]) -> None:
        """Give every block a `block_id` and every interactive element an `action_id`; new ones at each call."""
        for block in blocks:
            block.setdefault("block_id", f"b{next(self._ids):x}")
            for part in interactive_parts(block):
                part.setdefault("action_id", f"a{next(self._ids):x}")

    def new_trigger(self, user: str, view_id: str | None = None) -> str:
        """A `trigger_id` for one payload of `user`; `view_id` when the payload came from a modal."""
        trigger_id = f"{next(self._ids)}.{self.team_id}.{secrets.token_hex(8)}"
        self.triggers[trigger_id] = Trigger(user, self.clock.now(), view_id)
        return trigger_id

    def channel_for_bot(self, channel_id: object) -> Channel:
        """The conversation the bot named; Slack hides private ones from those who are not in them."""
        channel = self.channels.get(channel_id) if isinstance(channel_id, str) else None
        if channel is None or (channel.is_private and self.bot_user_id not in channel.members):
            raise SlackError("channel_not_found")
        return channel

    def dm(self, user_id: str) -> Channel:
        """The direct conversation between the bot and a person, opened when there is none."""
        for channel in self.channels.values():
            if channel.dm_with == user_id:
                return channel
        channel_id = self.next_id("D")
        channel = Channel(channel_id, channel_id, self, {self.bot_user_id, user_id}, dm_with=user_id)
        self.channels[channel_id] = channel
        return channel

    def close(self) -> None:
        """Let go of pending notices."""
        for task in self._notices:
            task.cancel()
