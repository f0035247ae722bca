"""What the workspace accepts and refuses as Block Kit: the bot's own messages pass, each broken rule is named."""

import json
from pathlib import Path

import pytest

from tests.lab.slack.blocks import Surface, check_blocks
from tests.lab.slack.terminal import Style, render
from tests.lab.slack.view_rules import check_view
from tests.lab.slack.wire import JsonObject, SlackError

EXAMPLES = sorted((Path(__file__).parents[1] / "data" / "messages").glob("*.json"))


def button(**changes: object) -> JsonObject:
    """A valid button with changes."""
    return {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Go"}} | changes


def actions(*elements: JsonObject) -> JsonObject:
    """An actions block."""
    return {"type": "actions", "elements": list(elements)}


def section(text: str = "x", **changes: object) -> JsonObject:
    """A section block."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **changes}


def rich(*elements: JsonObject) -> JsonObject:
    """A rich_text block."""
    return {"type": "rich_text", "elements": list(elements)}


def plan(*statuses: str, **changes: object) -> JsonObject:
    """A plan with one task per status."""
    tasks = [
        {"type": "task_card", "task_id": f"s{n}", "title": f"{n}. Step", "status": status}
        for n, status in enumerate(statuses, 1)
    ]
    return {"type": "plan", "title": "Step 1 of 2", "tasks": tasks} | changes


def cell(text: str) -> JsonObject:
    """A table cell."""
    return {"type": "raw_text", "text": text}


def table(rows: int = 1, columns: int = 2, text: str = "x", **changes: object) -> JsonObject:
    """A data_table with a header and `rows` rows."""
    body = [[cell(text) for _ in range(columns)] for _ in range(rows)]
    return {"type": "data_table", "caption": "c", "rows": [[cell("Head")] * columns, *body]} | changes


def confirm(**changes: object) -> JsonObject:
    """A confirm object."""
    names = ("title", "text", "confirm", "deny")
    return {name: {"type": "plain_text", "text": name} for name in names} | changes


def plain(length: int) -> JsonObject:
    """A plain_text of a length."""
    return {"type": "plain_text", "text": "x" * length}


DATE = {"type": "date", "timestamp": 1795338140, "format": "{time}", "fallback": "09:02 UTC"}
OPTION = {"text": plain(3), "value": "v"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_message_of_the_bot_is_accepted(path: Path) -> None:
    """The designed messages, their fallbacks and their modals pass all rules, and render without markup."""
    example = json.loads(path.read_text())
    surface: Surface = "modal" if example["surface"] == "modal" else "message"
    for name in ("blocks", "fallback_blocks", "after_decision"):
        check_blocks(example.get(name, []), surface)
    if "view" in example:
        check_view({"blocks": example["blocks"], **example["view"]}, "modal")
    shown = render(example["blocks"], example["text"], Style({"U0A1": "anna"}))
    assert "<!date" not in shown
    assert "<@" not in shown


ACCEPTED: dict[str, list[JsonObject]] = {
    "date in a section": [rich({"type": "rich_text_section", "elements": [DATE]})],
    "25 buttons": [actions(*(button(action_id=f"a{n}") for n in range(25)))],
    "same action_id in two blocks": [actions(button()), actions(button())],
    "confirm": [actions(button(confirm=confirm()))],
    "header of 150": [{"type": "header", "text": plain(150)}],
    "data_table of 100 rows": [table(rows=100, columns=20)],
    "task cards alone": [plan("pending")["tasks"][0]],
    "select": [actions({"type": "static_select", "action_id": "a", "options": [OPTION], "initial_option": OPTION})],
    "null fields": [section(accessory=None)],
}

REFUSED: dict[str, tuple[list[JsonObject], str]] = {
    "51 blocks": ([{"type": "divider"}] * 51, "/blocks]"),
    "unknown type": ([{"type": "alerts"}], "/blocks/0/type"),
    "no type": ([{}], "missing required field: type"),
    "alert in a message": ([{"type": "alert", "text": plain(3)}], "unsupported type: alert"),
    "unknown field": ([section(colour="red")], "invalid additional property: colour"),
    "text as string": ([{"type": "header", "text": "x"}], "/blocks/0/text"),
    "header in mrkdwn": ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "/blocks/0/text/type"),
    "header of 151": ([{"type": "header", "text": plain(151)}], "must be less than 151 characters"),
    "empty text": ([section("")], "must be more than 0 characters"),
    "section of 3001": ([section("x" * 3001)], "/blocks/0/text/text"),
    "section of nothing": ([{"type": "section"}], "missing required field: text or fields"),
    "emoji in mrkdwn": ([{"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": False}}], "emoji"),
    "11 fields": ([{"type": "section", "fields": [plain(1)] * 11}], "/blocks/0/fields"),
    "context of 11": ([{"type": "context", "elements": [plain(1)] * 11}], "/blocks/0/elements"),
    "button in context": ([{"type": "context", "elements": [button()]}], "unsupported type: button"),
    "26 buttons": ([actions(*(button(action_id=f"a{n}") for n in range(26)))], "no more than 25"),
    "no buttons": ([actions()], "no fewer than 1"),
    "button text of 76": ([actions(button(text=plain(76)))], "/blocks/0/elements/0/text/text"),
    "button value of 2001": ([actions(button(value="x" * 2001))], "/blocks/0/elements/0/value"),
    "button value as object": ([actions(button(value={"job": 1}))], "must be a string"),
    "button style": ([actions(button(style="green"))], "primary, danger"),
    "action_id of 256": ([actions(button(action_id="x" * 256))], "must be less than 256"),
    "same action_id twice": ([actions(button(), button())], "used 2 times"),
    "same block_id twice": ([section(block_id="b"), section(block_id="b")], "must be unique"),
    "confirm text of 301": ([actions(button(confirm=confirm(text=plain(301))))], "/confirm/text/text"),
    "confirm button of 31": ([actions(button(confirm=confirm(deny=plain(31))))], "/confirm/deny/text"),
    "confirm without deny": ([actions(button(confirm=confirm(deny=None)))], "missing required field: deny"),
    "status completed": ([plan("completed")], "pending, in_progress, complete, error"),
    "two plans": ([plan("pending"), plan("pending")], "no more than 1 plan"),
    "plan and task card": ([plan("pending"), plan("pending")["tasks"][0]], "cannot be mixed"),
    "plan title as object": ([plan("pending", title=plain(3))], "/blocks/0/title"),
    "task details as text": (
        [{"type": "task_card", "task_id": "a", "title": "t", "status": "error", "details": "x"}],
        "/blocks/0/details",
    ),
    "empty cell": ([table(text="")], "must be more than 0 characters"),
    "rich_text header": ([table(rows=1) | {"rows": [[rich({})], [cell("x")]]}], "unsupported type: rich_text"),
    "no data rows": ([table(rows=0)], "no fewer than 2"),
    "101 data rows": ([table(rows=101)], "no more than 101 items"),
    "21 columns": ([table(columns=21)], "no more than 20"),
    "ragged rows": ([table() | {"rows": [[cell("a")], [cell("b"), cell("c")]]}], "same number of cells"),
    "page_size of 0": ([table(page_size=0)], "between 1 and 100"),
    "row header beyond": ([table(row_header_column_index=2)], "must name a column"),
    "data_table too long": ([table(rows=50, columns=2, text="x" * 201)], "20001 characters"),
    "two tables": ([{"type": "table", "rows": [[cell("x")]]}] * 2, "no more than 1 table"),
    "date in preformatted": ([rich({"type": "rich_text_preformatted", "elements": [DATE]})], "unsupported type: date"),
    "text in a list": (
        [rich({"type": "rich_text_list", "style": "bullet", "elements": [{"type": "text", "text": "x"}]})],
        "unsupported type: text",
    ),
    "empty rich text": (
        [rich({"type": "rich_text_section", "elements": [{"type": "text", "text": ""}]})],
        "must be more than 0 characters",
    ),
    "101 options": (
        [
            actions(
                {"type": "static_select", "action_id": "a", "options": [OPTION | {"value": str(n)} for n in range(101)]}
            )
        ],
        "no more than 100",
    ),
    "unknown initial option": (
        [
            actions(
                {
                    "type": "static_select",
                    "action_id": "a",
                    "options": [OPTION],
                    "initial_option": OPTION | {"value": "w"},
                }
            )
        ],
        "must be one of the options",
    ),
    "description of 76": (
        [actions({"type": "checkboxes", "action_id": "a", "options": [OPTION | {"description": plain(76)}]})],
        "/description/text",
    ),
}


@pytest.mark.parametrize("blocks", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(blocks: list[JsonObject]) -> None:
    """What stands at a limit is still accepted."""
    check_blocks(blocks, "message")


@pytest.mark.parametrize(("blocks", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_reason_and_place(blocks: list[JsonObject], reason: str) -> None:
    """What breaks a rule answers invalid_blocks, with reason and JSON pointer in response_metadata."""
    with pytest.raises(SlackError) as refused:
        check_blocks(blocks, "message")
    assert refused.value.error == "invalid_blocks"
    messages = refused.value.details["response_metadata"]["messages"]
    assert any(reason in message for message in messages), messages


def test_all_text_of_a_message_has_a_limit() -> None:
    """About 12,000 characters over all blocks answer msg_blocks_too_long; tables have a limit of their own."""
    check_blocks([section("x" * 3000)] * 4, "message")
    check_blocks([section("x" * 3000)] * 4 + [table(rows=10, text="x" * 900)], "message")
    with pytest.raises(SlackError) as refused:
        check_blocks([section("x" * 3000)] * 4 + [section("x")], "message")
    assert refused.value.error == "msg_blocks_too_long"


def test_blocks_that_are_no_list() -> None:
    """A single block instead of a list answers invalid_blocks_format."""
    with pytest.raises(SlackError) as refused:
        check_blocks(section(), "message")
    assert refused.value.error == "invalid_blocks_format"


def modal(**changes: object) -> JsonObject:
    """A valid modal with changes."""
    return {"type": "modal", "title": plain(5), "blocks": [section()]} | changes


INPUT = {"type": "input", "label": plain(3), "element": {"type": "plain_text_input", "action_id": "a"}}
BAD_VIEWS: dict[str, tuple[JsonObject, str]] = {
    "title of 25": (modal(title=plain(25)), "invalid_arguments"),
    "submit of 25": (modal(submit=plain(25)), "invalid_arguments"),
    "private_metadata of 3001": (modal(private_metadata="x" * 3001), "invalid_arguments"),
    "private_metadata as object": (modal(private_metadata={}), "invalid_arguments"),
    "callback_id of 256": (modal(callback_id="x" * 256), "invalid_arguments"),
    "input without submit": (modal(blocks=[INPUT]), "invalid_arguments"),
    "home as modal": (modal(type="home"), "invalid_arguments"),
    "plan in a modal": (modal(blocks=[plan("pending")]), "invalid_blocks"),
    "alert of 201": (modal(blocks=[{"type": "alert", "text": plain(201)}]), "invalid_blocks"),
    "alert level": (modal(blocks=[{"type": "alert", "level": "red", "text": plain(1)}]), "invalid_blocks"),
    "101 blocks": (modal(blocks=[section()] * 101), "invalid_blocks"),
    "too large": (modal(blocks=[section("x" * 3000)] * 90), "view_too_large"),
}


@pytest.mark.parametrize(("view", "error"), BAD_VIEWS.values(), ids=BAD_VIEWS.keys())
def test_refused_views(view: JsonObject, error: str) -> None:
    """Modals have limits of their own."""
    with pytest.raises(SlackError) as refused:
        check_view(view, "modal")
    assert refused.value.error == error


def test_accepted_view() -> None:
    """A modal with an alert and a field is accepted."""
    alert = {"type": "alert", "level": "warning", "text": plain(200)}
    check_view(modal(submit=plain(24), blocks=[alert, INPUT]), "modal")
