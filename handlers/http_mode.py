"""HTTP mode: Slack posts signed requests to the bot. bolt checks signature and age (at most 5 minutes) of each."""

import asyncio
from typing import Final

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp

from bot.errors import Fatal

_LARGEST: Final = 1024 * 1024  # bytes; Slack's payloads are far smaller
_CLOSE_SECONDS: Final = 5.0

_log = structlog.get_logger()


class HttpMode:
    """Serves one request URL until cancelled. `signing_secret` must be the one the app was built with: with an empty
    one anybody could sign. `port` 0 takes a free one; `url` says which, once `started` is set. `problem` is "" while it
    serves.
    """

    def __init__(self, app: AsyncApp, signing_secret: str, host: str, port: int, path: str = "/slack/events") -> None:
        if not signing_secret:
            raise Fatal("HTTP mode needs the signing secret of the Slack app.", "Set SLACK_SIGNING_SECRET.")
        self._app = app
        self._host = host
        self._port = port
        self._path = path
        self.started = asyncio.Event()
        self.url = ""
        self.problem = "Not serving yet."

    async def run(self) -> None:
        """Serve. Raises OSError when the address is taken."""
        pages = web.Application(client_max_size=_LARGEST)
        pages.router.add_post(self._path, self._handle)
        runner = web.AppRunner(pages, access_log=None, shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url, self.problem = f"http://{host}:{port}{self._path}", ""
            self.started.set()
            _log.info("http.serving", url=self.url)
            await asyncio.get_running_loop().create_future()
        finally:
            self.problem = "Not serving any more."
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            asked = await to_bolt_request(request)
            timestamp = asked.headers.get("x-slack-request-timestamp", ["0"])[0]
            if not timestamp.isascii() or not timestamp.isdigit():
                return web.Response(status=401)
            return await to_aiohttp_response(await self._app.async_dispatch(asked))
        except UnicodeDecodeError:
            return web.Response(status=400)
