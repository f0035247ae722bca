"""config/slack-manifest.yaml is a manifest that Slack accepts."""

from typing import Any

import pytest
import yaml

from tests.lab.manifest import MANIFEST, bot_scopes


@pytest.fixture
def manifest() -> Any:
    """The parsed file."""
    return yaml.safe_load(MANIFEST.read_text())


def test_texts_are_within_slack_s_limits(manifest: Any) -> None:
    """Lengths from docs.slack.dev/reference/app-manifest."""
    display, features = manifest["display_information"], manifest["features"]
    assert len(display["name"]) <= 35
    assert len(display["description"]) <= 140
    assert 174 <= len(display["long_description"]) <= 4000
    assert len(features["bot_user"]["display_name"]) <= 80
    command = features["slash_commands"][0]
    assert command["command"] == "/etcd-snapshot"
    assert len(command["description"]) <= 2000
    assert len(command["usage_hint"]) <= 1000


def test_socket_mode_needs_no_address(manifest: Any) -> None:
    """As shipped it works behind a firewall: no URL anywhere, and buttons are on."""
    settings = manifest["settings"]
    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"] == {"is_enabled": True}
    assert "url" not in manifest["features"]["slash_commands"][0]


def test_it_asks_for_no_right_that_is_not_used() -> None:
    """Each scope stands for a call of the bot; reading all messages or joining by itself is none of them."""
    assert bot_scopes() == {
        "channels:history",
        "chat:write",
        "commands",
        "groups:history",
        "im:history",
        "im:write",
        "usergroups:read",
        "users:read",
    }
