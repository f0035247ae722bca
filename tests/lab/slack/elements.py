"""Rules for interactive elements and the composition objects inside them.

Source: docs.slack.dev/reference/block-kit/block-elements and /composition-objects.
"""

import re

from tests.lab.slack.schema import (
    ID_LIMIT,
    PLAIN,
    Check,
    Fields,
    Report,
    Required,
    all_of,
    anything,
    boolean,
    fields,
    integer,
    items,
    one_of,
    string,
    text,
    variants,
)

URL = string(3000, 1)
ACTION_ID = string(ID_LIMIT, 1)
PLACEHOLDER = text(150, PLAIN)
CONFIRM = fields(
    {
        "title": Required(text(100, PLAIN)),
        "text": Required(text(300)),
        "confirm": Required(text(30, PLAIN)),
        "deny": Required(text(30, PLAIN)),
        "style": one_of("primary", "danger"),
    }
)


def option(text_kinds: tuple[str, ...] = PLAIN) -> Check:
    """An option object; checkboxes and radio buttons may use mrkdwn in it."""
    return fields(
        {
            "text": Required(text(75, text_kinds)),
            "value": Required(string(150, 1)),
            "description": text(75, text_kinds),
            "url": URL,
        }
    )


OPTION = option()
RICH_OPTION = option(("plain_text", "mrkdwn"))
OPTION_GROUP = fields({"label": Required(text(75, PLAIN)), "options": Required(items(OPTION, 1, 100))})


def _plain_option(value: object) -> object:
    return value.get("value") if isinstance(value, dict) else None


def known_initial_options(value: object, path: str, report: Report) -> None:
    """Initial options must stand among the options, exactly as written there; option values are unique."""
    if not isinstance(value, dict):
        return
    groups = value.get("option_groups")
    options = list(value.get("options") or [])
    for group in groups if isinstance(groups, list) else []:
        options += group.get("options") or [] if isinstance(group, dict) else []
    chosen = value.get("initial_options") or ([value["initial_option"]] if value.get("initial_option") else [])
    for one in chosen:
        if one not in options:
            report.add("initial option must be one of the options", path)
    values = [_plain_option(one) for one in options]
    if len(values) != len(set(map(str, values))):
        report.add("option values must be unique", path)


def _element(**own: Check | Required) -> Check:
    table: Fields = {"type": Required(anything), "action_id": ACTION_ID, "confirm": CONFIRM, **own}
    return fields(table)


def _select(**own: Check | Required) -> Check:
    return _element(placeholder=PLACEHOLDER, focus_on_load=boolean, **own)


def _with_options(check: Check) -> Check:
    def options_or_groups(value: object, path: str, report: Report) -> None:
        if isinstance(value, dict) and bool(value.get("options")) == bool(value.get("option_groups")):
            report.add("exactly one of options and option_groups is required", path)

    return all_of(check, options_or_groups, known_initial_options)


def pattern(expression: str, meaning: str) -> Check:
    """A string of a given form."""

    def check(value: object, path: str, report: Report) -> None:
        if not isinstance(value, str) or not re.fullmatch(expression, value):
            report.add(f"must be {meaning}", path)

    return check


DATE = pattern(r"\d{4}-\d{2}-\d{2}", "a date YYYY-MM-DD")
TIME = pattern(r"\d{2}:\d{2}", "a time HH:mm")
IMAGE_FIELDS: Fields = {
    "type": Required(anything),
    "image_url": URL,
    "slack_file": anything,
    "alt_text": Required(string(2000)),
}
IMAGE = fields(IMAGE_FIELDS, ("image_url", "slack_file"))
BUTTON = _element(
    text=Required(text(75, PLAIN)),
    url=URL,
    value=string(2000),
    style=one_of("primary", "danger"),
    accessibility_label=string(75),
)
STATIC_SELECT = _with_options(
    _select(options=items(OPTION, 1, 100), option_groups=items(OPTION_GROUP, 1, 100), initial_option=OPTION)
)
MULTI_STATIC_SELECT = _with_options(
    _select(
        options=items(OPTION, 1, 100),
        option_groups=items(OPTION_GROUP, 1, 100),
        initial_options=items(OPTION, 1, 100),
        max_selected_items=integer(1, 100),
    )
)
EXTERNAL_SELECT = _select(initial_option=OPTION, min_query_length=integer(0, 3000))
USERS_SELECT = _select(initial_user=string(20, 1))
MULTI_USERS_SELECT = _select(initial_users=items(string(20, 1), 1, 100), max_selected_items=integer(1, 100))
CONVERSATIONS_SELECT = _select(
    initial_conversation=string(20, 1),
    default_to_current_conversation=boolean,
    response_url_enabled=boolean,
    filter=anything,
)
CHANNELS_SELECT = _select(initial_channel=string(20, 1), response_url_enabled=boolean)
CHECKBOXES = all_of(
    _element(
        options=Required(items(RICH_OPTION, 1, 10)),
        initial_options=items(RICH_OPTION, 1, 10),
        focus_on_load=boolean,
    ),
    known_initial_options,
)
RADIO_BUTTONS = all_of(
    _element(options=Required(items(RICH_OPTION, 1, 10)), initial_option=RICH_OPTION, focus_on_load=boolean),
    known_initial_options,
)
OVERFLOW = _element(options=Required(items(OPTION, 1, 5)))
DATEPICKER = _select(initial_date=DATE)
TIMEPICKER = _select(initial_time=TIME, timezone=string(100, 1))
DATETIMEPICKER = _element(initial_date_time=integer(0, 9_999_999_999), focus_on_load=boolean)
DISPATCH = fields(
    {"trigger_actions_on": items(one_of("on_enter_pressed", "on_character_entered"), 1, 2)},
)
_TYPED: Fields = {"placeholder": PLACEHOLDER, "focus_on_load": boolean, "dispatch_action_config": DISPATCH}


