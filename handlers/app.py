"""The bolt app: which listener gets what. Built by `build`, nothing at import."""

import re

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.commands import SLASH
from bot.engine.usecases import UseCases
from handlers.answers import Answers
from handlers.buttons import Buttons
from handlers.commands import Commands
from handlers.directory import Directory
from handlers.modals import Modals

_CALL_SECONDS = 10


def web_client(token: str, api_url: str) -> AsyncWebClient:
    """A client for answers and look-ups: repeats what was rate limited, met a server error or a broken connection.
    `api_url` ends in a slash.
    """
    client = AsyncWebClient(token=token, base_url=api_url, timeout=_CALL_SECONDS)
    client.retry_handlers = [
        AsyncRateLimitErrorRetryHandler(max_retry_count=1),
        AsyncServerErrorRetryHandler(max_retry_count=1),
        AsyncConnectionErrorRetryHandler(max_retry_count=1),
    ]
    return client


def posting_client(token: str, api_url: str) -> AsyncWebClient:
    """A client for the reporter: one try per call, since a repeated post may be a second message."""
    return AsyncWebClient(token=token, base_url=api_url, timeout=_CALL_SECONDS, retry_handlers=[])


def build(
    client: AsyncWebClient,
    usecases: UseCases,
    directory: Directory,
    answers: Answers,
    signing_secret: str = "",
) -> AsyncApp:
    """The app with all its listeners. `signing_secret` is what HTTP requests are checked with; HttpMode refuses to
    serve without one.

    The ack is sent when the listener says so, and the listener may go on after it (`process_before_response` is off):
    this process lives on.
    """
    app = AsyncApp(client=client, signing_secret=signing_secret, name="etcd-snapshot-bot")
    commands = Commands(usecases, directory, answers)
    buttons = Buttons(usecases, directory, commands, answers, client)
    modals = Modals(usecases, buttons, answers, client)
    app.command(SLASH)(commands.listener)
    app.action(re.compile(".*"))(buttons.listener)
    app.view("vote.approve")(modals.approve)
    app.view("vote.deny")(modals.deny)
    app.view_closed(re.compile(".*"))(_acknowledge)
    return app


async def _acknowledge(ack: AsyncAck) -> None:
    await ack()
