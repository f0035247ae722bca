"""The few shapes of Block Kit that messages are made of, built with slack_sdk's models, which check lengths.

Strings given to `header`, `bold`, `pre`, `quote`, `bullets` and confirm texts are shown as they are; strings given to
`section` and `context` are mrkdwn, whose parts come from `words`.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    PlanBlock,
    SectionBlock,
    TaskCardBlock,
)

from handlers.blocks import words
from handlers.blocks.message import Block, Message

FREE_TEXT: Final = 600  # characters of one text that a person or a machine wrote
TAIL_LINES: Final = 8
TASK_DETAILS: Final = 500
_SHORTER: Final = (300, 150, 80)
BUDGET: Final = 11_000  # characters of text in all blocks of a message; above it Slack answers msg_blocks_too_long


def header(text: str) -> Block:
    """The headline; 50 characters are two lines on a phone."""
    return HeaderBlock(text=PlainTextObject(text=words.clip(text, 150), emoji=False)).to_dict()


def section(*sentences: str) -> Block:
    """Sentences of mrkdwn, never folded behind "see more"."""
    text = " ".join(sentence for sentence in sentences if sentence)
    return SectionBlock(text=MarkdownTextObject(text=words.clip(text, 3000)), expand=True).to_dict()


def context(*lines: str) -> Block:
    """Small print, mrkdwn, one element per line."""
    return ContextBlock(elements=[MarkdownTextObject(text=line) for line in lines if line]).to_dict()


def text(value: str, *, strong: bool = False) -> Block:
    """A rich_text text element: knows no markup, so it may hold what people and machines wrote."""
    shown = words.clip(value, FREE_TEXT) or " "
    return {"type": "text", "text": shown, "style": {"bold": True}} if strong else {"type": "text", "text": shown}


def date(at: float) -> Block:
    """A moment as a rich_text element."""
    fallback = words.utc(at, "%Y-%m-%d %H:%M UTC")
    return {"type": "date", "timestamp": int(at), "format": "{date_short_pretty} {time}", "fallback": fallback}


def para(*parts: Block | str) -> Block:
    """A paragraph of rich_text."""
    return _rich("section", [text(part) if isinstance(part, str) else part for part in parts])


def bold(value: str) -> Block:
    """A bold line of rich_text."""
    return para(text(value, strong=True))


def pre(value: str) -> Block:
    """Preformatted text. It cannot hold dates or mentions."""
    return {**_rich("preformatted", [{"type": "text", "text": words.clip(value, 3000) or " "}]), "border": 0}


def quote(value: str) -> Block:
    """What a person wrote."""
    return _rich("quote", [text(value)])


def bullets(items: Iterable[Block | str], *, ordered: bool = False) -> Block:
    """A list; each item is a paragraph or a text."""
    paragraphs = [para(item) if isinstance(item, str) else item for item in items]
    return {**_rich("list", paragraphs), "style": "ordered" if ordered else "bullet", "indent": 0}


def rich(*elements: Block) -> Block:
    """A block of rich_text paragraphs, lists and preformatted texts."""
    return {"type": "rich_text", "elements": list(elements)}


def _rich(kind: str, elements: list[Block]) -> Block:
    # Slack sets rich_text no lengths, so its models check nothing; they only parse every part again at each level.
    return {"type": f"rich_text_{kind}", "elements": elements}


def confirm(title: str, body: str, yes: str, *, danger: bool = False) -> ConfirmObject:
    """Asked before a button acts."""
    return ConfirmObject(
        title=words.clip(title, 100),
        text=PlainTextObject(text=words.clip(body, 300), emoji=None),
        confirm=words.clip(yes, 30),
        deny="Go back",
        style="danger" if danger else None,
    )


def button(
    action: str, label: str, ids: dict[str, str | int], style: str = "", asks: ConfirmObject | None = None
) -> Block:
    """A button. `ids` say what was clicked and never what is true."""
    return ButtonElement(
        action_id=action,
        text=PlainTextObject(text=words.clip(label, 75), emoji=False),
        value=json.dumps(ids, separators=(",", ":")),
        style=style or None,
        confirm=asks,
    ).to_dict()


def actions(buttons: Sequence[Block]) -> list[Block]:
    """The row of buttons; no block when there are none."""
    return [ActionsBlock(elements=list(buttons)).to_dict()] if buttons else []


def plan(block_id: str, title: str, tasks: Sequence[Block]) -> Block:
    """Slack's checklist. It keeps its block id for life: with a new one Slack folds it up under the reader's finger."""
    return PlanBlock(block_id=block_id, title=words.clip(title, 150), tasks=list(tasks)).to_dict()


def task(number: int, title: str, status: str, details: str = "") -> Block:
    """One line of the checklist; `title` carries the state in words. `details` is preformatted."""
    shown = rich(pre(words.clip(details, TASK_DETAILS))) if details else None
    name = words.clip(f"{number}. {title}", 150)
    return TaskCardBlock(task_id=f"s{number}", title=name, status=status, details=shown).to_dict()


def tail(lines: Iterable[str], count: int = TAIL_LINES) -> str:
    """The last lines of an output, each of bounded length."""
    return "\n".join(words.clip(line, FREE_TEXT // 2) for line in list(lines)[-count:])


def finished(notification: str, blocks: Sequence[Block]) -> Message:
    """A message with its fallback, its notification escaped, and within Slack's budget."""
    shown = within_budget(blocks)
    text = words.clip(" ".join(notification.split()), 300)
    return Message(words.plain(text), shown, fallback(shown))


