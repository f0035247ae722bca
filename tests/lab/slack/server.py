"""The listening side: one port on 127.0.0.1 that can go away and come back as the same port."""

import socket

from aiohttp import web


class Server:
    """Serves an aiohttp application; while it refuses, connects fail as if nothing ever listened."""

    def __init__(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        self._site: web.SockSite | None = None
        self._reserved: socket.socket | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port, which stays reserved until `stop`."""
        self._reserved = _bound(0)
        self.port = self._reserved.getsockname()[1]
        await self._runner.setup()
        await self.accept()

    async def accept(self) -> None:
        """Listen (again)."""
        if self._site is None:
            self._site = web.SockSite(self._runner, _bound(self.port))
            await self._site.start()

    async def refuse(self) -> None:
        """Stop listening and cut the connections that are open."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
        for connection in list(self._runner.server.connections if self._runner.server else []):
            transport = connection.transport
            if transport is not None:
                transport.abort()

    async def stop(self) -> None:
        """Close everything."""
        await self._runner.cleanup()
        if self._reserved is not None:
            self._reserved.close()


def _bound(port: int) -> socket.socket:
    """A socket that shares its port with the lab's others: one reserves it, one listens."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
