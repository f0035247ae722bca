"""The Web API of the local workspace, asked by slack_sdk and by bare HTTP."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.lab.slack import Channel, User, Workspace
from tests.lab.slack.wire import JsonObject

PLAIN = {"type": "plain_text", "text": "Title"}
MODAL: JsonObject = {"type": "modal", "title": PLAIN, "blocks": []}
SECTION: JsonObject = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
PLAN: JsonObject = {
    "type": "plan",
    "title": "Step 1",
    "tasks": [{"type": "task_card", "task_id": "s1", "title": "One", "status": "pending"}],
}


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """A fresh workspace without rate limits."""
    async with Workspace(rates={}) as workspace:
        yield workspace


@pytest.fixture
def client(workspace: Workspace) -> AsyncWebClient:
    """The bot's client."""
    return AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)


@pytest.fixture
def alice(workspace: Workspace) -> User:
    """A full member."""
    return workspace.user("alice")


@pytest.fixture
def ops(workspace: Workspace, alice: User) -> Channel:
    """A public channel with the bot and alice in it."""
    return workspace.channel("ops", members=[alice])


async def refusal(client: AsyncWebClient, method: str, **args: object) -> str:
    """The error word of a call that must be refused."""
    with pytest.raises(SlackApiError) as refused:
        await client.api_call(method, json=args)
    return str(refused.value.response["error"])


async def test_form_json_and_get_are_understood(workspace: Workspace, ops: Channel) -> None:
    """A call may come as form with JSON inside, as JSON, or as query."""
    url, headers = f"{workspace.api_url}chat.postMessage", {"Authorization": f"Bearer {workspace.bot_token}"}
    blocks = [SECTION]
    async with ClientSession(headers=headers) as session:
        for arguments in (
            {"data": {"channel": ops.id, "text": "form", "blocks": json.dumps(blocks)}},
            {"json": {"channel": ops.id, "text": "json", "blocks": blocks}},
            {"params": {"channel": ops.id, "text": "query", "blocks": json.dumps(blocks)}},
        ):
            async with session.post(url, **arguments) as response:
                assert (await response.json())["ok"]
        async with session.get(f"{workspace.api_url}auth.test") as response:
            assert (await response.json())["user_id"] == workspace.store.bot_user_id
    assert [message.text for message in ops.messages] == ["form", "json", "query"]


async def test_tokens_and_scopes(workspace: Workspace, ops: Channel) -> None:
    """Each method wants its kind of token and its scope."""
    url = workspace.api_url
    assert await refusal(AsyncWebClient(base_url=url), "auth.test") == "not_authed"
    assert await refusal(AsyncWebClient(token="xoxb-no", base_url=url), "auth.test") == "invalid_auth"
    app = AsyncWebClient(token=workspace.app_token, base_url=url)
    assert await refusal(app, "chat.postMessage", channel=ops.id, text="x") == "not_allowed_token_type"
    bot = AsyncWebClient(token=workspace.bot_token, base_url=url)
    assert await refusal(bot, "apps.connections.open") == "not_allowed_token_type"
    assert await refusal(bot, "chat.postMassage") == "unknown_method"
    workspace.store.scopes -= {"usergroups:read"}
    with pytest.raises(SlackApiError) as refused:
        await bot.usergroups_users_list(usergroup="S1")
    assert refused.value.response["needed"] == "usergroups:read"
    assert {one.error for one in workspace.violations} >= {"missing_scope", "unknown_method"}


async def test_posting_is_refused_where_slack_refuses(
    workspace: Workspace, client: AsyncWebClient, ops: Channel
) -> None:
    """Unknown, foreign, private, archived channels and wrong threads have their own error words."""
    workspace.channel("private", private=True, with_bot=False, channel_id="C0PRIVATE")
    workspace.channel("foreign", with_bot=False, channel_id="C0FOREIGN")
    workspace.channel("old", channel_id="C0OLD").is_archived = True
    post = "chat.postMessage"
    assert await refusal(client, post, channel="C0NONE", text="x") == "channel_not_found"
    assert await refusal(client, post, channel="C0PRIVATE", text="x") == "channel_not_found"
    assert await refusal(client, post, channel="C0FOREIGN", text="x") == "not_in_channel"
    assert await refusal(client, post, channel="C0OLD", text="x") == "is_archived"
    assert await refusal(client, post, channel=ops.id) == "no_text"
    assert await refusal(client, post, channel=ops.id, text="x" * 40_001) == "msg_too_long"
    assert await refusal(client, post, channel=ops.id, text="x", thread_ts="1.2") == "thread_not_found"
    assert (
        await refusal(client, post, channel=ops.id, text="x", metadata={"event_type": "e"}) == "invalid_metadata_format"
    )
    assert ops.messages == []


