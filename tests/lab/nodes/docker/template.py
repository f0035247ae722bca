"""A subset of Go's text/template, as far as ``docker … --format`` is used: fields, json, index, range, if, pipes.

Values are what ``json.loads`` gives. A missing map key is an error, as in the docker CLI.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Value = object


class TemplateError(Exception):
    """The template is wrong or names something the value has not; the text is Docker's."""


_ACTION = re.compile(r"(\s*)\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}(\s*)", re.DOTALL)
_TOKEN = re.compile(r'\s*("(?:\\.|[^"\\])*"|`[^`]*`|\$?[\w.$]+|[|(),]|:=|\S)')


@dataclass(frozen=True)
class _Text:
    text: str


@dataclass(frozen=True)
class _Action:
    code: str


Node = _Text | _Action


def render(template: str, value: Value) -> str:
    """Fill the template with one value; raises TemplateError."""
    nodes = list(_split(template))
    out: list[str] = []
    rest = _Renderer(value).block(nodes, 0, value, out)
    if rest != len(nodes):
        raise TemplateError("template: :1: unexpected {{end}}")
    return "".join(out)


def _split(template: str) -> Iterator[Node]:
    position = 0
    for match in _ACTION.finditer(template):
        before, left, code, right, after = match.groups()
        text = template[position : match.start()] + ("" if left else before)
        if text:
            yield _Text(text)
        yield _Action(code)
        position = match.end() if right else match.end() - len(after)
    if template[position:]:
        yield _Text(template[position:])


class _Renderer:
    """Walks the pieces of a template with the variables in scope."""

    def __init__(self, root: Value) -> None:
        self._variables: dict[str, Value] = {"$": root}

    def block(self, nodes: Sequence[Node], at: int, dot: Value, out: list[str] | None) -> int:
        """Render until ``else``, ``end`` or the end; returns where it stopped. ``out`` None skips."""
        while at < len(nodes):
            node = nodes[at]
            if isinstance(node, _Text):
                if out is not None:
                    out.append(node.text)
                at += 1
                continue
            word = node.code.split(maxsplit=1)[0] if node.code else ""
            if word in {"end", "else"}:
                return at
            if word in {"if", "range", "with"}:
                at = self._control(word, nodes, at, dot, out)
            else:
                if out is not None:
                    out.append(self._print(node.code, dot))
                at += 1
        return at

    def _control(self, word: str, nodes: Sequence[Node], at: int, dot: Value, out: list[str] | None) -> int:
        head = nodes[at]
        assert isinstance(head, _Action)
        clause = head.code[len(word) :].strip()
        names: list[str] = []
        if ":=" in clause:
            left, _, clause = clause.partition(":=")
            names = [n.strip() for n in left.split(",")]
        value = self._pipeline(clause, dot) if out is not None else None
        rounds = _rounds(word, value) if out is not None else []
        stop = at
        for key, item in rounds:
            self._variables.update(zip(names, (key, item) if len(names) == 2 else (item,), strict=False))
            stop = self.block(nodes, at + 1, item if word != "if" else dot, out)
        if not rounds:
            stop = self.block(nodes, at + 1, dot, None)
        if stop < len(nodes) and _code(nodes[stop]) == "else":
            stop = self.block(nodes, stop + 1, dot, None if rounds else out)
        if stop >= len(nodes):
            raise TemplateError("template: :1: unexpected EOF")
        return stop + 1

    def _print(self, code: str, dot: Value) -> str:
        if code.startswith("/*"):
            return ""
        if ":=" in code:
            name, _, code = code.partition(":=")
            self._variables[name.strip()] = self._pipeline(code, dot)
            return ""
        return show(self._pipeline(code, dot))

    def _pipeline(self, code: str, dot: Value) -> Value:
        tokens = _TOKEN.findall(code)
        value, rest = self._commands(tokens, dot)
        if rest:
            raise TemplateError(f'template: :1: unexpected "{rest[0]}" in operand')
        return value

    def _commands(self, tokens: list[str], dot: Value) -> tuple[Value, list[str]]:
        piped: list[Value] = []
        while True:
            words: list[Value] = []
            function: str | None = None
            while tokens and tokens[0] not in {"|", ")"}:
                token, *tokens = tokens
                if token == "(":
                    value, tokens = self._commands(tokens, dot)
                    tokens = tokens[1:]
                    if tokens and tokens[0].startswith("."):
                        value, tokens = _fields(value, tokens[0]), tokens[1:]
                    words.append(value)
                elif not words and function is None and token in _FUNCTIONS:
                    function = token
                else:
                    words.append(self._operand(token, dot))
            words += piped
            result = _FUNCTIONS[function](words) if function else words[0] if words else _missing()
            if not tokens or tokens[0] == ")":
                return result, tokens
            piped, tokens = [result], tokens[1:]

    def _operand(self, token: str, dot: Value) -> Value:
        if token[0] in '"`':
            return json.loads(token) if token[0] == '"' else token[1:-1]
        if token == ".":
            return dot
        if token.startswith("."):
            return _fields(dot, token)
        if token.startswith("$"):
            name, _, fields = token.partition(".")
            if name not in self._variables:
                raise TemplateError(f'template: :1: undefined variable "{name}"')
            return _fields(self._variables[name], f".{fields}") if fields else self._variables[name]
        if token in {"true", "false"}:
            return token == "true"
        if token == "nil":
            return None
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        raise TemplateError(f'template: :1: function "{token}" not defined')


