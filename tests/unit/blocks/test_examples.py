"""Every renderer against its reference message, line by line.

What may differ stands in differences.txt, and nothing else may: facts this version does not have yet (estimates,
proofs, losses, node changes, forms), and words that follow from other facts.
"""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from bot.core.approvals import CancelCode, VoteCode
from bot.core.cluster import Cluster, SshTarget
from bot.core.commands import UnknownCommand
from bot.core.facts import S3, Copy, Integrity
from bot.core.policy import Action
from bot.core.snapshots import Snapshot
from bot.engine.usecases import CancelAnswer, VoteAnswer
from handlers import blocks
from handlers.blocks import Message, View
from tests.lab.slack.blocks import Surface, check_blocks
from tests.unit.blocks import examples
from tests.unit.blocks.examples import ALICE, BO, CLUSTER, CY, MIB, NODES, SNAPSHOT, Story, copy
from tests.unit.blocks.lines import lines

_HERE: Final = Path(__file__).parent
_REFERENCE: Final = _HERE.parents[1] / "data" / "messages"
_DIGEST: Final = "64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525"
_HEADS: Final = ("---", "+++", "@@")

STORIES: Final[Mapping[str, tuple[Callable[[], Story], View]]] = {
    "03-save-running": (examples.save_running, View(1795338144, examples.SAVE_LINES)),
    "04-save-succeeded": (examples.save_succeeded, View(0)),
    "05-save-partial": (examples.save_partial, View(0)),
    "08-restore-gathering": (examples.gathering, View(1795352654, examples.CHECK_LINES)),
    "09-restore-awaiting-approval": (examples.voting, View(0)),
    "10-restore-blocked": (examples.blocked, View(0)),
    "11-first-vote": (examples.first_vote, View(0)),
    "12-denied": (examples.denied, View(0)),
    "13-expired": (examples.expired, View(0)),
    "14-running": (lambda: examples.running(5), View(1795353131, examples.RESTORE_LINES)),
    "14b-running-before-no-return": (lambda: examples.running(3), View(1795353050, examples.STAGE_LINES)),
    "15a-worker-lost": (
        lambda: examples.running(5),
        View(1795353151, examples.RESTORE_LINES, worker_alive=False),
    ),
    "15b-worker-resumed": (examples.resumed, View(1795353175, examples.RESUMED_LINES)),
    "16-needs-human": (examples.asking, View(1795353150, examples.FAILED_LINES)),
    "17-succeeded": (examples.succeeded, View(0)),
    "18-partial": (examples.partial, View(0)),
    "19-cancelled": (examples.cancelled, View(0)),
}
REPLIES_DIFFER: Final = {"05-save-partial", "15b-worker-resumed", "16-needs-human", "18-partial"}


def _cluster() -> Cluster:
    return Cluster(CLUSTER, ("C0OPS",), SshTarget("10.0.0.9", "rke"), "/home/rke/rancher-cluster.yml", examples.POLICY)


def _rows() -> tuple[Snapshot, ...]:
    def row(name: str, taken: float, size: float, *places: str, bad: str = "", known: bool = True) -> Snapshot:
        copies: list[Copy] = []
        for place in places:
            integrity = Integrity.CORRUPT if place == bad else Integrity.INTACT if known else Integrity.UNKNOWN
            raw = copy(place, size=size, name=name)
            copies.append(Copy(name, place, raw.form, int(size * MIB), raw.file_size, taken, integrity=integrity))
        return Snapshot(name, taken, tuple(copies))

    etcd = ("1.1.1.1", "2.2.2.2", "3.3.3.3")
    return (
        row("before-upgrade", 1795338140, 48.2, *etcd, S3),
        row("rancher-prod-20261122-060000Z", 1795327200, 48.1, *etcd, S3),
        row("rancher-prod-20261121-180000Z", 1795284000, 47.9, *etcd[:2], S3),
        row("rancher-prod-20261121-060000Z", 1795240800, 47.9, *etcd, S3, bad="2.2.2.2"),
        row("2026-11-20T18:00:00Z_etcd", 1795197600, 47.5, "1.1.1.1"),
        row("pre-migration", 1794568800, 41.3, S3, known=False),
    )


def _modal(modal: dict[str, Any]) -> Message:
    return Message("", modal["blocks"], blocks.plain_modal(modal)["blocks"])


ANSWERED: Final = {"1.1.1.1": "", "2.2.2.2": "", "3.3.3.3": "", S3: ""}
LOOKED: Final = 1795352462


def _vote(code: VoteCode, story: Story, who: str, now: float = 0) -> Message:
    return blocks.vote_answer(VoteAnswer(code, story.job), who, approve=True, now=now)