async def test_refused_blocks_name_their_place(client: AsyncWebClient, workspace: Workspace, ops: Channel) -> None:
    """invalid_blocks carries the JSON pointer, and the violation keeps it for the test's reader."""
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel=ops.id, text="x", blocks=[SECTION, {"type": "header"}])
    [reason] = refused.value.response["response_metadata"]["messages"]
    assert reason == "[ERROR] missing required field: text [json-pointer:/blocks/1]"
    assert workspace.violations[0].where == "chat.postMessage"


async def test_a_reply_is_no_parent(client: AsyncWebClient, ops: Channel) -> None:
    """A thread hangs on its parent's ts; the ts of a reply is refused."""
    parent = await client.chat_postMessage(channel=ops.id, text="parent")
    reply = await client.chat_postMessage(channel=ops.id, text="reply", thread_ts=parent["ts"], reply_broadcast=True)
    answer = await refusal(client, "chat.postMessage", channel=ops.id, text="x", thread_ts=reply["ts"])
    assert answer == "thread_not_found"
    assert [message.text for message in ops.thread(parent["ts"])] == ["reply"]
    assert [message.text for message in ops.messages] == ["parent", "reply"]


async def test_update_without_blocks_drops_them(client: AsyncWebClient, ops: Channel) -> None:
    """chat.update with text only loses blocks, keeps metadata, and counts as an edit."""
    metadata = {"event_type": "etcd_snapshot_job", "event_payload": {"job": "1", "version": 2}}
    posted = await client.chat_postMessage(channel=ops.id, text="a", blocks=[SECTION], metadata=metadata)
    await client.chat_update(channel=ops.id, ts=posted["ts"], text="b")
    message = ops.message(posted["ts"])
    assert (message.text, message.blocks, message.metadata, message.edited) == ("b", [], metadata, 1)


async def test_update_refuses(client: AsyncWebClient, ops: Channel, alice: User) -> None:
    """A message of somebody else, a missing one and a text over 4,000 characters cannot be updated."""
    theirs = await alice.says(ops, "hello")
    mine = await client.chat_postMessage(channel=ops.id, text="a")
    update = "chat.update"
    assert await refusal(client, update, channel=ops.id, ts=theirs.ts, text="x") == "cant_update_message"
    assert await refusal(client, update, channel=ops.id, ts="1.2", text="x") == "message_not_found"
    assert await refusal(client, update, channel=ops.id, ts=mine["ts"], text="x" * 4001) == "msg_too_long"
    assert await refusal(client, update, channel=ops.id, ts=mine["ts"]) == "no_text"
    assert await refusal(client, "chat.delete", channel=ops.id, ts=theirs.ts) == "cant_delete_message"


async def test_blocks_without_text_are_a_violation(client: AsyncWebClient, workspace: Workspace, ops: Channel) -> None:
    """Slack accepts blocks alone, but a notification would say nothing, so the workspace notes it."""
    with pytest.warns(UserWarning, match="text"):
        await client.chat_postMessage(channel=ops.id, blocks=[SECTION])
    assert [one.error for one in workspace.violations] == ["no_fallback_text"]


async def test_block_ids_change_unless_given(client: AsyncWebClient, ops: Channel) -> None:
    """A block without an id gets a new one at each update; a given id stays, which keeps a plan unfolded."""
    blocks = [SECTION, PLAN | {"block_id": "plan-1"}]
    posted = await client.chat_postMessage(channel=ops.id, text="a", blocks=blocks)
    first = [block["block_id"] for block in posted["message"]["blocks"]]
    updated = await client.chat_update(channel=ops.id, ts=posted["ts"], text="a", blocks=blocks)
    second = [block["block_id"] for block in updated["message"]["blocks"]]
    assert first[0] != second[0]
    assert first[1] == second[1] == "plan-1"


async def test_ephemeral_reaches_one_member(
    client: AsyncWebClient, workspace: Workspace, ops: Channel, alice: User
) -> None:
    """chat.postEphemeral shows to one member; it is in no history and cannot be updated."""
    posted = await client.chat_postEphemeral(channel=ops.id, user=alice.id, text="psst")
    assert [seen.text for seen in alice.ephemerals] == ["psst"]
    assert ops.messages == []
    answer = await refusal(client, "chat.update", channel=ops.id, ts=posted["message_ts"], text="x")
    assert answer == "message_not_found"
    bob = workspace.user("bob")
    answer = await refusal(client, "chat.postEphemeral", channel=ops.id, user=bob.id, text="x")
    assert answer == "user_not_in_channel"


