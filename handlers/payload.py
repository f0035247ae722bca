"""What Slack's payloads say: who acted, where, on which button. Only signed fields name people; buttons carry ids.

Shapes: docs.slack.dev/interactivity/implementing-slash-commands and /reference/interaction-payloads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acted and where. `trigger` is the same when Slack delivers the payload again; `ts` is the message clicked."""

    team: str
    user: str
    channel: str
    trigger: str
    ts: str = ""


def of_command(body: Body) -> Caller:
    """The person who typed a slash command."""
    return Caller(body["team_id"], body["user_id"], body["channel_id"], body["trigger_id"])


def of_action(body: Body) -> Caller:
    """The person who clicked."""
    container = body.get("container") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id") or ""
    return Caller(_team(body), body["user"]["id"], channel, body["trigger_id"], container.get("message_ts") or "")


def of_view(body: Body) -> Caller:
    """The person who submitted a modal. Where it was opened from stands in its private metadata: good for an answer,
    for nothing else.
    """
    came_from = ids(body["view"].get("private_metadata") or "")
    channel, ts = str(came_from.get("channel", "")), str(came_from.get("ts", ""))
    return Caller(_team(body), body["user"]["id"], channel, body["trigger_id"], ts)


def _team(body: Body) -> str:
    """The workspace, which is also named where the app is installed for an organisation."""
    team = body.get("team") or {}
    return str(team.get("id") or body["user"].get("team_id") or "")


def action_value(body: Body) -> Mapping[str, str | int]:
    """The ids of the clicked button."""
    return ids((body.get("actions") or [{}])[0].get("value") or "")


def ids(text: str) -> Mapping[str, str | int]:
    """A button's value or a modal's private metadata; empty if it is not what the bot wrote."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, str | int)}
