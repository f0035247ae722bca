"""Numbers, times, names and columns as people read them."""

import pytest

from bot.core.policy import ApprovalPolicy
from handlers.blocks import words
from handlers.blocks.progress import MANY, node_lines


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (72, "1 min 12 s"),
        (120, "2 min"),
        (3600, "60 min"),
        (14500, "4 h 2 min"),
        (7200, "2 h"),
        (260000, "3 days"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    """Two units at most, and none that says zero."""
    assert words.duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0.0 KiB"), (50_541_363, "48.2 MiB"), (3 * 1024**3, "3.0 GiB")])
def test_sizes(count: int, said: str) -> None:
    """In the unit people compare snapshots in."""
    assert words.size(count) == said


def test_a_name_cannot_leave_its_code() -> None:
    """Backticks, line breaks and Slack's control characters lose their meaning."""
    assert words.code("a`b\n<!channel>&") == "`a b &lt;!channel&gt;&amp;`"


def test_only_a_user_id_becomes_a_mention() -> None:
    """Workers, the clock and anything odd are written as they are, escaped."""
    assert words.person("T1/U1") == "<@U1>"
    assert words.person("worker:w1") == "worker:w1"
    assert words.person("T1/U1> <!channel") == "T1/U1&gt; &lt;!channel"


def test_many_approvers_are_not_all_named() -> None:
    """A section holds 3,000 characters."""
    policy = ApprovalPolicy(2, tuple(f"U{n}" for n in range(500)), ("S1",), False, 1, 1)
    said = words.approvers(policy)
    assert said.startswith("<!subteam^S1>, <@U0>")
    assert said.endswith("or 489 others")


def test_a_cut_text_ends_at_a_word() -> None:
    """An ellipsis takes the place of what is cut off."""
    assert words.clip("one two three four", 12) == "one two…"
    assert words.clip("x" * 20, 5) == "xxxx…"
    assert words.clip("short", 5) == "short"


def test_columns_fit_a_phone() -> None:
    """Where a line is too wide each node gets a line of its own."""
    assert words.columns([("1.1.1.1", "intact"), ("off-site", "no copy")]) == "1.1.1.1   intact\noff-site  no copy"
    wide = words.columns([("node-with-a-very-long-name.example", "intact")])
    assert wide == "node-with-a-very-long-name.example\n  intact"


def test_many_nodes_show_those_that_are_not_finished_first() -> None:
    """The rest is one line per state."""
    lines = {f"10.0.0.{n}": "restored    31 s" for n in range(50)} | {"10.0.0.49": "failed    50 s"}
    shown = node_lines(lines).splitlines()
    assert len(shown) == MANY + 1
    assert shown[0].startswith("10.0.0.49")
    assert shown[-1] == "38 more: restored"


def test_nodes_without_a_line_wait() -> None:
    """Nobody has to guess whether a node was forgotten."""
    assert node_lines({"1.1.1.1": "saving"}, ["1.1.1.1", "2.2.2.2"]) == "1.1.1.1  saving\n2.2.2.2  waiting"
