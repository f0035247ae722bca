"""A message as readable text for a terminal: what a person in the channel reads, without Slack.

Pure functions over blocks. Colour is optional and never the only carrier of a fact.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab.slack.mrkdwn import inline, plain
from tests.lab.slack.wire import JsonObject

#: A task's state as a checkbox, so that it reads without colour. The words stand in the task's title.
BOXES = {"pending": "[ ]", "in_progress": "[>]", "complete": "[x]", "error": "[!]"}
_ANSI = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34"}
_STATUS_COLOUR = {"pending": "dim", "in_progress": "blue", "complete": "green", "error": "red"}
_LEVEL_COLOUR = {"error": "red", "warning": "yellow", "success": "green"}
_BUTTON_COLOUR = {"primary": "green", "danger": "red"}


@dataclass(frozen=True)
class Style:
    """How to draw: `names` maps ids to names, `width` is the terminal's, `colour` allows ANSI codes."""

    names: Mapping[str, str] = field(default_factory=dict)
    width: int = 96
    colour: bool = False

    def paint(self, text: str, *styles: str) -> str:
        """`text` in ANSI styles, or as it is without colour."""
        if not self.colour or not styles or not text:
            return text
        return f"\x1b[{';'.join(_ANSI[style] for style in styles)}m{text}\x1b[0m"

    def wrap(self, text: str, indent: str = "", hang: str | None = None) -> list[str]:
        """Lines of at most `width` columns; line breaks in the text stay."""
        lines: list[str] = []
        for line in text.split("\n"):
            first = indent if not lines else (hang if hang is not None else indent)
            rest = hang if hang is not None else indent
            wrapped = textwrap.wrap(
                line, self.width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
            )
            lines += wrapped or [""]
        return lines


def render(blocks: Sequence[JsonObject], text: str = "", style: Style | None = None) -> str:
    """The whole message; a message without blocks is its text."""
    style = style or Style()
    if not blocks:
        return "\n".join(style.wrap(plain(text, style.names)))
    parts = ["\n".join(_block(block, style)) for block in blocks]
    return "\n\n".join(part for part in parts if part)


def render_view(view: JsonObject, style: Style | None = None) -> str:
    """A modal or Home tab: title, blocks, and the buttons at its foot."""
    style = style or Style()
    title, submit, close = view.get("title"), view.get("submit"), view.get("close")
    parts = [style.paint(f"== {title['text']} ==", "bold")] if title else []
    parts.append(render(view["blocks"], style=style))
    foot = [f"[ {button['text']} ]" for button in (close, submit) if button]
    return "\n\n".join([*parts, "  ".join(foot)] if foot else parts)


def _block(block: JsonObject, style: Style) -> list[str]:
    draw = _RENDERERS.get(str(block["type"]))
    return draw(block, style) if draw else [style.paint(f"({block['type']})", "dim")]


def _text(value: JsonObject, style: Style) -> str:
    return plain(str(value["text"]), style.names) if value["type"] == "mrkdwn" else str(value["text"])


def _header(block: JsonObject, style: Style) -> list[str]:
    lines = style.wrap(_text(block["text"], style))
    rule = "=" * max(map(len, lines))
    return [*(style.paint(line, "bold") for line in lines), style.paint(rule, "dim")]


def _section(block: JsonObject, style: Style) -> list[str]:
    lines = style.wrap(_text(block["text"], style)) if block.get("text") else []
    for one in block.get("fields") or []:
        lines += style.wrap(_text(one, style), "  ")
    if block.get("accessory"):
        lines.append(_element(block["accessory"], style))
    return lines


def _context(block: JsonObject, style: Style) -> list[str]:
    lines: list[str] = []
    for element in block["elements"]:
        text = f"(image: {element['alt_text']})" if element["type"] == "image" else _text(element, style)
        lines += [style.paint(line, "dim") for line in style.wrap(text)]
    return lines


def _actions(block: JsonObject, style: Style) -> list[str]:
    lines = [""]
    for element in block["elements"]:
        shown = _element(element, style)
        if lines[-1] and len(lines[-1]) + len(shown) > style.width and not style.colour:
            lines.append("")
        lines[-1] += ("  " if lines[-1] else "") + shown
    return lines


def _element(element: JsonObject, style: Style) -> str:
    kind = element["type"]
    if kind == "button":
        label = f"[ {element['text']['text']} ]"
        return style.paint(label, "bold", _BUTTON_COLOUR.get(str(element.get("style")), "bold"))
    if kind in ("checkboxes", "radio_buttons"):
        chosen = element.get("initial_options") or [element.get("initial_option")]
        boxes = [f"{'[x]' if o in chosen else '[ ]'} {_option(o, style)}" for o in element["options"]]
        return "\n".join(boxes)
    placeholder = element.get("placeholder") or {}
    return f"[ {placeholder.get('text', kind)} ▾ ]" if "select" in kind else f"[ {placeholder.get('text', '')}____ ]"


