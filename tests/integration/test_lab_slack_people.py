"""What people can do and see in the local workspace, through a bolt app that answers them."""

from collections.abc import AsyncIterator

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.lab.slack import Channel, NotSubmitted, User, View, Workspace
from tests.lab.slack.wire import JsonObject


def plain(text: str) -> JsonObject:
    """A plain_text."""
    return {"type": "plain_text", "text": text}


def option(value: str) -> JsonObject:
    """An option named like its value."""
    return {"text": plain(value), "value": value}


CONFIRM: JsonObject = {"title": plain("Sure?"), "text": plain("It ends."), "confirm": plain("Yes"), "deny": plain("No")}
QUESTION: list[JsonObject] = [
    {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": "cancel", "text": plain("Cancel"), "value": "1", "confirm": CONFIRM},
            {"type": "static_select", "action_id": "pick", "options": [option("one"), option("two")]},
        ],
    }
]
FORM: JsonObject = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Form"),
    "submit": plain("Send"),
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "ack",
            "label": plain("Confirm"),
            "element": {"type": "checkboxes", "action_id": "boxes", "options": [option("fenced"), option("balanced")]},
        },
        {
            "type": "input",
            "block_id": "note",
            "optional": True,
            "label": plain("Note"),
            "element": {"type": "plain_text_input", "action_id": "text", "initial_value": "none"},
        },
        {
            "type": "input",
            "block_id": "snapshot",
            "optional": True,
            "label": plain("Snapshot"),
            "element": {"type": "external_select", "action_id": "snapshot", "min_query_length": 0},
        },
    ],
}


class Bot:
    """A bolt app whose answers the test chooses."""

    def __init__(self, workspace: Workspace) -> None:
        self.client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        self.app = AsyncApp(client=self.client, name="lab-people")
        self.bodies: list[JsonObject] = []
        self.answer: JsonObject = {}
        for listen in (self.app.command("/etcd-snapshot"), self.app.action("cancel"), self.app.action("pick")):
            listen(self.any)
        self.app.view("form")(self.any)
        self.app.view_closed("form")(self.any)
        self.app.options("snapshot")(self.options)
        self.app.event("app_mention")(self.event)
        web_client = AsyncWebClient(token=workspace.app_token, base_url=workspace.api_url)
        self.handler = AsyncSocketModeHandler(self.app, workspace.app_token, web_client=web_client)

    async def any(self, ack: AsyncAck, body: JsonObject) -> None:
        """Remember the payload and give the chosen answer."""
        self.bodies.append(body)
        await ack(**self.answer)

    async def options(self, ack: AsyncAck, body: JsonObject) -> None:
        """Offer what was typed."""
        await ack(options=[option(body["value"] + "-1")])

    async def event(self, body: JsonObject) -> None:
        """Remember the event."""
        self.bodies.append(body)


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """A fresh workspace without rate limits."""
    async with Workspace(rates={}) as workspace:
        yield workspace


@pytest.fixture
async def bot(workspace: Workspace) -> AsyncIterator[Bot]:
    """A connected bolt app."""
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
async def form(workspace: Workspace, bot: Bot, alice: User) -> View:
    """A modal open on alice's screen."""
    await bot.client.views_open(trigger_id=workspace.store.new_trigger(alice.id), view=FORM)
    return alice.modals[-1]


async def test_confirm_dialogue_can_be_left(bot: Bot, alice: User, ops: Channel) -> None:
    """Going back in the confirm dialogue sends nothing; going on sends the click, and both saw the question."""
    await bot.client.chat_postMessage(channel=ops.id, text="?", blocks=QUESTION)
    left = await alice.click(ops.messages[0], "cancel", confirm=False)
    assert (left.error, left.asked, bot.bodies) == ("not_confirmed", CONFIRM, [])
    gone_on = await alice.click(ops.messages[0], "cancel", "1")
    assert (gone_on.ok, gone_on.asked, len(bot.bodies)) == (True, CONFIRM, 1)


async def test_old_screen_can_be_clicked(bot: Bot, alice: User, ops: Channel) -> None:
    """After an edit the live message has no button any more; a screen that was not refreshed still has it."""
    posted = await bot.client.chat_postMessage(channel=ops.id, text="?", blocks=QUESTION)
    old_screen = ops.messages[0].stale_copy()
    await bot.client.chat_update(channel=ops.id, ts=posted["ts"], text="decided", blocks=[])
    with pytest.raises(LookupError, match="no element 'cancel'"):
        await alice.click(ops.messages[0], "cancel")
    assert (await alice.click(old_screen, "cancel")).ok
    assert bot.bodies[0]["message"]["text"] == "?"


