"""Block Kit as Slack accepts it: one table of blocks, and the rules that hold over a whole message or view.

Source: docs.slack.dev/reference/block-kit/blocks. Where Slack documents no limit (all text of one message), the
limit is what others measured, and the stricter figure is taken.
"""

from collections import Counter
from collections.abc import Collection
from typing import Literal

from tests.lab.slack.elements import (
    ACTION_ELEMENT,
    CARD_ACTION,
    CONTEXT_ACTION,
    CONTEXT_ELEMENT,
    IMAGE,
    IMAGE_FIELDS,
    INPUT_ELEMENT,
    SECTION_ACCESSORY,
    URL_SOURCE,
)
from tests.lab.slack.rich_text import ELEMENTS, RICH_TEXT
from tests.lab.slack.schema import (
    ID_LIMIT,
    PLAIN,
    Check,
    Fields,
    Report,
    Required,
    anything,
    boolean,
    fields,
    items,
    one_of,
    string,
    text,
    variants,
)
from tests.lab.slack.tables import CELL, DATA_CHARACTERS, DATA_TABLE, MAX_COLUMNS, TABLE
from tests.lab.slack.wire import JsonObject, SlackError, invalid_blocks

Surface = Literal["message", "modal", "home"]

MAX_BLOCKS: dict[Surface, int] = {"message": 50, "modal": 100, "home": 100}
#: All block text of a message; undocumented, measured between 11,000 and 13,000.
MESSAGE_CHARACTERS = 12_000
#: How many of a kind one message may hold.
AT_MOST = {"plan": 1, "table": 1, "data_visualization": 2}


def _block(needs_one_of: tuple[str, ...] = (), **own: Check | Required) -> Check:
    table: Fields = {"type": Required(anything), "block_id": string(ID_LIMIT, 1), **own}
    return fields(table, needs_one_of)


_TASK = _block(
    task_id=Required(string(ID_LIMIT, 1)),
    title=Required(string(3000, 1, counts=True)),
    status=Required(one_of("pending", "in_progress", "complete", "error")),
    details=RICH_TEXT,
    output=RICH_TEXT,
    sources=items(URL_SOURCE, 0, 50),
)
_PLAN = _block(
    title=Required(string(3000, 1, counts=True)), tasks=Required(items(variants({"task_card": _TASK}), 1, 50))
)
_CARD = _block(
    ("hero_image", "title", "actions", "body"),
    hero_image=IMAGE,
    icon=IMAGE,
    title=text(150),
    subtitle=text(150),
    body=text(200),
    actions=items(CARD_ACTION, 1, 5),
)
_SERIES = fields({"name": Required(string(100, 1)), "data": Required(items(anything, 1, 100))})
_CHART = fields(
    {
        "type": Required(one_of("pie", "bar", "area", "line")),
        "segments": items(anything, 1, 20),
        "series": items(_SERIES, 1, 20),
        "axis_config": anything,
    },
    ("segments", "series"),
)

EVERYWHERE: dict[str, Check] = {
    "section": _block(
        ("text", "fields"),
        text=text(3000),
        fields=items(text(2000), 1, 10),
        accessory=SECTION_ACCESSORY,
        expand=boolean,
    ),
    "header": _block(text=Required(text(150, PLAIN))),
    "divider": _block(),
    "context": _block(elements=Required(items(CONTEXT_ELEMENT, 1, 10))),
    "actions": _block(elements=Required(items(ACTION_ELEMENT, 1, 25))),
    "image": fields(IMAGE_FIELDS | {"block_id": string(ID_LIMIT, 1), "title": text(2000, PLAIN)}),
    "input": _block(
        label=Required(text(2000, PLAIN)),
        element=Required(INPUT_ELEMENT),
        hint=text(2000, PLAIN),
        optional=boolean,
        dispatch_action=boolean,
    ),
    "rich_text": _block(elements=Required(ELEMENTS)),
}
MESSAGE_ONLY: dict[str, Check] = {
    "plan": _PLAN,
    "task_card": _TASK,
    "table": TABLE,
    "data_table": DATA_TABLE,
    "markdown": _block(text=Required(string(12_000, 1, counts=True))),
    "card": _CARD,
    "carousel": _block(elements=Required(items(variants({"card": _CARD}), 1, 10))),
    "context_actions": _block(elements=Required(items(CONTEXT_ACTION, 1, 5))),
    "data_visualization": _block(title=Required(string(150, 1, counts=True)), chart=Required(_CHART)),
    "file": _block(external_id=Required(string(255, 1)), source=Required(one_of("remote"))),
}
MODAL_ONLY: dict[str, Check] = {
    "alert": _block(text=Required(text(200)), level=one_of("default", "info", "warning", "error", "success")),
}
BLOCKS: dict[Surface, Check] = {
    "message": variants(EVERYWHERE | MESSAGE_ONLY),
    "modal": variants(EVERYWHERE | MODAL_ONLY),
    "home": variants(EVERYWHERE),
}