def _typed(**own: Check | Required) -> Check:
    table: Fields = {"type": Required(anything), "action_id": ACTION_ID, **_TYPED, **own}
    return fields(table)


PLAIN_TEXT_INPUT = _typed(
    initial_value=string(3000),
    multiline=boolean,
    min_length=integer(0, 3000),
    max_length=integer(1, 3000),
)
NUMBER_INPUT = _typed(
    is_decimal_allowed=Required(boolean), initial_value=string(100), min_value=string(100), max_value=string(100)
)
URL_INPUT = _typed(initial_value=URL)
EMAIL_INPUT = _typed(initial_value=string(3000))
RICH_TEXT_INPUT = _typed(initial_value=anything)
FILE_INPUT = _element(filetypes=items(string(20, 1), 1, 100), max_files=integer(1, 10))
FEEDBACK_BUTTON = fields(
    {"text": Required(text(75, PLAIN)), "value": Required(string(2000, 1)), "accessibility_label": string(75)}
)
FEEDBACK_BUTTONS = _element(positive_button=Required(FEEDBACK_BUTTON), negative_button=Required(FEEDBACK_BUTTON))
ICON_BUTTON = _element(
    icon=Required(one_of("trash")),
    text=Required(text(75, PLAIN)),
    value=string(2000),
    accessibility_label=string(75),
    visible_to_user_ids=items(string(20, 1), 0, 100),
)
URL_SOURCE = fields({"type": Required(one_of("url")), "url": Required(URL), "text": Required(string(3000, 1))})

SELECTS: dict[str, Check] = {
    "static_select": STATIC_SELECT,
    "external_select": EXTERNAL_SELECT,
    "users_select": USERS_SELECT,
    "conversations_select": CONVERSATIONS_SELECT,
    "channels_select": CHANNELS_SELECT,
}
MULTI_SELECTS: dict[str, Check] = {
    "multi_static_select": MULTI_STATIC_SELECT,
    "multi_users_select": MULTI_USERS_SELECT,
}
PICKERS: dict[str, Check] = {
    "checkboxes": CHECKBOXES,
    "radio_buttons": RADIO_BUTTONS,
    "datepicker": DATEPICKER,
    "timepicker": TIMEPICKER,
}
ACTION_ELEMENT = variants(
    SELECTS | PICKERS | {"datetimepicker": DATETIMEPICKER, "button": BUTTON, "overflow": OVERFLOW}
)
SECTION_ACCESSORY = variants(
    SELECTS | MULTI_SELECTS | PICKERS | {"button": BUTTON, "overflow": OVERFLOW, "image": IMAGE}
)
INPUT_ELEMENT = variants(
    SELECTS
    | MULTI_SELECTS
    | PICKERS
    | {
        "datetimepicker": DATETIMEPICKER,
        "plain_text_input": PLAIN_TEXT_INPUT,
        "number_input": NUMBER_INPUT,
        "url_text_input": URL_INPUT,
        "email_text_input": EMAIL_INPUT,
        "rich_text_input": RICH_TEXT_INPUT,
        "file_input": FILE_INPUT,
    }
)
CONTEXT_ELEMENT = variants({"plain_text": text(3000), "mrkdwn": text(3000), "image": IMAGE})
CONTEXT_ACTION = variants({"feedback_buttons": FEEDBACK_BUTTONS, "icon_button": ICON_BUTTON})
CARD_ACTION = variants({"button": BUTTON})
