"""The small language in which the rules of Block Kit are written as tables.

A check looks at one value and reports what Slack would refuse, with the JSON pointer Slack would name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

PLAIN = ("plain_text",)
ANY_TEXT = ("plain_text", "mrkdwn")
ID_LIMIT = 255


@dataclass
class Report:
    """What was found: problems in Slack's words, and how many characters of text people would read."""

    problems: list[str] = field(default_factory=list)
    characters: int = 0

    def add(self, problem: str, path: str) -> None:
        """Note a problem at a JSON pointer."""
        self.problems.append(f"{problem} [json-pointer:{path}]")


Check = Callable[[object, str, Report], None]


@dataclass(frozen=True)
class Required:
    """Marks a field that must be there."""

    check: Check


Fields = dict[str, Check | Required]


def string(limit: int, minimum: int = 0, *, counts: bool = False) -> Check:
    """A string of `minimum` to `limit` characters; `counts` when people read it in a message."""

    def check(value: object, path: str, report: Report) -> None:
        if not isinstance(value, str):
            report.add("must be a string", path)
            return
        if len(value) > limit:
            report.add(f"must be less than {limit + 1} characters", path)
        if len(value) < minimum:
            report.add(f"must be more than {minimum - 1} characters", path)
        if counts:
            report.characters += len(value)

    return check


def boolean(value: object, path: str, report: Report) -> None:
    """True or false, nothing that only looks like it."""
    if not isinstance(value, bool):
        report.add("must be a boolean", path)


def integer(low: int, high: int) -> Check:
    """A whole number within bounds."""

    def check(value: object, path: str, report: Report) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            report.add("must be an integer", path)
        elif not low <= value <= high:
            report.add(f"must be between {low} and {high}", path)

    return check


def number(value: object, path: str, report: Report) -> None:
    """Any number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        report.add("must be a number", path)


def one_of(*words: str | int) -> Check:
    """One of a few values."""

    def check(value: object, path: str, report: Report) -> None:
        if isinstance(value, bool) or value not in words:
            report.add(f"must be one of: {', '.join(map(str, words))}", path)

    return check


def anything(value: object, path: str, report: Report) -> None:
    """A value the lab does not look into."""


def text(limit: int, kinds: tuple[str, ...] = ANY_TEXT, minimum: int = 1) -> Check:
    """A text object. `emoji` belongs to plain_text, `verbatim` to mrkdwn."""
    body = string(limit, minimum, counts=True)
    plain: Fields = {"type": Required(one_of(*kinds)), "text": Required(body), "emoji": boolean}
    marked: Fields = {"type": Required(one_of(*kinds)), "text": Required(body), "verbatim": boolean}

    def check(value: object, path: str, report: Report) -> None:
        is_marked = isinstance(value, dict) and value.get("type") == "mrkdwn"
        check_fields(value, marked if is_marked else plain, path, report)

    return check


def items(check: Check, low: int, high: int) -> Check:
    """A list of `low` to `high` items, each checked."""

    def check_list(value: object, path: str, report: Report) -> None:
        if not isinstance(value, list):
            report.add("must be an array", path)
            return
        if len(value) > high:
            report.add(f"no more than {high} items allowed", path)
        if len(value) < low:
            report.add(f"no fewer than {low} items allowed", path)
        for index, item in enumerate(value):
            check(item, f"{path}/{index}", report)

    return check_list


def fields(table: Fields, needs_one_of: tuple[str, ...] = ()) -> Check:
    """An object with exactly the fields of a table; at least one of `needs_one_of` must be there."""

    def check(value: object, path: str, report: Report) -> None:
        check_fields(value, table, path, report)
        if isinstance(value, dict) and needs_one_of and not any(value.get(name) for name in needs_one_of):
            report.add(f"missing required field: {' or '.join(needs_one_of)}", path)

    return check


def variants(table: Mapping[str, Check]) -> Check:
    """An object whose `type` picks the check; a type that is not in the table is refused."""

    def check(value: object, path: str, report: Report) -> None:
        if not isinstance(value, dict):
            report.add("must be an object", path)
            return
        kind = value.get("type")
        if kind is None:
            report.add("missing required field: type", path)
        elif not isinstance(kind, str) or kind not in table:
            report.add(f"unsupported type: {kind}", f"{path}/type")
        else:
            table[kind](value, path, report)

    return check


def check_fields(value: object, table: Fields, path: str, report: Report) -> None:
    """Check every field of an object, refuse unknown ones, miss required ones. null counts as absent."""
    if not isinstance(value, dict):
        report.add("must be an object", path)
        return
    for name, given in value.items():
        rule = table.get(name)
        if rule is None:
            report.add(f"invalid additional property: {name}", path)
        elif given is not None:
            (rule.check if isinstance(rule, Required) else rule)(given, f"{path}/{name}", report)
    for name, rule in table.items():
        if isinstance(rule, Required) and value.get(name) is None:
            report.add(f"missing required field: {name}", path)


def all_of(*checks: Check) -> Check:
    """Several checks on the same value."""

    def check(value: object, path: str, report: Report) -> None:
        for one in checks:
            one(value, path, report)

    return check