def _rounds(word: str, value: Value) -> list[tuple[Value, Value]]:
    if word != "range":
        return [(None, value)] if _true(value) else []
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(enumerate(value))
    if value is None:
        return []
    raise TemplateError(f"template: :1: range can't iterate over {show(value)}")


def _code(node: Node) -> str:
    return node.code if isinstance(node, _Action) else ""


def _fields(value: Value, path: str) -> Value:
    for name in path.strip(".").split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise TemplateError(f'template: :1:2: executing "" at <{path}>: map has no entry for key "{name}"')
        value = value[name]
    return value


def show(value: Value) -> str:
    """A value as Go's fmt prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{k}:{show(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + " ".join(show(v) for v in value) + "]"
    return str(value)


def _true(value: Value) -> bool:
    return bool(value)


def compact(value: Value) -> str:
    """JSON as Go's encoder writes it: no blanks, HTML characters escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _missing() -> Value:
    raise TemplateError("template: :1: missing value for command")


def _index(words: list[Value]) -> Value:
    value, *keys = words
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, Sequence) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            raise TemplateError(
                f'template: :1: executing "" at <index>: error calling index: index out of range: {key}'
            )
    return value


def _length(value: Value) -> int:
    if isinstance(value, (str, Mapping, Sequence)):
        return len(value)
    raise TemplateError('template: :1: executing "" at <len>: error calling len: len of nil pointer')


def _items(value: Value) -> list[str]:
    return [str(v) for v in value] if isinstance(value, Sequence) else []


def _and(words: list[Value]) -> Value:
    return next((w for w in words if not _true(w)), words[-1])


def _or(words: list[Value]) -> Value:
    return next((w for w in words if _true(w)), words[-1])


_FUNCTIONS: dict[str, Callable[[list[Value]], Value]] = {
    "json": lambda w: compact(w[0]),
    "index": _index,
    "len": lambda w: _length(w[0]),
    "join": lambda w: str(w[1]).join(_items(w[0])),
    "split": lambda w: str(w[0]).split(str(w[1])),
    "lower": lambda w: str(w[0]).lower(),
    "upper": lambda w: str(w[0]).upper(),
    "title": lambda w: str(w[0]).title(),
    "print": lambda w: " ".join(show(x) for x in w),
    "println": lambda w: " ".join(show(x) for x in w) + "\n",
    "eq": lambda w: any(w[0] == x for x in w[1:]),
    "ne": lambda w: w[0] != w[1],
    "not": lambda w: not _true(w[0]),
    "and": _and,
    "or": _or,
}
