"""conversations.*, users.* and usergroups.*: who and where, and reading messages back."""

from typing import TYPE_CHECKING

from tests.lab.slack.api_chat import is_true
from tests.lab.slack.state import Message
from tests.lab.slack.store import Channel, Store
from tests.lab.slack.wire import JsonObject, SlackError

if TYPE_CHECKING:
    from tests.lab.slack.people import User


def channel_object(store: Store, channel: Channel) -> JsonObject:
    """The conversation as Slack describes it to the bot."""
    if channel.dm_with is not None:
        return {"id": channel.id, "is_im": True, "user": channel.dm_with, "is_archived": False}
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": not channel.is_private,
        "is_private": channel.is_private,
        "is_im": False,
        "is_archived": channel.is_archived,
        "is_member": store.bot_user_id in channel.members,
    }


def info(store: Store, args: JsonObject) -> JsonObject:
    """conversations.info."""
    return {"channel": channel_object(store, store.channel_for_bot(args.get("channel")))}


def join(store: Store, args: JsonObject) -> JsonObject:
    """conversations.join, for public channels."""
    channel = store.channel_for_bot(args.get("channel"))
    if channel.is_private or channel.dm_with is not None:
        raise SlackError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackError("is_archived")
    channel.members.add(store.bot_user_id)
    store.changed()
    return {"channel": channel_object(store, channel)}


def open_dm(store: Store, args: JsonObject) -> JsonObject:
    """conversations.open with one user (the bot asks for no group conversations)."""
    users = args.get("users")
    wanted = users if isinstance(users, list) else [one for one in str(users or "").split(",") if one]
    if not wanted:
        raise SlackError("users_list_not_supplied")
    if len(wanted) > 1:
        raise SlackError("not_enough_scopes_for_mpim")
    user = _user(store, wanted[0])
    if user.is_bot:
        raise SlackError("cannot_dm_bot")
    if user.deleted:
        raise SlackError("user_disabled")
    known = any(channel.dm_with == user.id for channel in store.channels.values())
    return {"channel": {"id": store.dm(user.id).id}, "already_open": known}


def history(store: Store, args: JsonObject) -> JsonObject:
    """conversations.history: the top level, newest first."""
    channel = _readable(store, args)
    return _page(store, args, list(reversed(channel.messages)))


def replies(store: Store, args: JsonObject) -> JsonObject:
    """conversations.replies: the parent, then its replies, oldest first."""
    channel = _readable(store, args)
    parent = store.messages.get((channel.id, str(args.get("ts"))))
    if parent is None or parent.deleted:
        raise SlackError("thread_not_found")
    return _page(store, args, [parent, *channel.thread(parent.ts)])


def user_info(store: Store, args: JsonObject) -> JsonObject:
    """users.info."""
    return {"user": _user(store, args.get("user")).to_wire()}


def user_list(store: Store, args: JsonObject) -> JsonObject:
    """users.list, in one page."""
    return {"members": [user.to_wire() for user in store.users.values()], "response_metadata": {"next_cursor": ""}}


def group_list(store: Store, args: JsonObject) -> JsonObject:
    """usergroups.list."""
    with_users = is_true(args.get("include_users"))
    groups = [g for g in store.groups.values() if not g.disabled or is_true(args.get("include_disabled"))]
    shown = []
    for group in groups:
        entry: JsonObject = {"id": group.id, "team_id": store.team_id, "handle": group.handle, "name": group.handle}
        entry["date_delete"] = 1 if group.disabled else 0
        if with_users:
            entry["users"] = list(group.members)
        shown.append(entry)
    return {"usergroups": shown}


def group_members(store: Store, args: JsonObject) -> JsonObject:
    """usergroups.users.list."""
    group = store.groups.get(str(args.get("usergroup")))
    if group is None or (group.disabled and not is_true(args.get("include_disabled"))):
        raise SlackError("no_such_subteam")
    return {"users": list(group.members)}


def members(store: Store, args: JsonObject) -> JsonObject:
    """conversations.members, in one page."""
    channel = store.channel_for_bot(args.get("channel"))
    return {"members": sorted(channel.members), "response_metadata": {"next_cursor": ""}}


def _user(store: Store, user_id: object) -> "User":
    user = store.users.get(user_id) if isinstance(user_id, str) else None
    if user is None:
        raise SlackError("user_not_found")
    return user


def _readable(store: Store, args: JsonObject) -> Channel:
    channel = store.channel_for_bot(args.get("channel"))
    if store.bot_user_id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _page(store: Store, args: JsonObject, found: list[Message]) -> JsonObject:
    """Cut by time and limit. `metadata` is shown only with include_all_metadata, as in Slack."""
    oldest, latest = float(args.get("oldest") or 0), float(args.get("latest") or "inf")
    inclusive, with_metadata = is_true(args.get("inclusive")), is_true(args.get("include_all_metadata"))
    inside = [m for m in found if oldest < float(m.ts) < latest or (inclusive and float(m.ts) in (oldest, latest))]
    start, limit = int(args.get("cursor") or 0), min(int(args.get("limit") or 100), 999)
    page, more = inside[start : start + limit], len(inside) > start + limit
    shown = [m.to_wire(store.team_id, store.app_id, with_metadata=with_metadata) for m in page]
    for message, wire in zip(page, shown, strict=True):
        below = store.channels[message.channel].thread(message.ts)
        if below:
            wire |= {"reply_count": len(below), "latest_reply": below[-1].ts}
    cursor = str(start + limit) if more else ""
    return {"messages": shown, "has_more": more, "response_metadata": {"next_cursor": cursor}}