def within_budget(blocks: Sequence[Block]) -> list[Block]:
    """The blocks, short enough for Slack: first the details of tasks are dropped, then long texts are cut shorter."""
    shown = list(blocks)
    if characters(shown) > BUDGET:
        shown = [_bare(block) if block["type"] == "plan" else block for block in shown]
    for limit in _SHORTER:
        if characters(shown) > BUDGET:
            shown = [_cut(block, limit) if block["type"] == "rich_text" else block for block in shown]
    return shown


def _cut(part: Block, limit: int) -> Block:
    """A part of rich_text with every text in it cut to `limit` characters."""
    if part["type"] == "text":
        return {**part, "text": words.clip(part["text"], limit)}
    return {**part, "elements": [_cut(inner, limit) for inner in part["elements"]]} if "elements" in part else part


def _bare(block: Block) -> Block:
    return {**block, "tasks": [{k: v for k, v in task.items() if k != "details"} for task in block["tasks"]]}


def characters(value: object) -> int:
    """How many characters of text people read in these blocks."""
    if isinstance(value, dict):
        own = sum(len(v) for k, v in value.items() if k in ("text", "title", "fallback") and isinstance(v, str))
        return own + sum(characters(v) for v in value.values() if isinstance(v, dict | list))
    if isinstance(value, list | tuple):
        return sum(characters(item) for item in value)
    return 0


def fallback(blocks: Sequence[Block]) -> list[Block]:
    """The same content in blocks that every Slack has known for years."""
    return [_plain_form(block) for block in blocks]


def _plain_form(block: Block) -> Block:
    if block["type"] == "plan":
        return rich(bold(block["title"]), bullets([_task_line(task) for task in block["tasks"]], ordered=True))
    if block["type"] == "data_table":
        return rich(bold(block["caption"]), bullets([_row_line(block["rows"][0], row) for row in block["rows"][1:]]))
    if block["type"] == "alert":
        return SectionBlock(text=block["text"], expand=True).to_dict()
    return block


def _task_line(task: Block) -> Block:
    title = task["title"].partition(". ")[2]
    return para(text(title, strong=task["status"] != "pending"))


def _row_line(heads: Sequence[Block], row: Sequence[Block]) -> Block:
    cells = [_cell(head["text"], cell) for head, cell in zip(heads, row, strict=True)]
    return para(text(cells[0], strong=True), "\n" + " · ".join(cells[1:]))


def _cell(head: str, cell: Block) -> str:
    if cell["type"] == "rich_text":
        return str(cell["elements"][0]["elements"][0].get("fallback", ""))
    shown = str(cell["text"])
    return f"{head}: {shown}" if head in ("Nodes", "Off-site") else shown
