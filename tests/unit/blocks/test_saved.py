"""A partial save says what is missing, and does not say so of what is there."""

from collections.abc import Mapping, Sequence

from bot.core.events import EventType, Json
from bot.core.facts import S3
from bot.core.snapshots import copy_to_json
from handlers import blocks
from handlers.blocks import View
from tests.unit.blocks import examples
from tests.unit.blocks.examples import NODES, Story, copy
from tests.unit.blocks.lines import lines

SILENT = {"where": "5.5.5.5", "what": "5.5.5.5 does not answer: SSH timed out.", "todo": "It is no etcd node."}
STATUS = {"where": "rke", "what": "rke ended with status 1: exit.", "todo": "Look at rke's output."}


def _partial(problems: Sequence[Mapping[str, Json]], places: Sequence[str]) -> Story:
    copies = [copy_to_json(copy(place)) for place in places]
    check: Mapping[str, Json] = {"etcd": list(NODES), "skipped": []}
    verdict: Mapping[str, Json] = {"copies": copies, "etcd_nodes": list(NODES), "problems": list(problems)}
    return examples.save({"check": check}, 4).record(EventType.PARTIAL, 1795338188, verdict)


def _shown(story: Story) -> list[str]:
    message = blocks.job_message(story.job, View(0))
    return lines(message.text, message.blocks)


def _reply(story: Story) -> str:
    (told,) = blocks.replies(story.seen[-2], story.seen[-1], View(0))
    return told.text


def test_a_save_with_every_copy_names_the_problem_instead() -> None:
    """A worker node was silent: all copies are there, off-site too, and no sentence may say otherwise."""
    story = _partial([SILENT], (*NODES, S3))
    shown = _shown(story)
    assert "header rancher-prod: save partial, 5.5.5.5 does not answer" in shown
    assert not any("not off-site" in line or "no copy" in line for line in shown)
    assert _reply(story) == (
        "Save partial: before-upgrade is intact on 3 of 3 nodes and off-site, but: 5.5.5.5 does not answer."
    )


def test_several_problems_are_counted() -> None:
    """The headline is short; each of them stands below."""
    shown = _shown(_partial([SILENT, STATUS], (*NODES, S3)))
    assert "header rancher-prod: save partial, 2 problems" in shown
    assert any(line.startswith("item rke ended with status 1") for line in shown)


def test_a_save_that_is_only_not_off_site_says_so() -> None:
    """Every node has its copy."""
    story = _partial([{"where": S3, "what": "No copy is off-site: S3 is down.", "todo": ""}], NODES)
    assert "header rancher-prod: save partial, not off-site" in _shown(story)
    assert _reply(story) == "Save partial: no intact copy of before-upgrade off-site. Intact on 3 of 3 nodes."