async def test_history_finds_messages_by_metadata(client: AsyncWebClient, ops: Channel, workspace: Workspace) -> None:
    """conversations.history shows metadata only on request, newest first, in pages, without replies."""
    metadata = {"event_type": "etcd_snapshot_job", "event_payload": {"job": "7"}}
    first = await client.chat_postMessage(channel=ops.id, text="one", metadata=metadata)
    await client.chat_postMessage(channel=ops.id, text="reply", thread_ts=first["ts"])
    await client.chat_postMessage(channel=ops.id, text="two")
    page = await client.conversations_history(channel=ops.id, limit=1)
    assert ([m["text"] for m in page["messages"]], page["has_more"]) == (["two"], True)
    cursor = page["response_metadata"]["next_cursor"]
    rest = await client.conversations_history(channel=ops.id, limit=1, cursor=cursor)
    assert (rest["messages"][0]["text"], rest["messages"][0]["reply_count"]) == ("one", 1)
    assert "metadata" not in rest["messages"][0]
    found = await client.conversations_history(
        channel=ops.id, include_all_metadata=True, oldest=first["ts"], inclusive=True, limit=10
    )
    assert found["messages"][-1]["metadata"] == metadata
    replies = await client.conversations_replies(channel=ops.id, ts=first["ts"])
    assert [m["text"] for m in replies["messages"]] == ["one", "reply"]


async def test_permalink_and_reaction(client: AsyncWebClient, ops: Channel) -> None:
    """A permalink names channel and ts; a reaction is added once."""
    posted = await client.chat_postMessage(channel=ops.id, text="one")
    link = (await client.chat_getPermalink(channel=ops.id, message_ts=posted["ts"]))["permalink"]
    assert link.endswith(f"/archives/{ops.id}/p{posted['ts'].replace('.', '')}")
    await client.reactions_add(channel=ops.id, timestamp=posted["ts"], name="eyes")
    assert list(ops.messages[0].reactions) == ["eyes"]
    again = await refusal(client, "reactions.add", channel=ops.id, timestamp=posted["ts"], name="eyes")
    assert again == "already_reacted"


async def test_people_and_groups(client: AsyncWebClient, workspace: Workspace, alice: User) -> None:
    """users.info tells the flags approvers are judged by; groups tell their members; deleted people get no DM."""
    guest = workspace.user("gina", is_restricted=True)
    gone = workspace.user("gone", deleted=True)
    group = workspace.usergroup("etcd-approvers", [alice, guest], group_id="S0E1")
    assert (await client.users_info(user=guest.id))["user"]["is_restricted"] is True
    assert (await client.users_info(user=gone.id))["user"]["deleted"] is True
    assert (await client.usergroups_users_list(usergroup=group.id))["users"] == [alice.id, guest.id]
    listed = (await client.usergroups_list(include_users=True))["usergroups"]
    assert [(one["id"], one["handle"]) for one in listed] == [("S0E1", "etcd-approvers")]
    assert await refusal(client, "usergroups.users.list", usergroup="S9") == "no_such_subteam"
    assert await refusal(client, "users.info", user="U9") == "user_not_found"
    assert await refusal(client, "conversations.open", users=gone.id) == "user_disabled"
    assert await refusal(client, "conversations.open", users=workspace.store.bot_user_id) == "cannot_dm_bot"


async def test_direct_messages(client: AsyncWebClient, workspace: Workspace, alice: User) -> None:
    """conversations.open gives the one direct conversation; posting to the user's id lands there too."""
    opened = await client.conversations_open(users=[alice.id])
    await client.chat_postMessage(channel=opened["channel"]["id"], text="one")
    await client.chat_postMessage(channel=alice.id, text="two")
    assert [message.text for message in alice.dms] == ["one", "two"]
    assert workspace.user("bob").dms == []


async def test_join(client: AsyncWebClient, workspace: Workspace) -> None:
    """The bot may join a public channel and then post."""
    channel = workspace.channel("new", with_bot=False)
    assert (await client.conversations_info(channel=channel.id))["channel"]["is_member"] is False
    await client.conversations_join(channel=channel.id)
    await client.chat_postMessage(channel=channel.id, text="hello")
    assert channel.messages[0].text == "hello"


async def test_trigger_opens_one_modal_in_time(client: AsyncWebClient, workspace: Workspace, alice: User) -> None:
    """A trigger_id is good once and for three seconds."""
    workspace.clock.freeze()
    trigger, late = workspace.store.new_trigger(alice.id), workspace.store.new_trigger(alice.id)
    await client.views_open(trigger_id=trigger, view=MODAL)
    assert await refusal(client, "views.open", trigger_id=trigger, view=MODAL) == "exchanged_trigger_id"
    workspace.clock.advance(3.1)
    assert await refusal(client, "views.open", trigger_id=late, view=MODAL) == "expired_trigger_id"
    assert await refusal(client, "views.open", trigger_id="x", view=MODAL) == "invalid_trigger_id"
    assert len(alice.modals) == 1


