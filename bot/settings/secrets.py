"""Secrets from the environment: each as NAME, or as NAME_FILE with the path of a file."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bot.core.events import Keyring

_MIN_KEY: Final = 32  # bytes, as long as the macs it makes
_SLACK_TOKENS: Final = {
    "xoxb-": "a bot token",
    "xapp-": "an app-level token",
    "xoxp-": "a user token",
    "xoxe.": "a configuration token",
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What must not stand in a file that people share."""

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    redis_url: str = field(repr=False)
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)
    keyring: Keyring = field(repr=False)


def read_secrets(environ: Mapping[str, str], mode: str, problems: list[str]) -> Secrets:
    """All secrets; what is wrong is added to `problems`, without showing a secret. `mode` is `slack.mode`, "" when that
    is not known.
    """

    def read(name: str) -> str:
        return _value(environ, name, problems)

    secrets = Secrets(
        bot_token=_token("SLACK_BOT_TOKEN", read("SLACK_BOT_TOKEN"), "xoxb-", problems),
        app_token=_token("SLACK_APP_TOKEN", read("SLACK_APP_TOKEN"), "xapp-", problems, needed=mode == "socket"),
        signing_secret=_signing_secret(read("SLACK_SIGNING_SECRET"), mode, problems),
        redis_url=read("REDIS_URL"),
        s3_access_key=read("S3_ACCESS_KEY"),
        s3_secret_key=read("S3_SECRET_KEY"),
        keyring=_keyring(read("JOURNAL_KEY"), read("JOURNAL_OLD_KEYS"), problems),
    )
    if bool(secrets.s3_access_key) != bool(secrets.s3_secret_key):
        problems.append("S3_ACCESS_KEY and S3_SECRET_KEY: set both, or none where the machine has a role of its own")
    return secrets


def _value(environ: Mapping[str, str], name: str, problems: list[str]) -> str:
    path = environ.get(f"{name}_FILE", "")
    if not path:
        return environ.get(name, "").strip()
    if environ.get(name):
        problems.append(f"{name} and {name}_FILE are both set: keep one")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}_FILE: {path} cannot be read: {getattr(error, 'strerror', 'it is not text')}")
        return ""


def _token(name: str, token: str, prefix: str, problems: list[str], *, needed: bool = True) -> str:
    if not token and needed:
        problems.append(f"{name} is missing: set {_SLACK_TOKENS[prefix]}, it starts with {prefix}")
    elif token and not token.startswith(prefix):
        found = next((what for start, what in _SLACK_TOKENS.items() if token.startswith(start)), "not a Slack token")
        problems.append(f"{name} is {found}: {_SLACK_TOKENS[prefix]} is needed, it starts with {prefix}")
    return token


def _signing_secret(secret: str, mode: str, problems: list[str]) -> str:
    if mode == "http" and not secret:
        problems.append('SLACK_SIGNING_SECRET is missing: HTTP mode needs it, see "Basic Information" of the Slack app')
    if secret.startswith(("xox", "xapp")):
        problems.append("SLACK_SIGNING_SECRET is a token: the signing secret is another thing, 32 hex digits")
    return secret


def _keyring(current: str, old: str, problems: list[str]) -> Keyring:
    keys: dict[str, bytes] = {}
    if not current:
        problems.append("JOURNAL_KEY is missing: make one with `openssl rand -hex 32` and keep it")
    for name, text in [("JOURNAL_KEY", current), *(("JOURNAL_OLD_KEYS", part) for part in re.split(r"[\s,]+", old))]:
        if not text:
            continue
        key = _key(text)
        if len(key) < _MIN_KEY:
            problems.append(f"{name} is not a key: {_MIN_KEY} bytes or more are needed, in hex or base64")
        keys[hashlib.sha256(key).hexdigest()[:8]] = key
    return Keyring(next(iter(keys), ""), keys)


def _key(text: str) -> bytes:
    """The bytes of a key in hex or base64 (also its URL form), empty if it is neither."""
    if re.fullmatch(r"([0-9a-fA-F]{2})+", text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
