"""A whole local Slack workspace: people, channels, the wire protocols and the switches that break them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Self, TypeVar

from aiohttp import web

from tests.lab.slack import api_files, payloads
from tests.lab.slack.clock import Clock
from tests.lab.slack.desk import Desk
from tests.lab.slack.faults import Faults
from tests.lab.slack.limits import Budgets, Rate, default_rates
from tests.lab.slack.people import User
from tests.lab.slack.request_url import RequestUrl
from tests.lab.slack.response_urls import ResponseUrls
from tests.lab.slack.server import Server
from tests.lab.slack.socket_mode import SocketMode
from tests.lab.slack.state import Ack, Call, Message, Violation
from tests.lab.slack.store import DEFAULT_SCOPES, Channel, Store, UserGroup
from tests.lab.slack.transport import Envelope
from tests.lab.slack.web_api import WebApi
from tests.lab.slack.wire import JsonObject, SlackError

T = TypeVar("T")
TransportName = Literal["socket", "http"]


class Workspace:
    """Start it, point a bot at `api_url` with `bot_token` and `app_token`, act through `user(...)`.

    `rates` replaces Slack's budgets (an empty mapping lifts them); `ack_seconds` replaces the 3 s rule.
    """

    def __init__(
        self,
        *,
        transport: TransportName = "socket",
        clock: Clock | None = None,
        scopes: Iterable[str] = DEFAULT_SCOPES,
        rates: Mapping[str, Rate] | None = None,
        ack_seconds: float = 3.0,
    ) -> None:
        self.store = Store(clock=clock, scopes=frozenset(scopes))
        self.clock = self.store.clock
        self.faults = Faults()
        self.budgets = Budgets(self.clock, default_rates() if rates is None else dict(rates))
        self.sockets = SocketMode(self.store)
        self.http = RequestUrl(self.store)
        self.response_urls = ResponseUrls(self.store)
        self.desk = Desk(self.store, self.response_urls, self.sockets)
        self.desk.ack_seconds = ack_seconds
        self._api = WebApi(self.store, self.sockets.new_url, self.budgets, self.faults)
        self._server = Server(self._routes())
        self.transport = transport
        self._add_bot_user()

    def _add_bot_user(self) -> None:
        store = self.store
        bot = User(store.bot_user_id, "etcd-snapshot", store.team_id, store, self.desk, is_bot=True)
        store.users[bot.id] = bot

    def _routes(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._api.handle)
        app.router.add_get("/link/", self._link)
        app.router.add_post("/respond/{team}/{key}", self._respond)
        app.router.add_post("/upload/v1/{file}", self._upload)
        return app

    async def _link(self, request: web.Request) -> web.StreamResponse:
        return self._broken() or await self.sockets.handle(request)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        return self._broken() or await self.response_urls.handle(request)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        return self._broken() or await api_files.receive(self.store, request)

    def _broken(self) -> web.Response | None:
        status = self.faults.broken_status
        return None if status is None else web.Response(status=status, text="Service Unavailable")

    async def start(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        await self._server.start()
        self.store.base_url = f"http://127.0.0.1:{self._server.port}"
        return self

    async def stop(self) -> None:
        """Close sockets and server."""
        self.sockets.drop()
        await self.http.close()
        await self._server.stop()
        self.store.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def api_url(self) -> str:
        """The Web API's base URL, with the trailing slash that slack_sdk wants."""
        return f"{self.store.base_url}/api/"

    @property
    def bot_token(self) -> str:
        """`xoxb-…`."""
        return self.store.bot_token

    @property
    def app_token(self) -> str:
        """`xapp-…`, for apps.connections.open only."""
        return self.store.app_token

    @property
    def signing_secret(self) -> str:
        """What requests to the request URL are signed with."""
        return self.store.signing_secret

    @property
    def team_id(self) -> str:
        """The workspace's id."""
        return self.store.team_id

    @property
    def transport(self) -> TransportName:
        """How payloads reach the app."""
        return "http" if self.desk.transport is self.http else "socket"

    @transport.setter
    def transport(self, name: TransportName) -> None:
        self.desk.transport = self.http if name == "http" else self.sockets

    @property
    def request_url(self) -> str | None:
        """Where the bot listens for signed requests (transport "http")."""
        return self.http.url

    @request_url.setter
    def request_url(self, url: str | None) -> None:
        self.http.url = url

    @property
    def calls(self) -> list[Call]:
        """Every Web API call, oldest first."""
        return self.store.calls

    @property
    def violations(self) -> list[Violation]:
        """Everything that was refused because the bot did it wrong."""
        return self.store.violations

    @property
    def timeouts(self) -> list[Ack]:
        """Actions whose person saw `operation_timeout`."""
        return [ack for ack in self.store.acks if ack.error == "operation_timeout"]

    def calls_of(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self.calls if call.method == method]

    def user(self, name: str, *, user_id: str | None = None, team_id: str | None = None, **flags: bool) -> User:
        """The person of that name, created at the first mention; `flags` are those of users.info."""
        for user in self.store.users.values():
            if user.name == name:
                break
        else:
            new_id = user_id or self.store.next_id("U")
            user = User(new_id, name, team_id or self.team_id, self.store, self.desk)
            self.store.users[new_id] = user
        for flag, value in flags.items():
            if not isinstance(getattr(user, flag, None), bool):
                raise TypeError(f"users have no flag {flag}")
            setattr(user, flag, value)
        return user

    def usergroup(
        self, handle: str, members: Iterable[User] | None = None, *, group_id: str | None = None
    ) -> UserGroup:
        """The user group of that handle, created at the first mention; `members` replaces who is in it."""
        group = next((g for g in self.store.groups.values() if g.handle == handle), None)
        if group is None:
            group = UserGroup(group_id or self.store.next_id("S"), handle)
            self.store.groups[group.id] = group
        if members is not None:
            group.members = [user.id for user in members]
        return group

    def channel(
        self,
        name: str,
        *,
        channel_id: str | None = None,
        members: Iterable[User] = (),
        private: bool = False,
        with_bot: bool = True,
    ) -> Channel:
        """The channel of that name, created at the first mention; `members` are added to it."""
        channel = next((c for c in self.store.channels.values() if c.name == name), None)
        if channel is None:
            channel = Channel(channel_id or self.store.next_id("C"), name, self.store, is_private=private)
            self.store.channels[channel.id] = channel
            if with_bot:
                channel.members.add(self.store.bot_user_id)
        channel.members.update(user.id for user in members)
        return channel

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 15.0) -> T:
        """Wait until `predicate` gives something true and return that.

        It is asked again after every change of the workspace. TimeoutError tells what happened last.
        """
        try:
            return await self.store.wait_for(predicate, timeout)
        except TimeoutError as problem:
            raise TimeoutError(f"not seen within {timeout} s; {self._last_seen()}") from problem

    def _last_seen(self) -> str:
        calls = [f"{call.method} {call.error or call.status}" for call in self.calls[-8:]]
        texts = [message.text for message in list(self.store.messages.values())[-5:]]
        return f"last calls {calls}, last messages {texts}, violations {self.violations[-3:]}"

    async def connected(self, count: int = 1, timeout: float = 15.0) -> None:
        """Wait until the app holds at least `count` sockets."""
        await self.wait_for(lambda: len(self.sockets.connections) >= count, timeout)

    async def redeliver(self, ack: Ack) -> Ack:
        """Deliver the payload of an earlier action once more, with the same envelope id."""
        return await self.desk.redeliver(ack)

    async def send_forged(
        self, user: User, channel: Channel, command: str, text: str = "", *, age: float = 0.0, secret: str | None = None
    ) -> int:
        """Post a slash command with an old timestamp or another secret's signature; the status the bot answers.

        To replay a request byte for byte use `workspace.http.post(workspace.http.sent[-1])`.
        """
        payload = payloads.slash(self.store, user, channel, command, text, f"{self.store.base_url}/respond/T/none")
        request = self.http.request_for(Envelope("slash_commands", payload), age=age, secret=secret)
        return (await self.http.post(request))[0]

    def redeliver_next(self, times: int = 1) -> None:
        """Let the next payloads arrive twice."""
        self.desk.redeliver_next += times

    def rate_limit_next(self, method: str, seconds: int = 1, times: int = 1) -> None:
        """Answer the next calls of a method (`*`: any) with 429 and `Retry-After: seconds`."""
        self.faults.plan(method, times, error=SlackError("ratelimited", {"retry_after": seconds}))

    def fail_next(self, method: str, error: str, times: int = 1, *, status: int = 200) -> None:
        """Answer the next calls of a method with an error word; `status` 500 makes it a server error."""
        self.faults.plan(method, times, error=SlackError(error, {"status": status}))

    def lose_reply_next(self, method: str, times: int = 1) -> None:
        """Do the work of the next calls, then drop the connection instead of answering."""
        self.faults.plan(method, times, lost="reply")

    def lose_request_next(self, method: str, times: int = 1) -> None:
        """Drop the connection of the next calls without doing anything."""
        self.faults.plan(method, times, lost="request")

    def refuse_block_type(self, kind: str) -> None:
        """Answer invalid_blocks to a block type, as a workspace does where it is not rolled out."""
        self.store.refused_block_types.add(kind)

    async def down(self, how: Literal["503", "refused"] = "503") -> None:
        """Take Slack away: every request gets a 503, or no connection is possible. Open sockets break."""
        if how == "refused":
            await self._server.refuse()
        else:
            self.faults.broken_status = 503
        self.sockets.drop()

    async def up(self) -> None:
        """End an outage; the address is the same as before."""
        self.faults.broken_status = None
        await self._server.accept()

    async def down_for(self, seconds: float, how: Literal["503", "refused"] = "503") -> None:
        """An outage of so many real seconds."""
        await self.down(how)
        await asyncio.sleep(seconds)
        await self.up()

    def names(self) -> dict[str, str]:
        """Names of people, groups and channels by id, for rendering mentions."""
        people = {user.id: user.name for user in self.store.users.values()}
        groups = {group.id: group.handle for group in self.store.groups.values()}
        return people | groups | {channel.id: channel.name for channel in self.store.channels.values()}

    def messages_json(self) -> list[JsonObject]:
        """All messages in their last form, for a transcript."""
        return [_record(message) for message in self.store.messages.values()]


def _record(message: Message) -> JsonObject:
    return {
        "channel": message.channel,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "user": message.user,
        "text": message.text,
        "blocks": message.blocks,
        "metadata": message.metadata,
        "edited": message.edited,
        "deleted": message.deleted,
    }
