"""Keeps a lease alive while its owner works, and stops the work the moment the lease may have passed to somebody
else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar

import structlog

from bot.engine.ports import Lease, Queue
from bot.errors import BotError, Fenced

Result = TypeVar("Result")
_log = structlog.get_logger()


def obey_cancel() -> None:
    """End an endless loop here if the running task was cancelled: before Python 3.12 asyncio.wait_for can lose a
    cancellation (cpython#86296), and redis-py sends each command through it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Heartbeat:
    """`async with Heartbeat(queue, lease, monotonic) as heart:` renews the lease three times within its length."""

    def __init__(self, queue: Queue, lease: Lease, monotonic: Callable[[], float]) -> None:
        self.lease = lease
        self.monotonic = monotonic
        self._queue = queue
        self._lock = asyncio.Lock()
        self._every = max(0.05, (lease.until - monotonic()) / 3)
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def check(self) -> None:
        """Raise Fenced unless the lease is surely still ours by our own clock, CancelledError if we were cancelled."""
        obey_cancel()
        if self._lost.done() or self.monotonic() >= self.lease.until:
            raise Fenced(f"the lease for {self.lease.scope} is over")

    async def renew(self, floor: int = 0, *, retoken: bool = False) -> None:
        """Prolong the lease now; with `floor` or `retoken` under a higher token. Raises Fenced if it is not ours any
        more.
        """
        async with self._lock:
            self.lease, _ = await self._queue.renew(self.lease, floor, retoken=retoken)

    async def guard(self, work: Awaitable[Result]) -> Result:
        """The result of `work`, cancelled with Fenced as soon as the lease is lost."""
        task: asyncio.Future[Result] = asyncio.ensure_future(work)
        either: set[asyncio.Future[Result] | asyncio.Future[None]] = {task, self._lost}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Fenced(f"the lease for {self.lease.scope} is over")
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def pause(self, seconds: float) -> None:
        """Wait, at most until the lease is lost."""
        await asyncio.wait({self._lost}, timeout=seconds)
        self.check()

    async def _beat(self) -> None:
        """Renew until cancelled or lost. Redis may be silent for a while: then our own clock decides."""
        while self.monotonic() < self.lease.until:
            obey_cancel()
            await asyncio.sleep(self._every)
            try:
                await self.renew()
            except Fenced:
                break
            except BotError as error:
                _log.warning("not_renewed", scope=self.lease.scope, error=str(error))
        if not self._lost.done():
            self._lost.set_result(None)
