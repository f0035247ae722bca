"""How the copies of a real directory are read back: many, large, and some that cannot be read."""

from dataclasses import replace

from bot.core import plans, snapshots
from bot.core.facts import S3, Copy, Integrity
from bot.core.findings import Finding, Level
from bot.core.plans import Plan
from bot.engine.gather import gather
from bot.engine.reads import list_copies
from bot.errors import Refused, Unreachable
from tests.unit.clusters import NAMES, NOW, copy
from tests.unit.sites import MemoryNode, context

WHY = Unreachable("The copy did not come back within 600 s.")


def files(where: str, *names: str) -> tuple[Copy, ...]:
    """Intact copies, each an hour older than the one before."""
    return tuple(copy(where, name=name, taken_at=NOW - 3600 * age, sha256=name) for age, name in enumerate(names))


async def listed(*nodes: MemoryNode, seconds: float = 60) -> dict[str, Copy]:
    """The list's copies by name."""
    result = await list_copies(context(*nodes), seconds)
    assert result["answered"] == {"s3": ""} | {node.address: "" for node in nodes}
    found = [snapshots.copy_from_json(raw) for raw in plans.objects(result["copies"])]
    return {copy.name: copy for copy in found}


def found(plan: Plan, level: Level) -> dict[str, Finding]:
    """The findings of one level by id."""
    return {finding.id: finding for finding in plan.findings if finding.level is level}


async def test_what_there_is_no_time_for_is_listed_unchecked() -> None:
    """A list is never lost to one large file: what was read is intact, the rest is there and not checked."""
    node = MemoryNode("1.1.1.1", files("1.1.1.1", "a", "large", "c"), frozenset({"large"}))
    found = await listed(node, seconds=2)
    assert {name: copy.integrity for name, copy in found.items()} == {
        "a": Integrity.INTACT,
        "large": Integrity.UNKNOWN,
        "c": Integrity.INTACT,
    }
    assert found["large"].problem == "there was no time to read it"
    assert node.running == 0


async def test_the_newest_are_read_first_a_few_at_once() -> None:
    """So that time runs out for the old ones, and the node is not overrun."""
    names = [f"s{number}" for number in range(40)]
    node = MemoryNode("1.1.1.1", files("1.1.1.1", *names)[::-1])
    assert len(await listed(node)) == 40
    assert node.checked == names
    assert node.most == 3


async def test_a_copy_that_cannot_be_read_is_listed_with_the_reason() -> None:
    """And hides none of the others on its node."""
    node = MemoryNode("1.1.1.1", files("1.1.1.1", "a", "b"), errors={"b": Refused("No rke-tools image.", "Pull it.")})
    found = await listed(node)
    assert found["a"].integrity is Integrity.INTACT
    assert (found["b"].integrity, found["b"].problem) == (Integrity.UNKNOWN, "No rke-tools image.")


async def test_latest_stops_at_the_first_intact_one() -> None:
    """From the newest on; older ones are not read."""
    nodes = [MemoryNode(name, files(name, "broken", "good", "older", "oldest")) for name in NAMES]
    for node in nodes:
        node.files = (replace(node.files[0], integrity=Integrity.CORRUPT), *node.files[1:])
    plan = await gather(context(*nodes, snapshot="latest"))
    assert plan.snapshot == "good"
    assert [node.checked for node in nodes] == [["broken", "good"]] * 3


async def test_latest_is_judged_by_the_age_of_the_data() -> None:
    """A file that was staged lately is as old as the equal one off-site, so the next is read as well."""
    staged = copy("1.1.1.1", name="old", taken_at=NOW, sha256="x")
    node = MemoryNode("1.1.1.1", (staged, copy("1.1.1.1", name="new", taken_at=NOW - 60)))
    off_site = [replace(staged, where=S3, taken_at=NOW - 9000)]
    assert (await gather(context(node, snapshot="latest", off_site=off_site))).snapshot == "new"


async def test_latest_reads_no_safety_copy() -> None:
    """It is never taken, so it costs nothing."""
    node = MemoryNode("1.1.1.1", files("1.1.1.1", "safety-j0", "good"))
    assert (await gather(context(node, snapshot="latest"))).snapshot == "good"
    assert node.checked == ["good"]


async def test_latest_says_which_newer_one_could_not_be_read() -> None:
    """Nobody restores older data without having seen that."""
    node = MemoryNode("1.1.1.1", files("1.1.1.1", "newest", "good"), errors={"newest": WHY})
    plan = await gather(context(node, snapshot="latest"))
    assert plan.snapshot == "good"
    finding = found(plan, Level.YELLOW)["latest"]
    assert finding.text == f"newest may be newer, but could not be read, on 1.1.1.1 for one: {WHY}"
    assert finding.confirm


async def test_a_copy_that_cannot_be_read_is_a_finding() -> None:
    """With another one to restore from, approvers confirm that it is left out."""
    nodes = [MemoryNode(name, [copy(name)]) for name in NAMES]
    nodes[1].errors = {"before-upgrade": WHY}
    plan = await gather(context(*nodes))
    assert found(plan, Level.YELLOW)["unread:2.2.2.2"].text == f"The copy on 2.2.2.2 could not be read: {WHY}"
    assert not found(plan, Level.RED)


async def test_unread_copies_are_not_called_missing() -> None:
    """When the only copy cannot be read the plan is blocked, and says why."""
    plan = await gather(context(MemoryNode("1.1.1.1", [copy("1.1.1.1")], errors={"before-upgrade": WHY})))
    red = found(plan, Level.RED)
    assert set(red) == {"snapshot-unread", "unread:1.1.1.1"}
    assert str(WHY) in red["unread:1.1.1.1"].text


async def test_a_silent_etcd_is_asked_and_found_out() -> None:
    """Its container runs on every node, but nothing of it can be saved."""
    nodes = [MemoryNode(name, [copy(name)], etcd="etcd does not answer: context deadline exceeded") for name in NAMES]
    plan = await gather(context(*nodes))
    assert plan.pins["safety"] is False
    assert "no-safety-copy" in found(plan, Level.YELLOW)
