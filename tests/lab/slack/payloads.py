"""The payloads Slack sends: slash commands, block actions, view submissions, events.

Source: docs.slack.dev/reference/interaction-payloads and /apis/events-api.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.lab.slack.blocks import interactive_parts
from tests.lab.slack.state import Ephemeral, Message, View
from tests.lab.slack.store import Channel, Store
from tests.lab.slack.wire import JsonObject

if TYPE_CHECKING:
    from tests.lab.slack.people import User

Target = Message | Ephemeral | View


def slash(store: Store, user: "User", channel: Channel, command: str, text: str, response_url: str) -> JsonObject:
    """A slash command: all values are strings, as in the form it comes from."""
    name = "directmessage" if channel.dm_with else channel.name
    return {
        "token": "lab-deprecated-token",
        "team_id": user.team_id,
        "team_domain": store.team_domain,
        "channel_id": channel.id,
        "channel_name": name,
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": store.app_id,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": store.new_trigger(user.id),
    }


def _interaction(store: Store, user: "User", kind: str, view_id: str | None) -> JsonObject:
    return {
        "type": kind,
        "team": {"id": user.team_id, "domain": store.team_domain},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": store.app_id,
        "token": "lab-deprecated-token",
        "trigger_id": store.new_trigger(user.id, view_id),
        "enterprise": None,
        "is_enterprise_install": False,
    }


def block_actions(
    store: Store, user: "User", target: Target, action: JsonObject, values: JsonObject, response_url: str | None
) -> JsonObject:
    """A click. An ephemeral message does not come along in it, a view has neither channel nor response_url."""
    view_id = target.id if isinstance(target, View) else None
    payload = _interaction(store, user, "block_actions", view_id)
    payload |= {"actions": [action | {"action_ts": store.next_ts()}], "state": {"values": values}}
    if isinstance(target, View):
        payload["container"] = {"type": "view", "view_id": target.id}
        payload["view"] = target.to_wire(store.team_id, store.app_id, store.bot_id, values)
        return payload
    channel = store.channels[target.channel]
    container: JsonObject = {"type": "message", "message_ts": target.ts, "channel_id": channel.id}
    container["is_ephemeral"] = isinstance(target, Ephemeral)
    if target.thread_ts:
        container["thread_ts"] = target.thread_ts
    payload |= {"container": container, "response_url": response_url}
    payload["channel"] = {"id": channel.id, "name": "directmessage" if channel.dm_with else channel.name}
    if isinstance(target, Message):
        payload["message"] = target.to_wire(store.team_id, store.app_id, with_metadata=True)
    return payload


def view_event(store: Store, user: "User", view: View, kind: str, values: JsonObject) -> JsonObject:
    """`view_submission` or `view_closed`."""
    payload = _interaction(store, user, kind, view.id)
    payload["view"] = view.to_wire(store.team_id, store.app_id, store.bot_id, values)
    if kind == "view_submission":
        payload["response_urls"] = []
    else:
        payload["is_cleared"] = False
    return payload


def suggestion(
    store: Store, user: "User", target: Target, block: JsonObject, element: JsonObject, query: str
) -> JsonObject:
    """`block_suggestion`: what was typed into an external select."""
    view_id = target.id if isinstance(target, View) else None
    payload = _interaction(store, user, "block_suggestion", view_id)
    del payload["trigger_id"]
    payload |= {"action_id": element["action_id"], "block_id": block["block_id"], "value": query}
    if isinstance(target, View):
        payload["container"] = {"type": "view", "view_id": target.id}
        payload["view"] = target.to_wire(store.team_id, store.app_id, store.bot_id)
    else:
        payload["container"] = {"type": "message", "message_ts": target.ts, "channel_id": target.channel}
        payload["channel"] = {"id": target.channel}
    return payload


def event(store: Store, body: JsonObject) -> JsonObject:
    """An Events API callback around an inner event."""
    return {
        "token": "lab-deprecated-token",
        "team_id": store.team_id,
        "api_app_id": store.app_id,
        "type": "event_callback",
        "event_id": store.next_id("Ev"),
        "event_time": int(store.clock.now()),
        "authorizations": [{"team_id": store.team_id, "user_id": store.bot_user_id, "is_bot": True}],
        "event": body,
    }


def find_element(
    blocks: list[JsonObject], action_id: str, value: str | Mapping[str, object] | None, which: int
) -> tuple[JsonObject, JsonObject]:
    """The block and element a person would click; LookupError tells what there is instead."""
    found, seen = [], []
    for block in blocks:
        for part in interactive_parts(block):
            seen.append(str(part.get("action_id")))
            if part.get("action_id") == action_id and (value is None or _same(part.get("value"), value)):
                found.append((block, part))
    if len(found) <= which:
        raise LookupError(f"no element {action_id!r} (value {value!r}, number {which}) to click; there are: {seen}")
    return found[which]


def _same(value: object, wanted: str | Mapping[str, object]) -> bool:
    if isinstance(wanted, str):
        return value == wanted
    try:
        return bool(json.loads(str(value)) == dict(wanted))
    except ValueError:
        return False
