"""Modals, and the direct message to an approver. Their metadata says what was opened, never who may do what."""

import json
from collections.abc import Sequence
from typing import Any, Final

from slack_sdk.models.blocks import (
    AlertBlock,
    CheckboxesElement,
    InputBlock,
    MarkdownTextObject,
    Option,
    PlainTextInputElement,
    PlainTextObject,
)
from slack_sdk.models.views import View as ModalView

from bot.core.findings import Finding, Level
from bot.core.job import Job
from bot.core.transitions import Phase
from handlers.blocks import before, facts, kit, words
from handlers.blocks.message import Block, Message, View

Modal = dict[str, Any]

ACK_BLOCK: Final = "ack"  # block id of the checkboxes; further ones are ack2, ack3 ...: Slack takes ten boxes in one
ACK_ACTION: Final = "findings"
REASON_BLOCK: Final = "reason"
REASON_ACTION: Final = "text"
TOO_SHORT: Final = "Write at least 3 characters."
_BOXES: Final = 10
_BOX_TEXT: Final = 75
_MOST_BOXES: Final = 50
_MODAL_TEXT: Final = 2800


def plain_modal(modal: Modal) -> Modal:
    """The same modal without blocks that Slack may refuse."""
    return {**modal, "blocks": kit.fallback(modal["blocks"])}


def _modal(title: str, blocks: Sequence[Block], **more: str) -> Modal:
    frame: Modal = ModalView(
        type="modal",
        title=PlainTextObject(text=title, emoji=None),
        close=PlainTextObject(text="Go back" if "submit" in more else "Close", emoji=None),
        submit=PlainTextObject(text=more["submit"], emoji=None) if "submit" in more else None,
        callback_id=more.get("callback_id"),
        private_metadata=more.get("private_metadata"),
        blocks=list(blocks[:1]),
    ).to_dict()
    return {**frame, "blocks": list(blocks)}  # each has been checked when it was made


def _opened(job: Job, channel: str, ts: str) -> str:
    plan = job.plan.digest if job.plan else ""
    return json.dumps({"job": job.id, "plan": plan, "channel": channel, "ts": ts}, separators=(",", ":"))


def approve_modal(job: Job, channel: str, ts: str) -> Modal:
    """One box per yellow finding, the whole hashes, nothing to type (24)."""
    assert job.plan
    assert job.policy
    name = words.clip(job.snapshot, 60)
    warning = f"{job.cluster}: all data in etcd goes back to {name}, {facts.old(job)}. Later changes are lost."
    nth = len(facts.approvals(job)) + 1
    yellow = facts.findings(job.plan, Level.YELLOW)
    blocks = [
        AlertBlock(text=MarkdownTextObject(text=words.clip(words.plain(warning), 200)), level="warning").to_dict(),
        *_whole(yellow),
        *_boxes(yellow),
        _hash(f"sha256 of {job.snapshot}", facts.string(job.plan.pins, "sha256")),
        _hash("Digest of the plan", job.plan.digest),
        kit.context(
            f"You are approval {nth} of {job.policy.required}. Asked by {words.person(job.requester)}. "
            "Your vote is for exactly this plan; if it changes, the vote is void."
        ),
    ]
    return _modal(
        "Approve restore",
        blocks,
        submit="Approve restore",
        callback_id="vote.approve",
        private_metadata=_opened(job, channel, ts),
    )


def not_all_confirmed(job: Job) -> str:
    """The error at the boxes when one was left open."""
    count = len(facts.findings(job.plan, Level.YELLOW))
    which = {1: "the finding", 2: "both findings"}.get(count, f"all {count} findings")
    return f"Confirm {which}, or go back and deny."


def _hash(title: str, sha256: str) -> Block:
    return kit.rich(kit.bold(title), kit.pre(words.groups(sha256)))


def _fact(finding: Finding) -> str:
    return finding.confirm or finding.text


