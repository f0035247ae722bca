"""chat.* and reactions.*: posting, editing and deleting, with Slack's refusals."""

import json

from tests.lab.slack.blocks import check_blocks
from tests.lab.slack.state import Ephemeral, Message
from tests.lab.slack.store import Channel, Store
from tests.lab.slack.wire import JsonObject, SlackError, refused_arguments

#: chat.update refuses longer text; chat.postMessage cuts silently at the second figure, which the lab refuses.
UPDATE_TEXT, POST_TEXT = 4_000, 40_000
METADATA_BYTES = 8_000


def post_message(store: Store, args: JsonObject) -> JsonObject:
    """chat.postMessage. A user id as channel posts to the direct conversation with that person."""
    channel = writable(store, args.get("channel"))
    text, blocks = content(store, args)
    metadata = metadata_of(args)
    thread_ts = thread_root(store, channel, args.get("thread_ts"))
    message = Message(channel.id, store.next_ts(), store.bot_user_id, text, blocks, thread_ts, bot_id=store.bot_id)
    message.reply_broadcast = thread_ts is not None and is_true(args.get("reply_broadcast"))
    if message.reply_broadcast:
        message.subtype = "thread_broadcast"
    store.post(message, metadata)
    shown = message.to_wire(store.team_id, store.app_id, with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def update(store: Store, args: JsonObject) -> JsonObject:
    """chat.update. Text without blocks drops the blocks; metadata stays unless given anew."""
    channel = store.channel_for_bot(args.get("channel"))
    if channel.is_archived:
        raise SlackError("is_archived")
    message = own_message(store, channel, args.get("ts"), "cant_update_message")
    if "text" not in args and "blocks" not in args:
        raise SlackError("no_text")
    if len(str(args.get("text") or "")) > UPDATE_TEXT:
        raise SlackError("msg_too_long")
    text, blocks = content(store, args, message.text)
    metadata = metadata_of(args) if args.get("metadata") is not None else message.metadata
    store.name_blocks(blocks)
    message.set_content(text, blocks, metadata, store.clock.now())
    store.changed()
    shown = message.to_wire(store.team_id, store.app_id, with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": text, "message": shown}


def delete(store: Store, args: JsonObject) -> JsonObject:
    """chat.delete, for the bot's own messages."""
    channel = store.channel_for_bot(args.get("channel"))
    message = own_message(store, channel, args.get("ts"), "cant_delete_message")
    message.deleted = True
    store.changed()
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(store: Store, args: JsonObject) -> JsonObject:
    """chat.postEphemeral: only `user` sees it, and only as a member of the channel."""
    channel = writable(store, args.get("channel"))
    user = str(args.get("user") or "")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    text, blocks = content(store, args)
    thread_ts = thread_root(store, channel, args.get("thread_ts"))
    store.name_blocks(blocks)
    seen = Ephemeral(channel.id, user, store.next_ts(), text, blocks, thread_ts)
    store.ephemerals.append(seen)
    store.changed()
    return {"message_ts": seen.ts}


def get_permalink(store: Store, args: JsonObject) -> JsonObject:
    """chat.getPermalink."""
    channel = store.channel_for_bot(args.get("channel"))
    message = store.messages.get((channel.id, str(args.get("message_ts"))))
    if message is None or message.deleted:
        raise SlackError("message_not_found")
    link = f"https://{store.team_domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts and message.thread_ts != message.ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def add_reaction(store: Store, args: JsonObject) -> JsonObject:
    """reactions.add."""
    channel = store.channel_for_bot(args.get("channel"))
    message = store.messages.get((channel.id, str(args.get("timestamp"))))
    if message is None or message.deleted:
        raise SlackError("message_not_found")
    name = str(args.get("name") or "")
    if not name or ":" in name:
        raise SlackError("invalid_name")
    users = message.reactions.setdefault(name, set())
    if store.bot_user_id in users:
        raise SlackError("already_reacted")
    users.add(store.bot_user_id)
    store.changed()
    return {}


def writable(store: Store, channel_id: object) -> Channel:
    """The conversation, when the bot may post there."""
    if isinstance(channel_id, str) and channel_id in store.users:
        if store.users[channel_id].deleted:
            raise SlackError("user_disabled")
        return store.dm(channel_id)
    channel = store.channel_for_bot(channel_id)
    if channel.is_archived:
        raise SlackError("is_archived")
    if store.bot_user_id not in channel.members and "chat:write.public" not in store.scopes:
        raise SlackError("not_in_channel")
    return channel


def content(store: Store, args: JsonObject, old_text: str = "") -> tuple[str, list[JsonObject]]:
    """Text and checked blocks of a message; `no_text` when there is nothing to show.

    Slack accepts blocks without text, but then notifications and screen readers have nothing to say: a violation.
    """
    text, blocks = args.get("text", old_text) or "", args.get("blocks") or []
    if not isinstance(text, str):
        raise refused_arguments("must be a string [json-pointer:/text]")
    check_blocks(blocks, "message", store.refused_block_types)
    if not text.strip() and not blocks and not args.get("attachments"):
        raise SlackError("no_text")
    if len(text) > POST_TEXT:
        raise SlackError("msg_too_long")
    if blocks and not args.get("text"):
        store.violate("message", "no_fallback_text", args, "send `text` with every message")
    return text, blocks


def metadata_of(args: JsonObject) -> JsonObject | None:
    """Checked message metadata: an event type and a payload of moderate size."""
    metadata = args.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata["event_type"], str) or not isinstance(metadata["event_payload"], dict):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(metadata)) > METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return metadata


def thread_root(store: Store, channel: Channel, thread_ts: object) -> str | None:
    """The parent's ts. Slack's pages tell never to use a reply's ts, so that is refused too."""
    if not thread_ts:
        return None
    parent = store.messages.get((channel.id, str(thread_ts)))
    if parent is None or parent.deleted or parent.thread_ts not in (None, parent.ts):
        raise SlackError("thread_not_found")
    parent.thread_ts = parent.ts
    return parent.ts


def own_message(store: Store, channel: Channel, ts: object, refusal: str) -> Message:
    """A message the bot posted itself."""
    message = store.messages.get((channel.id, str(ts)))
    if message is None or message.deleted:
        raise SlackError("message_not_found")
    if message.bot_id != store.bot_id:
        raise SlackError(refusal)
    return message


def is_true(value: object) -> bool:
    """A flag as forms (`1`, `true`) or JSON write it."""
    return value is True or str(value).lower() in ("1", "true")