async def test_click_on_ephemeral_brings_no_message(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """The payload of a click on an ephemeral message has a container but no message; nobody else can click it."""
    await bot.client.chat_postEphemeral(channel=ops.id, user=alice.id, text="?", blocks=QUESTION)
    await alice.click(alice.ephemerals[0], "cancel")
    assert bot.bodies[0]["container"]["is_ephemeral"] is True
    assert "message" not in bot.bodies[0]
    with pytest.raises(PermissionError):
        await workspace.user("bob").click(alice.ephemerals[0], "cancel")


async def test_menu_choice_travels_as_option(bot: Bot, alice: User, ops: Channel) -> None:
    """A choice in a menu is the whole option, in the action and in the state."""
    await bot.client.chat_postMessage(channel=ops.id, text="?", blocks=QUESTION)
    await alice.click(ops.messages[0], "pick", entered="two")
    assert bot.bodies[0]["actions"][0]["selected_option"] == option("two")
    [state] = bot.bodies[0]["state"]["values"].values()
    assert state["pick"]["selected_option"]["value"] == "two"


async def test_who_is_outside_cannot_act(workspace: Workspace, bot: Bot, ops: Channel) -> None:
    """Guests outside a channel and members outside a private one neither type nor click there."""
    guest = workspace.user("gina", is_ultra_restricted=True)
    private = workspace.channel("private", private=True)
    with pytest.raises(PermissionError):
        await guest.slash(ops, "/etcd-snapshot")
    with pytest.raises(PermissionError):
        await workspace.user("bob").slash(private, "/etcd-snapshot")
    assert (await workspace.user("bob").slash(None, "/etcd-snapshot", "list")).ok
    assert bot.bodies[0]["channel_name"] == "directmessage"


async def test_stranger_brings_the_foreign_team(workspace: Workspace, bot: Bot, ops: Channel) -> None:
    """A person of another workspace acts under that workspace's id."""
    stranger = workspace.user("sam", team_id="T0OTHER", is_stranger=True)
    ops.members.add(stranger.id)
    await stranger.slash(ops, "/etcd-snapshot")
    assert bot.bodies[0]["team_id"] == "T0OTHER"


async def test_required_boxes_and_initial_values(bot: Bot, alice: User, form: View) -> None:
    """A required field must be filled; untouched fields keep their initial value."""
    with pytest.raises(NotSubmitted, match="ack"):
        await alice.submit(form)
    await alice.submit(form, {"ack": ["fenced"]})
    values = bot.bodies[0]["view"]["state"]["values"]
    assert [one["value"] for one in values["ack"]["boxes"]["selected_options"]] == ["fenced"]
    assert values["note"]["text"]["value"] == "none"
    assert not form.is_open


async def test_external_select_asks_the_app(bot: Bot, alice: User, form: View) -> None:
    """What is typed reaches the app, and its options can be chosen."""
    offered = await alice.options(form, "snapshot", "before")
    assert offered == [option("before-1")]
    await alice.submit(form, {"ack": True, "snapshot": offered[0]})
    assert bot.bodies[0]["view"]["state"]["values"]["snapshot"]["snapshot"]["selected_option"] == offered[0]


async def test_modal_answers_update_push_and_clear(bot: Bot, alice: User, form: View) -> None:
    """The answer to a submission may change the modal, stack another one, or close all."""
    bot.answer = {"response_action": "update", "view": FORM | {"title": plain("Changed")}}
    await alice.submit(form, {"ack": True})
    assert form.content["title"]["text"] == "Changed"
    bot.answer = {"response_action": "push", "view": FORM | {"title": plain("On top")}}
    await alice.submit(form, {"ack": True})
    assert [view.content["title"]["text"] for view in alice.modals] == ["Changed", "On top"]
    bot.answer = {"response_action": "clear"}
    await alice.submit(alice.modals[-1], {"ack": True})
    assert alice.modals == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"response_action": "errors", "errors": {"nowhere": "x"}}, "invalid_errors"),
        ({"response_action": "update", "view": FORM | {"title": plain("x" * 25)}}, "invalid_arguments"),
    ],
)
async def test_wrong_modal_answers(
    workspace: Workspace, bot: Bot, alice: User, form: View, answer: JsonObject, error: str
) -> None:
    """An answer Slack cannot show leaves the modal open and is a violation."""
    bot.answer = answer
    ack = await alice.submit(form, {"ack": True})
    assert (ack.error, form.is_open) == (error, True)
    assert workspace.violations[0].where == "ack of view_submission"


async def test_wrong_slash_answer(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """Blocks that are wrong in an ack are a violation, and nothing appears."""
    bot.answer = {"text": "x", "blocks": [{"type": "header", "text": plain("x" * 151)}]}
    assert (await alice.slash(ops, "/etcd-snapshot")).error == "invalid_blocks"
    assert alice.ephemerals == []
    assert "/blocks/0/text/text" in workspace.violations[0].reasons[0]


async def test_answer_to_all(bot: Bot, alice: User, ops: Channel) -> None:
    """response_type in_channel in an ack is a message of the bot that everybody sees."""
    bot.answer = {"text": "for all", "response_type": "in_channel"}
    await alice.slash(ops, "/etcd-snapshot")
    assert [message.text for message in ops.messages] == ["for all"]


async def test_closing_is_told_when_asked_for(bot: Bot, alice: User, form: View) -> None:
    """A modal with notify_on_close tells the app; a closed one cannot be submitted."""
    await alice.close(form)
    assert bot.bodies[0]["type"] == "view_closed"
    with pytest.raises(LookupError, match="not open"):
        await alice.submit(form, {"ack": True})


async def test_mention_is_an_event(workspace: Workspace, bot: Bot, alice: User, ops: Channel) -> None:
    """Only a mention of the bot is heard in a channel."""
    await alice.says(ops, "hello all")
    await alice.says(ops, f"<@{workspace.store.bot_user_id}> help")
    assert [body["event"]["type"] for body in bot.bodies] == ["app_mention"]


async def test_transcript(workspace: Workspace, bot: Bot, ops: Channel) -> None:
    """messages_json holds what a transcript needs, in order."""
    posted = await bot.client.chat_postMessage(channel=ops.id, text="a")
    await bot.client.chat_update(channel=ops.id, ts=posted["ts"], text="b")
    await bot.client.chat_postMessage(channel=ops.id, text="c", thread_ts=posted["ts"])
    assert [(m["text"], m["edited"], m["thread_ts"]) for m in workspace.messages_json()] == [
        ("b", 1, posted["ts"]),
        ("c", 0, posted["ts"]),
    ]