def _whole(yellow: Sequence[Finding]) -> list[Block]:
    """The findings in full where a box cannot hold them: nobody vouches for a fact that is cut off."""
    long = [f for f in yellow if len(_fact(f)) > _BOX_TEXT - 2 or len(f.text) > _BOX_TEXT]
    items = [kit.para(kit.text(f"{words.clip(_fact(f), before.FINDING)} ", strong=True), f.text) for f in long]
    return [kit.rich(kit.bullets(items))] if items else []


def _boxes(yellow: Sequence[Finding]) -> list[Block]:
    # A plan with more yellow findings than fit cannot be approved: the vote then names what is not confirmed.
    parts = [yellow[at : at + _BOXES] for at in range(0, min(len(yellow), _MOST_BOXES), _BOXES)]
    return [_input(number, part) for number, part in enumerate(parts, 1)]


def _input(number: int, findings: Sequence[Finding]) -> Block:
    element = CheckboxesElement(action_id=ACK_ACTION, options=[_box(finding) for finding in findings])
    label = "Confirm each yellow finding" + (f", part {number}" if number > 1 else "")
    block_id = ACK_BLOCK if number == 1 else f"{ACK_BLOCK}{number}"
    return InputBlock(block_id=block_id, label=PlainTextObject(text=label, emoji=True), element=element).to_dict()


def _box(finding: Finding) -> Option:
    bold = words.plain(words.clip(_fact(finding), _BOX_TEXT - 2))
    # Escaping can make it longer than the limit; then it is shown without markup, which needs no escaping.
    if len(bold) > _BOX_TEXT - 2:
        return Option(value=finding.id[:150], text=PlainTextObject(text=words.clip(_fact(finding), _BOX_TEXT)))
    more = words.plain(finding.text) if finding.confirm else ""  # else it stands above the boxes
    description = MarkdownTextObject(text=more) if 0 < len(more) <= _BOX_TEXT else None
    return Option(value=finding.id[:150], text=MarkdownTextObject(text=f"*{bold}*"), description=description)


def deny_modal(job: Job, channel: str, ts: str) -> Modal:
    """Asks for the reason (23)."""
    element = PlainTextInputElement(
        action_id=REASON_ACTION,
        multiline=True,
        min_length=3,
        max_length=500,
        placeholder=PlainTextObject(text="Why this must not run now", emoji=True),
    )
    blocks = [
        kit.section(
            f"Restore of *{words.plain(job.cluster)}* to {words.code(job.snapshot)}, asked by "
            f"{words.person(job.requester)}.\n*One deny ends it.* Nothing has been changed."
        ),
        InputBlock(
            block_id=REASON_BLOCK,
            label=PlainTextObject(text="Reason", emoji=True),
            hint=PlainTextObject(text="Shown in the thread and kept in the journal.", emoji=True),
            element=element,
        ).to_dict(),
    ]
    return _modal(
        "Deny restore",
        blocks,
        submit="Deny",
        callback_id="vote.deny",
        private_metadata=_opened(job, channel, ts),
    )


def plan_modal(job: Job) -> Modal:
    """The whole plan: steps, nodes, every finding, whole hashes, digest."""
    if job.plan is None:
        return _modal("Plan", [kit.section("There is no plan yet.")])
    plan = job.plan
    steps = kit.bullets([step.long_title for step in plan.steps], ordered=True) if plan.steps else kit.para("None.")
    levels = [(level, facts.findings(plan, level)) for level in Level]
    pins = [(key, str(value)) for key, value in plan.pins.items() if isinstance(value, str) and value]
    nodes = before.nodes(plan)
    blocks = [
        kit.rich(kit.bold("Steps"), steps),
        *([kit.rich(kit.bold("Nodes"), kit.pre(nodes))] if nodes else []),
        *(_listed(level, found) for level, found in levels if found),
        kit.rich(kit.bold("Must not change until it starts"), kit.pre(_lines(pins))),
        _hash("Digest of the plan", plan.digest),
        kit.context(facts.asked(job)),
    ]
    return _modal("Plan", blocks)


