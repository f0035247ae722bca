"""Signed HTTP of the local workspace, checked by bolt's own signature verification."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.lab.slack import Channel, User, Workspace
from tests.lab.slack.wire import JsonObject

BUTTON: JsonObject = {
    "type": "actions",
    "elements": [{"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": "1"}],
}


class Bot:
    """A bolt app behind a request URL."""

    def __init__(self, workspace: Workspace) -> None:
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        self.app = AsyncApp(client=client, signing_secret=workspace.signing_secret, name="lab-http")
        self.heard: list[str] = []
        self.app.command("/etcd-snapshot")(self.command)
        self.app.action("go")(self.go)
        self.app.event("app_home_opened")(self.home)

    async def command(self, ack: AsyncAck, command: JsonObject) -> None:
        """Answer privately."""
        self.heard.append(command["text"])
        await ack(text="recorded", response_type="ephemeral")

    async def go(self, ack: AsyncAck, body: JsonObject) -> None:
        """Acknowledge."""
        self.heard.append(body["actions"][0]["value"])
        await ack()

    async def home(self, event: JsonObject) -> None:
        """Remember the event."""
        self.heard.append(event["type"])


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """A workspace that posts to a request URL."""
    async with Workspace(rates={}, transport="http") as workspace:
        yield workspace


@pytest.fixture
async def bot(workspace: Workspace) -> AsyncIterator[Bot]:
    """A bolt app that serves the request URL."""
    bot = Bot(workspace)
    runner = web.AppRunner(bot.app.web_app(path="/slack/events"))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    workspace.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield bot
    await runner.cleanup()


@pytest.fixture
def alice(workspace: Workspace) -> User:
    """A full member."""
    return workspace.user("alice")


@pytest.fixture
def ops(workspace: Workspace, alice: User) -> Channel:
    """A public channel with the bot and alice in it."""
    return workspace.channel("ops", members=[alice])


async def test_people_act_as_over_sockets(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """Command, click and event reach the app over signed HTTP; the ack text is an ephemeral message."""
    ack = await alice.slash(ops, "/etcd-snapshot", "save x & y=z é")
    assert (ack.ok, ack.text) == (True, "recorded")
    assert [seen.text for seen in alice.ephemerals] == ["recorded"]
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    await client.chat_postMessage(channel=ops.id, text="go?", blocks=[BUTTON])
    assert (await alice.click(ops.messages[0], "go")).ok
    assert (await alice.open_home()).ok
    assert bot.heard == ["save x & y=z é", "1", "app_home_opened"]


async def test_url_verification(workspace: Workspace, bot: Bot) -> None:
    """Saving the request URL sends a challenge that comes back."""
    assert await workspace.http.verify()


async def test_stale_and_forged_requests_are_refused(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """A timestamp older than five minutes or a wrong signature answers 401 and reaches no listener."""
    assert await workspace.send_forged(alice, ops, "/etcd-snapshot", age=301) == 401
    assert await workspace.send_forged(alice, ops, "/etcd-snapshot", secret="wrong") == 401
    assert bot.heard == []
    assert await workspace.send_forged(alice, ops, "/etcd-snapshot", "honest") == 200


async def test_replay_is_byte_for_byte(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """A replayed request within five minutes passes the signature: the app must dedupe by trigger_id itself."""
    await alice.slash(ops, "/etcd-snapshot", "save x")
    status, _ = await workspace.http.post(workspace.http.sent[-1])
    assert (status, bot.heard) == (200, ["save x", "save x"])


async def test_redelivery_counts_retries(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """A redelivery carries X-Slack-Retry-Num and X-Slack-Retry-Reason."""
    ack = await alice.slash(ops, "/etcd-snapshot", "save x")
    await workspace.redeliver(ack)
    headers = workspace.http.sent[-1].headers
    assert (headers["X-Slack-Retry-Num"], headers["X-Slack-Retry-Reason"]) == ("1", "timeout")


async def test_unknown_command_and_dead_app(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """A status other than 200 and a refused connection are dispatch_failed."""
    assert (await alice.slash(ops, "/unknown")).error == "dispatch_failed"
    workspace.request_url = "http://127.0.0.1:1/"
    assert (await alice.slash(ops, "/etcd-snapshot")).error == "dispatch_failed"
