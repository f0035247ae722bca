"""Slack's mrkdwn and inline elements as plain text: mentions by name, dates in UTC, markup removed."""

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from tests.lab.slack.wire import JsonObject

#: Code is put aside while markup is removed, because bold may span it.
_CODE, _HIDDEN = re.compile(r"`[^`\n]*`"), re.compile(r"\0(\d+)\0")
_TOKEN = re.compile(r"<([^<>]+)>")
_FORMATS = {
    "{date_num}": "%Y-%m-%d",
    "{date}": "%Y-%m-%d",
    "{date_short}": "%Y-%m-%d",
    "{date_long}": "%Y-%m-%d",
    "{date_pretty}": "%Y-%m-%d",
    "{date_short_pretty}": "%Y-%m-%d",
    "{date_long_pretty}": "%Y-%m-%d",
    "{time}": "%H:%M",
    "{time_secs}": "%H:%M:%S",
}


def plain(text: str, names: Mapping[str, str]) -> str:
    """mrkdwn without its markup; `names` maps ids (U…, S…, C…) to what people read."""
    codes: list[str] = []

    def hide(found: re.Match[str]) -> str:
        codes.append(found[0])
        return f"\0{len(codes) - 1}\0"

    shown = _unmark(_CODE.sub(hide, _TOKEN.sub(lambda found: _token(found[1], names), text)))
    return html.unescape(_HIDDEN.sub(lambda found: codes[int(found[1])], shown))


def _unmark(text: str) -> str:
    for mark in "*_~":
        one = re.escape(mark)
        text = re.sub(rf"(?<!\w){one}(?!\s)([^{one}\n]+)(?<!\s){one}(?!\w)", r"\1", text)
    return text


def _token(inside: str, names: Mapping[str, str]) -> str:
    target, _, label = inside.partition("|")
    if target.startswith("!date^"):
        _, timestamp, form, *_ = target.split("^")
        return utc(int(timestamp), form)
    if target.startswith("!subteam^"):
        group = target.removeprefix("!subteam^")
        return "@" + names.get(group, label.removeprefix("@") or group)
    if target.startswith("@"):
        return "@" + names.get(target[1:], label or target[1:])
    if target.startswith("#"):
        return "#" + names.get(target[1:], label or target[1:])
    if target.startswith("!"):
        return "@" + target[1:]
    return f"{label} ({target})" if label and label != target else target


def utc(timestamp: int, form: str) -> str:
    """A date token as UTC: what Slack would show in the reader's own zone."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    for name, pattern in _FORMATS.items():
        form = form.replace(name, moment.strftime(pattern))
    return f"{form} UTC" if ":" in form else form


def inline(elements: list[JsonObject], names: Mapping[str, str]) -> str:
    """The inline elements of a rich_text section as one text."""
    return "".join(_inline_one(element, names) for element in elements)


def _inline_one(element: JsonObject, names: Mapping[str, str]) -> str:
    kind = element["type"]
    if kind == "text":
        text = str(element["text"])
        return f"`{text}`" if (element.get("style") or {}).get("code") else text
    if kind == "link":
        label = str(element.get("text") or "")
        return f"{label} ({element['url']})" if label else str(element["url"])
    if kind == "date":
        return utc(int(element["timestamp"]), str(element["format"]))
    if kind == "emoji":
        return f":{element['name']}:"
    if kind == "broadcast":
        return f"@{element['range']}"
    if kind == "color":
        return str(element["value"])
    identity = next((str(value) for name, value in element.items() if name.endswith("_id")), "")
    return ("#" if kind == "channel" else "@") + names.get(identity, identity)
