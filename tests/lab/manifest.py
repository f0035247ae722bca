"""The Slack app manifest that operators install: the lab's workspace grants exactly what it asks for."""

from pathlib import Path

import yaml

from tests.lab.process import ROOT

MANIFEST: Path = ROOT / "config" / "slack-manifest.yaml"


def bot_scopes() -> frozenset[str]:
    """The scopes of the bot token: a call that needs another one fails in the lab as it would for a user."""
    raw = yaml.safe_load(MANIFEST.read_text())
    return frozenset(raw["oauth_config"]["scopes"]["bot"])
