"""The lab's Redis: durable, breakable, and gone with the lab."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.process import ROOT, LabError, until
from tests.lab.redis import RedisServer


@pytest.fixture(autouse=True)
def without_redis_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about the lab's own server, also where another one is offered."""
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A fresh server that syncs each write."""
    async with RedisServer(tmp_path, fsync="always") as server:
        yield server


async def test_what_was_synced_survives_a_kill(server: RedisServer) -> None:
    """An acknowledged write is there after kill -9 and a restart, under the same URL."""
    url = server.url
    async with server.client() as client:
        await client.set("job", "recorded")
    await server.restart()
    assert server.url == url
    async with server.client() as client:
        assert await client.get("job") == b"recorded"


async def test_waitaof_is_known(server: RedisServer) -> None:
    """The durability command of Redis 7.2 answers: one local copy is synced."""
    async with server.client() as client:
        await client.set("k", "v")
        assert await client.execute_command("WAITAOF", 1, 0, 1000) == [1, 0]


async def test_fsync_is_switched_while_it_runs(server: RedisServer) -> None:
    """The policy in force is the one last asked for, also after a restart."""
    await server.set_fsync("everysec")
    await server.restart()
    async with server.client() as client:
        assert await client.config_get("appendfsync") == {"appendfsync": "everysec"}


async def test_a_stalled_server_answers_after_it_resumes(server: RedisServer) -> None:
    """Freezing keeps connections open and loses nothing."""
    async with server.client() as client:
        await client.set("k", "v")
        server.stall()
        with pytest.raises(TimeoutError):
            await _get_within(server, 0.1)
        server.resume()
        assert await client.get("k") == b"v"


async def _get_within(server: RedisServer, seconds: float) -> None:
    async with asyncio.timeout(seconds), server.client() as client:
        await client.get("k")


async def test_a_given_redis_is_used_and_never_broken(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With REDIS_URL set, two labs get an empty database each, leave them empty, and refuse to kill the server."""
    monkeypatch.setenv("REDIS_URL", server.url)
    async with RedisServer(tmp_path / "one") as one, RedisServer(tmp_path / "two") as two:
        assert {one.url, two.url} == {server.url[:-1] + "1", server.url[:-1] + "2"}
        with pytest.raises(LabError):
            await one.kill()
    async with RedisServer(tmp_path / "next") as again:
        assert again.url == one.url


async def test_it_dies_with_a_killed_lab(tmp_path: Path) -> None:
    """Kill -9 of the process that started the server leaves no server behind."""
    script = (
        "import asyncio, sys, pathlib\n"
        "from tests.lab.redis import RedisServer\n"
        "async def main():\n"
        "    server = await RedisServer(pathlib.Path(sys.argv[1])).start()\n"
        "    print(server._running().pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    lab = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, env=env, text=True)
    assert lab.stdout is not None
    with lab.stdout:
        pid = int(lab.stdout.readline())
    lab.send_signal(signal.SIGKILL)
    lab.wait()

    async def gone() -> bool:
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or ") Z " in stat.read_text()

    await until("the server is gone", gone)
