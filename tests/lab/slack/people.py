"""People of the workspace and what they can do: type a command, click, fill in a modal, write a message."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab.slack.desk import Desk
from tests.lab.slack.payloads import Target
from tests.lab.slack.state import Ack, Ephemeral, Message, View
from tests.lab.slack.store import Channel, Store
from tests.lab.slack.wire import JsonObject


@dataclass(eq=False)
class User:
    """A person (or another bot). The flags are those of users.info, by which approvers are judged."""

    id: str
    name: str
    team_id: str
    store: Store = field(repr=False)
    desk: Desk = field(repr=False)
    deleted: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_app_user: bool = False
    is_admin: bool = False

    def to_wire(self) -> JsonObject:
        """The user object of users.info."""
        names = ("id", "team_id", "name", "deleted", "is_bot", "is_app_user")
        shown: JsonObject = {name: getattr(self, name) for name in names}
        if not self.deleted:
            flags = ("is_restricted", "is_ultra_restricted", "is_stranger", "is_admin")
            shown |= {name: getattr(self, name) for name in flags}
        real_name = self.name.capitalize()
        profile = {"real_name": real_name, "display_name": self.name, "team": self.team_id}
        return shown | {"real_name": real_name, "tz": "Etc/UTC", "tz_offset": 0, "updated": 1, "profile": profile}

    async def slash(self, channel: "Channel | None", command: str, text: str = "") -> Ack:
        """Type a command in a channel (None: in the direct conversation with the bot).

        Threads take no commands in Slack, so there is no way to say one here.
        """
        place = channel or self.store.dm(self.id)
        if not self.can_see(place):
            raise PermissionError(f"{self.name} is not in #{place.name} and cannot type there")
        return await self.desk.slash(self, place, command, text)

    async def click(
        self,
        target: Target,
        action_id: str,
        value: str | Mapping[str, object] | None = None,
        *,
        which: int = 0,
        entered: object = None,
        confirm: bool = True,
    ) -> Ack:
        """Click an element of a message, an own ephemeral message or an own open view.

        `value` (text, or the JSON in it) or `which` pick among several elements of one `action_id`; `entered` is the
        choice in a menu or in boxes; `confirm=False` goes back in the confirm dialogue. To click on an old screen pass
        `message.stale_copy()`. LookupError when there is nothing to click.
        """
        self._require_visible(target)
        return await self.desk.click(self, target, action_id, value, which=which, entered=entered, confirm=confirm)

    async def submit(self, view: View, values: Mapping[str, object] | None = None) -> Ack:
        """Submit an own modal with values by block_id or action_id; the rest keeps its initial value."""
        self._require_visible(view)
        return await self.desk.submit(self, view, values or {})

    async def close(self, view: View) -> Ack | None:
        """Close an own modal with its close button."""
        self._require_visible(view)
        return await self.desk.close(self, view)

    async def options(self, target: Target, action_id: str, query: str) -> list[JsonObject]:
        """Type into an external select and see what the app offers."""
        self._require_visible(target)
        return await self.desk.options(self, target, action_id, query)

    async def says(self, channel: Channel, text: str, thread_ts: str | None = None) -> Message:
        """Write a message; with a mention of the bot it hears `app_mention`, in a direct conversation `message`."""
        message = Message(channel.id, self.store.next_ts(), self.id, text, thread_ts=thread_ts)
        self.store.post(message)
        body: JsonObject = {"user": self.id, "text": text, "ts": message.ts, "channel": channel.id}
        if thread_ts:
            body["thread_ts"] = thread_ts
        if channel.dm_with:
            await self.desk.event(body | {"type": "message", "channel_type": "im"})
        elif f"<@{self.store.bot_user_id}>" in text:
            await self.desk.event(body | {"type": "app_mention"})
        return message

    async def open_home(self) -> Ack:
        """Look at the app's Home tab."""
        body: JsonObject = {"type": "app_home_opened", "user": self.id, "channel": self.store.dm(self.id).id}
        return await self.desk.event(body | {"tab": "home", "event_ts": self.store.next_ts()})

    def can_see(self, channel: Channel) -> bool:
        """Public channels are open to full members, everything else to those who are in it."""
        if self.id in channel.members:
            return True
        is_guest = self.is_restricted or self.is_ultra_restricted or self.is_stranger
        return not (channel.is_private or channel.dm_with or is_guest)

    def _require_visible(self, target: Target) -> None:
        if isinstance(target, View | Ephemeral) and target.user != self.id:
            raise PermissionError(f"{self.name} does not see what was shown to {target.user} only")
        if isinstance(target, View):
            if not target.is_open:
                raise LookupError(f"view {target.id} is not open any more")
            return
        if target.deleted:
            raise LookupError("the message was deleted")
        if not self.can_see(self.store.channels[target.channel]):
            raise PermissionError(f"{self.name} does not see {target.channel}")

    @property
    def ephemerals(self) -> list[Ephemeral]:
        """What only this person saw and still sees, oldest first."""
        return [e for e in self.store.ephemerals if e.user == self.id and not e.deleted]

    @property
    def dms(self) -> list[Message]:
        """The messages of the direct conversation with the bot, oldest first."""
        found = [c for c in self.store.channels.values() if c.dm_with == self.id]
        return found[0].messages if found else []

    @property
    def modals(self) -> list[View]:
        """The open modals, the topmost last."""
        return [v for v in self.store.views.values() if v.user == self.id and v.kind == "modal" and v.is_open]

    @property
    def home(self) -> View | None:
        """The Home tab as published last."""
        homes = [v for v in self.store.views.values() if v.user == self.id and v.kind == "home"]
        return homes[-1] if homes else None
