"""Parsing of docker's command lines, as its flag library (pflag) does it."""

from collections.abc import Sequence
from dataclasses import dataclass, field


class UsageError(Exception):
    """The command line is wrong; the text is Docker's, the exit status is ``status``."""

    def __init__(self, text: str, status: int = 125) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Syntax:
    """The flags of one verb: which take a value, which do not; other spellings; how many arguments it needs."""

    verb: str
    summary: str
    arguments: str
    values: frozenset[str] = frozenset()
    switches: frozenset[str] = frozenset()
    short: dict[str, str] = field(default_factory=dict)
    minimum: int = 0
    maximum: int | None = None
    interspersed: bool = True


@dataclass
class Parsed:
    """Flags by long name, and the arguments."""

    syntax: Syntax
    flags: dict[str, list[str]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    def on(self, name: str) -> bool:
        """Whether a switch is set."""
        return self.flags.get(name, ["false"])[-1] in {"true", "1"}

    def value(self, name: str, default: str = "") -> str:
        """The last value of a flag."""
        return self.flags.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """Every value of a repeatable flag."""
        return self.flags.get(name, [])


def parse(syntax: Syntax, words: Sequence[str], version: str) -> Parsed:
    """Read a verb's words; raises UsageError in Docker's words (they differ from version 28 on)."""
    parsed, rest = Parsed(syntax), list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            parsed.arguments += rest
            break
        if word.startswith("--"):
            _long(parsed, word[2:], rest)
        elif word.startswith("-") and word != "-":
            _short(parsed, word[1:], rest)
        else:
            parsed.arguments.append(word)
            if not syntax.interspersed:
                parsed.arguments += rest
                break
    _check_count(parsed, version)
    return parsed


def _long(parsed: Parsed, word: str, rest: list[str]) -> None:
    name, equals, value = word.partition("=")
    syntax = parsed.syntax
    if name == "help":
        raise UsageError(f"\n{_usage(syntax)}\n", 0)
    if name in syntax.switches:
        parsed.flags.setdefault(name, []).append(value if equals else "true")
    elif name in syntax.values:
        if not equals and not rest:
            raise _flag_error(syntax, f"flag needs an argument: --{name}")
        parsed.flags.setdefault(name, []).append(value if equals else rest.pop(0))
    else:
        raise _flag_error(syntax, f"unknown flag: --{name}")


def _short(parsed: Parsed, letters: str, rest: list[str]) -> None:
    syntax = parsed.syntax
    while letters:
        letter, letters = letters[0], letters[1:]
        name = syntax.short.get(letter)
        if name is None:
            raise _flag_error(syntax, f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
        if name in syntax.switches:
            parsed.flags.setdefault(name, []).append("true")
            continue
        if not letters and not rest:
            raise _flag_error(syntax, f"flag needs an argument: '{letter}' in -{letter}")
        value = letters.removeprefix("=") if letters else rest.pop(0)
        parsed.flags.setdefault(name, []).append(value)
        return


def _flag_error(syntax: Syntax, text: str) -> UsageError:
    return UsageError(f"{text}\nSee 'docker {syntax.verb} --help'.\n")


def _usage(syntax: Syntax) -> str:
    return f"Usage:\tdocker {syntax.verb} {syntax.arguments}"


def _check_count(parsed: Parsed, version: str) -> None:
    syntax, count = parsed.syntax, len(parsed.arguments)
    if count >= syntax.minimum and (syntax.maximum is None or count <= syntax.maximum):
        return
    need = f"at least {syntax.minimum}" if syntax.maximum is None else f"exactly {syntax.minimum}"
    plural = "" if syntax.minimum == 1 else "s"
    if int(version.split(".", maxsplit=1)[0]) >= 28:
        raise UsageError(
            f"docker: 'docker {syntax.verb}' requires {need} argument{plural}\n\n"
            f"Usage:  docker {syntax.verb} {syntax.arguments}\n\n"
            f"See 'docker {syntax.verb} --help' for more information\n",
            1,
        )
    raise UsageError(
        f'"docker {syntax.verb}" requires {need} argument{plural}.\n'
        f"See 'docker {syntax.verb} --help'.\n\n"
        f"Usage:  docker {syntax.verb} {syntax.arguments}\n\n{syntax.summary}\n",
        1,
    )
