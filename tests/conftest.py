"""What all tests share."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

# Last on the path: `tests` is found here while `bot` and `handlers` come from the installed wheel first.
sys.path.append(str(Path(__file__).resolve().parents[1]))


def pytest_sessionstart(session: pytest.Session) -> None:
    """`make test` must test the wheel: a source tree that shadows it would hide a packaging mistake."""
    if not os.environ.get("BOT_INSTALLED"):
        return
    for package in ("bot", "handlers"):
        spec = importlib.util.find_spec(package)
        if spec is None or "site-packages" not in str(spec.origin):
            raise pytest.UsageError(f"{package} comes from {spec and spec.origin}, not from the wheel")
