"""Calls of the reporter to Slack: one try each, sorted by what to do when it fails.

No call is retried in here: a post whose answer was lost may have arrived, so the reporter looks before it posts again.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.engine.ports import Outbox
from handlers.blocks.message import METADATA_EVENT, Block, Message

REPLY_TYPE: Final = "etcd_snapshot_reply"  # of the metadata of replies
UPDATES_PER_MINUTE: Final = 40  # chat.update is Tier 3, 50 and more; shared by all processes of the workspace
_BLOCKS_REFUSED: Final = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
_GONE: Final = frozenset({"message_not_found", "thread_not_found", "cant_update_message"})
_AGAIN: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
_PAGES: Final = 3  # how far back a message is looked for, in hundreds

Blocks: TypeAlias = Sequence[Block]


class Later(Exception):
    """Not now; after `seconds` it may go. With `doubt` Slack may have done it all the same."""

    def __init__(self, seconds: float, *, doubt: bool = False, why: str = "") -> None:
        super().__init__(why or f"not before {seconds:.1f} s")
        self.seconds = seconds
        self.doubt = doubt


class Gone(Exception):
    """The message or thread is not there any more."""


class Impossible(Exception):
    """Slack will not do it until somebody changes something: invites the bot, restores the channel, fixes scopes."""


class Poster:
    """Posts, edits and finds messages. `client` must have no retry handlers."""

    def __init__(self, client: AsyncWebClient, outbox: Outbox, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._outbox = outbox
        self._clock = clock
        self._not_before: dict[tuple[str, str], float] = {}

    async def post(
        self, channel: str, message: Message, metadata: Mapping[str, Any], *, plain: bool = False
    ) -> tuple[str, bool]:
        """Post to a channel: its ts, and whether Slack took the fallback only. Raises Later, Impossible."""

        async def send(blocks: Blocks | None) -> AsyncSlackResponse:
            return await self._client.chat_postMessage(
                channel=channel, text=message.text, blocks=blocks, metadata=dict(metadata), unfurl_links=False
            )

        answer, fell_back = await self._with_fallback("chat.postMessage", channel, message, plain, send)
        return str(answer["ts"]), fell_back

    async def update(
        self, channel: str, ts: str, message: Message, metadata: Mapping[str, Any], *, plain: bool = False
    ) -> bool:
        """Edit a message; whether Slack took the fallback only. Takes from the workspace's budget. Raises Later,
        Gone, Impossible.
        """
        self._check_pause("chat.update", "")
        wait = await self._outbox.take("chat.update", UPDATES_PER_MINUTE)
        if wait > 0:
            raise Later(wait)

        async def send(blocks: Blocks | None) -> AsyncSlackResponse:
            return await self._client.chat_update(
                channel=channel, ts=ts, text=message.text, blocks=blocks, metadata=dict(metadata)
            )

        _, fell_back = await self._with_fallback("chat.update", "", message, plain, send)
        return fell_back

    async def reply(self, channel: str, thread: str, text: str, key: str, *, broadcast: bool) -> None:
        """Post one line into a thread, with `key` in its metadata. Raises Later, Gone, Impossible."""
        metadata = {"event_type": REPLY_TYPE, "event_payload": {"key": key}}
        await self._call(
            "chat.postMessage",
            channel,
            lambda: self._client.chat_postMessage(
                channel=channel, thread_ts=thread, text=text, reply_broadcast=broadcast, metadata=metadata
            ),
        )

    async def find(self, channel: str, job: str, since: float) -> str:
        """The ts of the newest message about `job` in a channel since that time (seconds since the epoch), "" if there
        is none.
        """

        def ask(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
            return self._client.conversations_history(
                channel=channel, oldest=f"{since:.6f}", limit=100, include_all_metadata=True, cursor=cursor
            )

        async for ts, event_type, payload in self._metadata("conversations.history", ask):
            if event_type == METADATA_EVENT and payload.get("job") == job:
                return ts
        return ""

    async def replied(self, channel: str, thread: str) -> frozenset[str]:
        """The keys of the replies that stand in a thread. Raises Gone when the thread does not exist."""

        def ask(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
            return self._client.conversations_replies(
                channel=channel, ts=thread, limit=100, include_all_metadata=True, cursor=cursor
            )

        pages = self._metadata("conversations.replies", ask)
        return frozenset([str(payload.get("key")) async for _, kind, payload in pages if kind == REPLY_TYPE])

    async def direct(self, user: str) -> str:
        """The channel id of the direct messages with a person."""
        answer = await self._call("conversations.open", "", lambda: self._client.conversations_open(users=user))
        return str(answer["channel"]["id"])

    async def permalink(self, channel: str, ts: str) -> str:
        """A link to a message."""
        answer = await self._call(
            "chat.getPermalink", "", lambda: self._client.chat_getPermalink(channel=channel, message_ts=ts)
        )
        return str(answer["permalink"])

    async def _metadata(
        self, method: str, ask: Callable[[str | None], Awaitable[AsyncSlackResponse]]
    ) -> AsyncIterator[tuple[str, str, Mapping[str, Any]]]:
        """ts, event type and payload of each message, over a few pages."""
        cursor: str | None = None
        for _ in range(_PAGES):
            answer = await self._call(method, "", partial(ask, cursor))
            for message in answer.get("messages") or ():
                metadata = message.get("metadata") or {}
                yield str(message["ts"]), str(metadata.get("event_type")), metadata.get("event_payload") or {}
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return

    async def _with_fallback(
        self,
        method: str,
        scope: str,
        message: Message,
        plain: bool,
        send: Callable[[Blocks | None], Awaitable[AsyncSlackResponse]],
    ) -> tuple[AsyncSlackResponse, bool]:
        """The rich blocks, then the plain ones, then the text alone: an ugly message is better than none."""
        forms: list[Blocks | None] = [message.fallback_blocks or None, None]
        if not plain:
            forms.insert(0, message.blocks)
        for number, blocks in enumerate(forms):
            try:
                return await self._call(method, scope, partial(send, blocks)), plain or number > 0
            except _Refused:
                continue
        raise Impossible(f"{method}: Slack refuses every form of the message")

    async def _call(
        self, method: str, scope: str, send: Callable[[], Awaitable[AsyncSlackResponse]]
    ) -> AsyncSlackResponse:
        self._check_pause(method, scope)
        try:
            return await send()
        except SlackApiError as error:
            raise self._sorted(method, scope, error) from error
        except (TimeoutError, OSError, aiohttp.ClientError, SlackClientError, ValueError) as error:
            raise Later(2, doubt=True, why=f"{method}: {type(error).__name__}") from error

    def _check_pause(self, method: str, scope: str) -> None:
        """Slack named a time before which this method (in this channel) is not to be called."""
        wait = self._not_before.get((method, scope), 0) - self._clock()
        if wait > 0:
            raise Later(wait)

    def _sorted(self, method: str, scope: str, error: SlackApiError) -> Exception:
        status = getattr(error.response, "status_code", 0)
        code = str(error.response.get("error", "")) if isinstance(error.response.data, dict) else ""
        if status == 429 or code == "ratelimited":
            headers = {name.lower(): value for name, value in error.response.headers.items()}
            seconds = float(headers.get("retry-after", 30))
            self._not_before[method, scope] = self._clock() + seconds
            return Later(seconds, why=f"{method}: rate limit")
        if code in _BLOCKS_REFUSED:
            return _Refused(code)
        if code in _GONE:
            return Gone(code)
        if status >= 500 or code in _AGAIN or not code:
            return Later(2, doubt=True, why=f"{method}: {status} {code}")
        return Impossible(f"{method}: {code}")


class _Refused(Exception):
    """Slack does not take these blocks."""
