"""A message as lines of text, so that two messages can be compared by what people see."""

from collections.abc import Iterator, Sequence
from typing import Any


def lines(text: str, blocks: Sequence[dict[str, Any]]) -> list[str]:
    """The notification, then one or more lines per block; the first word says what a line is."""
    return [f"text {text}", *(line for block in blocks for line in _block(block))]


def _block(block: dict[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield f"header {block['text']['text']}"
        case "section" | "alert":
            yield from _marked(block["type"], block["text"]["text"])
        case "context":
            yield from (f"context {element['text']}" for element in block["elements"])
        case "rich_text":
            yield from _rich(block)
        case "plan":
            yield f"plan {block['block_id']} {block['title']}"
            yield from (line for task in block["tasks"] for line in _task(task))
        case "actions":
            yield from (_button(element) for element in block["elements"])
        case "input":
            yield from _input(block)
        case "data_table":
            yield f"table {block['caption']}"
            yield from ("row " + " | ".join(_cell(cell) for cell in row) for row in block["rows"])
        case other:
            raise AssertionError(f"unknown block {other}")


def _marked(kind: str, text: str) -> Iterator[str]:
    """Sentence by sentence, so that one that differs does not hide the others."""
    for line in text.splitlines():
        yield from (f"{kind} {sentence}" for sentence in line.replace(". ", ".\n").splitlines())


def _rich(block: dict[str, Any]) -> Iterator[str]:
    for element in block["elements"]:
        kind = element["type"].removeprefix("rich_text_")
        if kind == "list":
            yield from (f"item {_inline(item)}" for item in element["elements"])
        else:
            yield from (f"{kind} {line}" for line in _inline(element).splitlines())


def _inline(element: dict[str, Any]) -> str:
    return "".join(part.get("text") or part.get("fallback", "") for part in element["elements"])


def _task(task: dict[str, Any]) -> Iterator[str]:
    yield f"task {task['status']} {task['title']}"
    if task.get("details"):
        yield from (f"details {line}" for line in _rich(task["details"]))


def _button(button: dict[str, Any]) -> str:
    asks = button.get("confirm") or {}
    asked = " | ".join(asks[key]["text"] for key in ("title", "text", "confirm") if key in asks)
    return " ".join(
        filter(
            None, ["button", button["action_id"], button.get("style"), button["text"]["text"], button["value"], asked]
        )
    )


def _input(block: dict[str, Any]) -> Iterator[str]:
    element = block["element"]
    yield f"input {block['block_id']} {element['action_id']} {block['label']['text']}"
    for option in element.get("options", ()):
        yield f"box {option['text']['text']} / {option.get('description', {}).get('text', '')}"


def _cell(cell: dict[str, Any]) -> str:
    if cell["type"] == "rich_text":
        return _inline(cell["elements"][0])
    return str(cell["text"])
