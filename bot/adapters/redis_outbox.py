"""Everything in Redis that is derived or shown: indexes, queries, progress lines, output, and what Slack was
told.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Final

from redis.exceptions import RedisError

from bot.adapters.redis_client import PREFIX, RedisClient, Reply, integer, text, unreachable
from bot.adapters.redis_queue import pop
from bot.adapters.redis_scripts import ANSWER, ASK, LEAD, OUTPUT, SETTLED, TAKE, TOUCH
from bot.core.events import Data
from bot.engine.ports import Attempt, Change, Lane, Lease, Occupancy, Projection, Query

_QUERY_SECONDS: Final = 3600
_OUTPUT_LIMIT: Final = 512 * 1024  # bytes of the end that are kept; up to twice as many until they are cut off
_SIDE_SECONDS: Final = 7 * 24 * 3600  # output and lines are kept a week; the journal keeps the tail


class RedisIndex:
    """Implements ports.Index."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def open_jobs(self) -> tuple[str, ...]:
        """See ports.Index."""
        return _texts(await _run(self._client, "ZRANGE", f"{PREFIX}open", 0, -1))

    async def ended_jobs(self, limit: int) -> tuple[str, ...]:
        """See ports.Index."""
        return _texts(await _run(self._client, "ZREVRANGE", f"{PREFIX}ended", 0, limit - 1))

    async def occupancy(self, cluster: str) -> Occupancy:
        """See ports.Index."""
        lane = Lane.RUN.value
        pipe = self._client.redis.pipeline(transaction=False)
        pipe.hget(f"{PREFIX}hold", cluster)
        pipe.hget(f"{PREFIX}owner:{lane}", cluster)
        pipe.zscore(f"{PREFIX}lease:{lane}", cluster)
        pipe.lrange(f"{PREFIX}q:{lane}:{cluster}", 0, -1)
        pipe.time()
        try:
            hold, owner, until, waiting, now = await pipe.execute()
        except RedisError as error:
            raise unreachable(error) from error
        job = text(owner).split(" ")[2] if owner else ""
        alive = until is not None and until / 1000 > now[0] + now[1] / 1e6
        return Occupancy(text(hold), job, alive, _texts(waiting))

    async def due(self) -> tuple[str, ...]:
        """See ports.Index."""
        seconds = await _run(self._client, "TIME")
        assert isinstance(seconds, list)
        return _texts(await _run(self._client, "ZRANGEBYSCORE", f"{PREFIX}deadline", "-inf", integer(seconds[0])))

    async def ask(self, query: Query) -> bool:
        """See ports.Index."""
        reply = await self._client.script(ASK, [query.id, _query_json(query), _QUERY_SECONDS], durable=True)
        return reply == [1]

    async def query(self, query_id: str) -> Query | None:
        """See ports.Index."""
        raw = await _run(self._client, "GET", f"{PREFIX}query:{query_id}")
        if not isinstance(raw, bytes):
            return None
        body = json.loads(raw)
        return Query(query_id, **body)

    async def answer(self, lease: Lease, query: Query, result: Data) -> None:
        """See ports.Index."""
        body = _query_json(replace(query, result=result))
        await self._client.script(ANSWER, [query.id, body, lease.scope, str(lease.token), lease.owner])


class RedisSide:
    """Implements ports.Side."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def line(self, job: str, key: str, words: str) -> None:
        """See ports.Side."""
        name = f"{PREFIX}lines:{job}"
        old = await _run(self._client, "HGET", name, key)
        if isinstance(old, bytes) and old.decode() == words:
            return
        await _run(self._client, "HSET", name, key, words)
        await _run(self._client, "EXPIRE", name, _SIDE_SECONDS)
        await self._client.script(TOUCH, [job])

    async def clear(self, job: str) -> None:
        """See ports.Side."""
        await _run(self._client, "DEL", f"{PREFIX}lines:{job}")

    async def lines(self, job: str) -> Mapping[str, str]:
        """See ports.Side."""
        try:
            lines = await self._client.redis.hgetall(f"{PREFIX}lines:{job}")
        except RedisError as error:
            raise unreachable(error) from error
        return {_str(key): _str(value) for key, value in lines.items()}

    async def output(self, attempt: Attempt, offset: int, data: bytes) -> int:
        """See ports.Side. The log on the RKE host has it all."""
        limits = _OUTPUT_LIMIT, _SIDE_SECONDS
        reply = await self._client.script(OUTPUT, [_output_id(attempt), offset, data, *limits])
        return integer(reply[0])

    async def tail(self, attempt: Attempt, size: int) -> bytes:
        """See ports.Side."""
        raw = await _run(self._client, "GETRANGE", f"{PREFIX}out:{_output_id(attempt)}", -size, -1)
        return raw if isinstance(raw, bytes) else b""


class RedisOutbox:
    """Implements ports.Outbox."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def lead(self, owner: str, seconds: float) -> bool:
        """See ports.Outbox."""
        return await self._client.script(LEAD, [owner, int(seconds * 1000)]) == [1]

    async def changed(self) -> tuple[Change, ...]:
        """See ports.Outbox."""
        raw = await _run(self._client, "ZRANGE", f"{PREFIX}changed", 0, 199, "WITHSCORES")
        assert isinstance(raw, list)
        flat = [item for pair in raw for item in (pair if isinstance(pair, list) else [pair])]
        return tuple(Change(text(flat[i]), int(float(text(flat[i + 1])))) for i in range(0, len(flat), 2))

    async def settled(self, change: Change) -> None:
        """See ports.Outbox."""
        await self._client.script(SETTLED, [change.id, str(change.number)])

    async def wait(self, seconds: float) -> None:
        """See ports.Outbox."""
        await pop(self._client, f"{PREFIX}wake:outbox", seconds)

    async def projection(self, job: str) -> Projection:
        """See ports.Outbox."""
        raw = await _run(self._client, "GET", f"{PREFIX}slack:{job}")
        if not isinstance(raw, bytes):
            return Projection()
        body = json.loads(raw)
        dms = {user: (channel, ts) for user, (channel, ts) in body.pop("dms").items()}
        return Projection(**body, dms=dms)

    async def store(self, job: str, projection: Projection) -> None:
        """See ports.Outbox."""
        body = {name: getattr(projection, name) for name in ("channel", "ts", "shown", "replied", "plain")}
        raw = json.dumps({**body, "dms": dict(projection.dms)})
        await _run(self._client, "SET", f"{PREFIX}slack:{job}", raw)

    async def take(self, method: str, per_minute: int) -> float:
        """See ports.Outbox."""
        reply = await self._client.script(TAKE, [method, per_minute])
        return integer(reply[0]) / 1000


async def _run(client: RedisClient, *command: str | bytes | float) -> Reply:
    try:
        reply: Reply = await client.redis.execute_command(*command)
    except RedisError as error:
        raise unreachable(error) from error
    return reply


def _str(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _texts(reply: Reply) -> tuple[str, ...]:
    return tuple(text(item) for item in reply) if isinstance(reply, list) else ()


def _query_json(query: Query) -> str:
    body = asdict(query)
    del body["id"]
    return json.dumps(body)


def _output_id(attempt: Attempt) -> str:
    return f"{attempt.job}:{attempt.step}:{attempt.attempt}"
