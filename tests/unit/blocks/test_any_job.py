"""Whatever happens to a job, its messages are such that Slack takes them and nobody is called by foreign text."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.approvals import CancelCode, ChoiceCode, VoteCode
from bot.core.job import Job
from bot.core.plans import Kind
from bot.core.transitions import Phase
from bot.engine.usecases import CancelAnswer, ChoiceAnswer, VoteAnswer
from handlers import blocks
from handlers.blocks import Message, View
from tests.lab.slack.blocks import check_blocks
from tests.unit.blocks.walks import PEOPLE, Walk

NEW_BLOCKS: Final = ("plan", "task_card", "data_table", "alert")
HOSTILE: Final = (
    "",
    "<!channel> <!here> <!everyone> <@UEVIL> <!subteam^SEVIL|@ops> <#C1> <https://evil.example|click> & < >",
    "`; rm -rf / ` *bold* _it_ ~s~ ```\ncode\n``` :02: &lt;!channel&gt;",
    "many words in one line that never ends " * 60,
    "x" * 5000,
    "line\n" * 400,
    "\u202e\u0000\t\r\u2028 <!channel|",
    "ß漢字🚀" * 200,
)
HANDLED: Final = frozenset(  # forms and postmortems come later
    (
        *("vote.approve_form", "vote.approve", "vote.deny_form", "job.cancel", "job.plan", "job.plan_again"),
        *("job.output", "human.choose.1", "human.choose.2", "start.save", "start.list", "start.status", "start.help"),
    )
)
NODES: Final = (
    (),
    ("1.1.1.1",),
    ("1.1.1.1", "2.2.2.2", "3.3.3.3"),
    tuple(f"<!channel>.{n}.{'very-long-label.' * 12}example" for n in range(3)),
    tuple(f"10.20.30.{n}" for n in range(200)),
)
_ours = re.compile(r"<@U[1-4]>|<!subteam\^S1>|<!date\^\d+\^[^|<>]*\|[^<>]*>")
_texts = st.sampled_from(HOSTILE) | st.text(max_size=80)
_views = st.builds(
    lambda now, line, alive, ahead: (now, line, alive, ahead),
    st.integers(1_795_338_140, 1_795_400_000),
    st.sampled_from(("restored    31 s", "done, 2 s", "", *HOSTILE)),
    st.booleans(),
    st.integers(0, 3),
)


def _mrkdwn(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            yield str(value["text"])
        for inner in value.values():
            yield from _mrkdwn(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _mrkdwn(inner)


def calls_nobody(text: str) -> bool:
    """Whether the only tokens in this mrkdwn are mentions of the job's people and dates."""
    return "<" not in _ours.sub("", text)


def _has_mentions_only_in_mrkdwn(value: object) -> bool:
    if isinstance(value, dict):
        kinds = ("user", "usergroup", "broadcast", "channel", "link")
        return value.get("type") not in kinds and all(map(_has_mentions_only_in_mrkdwn, value.values()))
    return all(map(_has_mentions_only_in_mrkdwn, value)) if isinstance(value, list | tuple) else True


def assert_sound(message: Message) -> None:
    """Slack takes both forms, nobody is called by foreign text, and there is a notification of one line."""
    check_blocks(list(message.blocks), "message")
    check_blocks(list(message.fallback_blocks), "message", refused=NEW_BLOCKS)
    for text in (message.text, *_mrkdwn(message.blocks), *_mrkdwn(message.fallback_blocks)):
        assert calls_nobody(text), text
    assert _has_mentions_only_in_mrkdwn([*message.blocks, *message.fallback_blocks])
    assert message.text.strip()
    assert "\n" not in message.text
    assert {button["action_id"] for button in _buttons(message)} <= HANDLED
    styles = [button.get("style") for button in _buttons(message)]
    assert styles.count("primary") <= 1
    assert styles.count("danger") <= 1


def _buttons(message: Message) -> list[Mapping[str, str]]:
    return [e for block in message.blocks if block["type"] == "actions" for e in block["elements"]]


def _plan_ids(message: Message) -> set[str]:
    return {block["block_id"] for block in message.blocks if block["type"] == "plan"}


def _private(job: Job, now: float) -> Iterator[Message]:
    for who in PEOPLE[:2]:
        for approve in (True, False):
            yield from (blocks.vote_answer(VoteAnswer(c, job), who, approve=approve, now=now) for c in VoteCode)
    yield from (blocks.cancel_answer(CancelAnswer(code, job)) for code in CancelCode)
    yield from (blocks.plan_again_answer(CancelAnswer(code, job)) for code in CancelCode)
    yield from (blocks.choice_answer(ChoiceAnswer(code, job)) for code in ChoiceCode)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(Kind), st.lists(st.integers(0, 10_000), max_size=150), _texts, st.sampled_from(NODES), _views)
def test_every_state_of_every_job_renders(
    kind: Kind, numbers: list[int], text: str, nodes: tuple[str, ...], view: tuple[int, str, bool, int]
) -> None:
    """The living message, its copy for status, the replies, the private answers, the modals and the direct message."""
    now, line, alive, ahead = view
    lines = dict.fromkeys(nodes, line) | {f"check:{n}": line for n in (1, 2)}
    around = View(now, lines, alive, ahead, "0123456789ab" if ahead else "")
    for before, after in Walk(kind, numbers, text, nodes).lives():
        message = blocks.job_message(after, around)
        assert_sound(message)
        assert _plan_ids(message) <= {f"plan-{after.id}", f"checks-{after.id}"}
        assert_sound(blocks.job_status(after, around))
        told = blocks.replies(before, after, around)
        assert all(calls_nobody(reply.text) and reply.text for reply in told)
        assert told == blocks.replies(before, after, around)
        if after.phase is not before.phase:
            _check_rest(after, around)


def _check_rest(job: Job, view: View) -> None:
    assert_sound(blocks.status_message({"prod": [job], "stage": []}, view.now))
    if job.kind is Kind.RESTORE and job.plan:
        assert_sound(blocks.approver_dm(job, view, ""))
        check_blocks(blocks.plan_modal(job)["blocks"], "modal")
    if job.phase is Phase.VOTING:
        for modal in (blocks.approve_modal(job, "C1", "1.1"), blocks.deny_modal(job, "C1", "1.1")):
            check_blocks(modal["blocks"], "modal")
            check_blocks(blocks.plain_modal(modal)["blocks"], "modal", refused=NEW_BLOCKS)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(Kind), st.lists(st.integers(0, 10_000), max_size=100), _texts)
def test_every_private_answer_renders(kind: Kind, numbers: list[int], text: str) -> None:
    """Also where the code hardly fits the state: the job moves on between the click and the answer."""
    *_, (_, job) = Walk(kind, numbers, text, ("1.1.1.1",)).lives()
    for message in _private(job, 1_795_400_000):
        assert_sound(message)
