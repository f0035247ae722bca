"""The local Slack workspace, driven by the clients the bot uses: slack_bolt and slack_sdk."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.lab.slack import Channel, NotSubmitted, Rate, User, Workspace
from tests.lab.slack.wire import JsonObject

BUTTONS: list[JsonObject] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*Restore?*"}},
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "vote.approve",
                "text": {"type": "plain_text", "text": "Approve"},
                "value": '{"job":"j1"}',
            },
            {"type": "button", "action_id": "vote.deny_form", "text": {"type": "plain_text", "text": "Deny"}},
        ],
    },
]
MODAL: JsonObject = {
    "type": "modal",
    "callback_id": "vote.deny",
    "title": {"type": "plain_text", "text": "Deny"},
    "submit": {"type": "plain_text", "text": "Deny it"},
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "text", "min_length": 3, "max_length": 500},
        }
    ],
}


class Bot:
    """A small bolt app over Socket Mode, with what the real one does: post, edit, whisper, ask."""

    def __init__(self, workspace: Workspace) -> None:
        self.client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        self.app = AsyncApp(client=self.client, name="lab-test")
        self.bodies: list[JsonObject] = []
        web_client = AsyncWebClient(token=workspace.app_token, base_url=workspace.api_url)
        self.handler = AsyncSocketModeHandler(self.app, workspace.app_token, web_client=web_client, ping_interval=0.2)
        self.app.command("/etcd-snapshot")(self.command)
        self.app.command("/silent")(self.silent)
        self.app.action("vote.approve")(self.approve)
        self.app.action("vote.deny_form")(self.deny_form)
        self.app.view("vote.deny")(self.deny)

    async def command(self, ack: AsyncAck, command: JsonObject, client: AsyncWebClient) -> None:
        """Answer privately and post a message with buttons."""
        self.bodies.append(command)
        await ack(f"recorded: {command['text']}")
        await client.chat_postMessage(channel=command["channel_id"], text="Restore?", blocks=BUTTONS)

    async def silent(self, ack: AsyncAck) -> None:
        """Never acknowledge."""
        await asyncio.Event().wait()

    async def approve(self, ack: AsyncAck, body: JsonObject, client: AsyncWebClient, respond: AsyncRespond) -> None:
        """Edit the message and whisper to the voter."""
        self.bodies.append(body)
        await ack()
        await client.chat_update(channel=body["channel"]["id"], ts=body["message"]["ts"], text="Approved.", blocks=[])
        await respond(text="Your vote counts.", replace_original=False)

    async def deny_form(self, ack: AsyncAck, body: JsonObject, client: AsyncWebClient) -> None:
        """Ask for a reason."""
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    async def deny(self, ack: AsyncAck, view: JsonObject) -> None:
        """Refuse the word `no`, accept anything else."""
        reason = view["state"]["values"]["reason"]["text"]["value"]
        if reason == "nope":
            await ack(response_action="errors", errors={"reason": "Say why."})
        else:
            await ack()


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """A fresh workspace without rate limits."""
    async with Workspace(rates={}) as workspace:
        yield workspace


@pytest.fixture
async def bot(workspace: Workspace) -> AsyncIterator[Bot]:
    """A bolt app connected to it."""
    bot = Bot(workspace)
    await bot.handler.connect_async()  # type: ignore[no-untyped-call]  # bolt leaves it untyped
    await workspace.connected()
    yield bot
    await bot.handler.close_async()  # type: ignore[no-untyped-call]  # bolt leaves it untyped


@pytest.fixture
def alice(workspace: Workspace) -> User:
    """A full member."""
    return workspace.user("alice")


@pytest.fixture
def ops(workspace: Workspace, alice: User) -> Channel:
    """A public channel with the bot and alice in it."""
    return workspace.channel("ops", members=[alice])


@pytest.fixture
def client(workspace: Workspace) -> AsyncWebClient:
    """The bot's Web API client."""
    return AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)


async def test_slash_command_round_trip(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """A slash command reaches bolt, its ack is an ephemeral message, and the bot's post appears."""
    ack = await alice.slash(ops, "/etcd-snapshot", "save x")
    assert (ack.ok, ack.text) == (True, "recorded: save x")
    assert [seen.text for seen in alice.ephemerals] == ["recorded: save x"]
    await workspace.wait_for(lambda: ops.messages)
    assert ops.messages[0].text == "Restore?"
    assert workspace.violations == []


async def test_click_edits_and_whispers(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """A click carries the message; chat.update keeps the history and response_url reaches one person."""
    bob = workspace.user("bob")
    await alice.slash(ops, "/etcd-snapshot", "restore x")
    message = (await workspace.wait_for(lambda: ops.messages))[0]
    ack = await alice.click(message, "vote.approve", {"job": "j1"})
    assert ack.ok
    await workspace.wait_for(lambda: any(seen.via == "response_url" for seen in alice.ephemerals))
    assert (message.text, message.blocks, message.edited) == ("Approved.", [], 1)
    assert message.versions[0].text == "Restore?"
    assert bob.ephemerals == []
    assert bot.bodies[-1]["actions"][0]["value"] == '{"job":"j1"}'


async def test_modal_errors_then_accepted(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """Field errors keep the modal open, a plain ack closes it, the client itself refuses short input."""
    await alice.slash(ops, "/etcd-snapshot", "restore x")
    message = (await workspace.wait_for(lambda: ops.messages))[0]
    await alice.click(message, "vote.deny_form")
    view = (await workspace.wait_for(lambda: alice.modals))[-1]
    with pytest.raises(NotSubmitted):
        await alice.submit(view, {"reason": "no"})
    refused = await alice.submit(view, {"reason": "nope"})
    assert refused.errors == {"reason": "Say why."}
    assert alice.modals == [view]
    assert (await alice.submit(view, {"reason": "wrong snapshot"})).ok
    assert alice.modals == []


async def test_no_ack_is_operation_timeout(bot: Bot, workspace: Workspace, alice: User, ops: Channel) -> None:
    """Without an ack within the limit the person sees operation_timeout."""
    workspace.desk.ack_seconds = 0.1
    ack = await alice.slash(ops, "/silent")
    assert ack.error == "operation_timeout"
    assert workspace.timeouts == [ack]


async def test_rate_limit_answers_429(workspace: Workspace, client: AsyncWebClient, ops: Channel) -> None:
    """A spent budget answers 429 with Retry-After, and is full again when that time has passed."""
    workspace.clock.freeze()
    workspace.budgets.rates["chat.postMessage"] = Rate(1, 0.5)
    await client.chat_postMessage(channel=ops.id, text="one")
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel=ops.id, text="two")
    assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (429, "2")
    workspace.clock.advance(2)
    await client.chat_postMessage(channel=ops.id, text="two")
    assert workspace.violations == []
