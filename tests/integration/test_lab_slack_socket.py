"""Socket Mode of the local workspace and its bad days, seen by slack_sdk's own client."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.lab.slack import Channel, Rate, User, Workspace

PING = 0.1


class Listener:
    """A Socket Mode client that acknowledges everything and remembers what came."""

    def __init__(self, workspace: Workspace) -> None:
        web_client = AsyncWebClient(token=workspace.app_token, base_url=workspace.api_url)
        self.client = SocketModeClient(workspace.app_token, web_client=web_client, ping_interval=PING)
        self.client.socket_mode_request_listeners.append(self.receive)
        self.requests: list[SocketModeRequest] = []
        self.queue: asyncio.Queue[SocketModeRequest] = asyncio.Queue()
        self.answer = True

    async def receive(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        """Remember and acknowledge."""
        self.requests.append(request)
        self.queue.put_nowait(request)
        if self.answer:
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """A fresh workspace without rate limits."""
    async with Workspace(rates={}) as workspace:
        yield workspace


@pytest.fixture
async def listener(workspace: Workspace) -> AsyncIterator[Listener]:
    """A connected client."""
    listener = Listener(workspace)
    await listener.client.connect()  # type: ignore[no-untyped-call]  # slack_sdk leaves it untyped
    await workspace.connected()
    yield listener
    await listener.client.close()  # type: ignore[no-untyped-call]  # slack_sdk leaves it untyped


@pytest.fixture
def client(workspace: Workspace) -> AsyncWebClient:
    """The bot's Web API client."""
    return AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)


@pytest.fixture
def alice(workspace: Workspace) -> User:
    """A full member."""
    return workspace.user("alice")


@pytest.fixture
def ops(workspace: Workspace, alice: User) -> Channel:
    """A public channel with the bot and alice in it."""
    return workspace.channel("ops", members=[alice])


async def reconnected(workspace: Workspace, before: int) -> None:
    """Wait for a socket that was opened after `before` sockets had been."""
    await workspace.wait_for(lambda: workspace.sockets.connected_ever > before and workspace.sockets.connections)


async def test_each_payload_goes_to_one_socket(
    workspace: Workspace, listener: Listener, alice: User, ops: Channel
) -> None:
    """Two sockets share the payloads in turn; no payload reaches both."""
    second = Listener(workspace)
    await second.client.connect()  # type: ignore[no-untyped-call]  # slack_sdk leaves it untyped
    await workspace.connected(2)
    for number in range(4):
        assert (await alice.slash(ops, "/etcd-snapshot", f"{number}")).ok
    assert (len(listener.requests), len(second.requests)) == (2, 2)
    texts = {request.payload["text"] for request in listener.requests + second.requests}
    assert texts == {"0", "1", "2", "3"}
    await second.client.close()  # type: ignore[no-untyped-call]  # slack_sdk leaves it untyped


async def test_without_a_socket_dispatch_fails(workspace: Workspace, alice: User, ops: Channel) -> None:
    """Nobody connected: the person sees dispatch_failed at once."""
    assert (await alice.slash(ops, "/etcd-snapshot")).error == "dispatch_failed"


async def test_late_ack_is_noted(workspace: Workspace, listener: Listener, alice: User, ops: Channel) -> None:
    """An ack after the limit does not take back what the person saw."""
    listener.answer = False
    workspace.desk.ack_seconds = 0.1
    ack = await alice.slash(ops, "/etcd-snapshot")
    assert (ack.error, ack.late) == ("operation_timeout", False)
    await listener.client.send_socket_mode_response(SocketModeResponse(envelope_id=ack.envelope_id))
    await workspace.wait_for(lambda: ack.late)
    assert ack.error == "operation_timeout"


async def test_redelivery_keeps_the_envelope_id(
    workspace: Workspace, listener: Listener, alice: User, ops: Channel
) -> None:
    """A payload delivered twice has the same envelope, trigger and text, and says that it is a retry."""
    workspace.redeliver_next()
    await alice.slash(ops, "/etcd-snapshot", "save x")
    first, second = listener.requests
    assert first.envelope_id == second.envelope_id
    assert first.payload == second.payload
    assert (first.retry_attempt, second.retry_attempt) == (None, 1)


async def test_event_is_repeated_until_acknowledged(workspace: Workspace, listener: Listener, alice: User) -> None:
    """An event without ack comes three times more."""
    listener.answer = False
    workspace.desk.ack_seconds = 0.05
    assert (await alice.open_home()).error == "operation_timeout"
    requests = [await listener.queue.get() for _ in range(4)]
    assert [request.retry_attempt for request in requests] == [0, 1, 2, 3]
    assert requests[0].payload["event"]["type"] == "app_home_opened"


async def test_client_returns_after_a_cut(workspace: Workspace, listener: Listener, alice: User, ops: Channel) -> None:
    """A cut socket is replaced by a new one, over a new ticket."""
    workspace.sockets.drop()
    await reconnected(workspace, 1)
    assert (await alice.slash(ops, "/etcd-snapshot")).ok
    assert len(workspace.calls_of("apps.connections.open")) == 2


