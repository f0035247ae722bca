"""How messages read in a terminal."""

import json
from pathlib import Path

import pytest

from tests.lab.slack.mrkdwn import plain
from tests.lab.slack.terminal import Style, render, render_view
from tests.lab.slack.wire import JsonObject

EXAMPLES = Path(__file__).parents[1] / "data" / "messages"
NAMES = {"U0A1": "anna", "S0E1": "etcd-approvers", "C1": "ops"}


def example(name: str) -> JsonObject:
    """One of the bot's designed messages."""
    loaded: JsonObject = json.loads((EXAMPLES / f"{name}.json").read_text())
    return loaded


@pytest.mark.parametrize(
    ("marked", "shown"),
    [
        ("*bold* and _slanted_ and ~gone~", "bold and slanted and gone"),
        ("*Newest: `a_b_c`*, `x * y * z`", "Newest: `a_b_c`, `x * y * z`"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("<@U0A1> in <#C1> for <!subteam^S0E1>", "@anna in #ops for @etcd-approvers"),
        ("<@U9> <!here>", "@U9 @here"),
        ("<!date^1795338140^{date_short_pretty} {time}|x>", "2026-11-22 09:02 UTC"),
        ("<!date^1795338144^{time_secs}|09:02:24 UTC>", "09:02:24 UTC"),
        ("<https://a.example|docs> <https://b.example>", "docs (https://a.example) https://b.example"),
        ("a &lt; b &amp;&amp; c", "a < b && c"),
    ],
)
def test_mrkdwn_as_plain_text(marked: str, shown: str) -> None:
    """Markup goes, code stays as written, ids become names, dates become UTC."""
    assert plain(marked, NAMES) == shown


def test_plan_is_a_checklist_with_words() -> None:
    """A plan shows a box per task; the state also stands in the words of the title."""
    shown = render(example("03-save-running")["blocks"], style=Style(NAMES))
    assert "  [x] 1. Check rke, yml, SSH and docker: done, 3 s\n  [>] 2. rke etcd snapshot-save: running" in shown
    assert "[ Cancel save ]" in shown
    assert "Asked by @anna" in shown


def test_data_table_is_aligned() -> None:
    """Columns line up, numbers stand right."""
    lines = render(example("06-list")["blocks"], style=Style(NAMES)).split("\n")
    head = next(line for line in lines if line.startswith("Name"))
    row = next(line for line in lines if line.startswith("before-upgrade"))
    assert head.index("Taken") == row.index("2026-11-22 09:02 UTC")
    assert len(head) == len(row)


def test_modal_has_title_and_foot() -> None:
    """A modal shows title, boxes and its two buttons."""
    modal = example("24-approve-modal")
    shown = render_view(modal["view"] | {"blocks": modal["blocks"]}, Style(NAMES))
    assert shown.startswith(f"== {modal['view']['title']['text']} ==")
    assert "[ ] 3.3.3.3 is powered off or fenced" in shown
    assert shown.endswith(f"[ {modal['view']['close']['text']} ]  [ {modal['view']['submit']['text']} ]")


def test_colour_only_adds_codes() -> None:
    """With colour the same characters appear, painted; without there is no escape."""
    blocks = example("09-restore-awaiting-approval")["blocks"]
    bare, painted = render(blocks, style=Style(NAMES)), render(blocks, style=Style(NAMES, colour=True))
    assert "\x1b" not in bare
    assert "\x1b[1;32m[ Approve… ]\x1b[0m" in painted


def test_message_without_blocks_is_its_text() -> None:
    """A thread reply is one line."""
    assert render([], "<@U0A1> approved.", Style(NAMES)) == "@anna approved."
