"""What a workspace remembers: messages with their history, views, files, calls and deliveries."""

import copy
from dataclasses import dataclass, field
from typing import Literal

from tests.lab.slack.wire import JsonObject

#: `view` modals and `home` tabs share one life cycle.
ViewKind = Literal["modal", "home"]


@dataclass(frozen=True)
class Version:
    """One state of a message, as people saw it between two edits."""

    text: str
    blocks: list[JsonObject]
    metadata: JsonObject | None
    at: float


@dataclass
class Message:
    """A message in its current form; `versions` holds every form it had, the current one last."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[JsonObject] = field(default_factory=list)
    thread_ts: str | None = None
    metadata: JsonObject | None = None
    bot_id: str | None = None
    subtype: str | None = None
    reply_broadcast: bool = False
    deleted: bool = False
    files: list[JsonObject] = field(default_factory=list)
    reactions: dict[str, set[str]] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    @property
    def edited(self) -> int:
        """How often it was edited after it was posted."""
        return len(self.versions) - 1

    def stale_copy(self) -> "Message":
        """The message as it stands now; later edits do not reach the copy (a screen that was not refreshed)."""
        return copy.deepcopy(self)

    def set_content(self, text: str, blocks: list[JsonObject], metadata: JsonObject | None, at: float) -> None:
        """Give the message a new form and remember it."""
        self.text, self.blocks, self.metadata = text, blocks, metadata
        self.versions.append(Version(text, copy.deepcopy(blocks), metadata, at))

    def to_wire(self, team: str, app_id: str, *, with_metadata: bool = False) -> JsonObject:
        """The message as the Web API and payloads show it; metadata only where it was asked for."""
        shown: JsonObject = {"type": "message", "user": self.user, "ts": self.ts, "team": team, "text": self.text}
        if self.bot_id:
            shown |= {"bot_id": self.bot_id, "app_id": app_id}
        if self.subtype:
            shown["subtype"] = self.subtype
        if self.blocks:
            shown["blocks"] = copy.deepcopy(self.blocks)
        if self.thread_ts:
            shown["thread_ts"] = self.thread_ts
        if self.edited:
            shown["edited"] = {"user": self.user, "ts": f"{self.versions[-1].at:.6f}"}
        if self.files:
            shown["files"] = copy.deepcopy(self.files)
        if self.reactions:
            shown["reactions"] = [
                {"name": name, "users": sorted(users), "count": len(users)} for name, users in self.reactions.items()
            ]
        if with_metadata and self.metadata is not None:
            shown["metadata"] = copy.deepcopy(self.metadata)
        return shown


@dataclass
class Ephemeral:
    """A message that one person saw in one channel; `via` tells how it came."""

    channel: str
    user: str
    ts: str
    text: str
    blocks: list[JsonObject]
    thread_ts: str | None = None
    via: Literal["api", "ack", "response_url"] = "api"
    replaced: int = 0
    deleted: bool = False


@dataclass
class View:
    """A modal or Home tab of one person. `hash` changes with every update."""

    id: str
    kind: ViewKind
    user: str
    content: JsonObject
    hash: str
    root_id: str
    previous_id: str | None = None
    is_open: bool = True
    versions: list[JsonObject] = field(default_factory=list)

    @property
    def callback_id(self) -> str:
        """The `callback_id` the bot gave it; empty when it gave none."""
        return str(self.content.get("callback_id", ""))

    @property
    def blocks(self) -> list[JsonObject]:
        """The blocks it shows now."""
        found: list[JsonObject] = self.content.get("blocks", [])
        return found

    def to_wire(self, team: str, app_id: str, bot_id: str, values: JsonObject | None = None) -> JsonObject:
        """The view as the Web API and payloads show it."""
        defaults: JsonObject = {"private_metadata": "", "callback_id": "", "external_id": "", "clear_on_close": False}
        defaults |= {"notify_on_close": False, "close": None, "submit": None}
        return (
            defaults
            | copy.deepcopy(self.content)
            | {"id": self.id, "team_id": team, "app_id": app_id, "bot_id": bot_id, "hash": self.hash}
            | {"root_view_id": self.root_id, "previous_view_id": self.previous_id, "state": {"values": values or {}}}
        )


@dataclass
class UploadedFile:
    """A file from the moment its upload URL was given out."""

    id: str
    name: str
    length: int
    content: bytes | None = None
    title: str = ""
    shared_in: str | None = None

    def to_wire(self) -> JsonObject:
        """The file object of answers and messages."""
        return {"id": self.id, "name": self.name, "title": self.title, "size": self.length}


@dataclass(frozen=True)
class Call:
    """One Web API call as it was received and answered. `answer` is None when the reply was lost."""

    method: str
    args: JsonObject
    at: float
    status: int
    answer: JsonObject | None

    @property
    def error(self) -> str | None:
        """Slack's error word, or None for a call that worked."""
        return None if self.answer is None or self.answer.get("ok") else str(self.answer.get("error"))


@dataclass(frozen=True)
class Violation:
    """Something the bot did that Slack refuses, or that breaks a rule people would feel."""

    where: str
    error: str
    reasons: tuple[str, ...]
    args: JsonObject


@dataclass
class Ack:
    """What a person saw after an action.

    `error` is None when the app answered within the limit, else Slack's word: `operation_timeout` (nothing came in
    time), `dispatch_failed` (no connection, or a status other than 200), `not_confirmed` (the person
    went back in the dialogue `asked`). `payload` is the app's answer.
    """

    envelope_id: str
    payload: JsonObject = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
    late: bool = False
    asked: JsonObject | None = None

    @property
    def ok(self) -> bool:
        """Whether the app answered in time."""
        return self.error is None

    @property
    def text(self) -> str:
        """The text of the answer; empty when it was a bare acknowledgement."""
        return str(self.payload.get("text", ""))

    @property
    def blocks(self) -> list[JsonObject]:
        """The blocks of the answer."""
        found: list[JsonObject] = self.payload.get("blocks", [])
        return found

    @property
    def errors(self) -> JsonObject:
        """Field errors of a refused modal, by block_id."""
        found: JsonObject = self.payload.get("errors", {})
        return found