async def test_client_returns_after_a_refresh(
    workspace: Workspace, listener: Listener, alice: User, ops: Channel
) -> None:
    """A disconnect message makes the client open a new socket."""
    await workspace.sockets.refresh()
    await reconnected(workspace, 1)
    assert (await alice.slash(ops, "/etcd-snapshot")).ok


async def test_silent_socket_swallows_payloads(
    workspace: Workspace, listener: Listener, alice: User, ops: Channel
) -> None:
    """A silent socket looks open, so payloads vanish in it, until the client misses its pongs and comes back."""
    workspace.desk.ack_seconds = 0.05
    await workspace.wait_for(lambda: workspace.sockets.connections[0].pings)
    workspace.sockets.silence()
    assert (await alice.slash(ops, "/etcd-snapshot")).error == "operation_timeout"
    assert listener.requests == []
    workspace.desk.ack_seconds = 3.0
    await reconnected(workspace, 1)


async def test_at_most_ten_sockets_and_single_use_tickets(workspace: Workspace) -> None:
    """The eleventh connection is told too_many_websockets; a ticket opens one socket only."""
    async with aiohttp.ClientSession() as session:
        url = workspace.sockets.new_url()
        sockets = [await session.ws_connect(url)]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        sockets += [await session.ws_connect(workspace.sockets.new_url()) for _ in range(9)]
        assert (await sockets[-1].receive_json())["num_connections"] == 10
        extra = await session.ws_connect(workspace.sockets.new_url())
        assert (await extra.receive_json())["reason"] == "too_many_websockets"


async def test_switched_rate_limit_is_obeyed(workspace: Workspace, client: AsyncWebClient, ops: Channel) -> None:
    """A 429 by switch carries Retry-After; slack_sdk's handler waits and succeeds; it is no violation."""
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    workspace.rate_limit_next("chat.postMessage", seconds=0)
    await client.chat_postMessage(channel=ops.id, text="one")
    assert [call.status for call in workspace.calls_of("chat.postMessage")] == [429, 200]
    assert workspace.violations == []


async def test_budget_of_one_channel(workspace: Workspace, client: AsyncWebClient, ops: Channel) -> None:
    """Each channel has its own budget for posting."""
    workspace.clock.freeze()
    workspace.budgets.rates["chat.postMessage"] = Rate(1, 1.0)
    await client.chat_postMessage(channel=ops.id, text="one")
    await client.chat_postMessage(channel=workspace.channel("other").id, text="one")
    with pytest.raises(SlackApiError, match="ratelimited"):
        await client.chat_postMessage(channel=ops.id, text="two")


async def test_lost_reply_has_done_the_work(workspace: Workspace, client: AsyncWebClient, ops: Channel) -> None:
    """The message stands in the channel though the caller saw a broken connection; so a blind retry posts twice."""
    client.retry_handlers.clear()
    workspace.lose_reply_next("chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=ops.id, text="once")
    assert [message.text for message in ops.messages] == ["once"]
    workspace.lose_request_next("chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=ops.id, text="never")
    assert len(ops.messages) == 1


async def test_refused_block_type_is_no_violation(workspace: Workspace, client: AsyncWebClient, ops: Channel) -> None:
    """A workspace without `plan` answers invalid_blocks for it; the bot can fall back."""
    workspace.refuse_block_type("plan")
    task = {"type": "task_card", "task_id": "s1", "title": "One", "status": "pending"}
    with pytest.raises(SlackApiError, match="invalid_blocks"):
        await client.chat_postMessage(
            channel=ops.id, text="x", blocks=[{"type": "plan", "title": "t", "tasks": [task]}]
        )
    assert workspace.violations == []


async def test_outage_with_server_errors(workspace: Workspace, listener: Listener, client: AsyncWebClient) -> None:
    """While Slack is down every call answers 503 and sockets break; after it the client comes back by itself."""
    await workspace.down()
    with pytest.raises(SlackApiError) as refused:
        await client.auth_test()
    assert refused.value.response.status_code == 503
    await workspace.up()
    await client.auth_test()
    await reconnected(workspace, 1)


async def test_outage_with_refused_connections(workspace: Workspace, client: AsyncWebClient) -> None:
    """Nothing listens during the outage; afterwards it is the same address."""
    client.retry_handlers.clear()
    await client.auth_test()
    url = workspace.api_url
    await workspace.down("refused")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.auth_test()
    await workspace.up()
    await client.auth_test()
    assert workspace.api_url == url


async def test_wait_for_tells_what_happened(workspace: Workspace, client: AsyncWebClient, ops: Channel) -> None:
    """A condition that never comes true names the last calls and messages."""
    await client.chat_postMessage(channel=ops.id, text="the only one")
    with pytest.raises(TimeoutError, match=r"chat\.postMessage.*the only one"):
        await workspace.wait_for(lambda: ops.messages[1], timeout=0.05)
    waiting = asyncio.create_task(workspace.wait_for(lambda: ops.messages[1]))
    await client.chat_postMessage(channel=ops.id, text="another")
    assert (await waiting).text == "another"
