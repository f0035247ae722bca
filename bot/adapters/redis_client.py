"""One connection pool, every key, and how scripts are called: atomically, and durably where it is asked for.

All keys share one hash tag, so that they live in one slot of a cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bot.errors import Fatal, Retryable, Unreachable

PREFIX: Final = "{etcd-snapshot}:"
BLOCK: Final = 2.0  # seconds a blocking read may wait; socket_timeout is above it
_SYNC_TIMEOUT_MS: Final = 4000

Reply = list["Reply"] | bytes | int | None


class Durability(StrEnum):
    """What "durable" means: fsynced to the append-only file, acknowledged by a replica, or nothing (tests
    only).
    """

    AOF = "aof"
    REPLICAS = "replicas"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Health:
    """What Redis' INFO says: `time` is its clock in seconds since the epoch."""

    version: str
    time: float
    aof: bool
    replicas: int

    def durable(self, durability: str) -> tuple[bool, str, str]:
        """Whether it can keep that promise, what was seen, and what to do."""
        match durability:
            case Durability.AOF:
                seen, todo = f"append-only file {'on' if self.aof else 'off'}", "Set appendonly yes in Redis."
                return self.aof, seen, "" if self.aof else todo
            case Durability.REPLICAS:
                return self.replicas > 0, f"{self.replicas} replicas", "" if self.replicas else "Connect a replica."
            case _:
                return False, "nothing is waited for", "Set redis.durability to aof: `none` loses requests."


class RedisClient:
    """Redis as the adapters use it. Every failure to get an answer is Unreachable."""

    def __init__(self, url: str, durability: Durability = Durability.AOF) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=32,
            timeout=5,
            socket_timeout=BLOCK + 5,
            socket_connect_timeout=5,
            health_check_interval=15,
        )
        self.redis: Redis = Redis(connection_pool=pool)
        self.durability = durability
        self._loaded: dict[str, str] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()
        await self.redis.connection_pool.aclose()

    async def script(
        self, text: str, arguments: Sequence[str | bytes | int | float], *, durable: bool = False
    ) -> list[Reply]:
        """Run a Lua script; with `durable` return only after its writes are safe (WAITAOF on the same
        connection).

        Raises Unreachable when there was no answer: the script may have run. Raises Retryable when it ran but
        is not known to be safe.
        """
        args = [PREFIX, *arguments]
        try:
            sha = self._loaded.get(text)
            if sha is None:
                sha = self._loaded[text] = _text_of(await self.redis.script_load(text))
            try:
                return await self._call(sha, args, durable)
            except NoScriptError:
                await self.redis.script_load(text)
                return await self._call(sha, args, durable)
        except ResponseError as error:
            if str(error).startswith("BARRIER"):
                raise Retryable("Redis was restarted a moment ago.", "Try again in half a minute.") from error
            raise Fatal(f"Redis refused: {error}", "Run `etcd-snapshot-bot check`.") from error
        except RedisError as error:
            await self.redis.connection_pool.disconnect(inuse_connections=False)  # the others are as stale as this one
            raise unreachable(error) from error

    async def health(self) -> "Health":
        """What this Redis says of itself; Unreachable if it says nothing."""
        try:
            info = await self.redis.info()
            seconds, micros = await self.redis.time()
        except RedisError as error:
            raise unreachable(error) from error
        return Health(
            version=str(info.get("valkey_version") or info["redis_version"]),
            time=seconds + micros / 1e6,
            aof=bool(info.get("aof_enabled")),
            replicas=int(info.get("connected_slaves", 0)),
        )

    async def _call(self, sha: str, args: Sequence[str | bytes | int | float], durable: bool) -> list[Reply]:
        pipe = self.redis.pipeline(transaction=False)
        pipe.evalsha(sha, 0, *args)
        waits = durable and self.durability is not Durability.NONE
        if waits and self.durability is Durability.AOF:
            pipe.execute_command("WAITAOF", 1, 0, _SYNC_TIMEOUT_MS)
        elif waits:
            pipe.execute_command("WAIT", 1, _SYNC_TIMEOUT_MS)
        replies = await pipe.execute(raise_on_error=False)  # redis-py's own text would name the arguments
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        if waits and not self._safe(replies[1]):
            raise Unreachable("Redis did not confirm in time that the write is safe.", "Try again.")
        first: list[Reply] = replies[0]
        return first

    def _safe(self, reply: Reply) -> bool:
        count = reply[0] if isinstance(reply, list) else reply
        return isinstance(count, int) and count >= 1


def _text_of(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def unreachable(error: Exception) -> Unreachable:
    """The error for a Redis that did not answer."""
    kind = "did not answer in time" if isinstance(error, RedisTimeoutError) else "cannot be reached"
    return Unreachable(f"Redis {kind}.", "Nothing is known to be lost. Try again in a moment.")


def text(value: Reply) -> str:
    """A bulk reply as text; "" for nil."""
    return value.decode() if isinstance(value, bytes) else "" if value is None else str(value)


def integer(value: Reply) -> int:
    """A reply as a whole number."""
    if isinstance(value, bytes | int):
        return int(value)
    raise Fatal(f"Redis answered {value!r} where a number was expected")