def _option(option: JsonObject, style: Style) -> str:
    described = option.get("description")
    text = _text(option["text"], style)
    return f"{text}\n    {_text(described, style)}" if described else text


def _input(block: JsonObject, style: Style) -> list[str]:
    lines = [style.paint(block["label"]["text"], "bold"), *_element(block["element"], style).split("\n")]
    if block.get("hint"):
        lines += [style.paint(line, "dim") for line in style.wrap(block["hint"]["text"])]
    return lines


def _rich_text(block: JsonObject, style: Style) -> list[str]:
    lines: list[str] = []
    counts: dict[int, int] = {}
    for element in block["elements"]:
        kind, inside = element["type"], element["elements"]
        if kind == "rich_text_list":
            lines += _list(element, counts, style)
            continue
        counts.clear()
        text = inline(inside, style.names)
        if kind == "rich_text_preformatted":
            lines += [f"    {line}" for line in text.split("\n")]
        elif kind == "rich_text_quote":
            lines += style.wrap(text, "| ")
        else:
            bold = bool(inside) and all((part.get("style") or {}).get("bold") for part in inside)
            lines += [style.paint(line, *(["bold"] if bold else [])) for line in style.wrap(text)]
    return lines


def _list(element: JsonObject, counts: dict[int, int], style: Style) -> list[str]:
    """One list; an ordered one goes on counting where the last of the same depth stopped."""
    indent, lines = int(element.get("indent") or 0), []
    if element.get("offset"):
        counts[indent] = int(element["offset"])
    for item in element["elements"]:
        counts[indent] = counts.get(indent, 0) + 1
        mark = f"{counts[indent]}. " if element["style"] == "ordered" else "- "
        lead = "  " * (indent + 1)
        lines += style.wrap(inline(item["elements"], style.names), lead + mark, lead + " " * len(mark))
    return lines


def _plan(block: JsonObject, style: Style) -> list[str]:
    lines = style.wrap(str(block["title"]))
    for task in block["tasks"]:
        lines += _task(task, style)
    return lines


def _task(task: JsonObject, style: Style) -> list[str]:
    box = BOXES[str(task["status"])]
    wrapped = style.wrap(str(task["title"]), f"  {box} ", " " * 6)
    lines = [style.paint(line, _STATUS_COLOUR[str(task["status"])]) for line in wrapped]
    for name in ("details", "output"):
        if task.get(name):
            lines += [f"      {line}" for line in _rich_text(task[name], style)]
    return lines


def _table(block: JsonObject, style: Style) -> list[str]:
    rows = [[_cell(cell, style) for cell in row] for row in block["rows"]]
    numeric = [any(cell.get("type") == "raw_number" for cell in column) for column in zip(*block["rows"], strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [str(block["caption"])] if block.get("caption") else []
    for index, row in enumerate(rows):
        cells = zip(row, widths, numeric, strict=True)
        line = "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip()
        lines.append(style.paint(line, *(["bold"] if index == 0 else [])))
        if index == 0:
            lines.append(style.paint("  ".join("-" * width for width in widths), "dim"))
    return lines


def _cell(cell: JsonObject, style: Style) -> str:
    if cell["type"] == "rich_text":
        return " ".join(inline(part["elements"], style.names) for part in cell["elements"])
    return str(cell.get("text") or cell.get("value") or "")


def _alert(block: JsonObject, style: Style) -> list[str]:
    level = str(block.get("level") or "default")
    label = "" if level == "default" else f"{level.capitalize()}: "
    colour = [_LEVEL_COLOUR[level]] if level in _LEVEL_COLOUR else []
    return [style.paint(line, *colour) for line in style.wrap(label + _text(block["text"], style))]


def _card(block: JsonObject, style: Style) -> list[str]:
    lines: list[str] = []
    for name in ("title", "subtitle", "body"):
        if block.get(name):
            lines += style.wrap(_text(block[name], style), "| ")
    if block.get("actions"):
        lines += _actions({"elements": block["actions"]}, style)
    return lines


def _divider(_block: JsonObject, style: Style) -> list[str]:
    return [style.paint("-" * min(style.width, 40), "dim")]


def _markdown(block: JsonObject, style: Style) -> list[str]:
    return style.wrap(str(block["text"]))


def _image(block: JsonObject, style: Style) -> list[str]:
    return [style.paint(f"(image: {block['alt_text']})", "dim")]


_RENDERERS: dict[str, Callable[[JsonObject, Style], list[str]]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "rich_text": _rich_text,
    "plan": _plan,
    "task_card": _task,
    "table": _table,
    "data_table": _table,
    "alert": _alert,
    "card": _card,
    "divider": _divider,
    "markdown": _markdown,
    "image": _image,
}
