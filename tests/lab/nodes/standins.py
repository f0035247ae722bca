"""Writes ``df`` and ``curl`` of the lab's machines."""

import shlex
import sys
from pathlib import Path

from tests.lab.nodes import curl
from tests.lab.nodes.scripts import DF, write_script


def write_df(path: Path, switch: Path) -> None:
    """``df``: the real one, until the switch file holds ``TOTAL FREE`` in bytes."""
    write_script(path, DF.format(switch=shlex.quote(str(switch))))


def write_curl(path: Path) -> None:
    """``curl``: the flags the bot uses, so that a machine without curl can run the lab."""
    interpreter, script = shlex.quote(sys.executable), shlex.quote(str(Path(curl.__file__)))
    write_script(path, f'exec {interpreter} -S -E -I {script} "$@"\n')
