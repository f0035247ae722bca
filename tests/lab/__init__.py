"""The lab: everything the bot meets in production, on this machine, with real wire protocols.

`from tests.lab import Lab` brings the whole of it. The parts' own processes (the S3 server, the rke double) import
this package too and must start at once, so nothing is imported before it is asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.lab import Lab as Lab


def __getattr__(name: str) -> object:
    if name == "Lab":
        from tests.lab.lab import Lab as TheLab  # noqa: PLC0415 - see the module's docstring

        return TheLab
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