async def test_view_hash_guards_against_races(client: AsyncWebClient, workspace: Workspace, alice: User) -> None:
    """views.update with an old hash is refused; so it is for a Home tab; a race is no violation."""
    opened = await client.views_open(trigger_id=workspace.store.new_trigger(alice.id), view=MODAL)
    view_id, old = opened["view"]["id"], opened["view"]["hash"]
    await client.views_update(view_id=view_id, view=MODAL, hash=old)
    assert await refusal(client, "views.update", view_id=view_id, view=MODAL, hash=old) == "hash_conflict"
    home = {"type": "home", "blocks": [SECTION]}
    published = await client.views_publish(user_id=alice.id, view=home)
    await client.views_publish(user_id=alice.id, view=home, hash=published["view"]["hash"])
    stale = published["view"]["hash"]
    assert await refusal(client, "views.publish", user_id=alice.id, view=home, hash=stale) == "hash_conflict"
    assert workspace.violations == []


async def test_three_modals_may_be_stacked(client: AsyncWebClient, workspace: Workspace, alice: User) -> None:
    """views.push stacks on the modal its trigger came from; the fourth is refused."""
    opened = await client.views_open(trigger_id=workspace.store.new_trigger(alice.id), view=MODAL)
    view_id = opened["view"]["id"]
    for _ in range(2):
        trigger = workspace.store.new_trigger(alice.id, view_id)
        view_id = (await client.views_push(trigger_id=trigger, view=MODAL))["view"]["id"]
    trigger = workspace.store.new_trigger(alice.id, view_id)
    assert await refusal(client, "views.push", trigger_id=trigger, view=MODAL) == "push_limit_reached"


async def test_file_lands_in_the_thread(client: AsyncWebClient, workspace: Workspace, ops: Channel) -> None:
    """files_upload_v2 brings bytes and title into the parent's thread; the answer has no ts."""
    parent = await client.chat_postMessage(channel=ops.id, text="parent")
    await client.files_upload_v2(
        channel=ops.id, thread_ts=parent["ts"], filename="rke.log", content="line\n" * 10, title="rke output"
    )
    [reply] = ops.thread(parent["ts"])
    [file] = reply.files
    assert (file["name"], file["title"], file["size"]) == ("rke.log", "rke output", 50)
    assert workspace.store.files[file["id"]].content == b"line\n" * 10


async def test_empty_and_too_many_files_are_refused(client: AsyncWebClient, ops: Channel) -> None:
    """A file of zero length and more than 14 files at once are refused."""
    answer = await refusal(client, "files.getUploadURLExternal", filename="a", length=0)
    assert answer == "invalid_arguments"
    files = [{"id": f"F{n}"} for n in range(15)]
    assert await refusal(client, "files.completeUploadExternal", files=files, channel_id=ops.id) == "invalid_arguments"
    assert await refusal(client, "files.completeUploadExternal", files=files[:1]) == "file_not_found"


async def test_response_url_serves_five_answers(workspace: Workspace, ops: Channel, alice: User) -> None:
    """The sixth answer is refused and noted."""
    hook = AsyncWebhookClient(workspace.response_urls.issue(alice.id, ops.id))
    for number in range(5):
        assert (await hook.send(text=f"{number}")).status_code == 200
    assert (await hook.send(text="6")).status_code == 404
    assert [seen.text for seen in alice.ephemerals] == ["0", "1", "2", "3", "4"]
    assert workspace.violations[0].error == "used_url"


async def test_response_url_expires(workspace: Workspace, ops: Channel, alice: User) -> None:
    """After 30 minutes the URL is dead."""
    hook = AsyncWebhookClient(workspace.response_urls.issue(alice.id, ops.id))
    workspace.clock.advance(30 * 60 + 1)
    assert "expired_url" in (await hook.send(text="late")).body


async def test_response_url_replaces_and_deletes(workspace: Workspace, ops: Channel, alice: User) -> None:
    """An ephemeral message is replaced or deleted only through the response_url of a click on it."""
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    await client.chat_postEphemeral(channel=ops.id, user=alice.id, text="one")
    [seen] = alice.ephemerals
    hook = AsyncWebhookClient(workspace.response_urls.issue(alice.id, ops.id, seen))
    await hook.send_dict({"text": "two", "replace_original": True})
    assert (seen.text, seen.replaced) == ("two", 1)
    await hook.send_dict({"delete_original": True})
    assert alice.ephemerals == []
    await hook.send(text="for all", response_type="in_channel")
    assert [message.text for message in ops.messages] == ["for all"]
