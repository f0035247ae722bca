"""Rules for modals and Home tabs. Source: docs.slack.dev/reference/views."""

import json
from collections.abc import Collection

from tests.lab.slack.blocks import check_blocks
from tests.lab.slack.schema import (
    ID_LIMIT,
    PLAIN,
    Fields,
    Report,
    Required,
    anything,
    boolean,
    check_fields,
    one_of,
    string,
    text,
)
from tests.lab.slack.wire import JsonObject, SlackError, refused_arguments

VIEW_BYTES = 250_000
_COMMON: Fields = {
    "type": Required(one_of("modal", "home")),
    "blocks": Required(anything),
    "private_metadata": string(3000),
    "callback_id": string(ID_LIMIT),
    "external_id": string(ID_LIMIT),
}
_TITLE = text(24, PLAIN)
MODAL: Fields = {
    **_COMMON,
    "title": Required(_TITLE),
    "submit": _TITLE,
    "close": _TITLE,
    "clear_on_close": boolean,
    "notify_on_close": boolean,
    "submit_disabled": boolean,
}


def check_view(view: object, kind: str, refused: Collection[str] = ()) -> JsonObject:
    """The view when Slack would accept it; raises `invalid_arguments`, `invalid_blocks` or `view_too_large`."""
    if not isinstance(view, dict):
        raise refused_arguments("must be an object [json-pointer:/view]")
    report = Report()
    if view.get("type") != kind:
        report.add(f"must be a {kind}", "/view/type")
    check_fields(view, MODAL if kind == "modal" else _COMMON, "/view", report)
    has_input = any(block.get("type") == "input" for block in view.get("blocks") or [] if isinstance(block, dict))
    if has_input and kind == "modal" and not view.get("submit"):
        report.add("missing required field: submit (needed with input blocks)", "/view")
    if report.problems:
        raise refused_arguments(*report.problems)
    check_blocks(view["blocks"], "modal" if kind == "modal" else "home", refused)
    if len(json.dumps(view)) > VIEW_BYTES:
        raise SlackError("view_too_large")
    return view
