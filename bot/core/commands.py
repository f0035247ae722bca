"""What a person typed after `/etcd-snapshot`, as a value. Nothing is guessed: a text that is not exactly a command
is refused, and the nearest valid command line is only shown.

Slack hands the text over as people's devices left it: curly quotes, dashes for two hyphens, no-break blanks, `&amp;`,
and links it made itself (`<http://x.y|x.y>`).
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from bot.core import snapshots
from bot.core.cluster import Cluster
from bot.errors import Refused

SLASH: Final = "/etcd-snapshot"
MAX_REASON: Final = 500


class Verb(StrEnum):
    """The commands, in the order of the help."""

    LIST = "list"
    STATUS = "status"
    CLUSTERS = "clusters"
    HELP = "help"
    SAVE = "save"
    RESTORE = "restore"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Save:
    """Take a snapshot; without a name it gets a default one."""

    name: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class List:
    """Show the snapshots."""

    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Restore:
    """Ask for a restore; `snapshot` is a name or `latest`."""

    snapshot: str
    cluster: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Show one job (an id or its beginning), or what runs and waits."""

    job: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a job (an id or its beginning)."""

    job: str


@dataclass(frozen=True, slots=True)
class Clusters:
    """Show the clusters of this channel."""


@dataclass(frozen=True, slots=True)
class Help:
    """Explain all commands, or one."""

    topic: str = ""


Command: TypeAlias = Save | List | Restore | Status | Cancel | Clusters | Help


class UnknownCommand(Refused):
    """The text is not a command. `typed` is the text as it came; `nearest` a whole command line that is valid, to be
    copied by a person, never executed.
    """

    def __init__(self, what: str, typed: str, nearest: str) -> None:
        super().__init__(what, f"Nearest valid command: {nearest}")
        self.typed = typed
        self.nearest = nearest


def parse(text: str) -> Command:
    """The command in `text`, with or without the leading `/etcd-snapshot`. Raises UnknownCommand, nothing else."""
    words = _verb_first(_words(_plain(text)))
    try:
        return _command(words)
    except Refused as wrong:
        raise UnknownCommand(wrong.what, text.strip(), render(_nearest(words))) from None


def render(command: Command) -> str:
    """The command line that `parse` reads as `command`."""
    match command:
        case Save(name, cluster):
            return _line(Verb.SAVE, name, *_option("cluster", cluster))
        case List(cluster):
            return _line(Verb.LIST, *_option("cluster", cluster))
        case Restore(snapshot, cluster, reason):
            return _line(Verb.RESTORE, snapshot, *_option("cluster", cluster), *_option("reason", _quoted(reason)))
        case Status(job, cluster):
            return _line(Verb.STATUS, job, *_option("cluster", cluster))
        case Cancel(job):
            return _line(Verb.CANCEL, job)
        case Clusters():
            return _line(Verb.CLUSTERS)
        case Help(topic):
            return _line(Verb.HELP, topic)


def choose_cluster(clusters: Mapping[str, Cluster], channel: str, wanted: str) -> Cluster:
    """The cluster meant by a command typed in `channel`: the channel's only one, or the `wanted` one of several.
    Clusters of other channels are not offered. Refused with what may be typed when that leaves none or a choice.
    """
    here = {name: cluster for name, cluster in clusters.items() if channel in cluster.channels}
    if not here:
        raise Refused("This channel belongs to no cluster.", "Type the command in the channel of the cluster.")
    names = ", ".join(here)
    if wanted and wanted not in here:
        raise Refused(f"{wanted} is not a cluster of this channel.", f"Clusters of this channel: {names}.")
    if not wanted and len(here) > 1:
        raise Refused("This channel has several clusters.", f"Add --cluster and one of: {names}.")
    return here[wanted or names]


# --- reading ----------------------------------------------------------------------------------------------------------

_TRANSLATE: Final = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"')
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
    | dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad")  # they have no width: nobody typed them
)
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_LINK: Final = re.compile(r"<([a-z][a-z0-9+.-]*:[^<>|]*)(?:\|([^<>]*))?>", re.IGNORECASE)
_LONG_DASH: Final = re.compile(rf"^(?:-?[{_DASHES}]+-?)(?=[A-Za-z])")
_JOB: Final = re.compile(r"[0-9a-f]{4,64}")
_CLUSTER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_OPTIONS: Final = {
    Verb.SAVE: ("cluster",),
    Verb.LIST: ("cluster",),
    Verb.RESTORE: ("cluster", "reason"),
    Verb.STATUS: ("cluster",),
}
_ARGUMENT: Final = {  # what may follow the verb, and whether it must
    Verb.SAVE: ("NAME", False),
    Verb.RESTORE: ("NAME or latest", True),
    Verb.STATUS: ("JOB", False),
    Verb.CANCEL: ("JOB", True),
    Verb.HELP: ("COMMAND", False),
}


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    quoted: bool = False

    @property
    def option(self) -> bool:
        return not self.quoted and self.text.startswith("--")


def _plain(text: str) -> str:
    """`text` as it would have been typed in a terminal."""
    text = _LINK.sub(lambda link: link[2] or re.sub(r"^(mailto:|https?://)", "", link[1]), text)
    return html.unescape(text).translate(_TRANSLATE).replace("`", " ")


def _words(text: str) -> tuple[_Word, ...]:
    """The words of `text`. A quote opens at the beginning of a word or after `=`, and closes where a blank or the end
    follows; any other quote is a character like any other (`didn't`). Within quotes a backslash makes the next quote or
    backslash a character.
    """
    words: list[_Word] = []
    for found in re.finditer(r"""(--[\w-]+=)?(["'])((?:\\.|(?!\2(?:\s|$))[^\\])*)\2(?=\s|$)|\S+""", text, re.DOTALL):
        option, quote, inside = found.groups()
        if quote is None:
            words.extend(_bare(found[0]))
            continue
        if option:
            words.append(_Word(option.removesuffix("=")))
        words.append(_Word(re.sub(r"\\([\\\"'])", r"\1", inside), quoted=True))
    if words and words[0].text == SLASH:
        words = words[1:]
    return tuple(words)


def _verb_first(words: tuple[_Word, ...]) -> tuple[_Word, ...]:
    """The same words with options that stand before the verb behind it."""
    before = 0
    while before + 2 < len(words) and words[before].option and words[before].text != "--help":
        before += 2
    return words[before:] + words[:before]


def _bare(word: str) -> Iterable[_Word]:
    word = _LONG_DASH.sub("--", word)
    name, equals, value = word.partition("=")
    if word.startswith("--") and equals:
        return (_Word(name), _Word(value, quoted=True))
    return (_Word(word),)


def _command(words: Sequence[_Word]) -> Command:
    if any(word.option and word.text == "--help" for word in words):
        return Help(next((word.text.lower() for word in words if word.text.lower() in set(Verb)), ""))
    if not words:
        return Help()
    try:
        verb = Verb(words[0].text.lower())
    except ValueError:
        raise Refused(f'"{words[0].text}" is not a command.') from None
    arguments, options = _sort(verb, words[1:])
    return _build(verb, _argument(verb, arguments), options)


def _sort(verb: Verb, words: Sequence[_Word]) -> tuple[list[str], dict[str, str]]:
    """The arguments and the options behind a verb."""
    arguments: list[str] = []
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.option:
            arguments.append(word.text)
            continue
        name = word.text.removeprefix("--").lower()
        if name not in _OPTIONS.get(verb, ()):
            raise Refused(f'"{word.text}" is not an option of {verb}.')
        if name in options:
            raise Refused(f"--{name} stands there twice.")
        options[name] = _value(name, rest)
    return arguments, options


def _value(name: str, rest: list[_Word]) -> str:
    """The value of an option, taken off `rest`: one word; of a reason without quotes all up to the next option."""
    if not rest or rest[0].option:
        raise Refused(f"--{name} needs a value.")
    taken = [rest.pop(0)]
    while name == "reason" and not taken[0].quoted and rest and not rest[0].option:
        taken.append(rest.pop(0))
    return " ".join(word.text for word in taken)


def _argument(verb: Verb, arguments: Sequence[str]) -> str:
    what, needed = _ARGUMENT.get(verb, ("", False))
    if len(arguments) > (1 if what else 0):
        raise Refused(f'"{arguments[-1]}" is too much: {verb} takes {f"one {what}" if what else "no name"}.')
    if needed and not arguments:
        raise Refused(f"{verb} needs {what}.")
    return arguments[0] if arguments else ""


def _build(verb: Verb, argument: str, options: Mapping[str, str]) -> Command:
    cluster = options.get("cluster", "")
    if "cluster" in options and not _CLUSTER.fullmatch(cluster):
        raise Refused(f'"{cluster}" cannot be a cluster.')
    match verb:
        case Verb.SAVE:
            return Save(snapshots.check_name(argument) if argument else "", cluster)
        case Verb.LIST:
            return List(cluster)
        case Verb.RESTORE:
            return Restore(_wanted(argument), cluster, _reason(options.get("reason", "")))
        case Verb.STATUS:
            return Status(_job(argument) if argument else "", cluster)
        case Verb.CANCEL:
            return Cancel(_job(argument))
        case Verb.CLUSTERS:
            return Clusters()
        case Verb.HELP:
            if argument and argument.lower() not in set(Verb):
                raise Refused(f'"{argument}" is not a command.')
            return Help(argument.lower())


def _wanted(argument: str) -> str:
    return snapshots.LATEST if argument.lower() == snapshots.LATEST else snapshots.check_existing(argument)


def _job(argument: str) -> str:
    if not _JOB.fullmatch(argument.lower()):
        raise Refused(f'"{argument}" is not a job: its id has 4 or more of 0-9 and a-f.')
    return argument.lower()


def _reason(text: str) -> str:
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if len(text) > MAX_REASON:
        raise Refused(f"The reason has {len(text)} characters, at most {MAX_REASON} are allowed.")
    return text


def _line(*words: str) -> str:
    return " ".join(word for word in (SLASH, *words) if word)


def _option(name: str, value: str) -> tuple[str, ...]:
    return (f"--{name}", value) if value else ()


def _quoted(text: str) -> str:
    return '"' + re.sub(r'([\\"])', r"\\\1", text) + '"' if text else ""


# --- the nearest valid command ----------------------------------------------------------------------------------------


def _nearest(words: Sequence[_Word]) -> Command:
    """A valid command that is near to what was typed: for the eyes of a person."""
    verb = _nearest_verb(words[0].text.lower())
    arguments, options = _salvage(verb, words[1:])
    for argument in (*arguments, *(_cleaned(argument) for argument in arguments)):
        try:
            return _build(verb, argument, options)
        except Refused:
            continue
    match verb:
        case Verb.RESTORE:
            return Restore(snapshots.LATEST, options.get("cluster", ""), options.get("reason", ""))
        case Verb.CANCEL:
            return Status()  # it names the jobs that can be cancelled
        case _:
            return _build(verb, "", options)


def _nearest_verb(typed: str) -> Verb:
    def far(verb: Verb) -> float:
        begun = len(typed) > 1 and (verb.startswith(typed) or typed.startswith(verb))
        return 0.5 if begun else distance(typed, verb)

    verb = min(Verb, key=far)
    return verb if far(verb) <= max(1, len(verb) // 2) else Verb.HELP


def _salvage(verb: Verb, words: Sequence[_Word]) -> tuple[list[str], dict[str, str]]:
    """The arguments and options of a wrong command, each kept only where it is valid by itself."""
    arguments: list[str] = []
    options: dict[str, str] = {}
    allowed = _OPTIONS.get(verb, ())
    rest = list(words)
    while rest:
        word = rest.pop(0)
        typed = word.text.lstrip("-").lower()
        name = min(allowed, key=lambda option: distance(typed, option), default="")
        if not word.option:
            arguments.append(word.text)
        elif name and name not in options and distance(typed, name) <= 2 and rest and not rest[0].option:
            value = _value(name, rest)
            if _fits(name, value):
                options[name] = value
    return arguments, options


def _fits(name: str, value: str) -> bool:
    if name == "cluster":
        return bool(_CLUSTER.fullmatch(value))
    try:
        return bool(_reason(value))
    except Refused:
        return False


def _cleaned(argument: str) -> str:
    """A valid name that is near to `argument`, else an empty string."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", argument).strip("-").lstrip(".")[: snapshots.MAX_NAME]
    return name.removesuffix(".zip")


def distance(one: str, other: str) -> int:
    """How many letters must be added, left out, exchanged or swapped with their neighbour to get `other` from `one`."""
    one = one[:64]
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i] + [0] * len(other)
        for j, b in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], last[j - 2] + 1)
    return row[len(other)]