OTHERS: Final[Mapping[str, Callable[[], Message]]] = {
    "01-help": lambda: blocks.help_message(
        _cluster(), {Action.READ, Action.SAVE, Action.RESTORE, Action.CANCEL}, may_approve=False
    ),
    "02-wrong-command": lambda: blocks.wrong_command(
        UnknownCommand(
            '"resotre" is not a command.', "resotre “before-upgrade”", "/etcd-snapshot restore before-upgrade"
        ),
        CLUSTER,
    ),
    "06-list": lambda: blocks.list_message(CLUSTER, _rows(), ANSWERED, LOOKED),
    "07-list-empty": lambda: blocks.list_message(CLUSTER, (), ANSWERED, LOOKED),
    "20-cancel-refused": lambda: blocks.cancel_answer(CancelAnswer(CancelCode.TOO_LATE, examples.running(5).job)),
    "21a-late-click": lambda: _vote(VoteCode.LATE, examples.denied(), BO, 1795352982),
    "21b-unauthorised-click": lambda: _vote(VoteCode.NOT_APPROVER, examples.voting(), "T0/U0D4"),
    "21c-self-approval": lambda: _vote(VoteCode.SELF, examples.voting(), ALICE),
    "21d-already-voted": lambda: _vote(VoteCode.ALREADY, examples.first_vote(), BO),
    "22-dm-approver": lambda: blocks.approver_dm(examples.voting().job, View(0), "https://example.slack.com/p1"),
    "23-deny-modal": lambda: _modal(blocks.deny_modal(examples.voting().job, "C0OPS", "1795352640.000100")),
    "24-approve-modal": lambda: _modal(blocks.approve_modal(examples.voting().job, "C0OPS", "1795352640.000100")),
}


def _reference(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_REFERENCE / f"{name}.json").read_text())
    return found


def _differences() -> Mapping[str, list[str]]:
    """The sections of differences.txt by the name of their example."""
    found: dict[str, list[str]] = {}
    section: list[str] = []
    for line in (_HERE / "differences.txt").read_text().splitlines():
        if line.startswith("== "):
            section = found.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            section.append(line)
    return found


def differences(name: str, message: Message, digest: str) -> list[str]:
    """How a message differs from its example, the digest aside: that one is computed."""
    wanted = _reference(name)
    text = wanted["text"] if message.text else ""
    expected = [_with_digest(line, digest) for line in lines(text, wanted["blocks"])]
    diff = difflib.unified_diff(expected, lines(message.text, message.blocks), n=0, lineterm="")
    return [line for line in diff if not line.startswith(_HEADS)]


def _with_digest(line: str, digest: str) -> str:
    """An example's line with our plan's digest in place of its own; in groups of 8 in the modal."""
    for start in (0, 32):
        groups = [value[start : start + 32] for value in (_DIGEST, digest)]
        mine, ours = (" ".join(group[at : at + 8] for at in range(0, 32, 8)) for group in groups)
        line = line.replace(mine, ours)
    return line.replace(_DIGEST, digest).replace(_DIGEST[:12], digest[:12])


def rendered(name: str) -> tuple[Message, str]:
    """The message for an example, and the digest of its plan."""
    if name in STORIES:
        story, view = STORIES[name]
        job = story().job
        return blocks.job_message(job, view), job.plan.digest if job.plan else ""
    plan = examples.voting().job.plan
    assert plan
    return OTHERS[name](), plan.digest


@pytest.mark.parametrize("name", [*STORIES, *OTHERS])
def test_a_message_differs_from_its_example_only_where_facts_differ(name: str) -> None:
    """Line by line, both ways: nothing is missing and nothing is new but what differences.txt says."""
    assert differences(name, *rendered(name)) == _differences().get(name, [])


@pytest.mark.parametrize("name", [*STORIES, *OTHERS])
def test_slack_takes_the_message_and_its_fallback(name: str) -> None:
    """Neither the rich nor the plain form breaks a rule of Block Kit."""
    surface: Surface = "modal" if "modal" in name else "message"
    message, _ = rendered(name)
    check_blocks(list(message.blocks), surface)
    check_blocks(list(message.fallback_blocks), surface, refused=("plan", "task_card", "data_table", "alert"))


@pytest.mark.parametrize("name", [name for name in STORIES if name not in REPLIES_DIFFER])
def test_the_reply_in_the_thread_is_the_examples(name: str) -> None:
    """What notifies, and whether the channel sees it too."""
    story, view = STORIES[name]
    seen = story().seen
    told = blocks.replies(seen[-2], seen[-1], view)
    wanted = _reference(name).get("thread_reply")
    got = [{"text": reply.text, "reply_broadcast": reply.broadcast} for reply in told]
    assert got == ([wanted] if wanted else [])


@pytest.mark.parametrize("name", ["23-deny-modal", "24-approve-modal"])
def test_the_frame_of_a_modal_is_the_examples(name: str) -> None:
    """Title, buttons, callback id and metadata, which hold ids only."""
    job = examples.voting().job
    assert job.plan
    render = blocks.deny_modal if name.startswith("23") else blocks.approve_modal
    modal = render(job, "C0OPS", "1795352640.000100")
    frame = {key: value for key, value in modal.items() if key != "blocks"}
    wanted = _reference(name)["view"]
    wanted["private_metadata"] = wanted["private_metadata"].replace(_DIGEST, job.plan.digest)
    assert frame == wanted


def test_the_dm_has_no_button_after_the_decision() -> None:
    """A dead button would stay in a message nobody reads again."""
    job = examples.running(0).job
    message = blocks.approver_dm(job, View(0), "https://example.slack.com/p1")
    shown: Sequence[str] = lines(message.text, message.blocks)
    assert "header Decided: restore of rancher-prod approved" in shown
    assert any("<@U0B2> and <@U0C3> approved." in line for line in shown)
    assert not any(line.startswith("button") for line in shown)


def test_the_examples_people_are_the_stories_people() -> None:
    """Guards the tests themselves: ids and nodes as in the examples."""
    text = (_REFERENCE / "16-needs-human.json").read_text()
    assert all(who.partition("/")[2] in text for who in (ALICE, BO, CY))
    assert all(node in text for node in NODES)
    assert SNAPSHOT in text
