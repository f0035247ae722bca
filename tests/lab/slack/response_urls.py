"""`response_url`: five answers within 30 minutes to the one person who acted, or to the channel.

Source: docs.slack.dev/interactivity/handling-user-interaction#message_responses.
"""

import secrets
from dataclasses import dataclass

from aiohttp import web

from tests.lab.slack.blocks import check_blocks
from tests.lab.slack.state import Ephemeral, Message
from tests.lab.slack.store import Store
from tests.lab.slack.wire import JsonObject, SlackError

MAX_USES = 5
LIFETIME = 30 * 60.0


@dataclass
class _Issued:
    user: str
    channel: str
    at: float
    source: Message | Ephemeral | None
    uses: int = 0


class ResponseUrls:
    """Issues the URLs that payloads carry and does what the bot posts to them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._issued: dict[str, _Issued] = {}

    def issue(self, user: str, channel: str, source: Message | Ephemeral | None = None) -> str:
        """A URL for one payload; `source` is the message acted upon, which the answer may replace or delete."""
        key = secrets.token_hex(8)
        self._issued[key] = _Issued(user, channel, self._store.clock.now(), source)
        return f"{self._store.base_url}/respond/{self._store.team_id}/{key}"

    async def handle(self, request: web.Request) -> web.Response:
        """Take one answer; a refused one is a violation."""
        body: JsonObject = {}
        try:
            body = dict(await request.json())
            self._use(request.match_info["key"], body)
        except (ValueError, TypeError):
            return self._refuse(SlackError("invalid_payload"), {}, 400)
        except SlackError as error:
            return self._refuse(error, body, 404 if error.error in ("used_url", "expired_url") else 400)
        self._store.changed()
        return web.Response(text="ok")

    def _refuse(self, error: SlackError, body: JsonObject, status: int) -> web.Response:
        if error.is_bot_bug:
            self._store.violate("response_url", error.error, body, *error.reasons)
        return web.json_response(error.answer(), status=status)

    def _use(self, key: str, body: JsonObject) -> None:
        issued = self._issued.get(key)
        if issued is None:
            raise SlackError("expired_url")
        if self._store.clock.now() - issued.at > LIFETIME:
            raise SlackError("expired_url")
        if issued.uses >= MAX_USES:
            raise SlackError("used_url")
        if not body.get("delete_original"):
            if not body.get("text") and not body.get("blocks"):
                raise SlackError("no_text")
            check_blocks(body.get("blocks") or [], "message", self._store.refused_block_types)
        issued.uses += 1
        self._apply(issued, body)

    def _apply(self, issued: _Issued, body: JsonObject) -> None:
        source, text, blocks = issued.source, str(body.get("text", "")), body.get("blocks") or []
        if body.get("delete_original"):
            if source is not None:
                source.deleted = True
        elif body.get("replace_original") and isinstance(source, Message):
            self._store.name_blocks(blocks)
            source.set_content(text or source.text, blocks, source.metadata, self._store.clock.now())
        elif body.get("replace_original") and isinstance(source, Ephemeral):
            self._store.name_blocks(blocks)
            source.text, source.blocks, source.replaced = text, blocks, source.replaced + 1
        else:
            self.show(issued.user, issued.channel, body, "response_url", _thread_of(source, body))

    def show(
        self, user: str, channel: str, body: JsonObject, via: str = "ack", thread_ts: str | None = None
    ) -> Message | Ephemeral:
        """Show an answer to its person only, or with `response_type: in_channel` to all."""
        text, blocks = str(body.get("text", "")), body.get("blocks") or []
        store, ts = self._store, self._store.next_ts()
        if body.get("response_type") == "in_channel":
            message = Message(channel, ts, store.bot_user_id, text, blocks, thread_ts, bot_id=store.bot_id)
            return store.post(message)
        store.name_blocks(blocks)
        seen = Ephemeral(channel, user, ts, text, blocks, thread_ts, "ack" if via == "ack" else "response_url")
        store.ephemerals.append(seen)
        store.changed()
        return seen


def _thread_of(source: Message | Ephemeral | None, body: JsonObject) -> str | None:
    given = body.get("thread_ts")
    return str(given) if given else (source.thread_ts if source is not None else None)
