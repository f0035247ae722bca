"""rke's log lines: logrus text format, as it looks in a pipe and on a terminal.

Sources: transcripts `v0.1.20-*.txt` and `v1.0.16-*.txt` in tests/data/rke. v0.1.x writes to standard error,
v0.2 and later to standard output, FATAL lines included.
"""

import re
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

LEVELS = {"info": ("INFO", 36), "warning": ("WARN", 33), "fatal": ("FATA", 31)}
_PLAIN_WORD = re.compile(r"[A-Za-z0-9\-._/@^+]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class RkeError(Exception):
    """What rke prints as its FATAL line; the process then ends with exit status 1."""


def go_quote(text: str) -> str:
    """`text` as Go's %q prints it: the quoting of a logrus message."""
    return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in text) + '"'


def _printable(char: str) -> str:
    return char if char.isprintable() else f"\\x{ord(char):02x}"


def logfmt(at: datetime, level: str, message: str) -> str:
    """One line for a pipe: `time="…Z" level=info msg="…"`; a message that is one plain word stays unquoted."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    word = message if _PLAIN_WORD.fullmatch(message) else go_quote(message)
    return f'time="{stamp}" level={level} msg={word}'


def terminal(seconds: int, level: str, message: str) -> str:
    """One line for a terminal: coloured level, seconds since the start, message padded to 44 columns."""
    word, colour = LEVELS[level]
    return f"\x1b[{colour}m{word}\x1b[0m[{seconds:04d}] {message:<44} "


@dataclass
class Log:
    """Writes lines at once, so that whoever reads the pipe sees each step as it happens."""

    stream: TextIO
    started: float = field(default_factory=time.monotonic)

    def info(self, message: str) -> None:
        """A step that was done."""
        self._write("info", message)

    def warning(self, message: str) -> None:
        """Something rke goes on without; the exit status does not tell."""
        self._write("warning", message)

    def fatal(self, message: str) -> None:
        """The last line of a run that ends with exit status 1."""
        self._write("fatal", message)

    def _write(self, level: str, message: str) -> None:
        if self.stream.isatty():
            line = terminal(int(time.monotonic() - self.started), level, message)
        else:
            line = logfmt(datetime.now(UTC), level, message)
        self.stream.write(line + "\n")
        self.stream.flush()


def log_for(version: str) -> Log:
    """The log of one run: standard error for v0.1.x, standard output for everything later."""
    return Log(sys.stderr if version.startswith("v0.1.") else sys.stdout)