def _lines(pairs: Sequence[tuple[str, str]]) -> str:
    return words.clip("\n".join(f"{key}\n  {value}" for key, value in pairs) or "Nothing.", _MODAL_TEXT)


def _listed(level: Level, found: Sequence[Finding]) -> Block:
    items = [words.clip(f"{f.text} {f.todo}".strip(), before.FINDING) for f in found[:60]]
    return kit.rich(kit.bold(f"{level.capitalize()}, {len(found)}"), kit.bullets(items))


def output_modal(job: Job, number: int, tail: str) -> Modal:
    """The last lines of rke's output in a step (`number` counts from 1)."""
    shown = tail[-_MODAL_TEXT:].strip("\n")
    title = job.steps[number - 1].step.long_title if 0 < number <= len(job.steps) else "rke"
    return _modal("rke output", [kit.rich(kit.bold(f"Step {number}: {title}"), kit.pre(shown or "No output yet."))])


def approver_dm(job: Job, _view: View, link: str) -> Message:
    """The direct message to an approver (22): enough to decide on a phone; after the decision no button stays."""
    opened = f"<{words.plain(link)}|Open in channel> · " if link.startswith("https://") else ""
    if job.phase is not Phase.VOTING or job.plan is None or job.policy is None:
        return _decided(job, opened)
    have, required = len(facts.approvals(job)), job.policy.required
    so_far = f"{have} of {words.plural(required, 'approval')}"
    at = facts.taken_at(job)
    taken = f"taken {words.moment(at)}" if at else "of unknown age"
    different = "" if required == 1 else f", {required} different people"
    blocks = [
        kit.header(f"Your approval is asked: restore {job.cluster}"),
        kit.section(
            f"{words.person(job.requester)} asks to put etcd of *{words.plain(job.cluster)}* back to "
            f"{words.code(job.snapshot)}, {taken}. Changes since then are lost. "
            "The Kubernetes API is down meanwhile."
        ),
        *([kit.rich(*facts.reason(job))] if job.reason else []),
        before.findings(job.plan, green=False),
        kit.rich(kit.bold("Snapshot and plan"), kit.pre(words.columns(before.pinned(job, job.plan), 60))),
        kit.section(f"*{so_far}*{different}, until {words.clock(job.deadline)}. One deny ends it."),
        *kit.actions(before.vote_buttons(job)),
        kit.context(f"{opened}You get this because you may approve. Job {words.code(job.id)}"),
    ]
    text = (
        f"Your approval is asked: restore {job.cluster} to {job.snapshot} ({facts.old(job)}, later changes are lost)."
    )
    return kit.finished(f"{text} {have} of {required} so far, until {words.utc(job.deadline)}.", blocks)


def _decided(job: Job, opened: str) -> Message:
    given = facts.approvals(job)
    deny = next((vote for vote in job.votes if not vote.approve), None)
    if job.phase is Phase.DENIED and deny:
        word, what = "denied", f"{words.person(deny.person)} denied it."
    elif job.approved_at:
        word, what = "approved", f"{words.joined([words.person(vote.person) for vote in given])} approved."
    elif job.ended:
        word, what = job.phase.value, "Nothing was changed."
    else:
        word, what = "plan replaced", "The plan is written anew; you are asked again when it is there."
    lead = "" if word == "plan replaced" else "Decided: "
    blocks = [
        kit.header(f"{lead}restore of {job.cluster} {word}" if lead else f"Restore of {job.cluster}: {word}"),
        kit.section(what, "No vote is needed from you."),
        kit.context(f"{opened}Job {words.code(job.id)}"),
    ]
    return kit.finished(f"Restore of {job.cluster}: {word}. No vote is needed from you.", blocks)