def check_blocks(blocks: object, surface: Surface, refused: Collection[str] = ()) -> None:
    """Raise `invalid_blocks`, `invalid_blocks_format` or `msg_blocks_too_long` as Slack would.

    `refused` are block types this workspace does not know (yet); Slack rolls new blocks out step by step.
    """
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    injected = [
        f"unsupported type: {block['type']} [json-pointer:/blocks/{index}/type]"
        for index, block in enumerate(blocks)
        if isinstance(block, dict) and block.get("type") in refused
    ]
    report = Report()
    items(BLOCKS[surface], 0, MAX_BLOCKS[surface])(blocks, "/blocks", report)
    if not report.problems:
        _check_whole(blocks, surface, report)
    if report.problems:
        raise invalid_blocks(report.problems)
    if injected:
        raise invalid_blocks(injected, injected=True)
    if surface == "message" and report.characters > MESSAGE_CHARACTERS:
        raise SlackError("msg_blocks_too_long")


def _check_whole(blocks: list[JsonObject], surface: Surface, report: Report) -> None:
    """Rules between blocks: unique ids, how many of a kind, a plan or single task cards but not both."""
    for block_id, count in Counter(b["block_id"] for b in blocks if b.get("block_id")).items():
        if count > 1:
            report.add(f"block_id {block_id} is used {count} times, must be unique", "/blocks")
    for index, block in enumerate(blocks):
        ids = Counter(part["action_id"] for part in interactive_parts(block) if part.get("action_id"))
        for action_id, count in ids.items():
            if count > 1:
                report.add(f"action_id {action_id} is used {count} times", f"/blocks/{index}/elements")
        _check_task_ids(block, index, report)
    kinds = Counter(block["type"] for block in blocks)
    for kind, most in AT_MOST.items():
        if kinds[kind] > most:
            report.add(f"no more than {most} {kind} allowed", "/blocks")
    if kinds["plan"] and kinds["task_card"]:
        report.add("plan and task_card cannot be mixed", "/blocks")
    if surface == "message" and _data_characters(blocks) > DATA_CHARACTERS:
        report.add(f"data_table: must be less than {DATA_CHARACTERS + 1} characters in one message", "/blocks")


def _check_task_ids(block: JsonObject, index: int, report: Report) -> None:
    tasks = Counter(task["task_id"] for task in block.get("tasks") or [])
    for task_id, count in tasks.items():
        if count > 1:
            report.add(f"task_id {task_id} is used {count} times", f"/blocks/{index}/tasks")


def _data_characters(blocks: list[JsonObject]) -> int:
    report = Report()
    for block in blocks:
        if block["type"] == "data_table":
            for row in block["rows"]:
                items(CELL, 0, MAX_COLUMNS)(row, "", report)
    return report.characters


def interactive_parts(block: JsonObject) -> list[JsonObject]:
    """The elements of a block that people act on and that carry an `action_id`, also those inside cards."""
    parts = [block.get("accessory"), block.get("element"), *(block.get("elements") or [])]
    parts += block.get("actions") or []
    if block.get("type") == "carousel":
        parts = [action for card in block["elements"] for action in card.get("actions") or []]
    return [part for part in parts if isinstance(part, dict) and _is_interactive(str(part.get("type")))]


def _is_interactive(kind: str) -> bool:
    return kind not in ("plain_text", "mrkdwn", "image", "card") and (
        kind == "rich_text_input" or not kind.startswith("rich_text")
    )
