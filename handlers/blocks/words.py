"""Numbers, times, names and people as every message writes them.

mrkdwn is never built from a raw value: `plain` and `code` are the only ways in.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from bot.core.policy import ApprovalPolicy

PHONE: Final = 36  # columns of preformatted text that a phone shows without wrapping
TASK_COLUMNS: Final = 24  # the same inside a task of a plan
NO_ESTIMATE: Final = "no past runs to estimate from"

_KIB: Final = 1024
_NAMED: Final = 12  # approvers named one by one
_NEAR: Final = 12  # characters a cut may move back to the end of a word


def clip(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, an ellipsis in place of what is cut off, at a blank if one is near."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    blank = head.rfind(" ", -_NEAR)
    return (head[:blank] if blank > 0 else head).rstrip() + "…"


def plain(text: str) -> str:
    """`text` for mrkdwn: Slack's three control characters escaped, so that it holds no mention and no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """A name, id or command as code in mrkdwn."""
    one_line = re.sub(r"[`\s]+", " ", clip(text, 128)).strip()
    return f"`{plain(one_line) or ' '}`"


def person(who: str) -> str:
    """The mention of a `TEAM/USER`; other writers (workers, the clock) by name."""
    team, slash, user = who.partition("/")
    return f"<@{user}>" if slash and re.fullmatch(r"\w+", user) and team else plain(who)


def joined(items: Sequence[str], last: str = "and") -> str:
    """a, b and c."""
    return f" {last} ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def plural(count: int, word: str, words: str = "") -> str:
    """1 approval, 2 approvals."""
    return f"{count} {word if count == 1 else words or word + 's'}"


def approvers(policy: ApprovalPolicy) -> str:
    """Who may approve, as mentions: groups first. In an edited message such a mention notifies nobody."""
    names = [f"<!subteam^{group}>" for group in policy.groups] + [f"<@{user}>" for user in policy.users]
    more = [f"{len(names) - _NAMED} others"] if len(names) > _NAMED else []
    return joined(names[:_NAMED] + more, "or") or "nobody"


def thousands(count: int) -> str:
    """1,204,311."""
    return f"{count:,}"


def size(count: float) -> str:
    """Bytes in the unit people compare snapshots in."""
    if count < _KIB * _KIB:
        return f"{count / _KIB:.1f} KiB"
    if count < _KIB**3:
        return f"{count / _KIB**2:.1f} MiB"
    return f"{count / _KIB**3:.1f} GiB"


def duration(seconds: float) -> str:
    """12 s, 1 min 12 s, 60 min, 4 h 2 min, 3 days."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 5400:
        return _two(whole // 60, "min", whole % 60, "s")
    if whole < 48 * 3600:
        minutes = round(whole / 60)
        return _two(minutes // 60, "h", minutes % 60, "min")
    return f"{whole // 86400} days"


def age(seconds: float) -> str:
    """How old, in one unit: 4 h, 3 days."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{round(whole / 3600)} h" if whole < 48 * 3600 else f"{round(whole / 86400)} days"


def _two(big: int, unit: str, small: int, small_unit: str) -> str:
    return f"{big} {unit} {small} {small_unit}" if small else f"{big} {unit}"


def utc(at: float, form: str = "%H:%M UTC") -> str:
    """A moment in plain text, always UTC and always saying so."""
    return datetime.fromtimestamp(at, UTC).strftime(form)


def _date(at: float, token: str, fallback: str) -> str:
    return f"<!date^{int(at)}^{token}|{utc(at, fallback)}>"


def clock(at: float) -> str:
    """A time of today in the reader's zone, mrkdwn."""
    return _date(at, "{time}", "%H:%M UTC")


def clock_secs(at: float) -> str:
    """The same with seconds."""
    return _date(at, "{time_secs}", "%H:%M:%S UTC")


def moment(at: float) -> str:
    """A day and time in the reader's zone, mrkdwn."""
    return _date(at, "{date_short_pretty} {time}", "%Y-%m-%d %H:%M UTC")


def short(sha256: str) -> str:
    """The first 12 digits: enough to compare by eye, the whole hash stands in the modals."""
    return sha256[:12] or "not known"


def groups(sha256: str) -> str:
    """A whole hash in groups of 8, four to a line."""
    parts = [sha256[at : at + 8] for at in range(0, len(sha256), 8)]
    return "\n".join(" ".join(parts[at : at + 4]) for at in range(0, len(parts), 4))


def columns(rows: Iterable[Sequence[str]], width: int = PHONE) -> str:
    """Aligned columns for preformatted text. Where a line would be wider than `width`, the first cell of each row (a
    node) gets a line of its own and the others follow below it.
    """
    table = [[" ".join(cell.splitlines()) for cell in row] for row in rows]
    lines = _aligned(table)
    if all(len(line) <= width for line in lines):
        return "\n".join(lines)
    rest = _aligned([row[1:] for row in table])
    return "\n".join(f"{row[0]}\n  {line}" if line else row[0] for row, line in zip(table, rest, strict=True))


def _aligned(table: list[list[str]]) -> list[str]:
    widths: list[int] = []
    for row in table:
        for index, cell in enumerate(row[:-1]):
            widths[index : index + 1] = [max([len(cell), *widths[index : index + 1]])]
    lines = ("  ".join([*(c.ljust(w) for c, w in zip(row[:-1], widths, strict=False)), *row[-1:]]) for row in table)
    return [line.rstrip() for line in lines]
