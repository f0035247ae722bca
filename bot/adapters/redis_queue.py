"""Leases and lanes in Redis. A lease is ours only while our own monotonic clock says so, a margin before
Redis would give it away.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from redis.exceptions import RedisError

from bot.adapters.redis_client import BLOCK, PREFIX, RedisClient, integer, text, unreachable
from bot.adapters.redis_scripts import CLAIM, RELEASE, RENEW
from bot.engine.ports import Lane, Lease
from bot.errors import Fenced

_MARGIN: Final = 0.2  # share of the lease kept as margin between our clock and Redis'


class RedisQueue:
    """Implements ports.Queue. `owner` is unique to this process; `seconds` is the lease's length; `monotonic`
    is a clock in seconds.
    """

    def __init__(self, client: RedisClient, owner: str, seconds: float, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._owner = owner
        self._ms = int(seconds * 1000)
        self._usable = seconds * (1 - _MARGIN)
        self._monotonic = monotonic

    async def claim(self, lane: Lane) -> Lease | None:
        """See ports.Queue."""
        asked = self._monotonic()
        reply = await self._client.script(CLAIM, [lane.value, self._owner, self._ms])
        if not reply:
            return None
        scope, token, job, lost, run_id = reply
        until = asked + self._usable
        return Lease(
            lane,
            text(scope),
            self._owner,
            integer(token),
            text(job),
            until,
            text(run_id),
            integer(lost) / 1000,
        )

    async def renew(self, lease: Lease, floor: int = 0, *, retoken: bool = False) -> tuple[Lease, int]:
        """See ports.Queue."""
        asked = self._monotonic()
        above = str(floor) if floor >= lease.token or retoken else ""
        arguments = [lease.lane.value, lease.scope, str(lease.token), lease.owner, self._ms, above]
        reply = await self._client.script(RENEW, arguments)
        if not reply:
            raise Fenced(f"the lease for {lease.scope} has passed to another worker")
        return replace(lease, token=integer(reply[0]), until=asked + self._usable), integer(reply[1])

    async def release(self, lease: Lease) -> None:
        """See ports.Queue."""
        await self._client.script(RELEASE, [lease.lane.value, lease.scope, str(lease.token), lease.owner])

    async def wait(self, lane: Lane, seconds: float) -> None:
        """See ports.Queue."""
        await pop(self._client, f"{PREFIX}wake:{lane.value}", seconds)


async def pop(client: RedisClient, key: str, seconds: float) -> None:
    """Wait for a hint in a wake list, at most `seconds` (bounded by BLOCK). A hint lost costs only the wait."""
    try:
        await client.redis.blpop([key], timeout=min(seconds, BLOCK))
    except RedisError as error:
        raise unreachable(error) from error
