"""YAML as plain values, without its traps: duplicate keys are refused, aliases cannot blow up, tags make no objects.

Resolves plain scalars as YAML 1.1 does (so does rke's yaml.v2), but leaves timestamps the text they are.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import yaml

from bot.core.events import Json
from bot.errors import Refused

MAX_BYTES: Final = 4 << 20
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 200_000  # with every alias counted as often as it is used

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # absent where PyYAML was built without libyaml
_TAG: Final = "tag:yaml.org,2002:"
_resolve: Final[Callable[[type[yaml.Node], str, tuple[bool, bool]], str]] = yaml.resolver.Resolver().resolve
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()
_SCALARS: Final[dict[str, Callable[[yaml.ScalarNode], Json]]] = {
    "null": lambda _node: None,
    "bool": _CONSTRUCTOR.construct_yaml_bool,
    "int": _CONSTRUCTOR.construct_yaml_int,
    "float": _CONSTRUCTOR.construct_yaml_float,
    "str": lambda node: str(node.value),
    "timestamp": lambda node: str(node.value),
    "value": lambda node: str(node.value),
    "merge": lambda node: str(node.value),
}


def load(raw: bytes, name: str) -> Json:
    """The one document in `raw`; keys are text. `name` is what messages call the file. Refused with the line when it
    is not YAML, or YAML that can be read in more than one way.
    """
    if len(raw) > MAX_BYTES:
        raise Refused(f"{name} has {len(raw)} bytes, at most {MAX_BYTES} are read.", "Check that it is the right file.")
    try:
        return _Reader(raw, name).document()
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8 text: byte {error.start}.", "Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or str(error)
        raise Refused(f"{name}{line} is not valid YAML: {why}.", "Correct the file.") from None


class _Reader:
    """Builds values from the events of one stream."""

    def __init__(self, raw: bytes, name: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(raw.decode("utf-8-sig"), Loader=_LOADER)
        self._name = name
        self._values = 0
        self._anchors: dict[str, tuple[Json, int]] = {}

    def document(self) -> Json:
        value: Json = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._wrong(event, "a second document begins", "Keep one document: rke reads the first only.")
                value = self._value(next(self._events), 0)
        return value

    def _value(self, event: yaml.Event, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise self._wrong(event, f"it is nested more than {MAX_DEPTH} deep", "Correct the file.")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._values
        self._count(event, 1)
        value: Json
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self._value(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        else:
            value = self._mapping(depth)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._anchors[anchor] = (value, self._values - before)
        return value

    def _alias(self, event: yaml.AliasEvent) -> Json:
        if event.anchor not in self._anchors:
            raise self._wrong(
                event, f"the alias *{event.anchor} refers to nothing that is complete", "Correct the file."
            )
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        return value

    def _scalar(self, event: yaml.ScalarEvent) -> Json:
        tag = event.tag
        if tag in (None, "!"):
            tag = _resolve(yaml.ScalarNode, event.value, event.implicit)
        build = _SCALARS.get(str(tag).removeprefix(_TAG))
        try:
            if build is None:
                raise ValueError(f"the tag {tag}")
            return build(yaml.ScalarNode(str(tag), event.value))
        except (ValueError, KeyError) as error:
            raise self._wrong(event, f"{event.value[:40]!r} cannot be read: {error}", "Correct it.") from None

    def _mapping(self, depth: int) -> Mapping[str, Json]:
        lines: dict[str, int] = {}
        own: dict[str, Json] = {}
        merged: dict[str, Json] = {}
        for key in self._until(yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise self._wrong(key, "a key is not plain text", "Correct it.")
            line = _line(key)
            if key.value in lines:
                what = f"the key {key.value} stands there twice, first in line {lines[key.value]}"
                raise self._wrong(key, what, "Merge the two: only one of them would count.")
            lines[key.value] = line
            value = self._value(next(self._events), depth + 1)
            if key.value == "<<" and key.implicit[0]:
                merged = self._merge(key, value)
            else:
                own[key.value] = value
        return merged | own

    def _merge(self, key: yaml.Event, value: Json) -> dict[str, Json]:
        merged: dict[str, Json] = {}
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, Mapping):
                raise self._wrong(key, "<< does not name a mapping", "Correct it.")
            merged = {**part, **merged}
        return merged

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise self._wrong(event, f"it has more than {MAX_VALUES} values, aliases included", "Correct the file.")

    def _wrong(self, event: yaml.Event, what: str, todo: str) -> Refused:
        return Refused(f"{self._name}, line {_line(event)}: {what}.", todo)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
