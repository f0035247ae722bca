"""How payloads reach the bot: a socket that is watched, or signed HTTP."""

from pathlib import Path

import pytest

from bot.errors import Fatal
from handlers.http_mode import HttpMode
from tests.integration.slack_side import COMMAND, SlackSide, lab
from tests.lab.process import until


async def healthy(side: SlackSide) -> None:
    """Wait until the socket has no problem."""

    async def fine() -> bool:
        return not side.socket.problem

    await until("the socket works", fine)


@pytest.mark.parametrize("trouble", ["drop", "silence", "refresh"])
async def test_a_socket_that_fails_is_replaced(tmp_path: Path, trouble: str) -> None:
    """Dropped, silent or asked to go: soon another one carries commands."""
    async with lab(tmp_path, report=False) as side:
        sockets = side.workspace.sockets
        first = sockets.connections[0]
        if trouble == "refresh":
            await sockets.refresh()
        else:
            getattr(sockets, trouble)()
        await side.workspace.wait_for(lambda: [c for c in sockets.connections if c is not first], 20)
        await side.workspace.wait_for(lambda: first not in sockets.connections, 20)
        await healthy(side)
        assert (await side.alice.slash(side.ops, COMMAND, "help")).ok


async def test_the_socket_comes_back_after_an_outage(tmp_path: Path) -> None:
    """Slack was away altogether: health said so, and commands work again without help."""
    async with lab(tmp_path, report=False) as side:
        await healthy(side)
        await side.workspace.down("refused")

        async def noticed() -> bool:
            return bool(side.socket.problem)

        await until("the outage is noticed", noticed)
        await side.workspace.up()
        await side.workspace.connected()
        await healthy(side)
        assert (await side.alice.slash(side.ops, COMMAND, "help")).ok


async def test_a_revoked_token_is_named(tmp_path: Path) -> None:
    """The socket stays open, auth.test does not lie."""
    async with lab(tmp_path, report=False) as side:
        side.workspace.fail_next("auth.test", "invalid_auth", times=1000)

        async def named() -> bool:
            return "invalid_auth" in side.socket.problem

        await until("health names the token", named)


async def test_forged_and_stale_requests_are_refused(tmp_path: Path) -> None:
    """A wrong secret, an old timestamp: 401, and nothing happens."""
    async with lab(tmp_path, transport="http", report=False) as side:
        send = side.workspace.send_forged
        assert await send(side.alice, side.ops, COMMAND, "save x", secret="wrong") == 401
        assert await send(side.alice, side.ops, COMMAND, "save x", age=600) == 401
        assert await side.index.open_jobs() == ()


async def test_a_replayed_request_makes_no_second_job(tmp_path: Path) -> None:
    """Byte for byte the same within the five minutes: the signature is good, the trigger is known."""
    async with lab(tmp_path, transport="http", report=False) as side:
        await side.alice.slash(side.ops, COMMAND, "save x")
        status, _ = await side.workspace.http.post(side.workspace.http.sent[-1])
        assert status == 200
        assert len(await side.index.open_jobs()) == 1


async def test_http_without_a_signing_secret_is_not_served(tmp_path: Path) -> None:
    """With an empty secret anybody could sign."""
    async with lab(tmp_path, report=False) as side:
        with pytest.raises(Fatal, match="signing secret"):
            HttpMode(side.app, "", "127.0.0.1", 0)
