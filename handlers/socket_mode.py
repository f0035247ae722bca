"""Socket Mode: Slack's payloads over a WebSocket that the bot opens. No address of the bot needs to be reachable.

Sockets drop silently (slackapi/bolt-python#417, python-slack-sdk#1110), and slack_sdk's own monitor can die with them.
So the connection is watched from outside: pings that are not answered, or a closed session, and the whole client is
replaced.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

PING_SECONDS: Final = 5.0
_SILENT_PINGS: Final = 2.5  # unanswered for that many intervals; slack_sdk itself waits for 4
_CONNECT_SECONDS: Final = 20.0
_CLOSE_SECONDS: Final = 5.0
TOKEN_SECONDS: Final = 60.0

_log = structlog.get_logger()


class SocketMode:
    """Keeps one working connection until cancelled. `app_client` bears the app-level token (xapp-). `problem` says what
    is wrong now, "" when nothing is.
    """

    def __init__(
        self,
        app: AsyncApp,
        app_client: AsyncWebClient,
        ping_seconds: float = PING_SECONDS,
        token_seconds: float = TOKEN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._app_client = app_client
        self._ping = ping_seconds
        self._token_seconds = token_seconds
        self._clock = clock
        self._token_problem = ""
        self._handler: AsyncSocketModeHandler | None = None
        self.problem = "Not connected to Slack yet."

    async def run(self) -> None:
        """Connect, watch, replace what fell silent."""
        checks = asyncio.get_running_loop().create_task(self._check_token())
        try:
            while True:
                if not await self._alive():
                    await self._replace()
                self.problem = self._token_problem if await self._alive() else "The socket to Slack is silent."
                await asyncio.sleep(self._ping)
        finally:
            checks.cancel()
            await self._close(self._handler)

    async def _alive(self) -> bool:
        if self._handler is None or not await self._handler.client.is_connected():
            return False
        answered = self._handler.client.last_ping_pong_time
        return answered is None or self._clock() - answered < self._ping * _SILENT_PINGS

    async def _replace(self) -> None:
        """A new client first, so that Slack has somewhere to send to; then the old one goes."""
        old, self._handler = self._handler, None
        if old is not None:
            self.problem = "The socket to Slack is silent."
            _log.warning("socket.silent")
        handler = AsyncSocketModeHandler(
            self._app,
            self._app_client.token,
            web_client=self._app_client,
            ping_interval=self._ping,
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await handler.client.connect()  # type: ignore[no-untyped-call]  # slack_sdk has no types here
        except (TimeoutError, OSError, aiohttp.ClientError, SlackClientError) as error:
            self.problem = f"No connection to Slack: {type(error).__name__}. Trying again."
            _log.warning("socket.not_connected", error=str(error))
            await self._close(handler)
        else:
            self._handler = handler
            _log.info("socket.connected")
        await self._close(old)

    async def _close(self, handler: AsyncSocketModeHandler | None) -> None:
        if handler is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await handler.client.close()  # type: ignore[no-untyped-call]  # slack_sdk has no types here
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            _log.info("socket.close_failed", error=str(error))

    async def _check_token(self) -> None:
        """A socket stays open when the bot's token is revoked; auth.test tells."""
        while True:
            try:
                await self._app.client.auth_test()
                self._token_problem = ""
            except (TimeoutError, OSError, aiohttp.ClientError, SlackClientError) as error:
                self._token_problem = f"Slack does not accept the bot's token, or does not answer: {error}"
                _log.warning("slack.auth_test_failed", error=str(error))
            await asyncio.sleep(self._token_seconds)
