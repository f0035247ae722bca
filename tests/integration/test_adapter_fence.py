"""A machine refuses whoever has been replaced, and starts a detached command once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.adapters.detached_process import OUTPUT, DetachedProcesses
from bot.adapters.ssh import script
from bot.engine.ports import Attempt, AttemptState, Fence, Launch, Mark, Observation
from bot.errors import Fatal, Fenced, Refused, Retryable, Unreachable
from tests.integration.adapter_site import OneHost, exists, fence, one_host, until

FIRST = Attempt("job1", 1, 1)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[OneHost]:
    """A machine with a cluster directory."""
    async with one_host(tmp_path) as host:
        (host.host.home / "cluster").mkdir()
        yield host


def processes(one: OneHost, right: Fence | None = None) -> DetachedProcesses:
    """The detached commands as a worker sees them."""
    host = one.fenced(right or fence(), marked=True)
    return DetachedProcesses(host, str(one.host.home / "cluster/rancher-cluster.yml"))


async def ended(detached: DetachedProcesses, attempt: Attempt = FIRST) -> Observation:
    """The attempt once it does not run any more."""
    seen: list[Observation] = []

    async def look() -> bool:
        seen.append(await detached.observe(attempt, 0))
        return seen[-1].state is not AttemptState.RUNNING

    await until(look, "the attempt ended")
    return seen[-1]


def blocker(one: OneHost) -> list[str]:
    """A command that says it started and then waits for the file `go`."""
    return script('touch "$1/begun"; while [ ! -e "$1/go" ]; do sleep 0.02; done; echo gone', str(one.host.home))


async def begun(one: OneHost) -> None:
    """Wait until the blocker runs."""
    await exists(one.host.home / "begun")


async def test_a_command_runs_with_its_input_and_status(one: OneHost) -> None:
    """What follows the wrapper on stdin is the command's, byte for byte, and its exit status comes back."""
    data = bytes(range(256)) * 4000
    done = await one.fenced(fence()).run(script("cat; exit 91"), stdin=data, ok=(91,))
    assert (done.status, done.stdout) == (91, data)


async def test_arguments_reach_the_command_unchanged(one: OneHost) -> None:
    """No shell on the way reads blanks, quotes, dollars or newlines."""
    hostile = ["a b", "$(touch x)", "'", '"', "`id`", "new\nline", "", "-n", "*"]
    done = await one.fenced(fence()).run(["printf", "%s\\0", *hostile])
    assert done.stdout.decode().split("\0")[:-1] == hostile


@pytest.mark.parametrize(
    ("right", "floor"),
    [(fence(4), 5), (fence(5, "worker-b"), 5), (fence(0), 5)],
    ids=["lower token", "equal token of another owner", "no token"],
)
async def test_who_has_been_replaced_is_refused(one: OneHost, right: Fence, floor: int) -> None:
    """A lower token, or an equal one of another owner, changes nothing and learns the floor."""
    await one.fenced(fence(5)).run(["true"])
    with pytest.raises(Fenced) as caught:
        await one.fenced(right).run(["touch", str(one.host.home / "changed")])
    assert caught.value.floor == floor
    assert not (one.host.home / "changed").exists()


@pytest.mark.parametrize("right", [fence(5), fence(6, "worker-b")], ids=["the same", "higher"])
async def test_who_has_the_right_goes_on(one: OneHost, right: Fence) -> None:
    """The owner itself, and any higher token, pass and raise the fence."""
    await one.fenced(fence(5)).run(["true"])
    await one.fenced(right).run(["true"])
    assert (one.state / "fence").read_text().split() == [str(right.token), right.owner]


async def test_without_a_lease_nothing_changes(one: OneHost) -> None:
    """A change without a fence is a broken program."""
    with pytest.raises(Fatal):
        await one.fenced(None).run(["true"])


async def test_a_new_owner_waits_for_the_old_command(one: OneHost) -> None:
    """Raising returns only when the earlier owner's command has ended."""
    old = asyncio.create_task(one.fenced(fence(1)).run(blocker(one)))
    await begun(one)
    raising = asyncio.create_task(one.fenced(fence(2, "worker-b")).raise_fence())
    with pytest.raises(Unreachable):
        await one.fenced(fence(2, "worker-b")).raise_fence(timeout=1)
    assert not raising.done()
    (one.host.home / "go").touch()
    assert (await old).stdout == b"gone\n"
    await raising
    with pytest.raises(Fenced):
        await one.fenced(fence(1)).run(["true"])


async def test_a_lost_connection_does_not_free_the_fence(one: OneHost) -> None:
    """The command goes on without its client and still holds the lock."""
    old = asyncio.create_task(one.fenced(fence(1)).run(blocker(one)))
    await begun(one)
    one.host.drop_connections()
    with pytest.raises(Unreachable):
        await old
    with pytest.raises(Unreachable):
        await one.fenced(fence(2)).raise_fence(timeout=1)
    (one.host.home / "go").touch()
    await one.fenced(fence(2)).raise_fence()


async def test_the_marker_moves_forward(one: OneHost) -> None:
    """It shows what was there before, follows the changes made under the token it was shown to, and passes to another
    job.
    """
    answers = [
        await one.fenced(fence(1, version=3, mac="c3"), marked=True).raise_fence(),
        await one.fenced(fence(1, version=4, mac="d4"), marked=True).raise_fence(),
    ]
    await one.fenced(fence(1, version=5, mac="e5"), marked=True).run(["true"])
    await one.fenced(fence(1, version=6, mac="f6"), marked=True).run(["true"])
    answers += [
        await one.fenced(fence(2, version=7, mac="a7"), marked=True).raise_fence(),
        await one.fenced(fence(3, job="job2", mac="b8"), marked=True).raise_fence(),
        await one.fenced(fence(3, job="job2", mac="b8"), marked=True).raise_fence(),
    ]
    assert answers == [None, Mark("job1", 3, "c3"), *(Mark("job1", 6, "f6"),) * 2, Mark("job2", 1, "b8")]


async def test_a_rolled_back_journal_is_noticed_until_somebody_goes_on(one: OneHost) -> None:
    """However far the journal has grown again and whoever asks: the mark is not lost by looking at it."""
    lost = Mark("job1", 10, "aa10")
    await one.fenced(fence(1, version=10, mac="aa10"), marked=True).raise_fence()
    for token, version in enumerate((9, 10, 11, 30), 2):
        again = one.fenced(fence(token, version=version, mac="bb"), marked=True)
        assert [await again.raise_fence(), await again.raise_fence()] == [lost] * 2
    assert await processes(one, fence(6, version=31, mac="bb")).launch(FIRST, ["true"]) is Launch.STARTED
    assert await one.fenced(fence(7, version=8, mac="cc"), marked=True).raise_fence() == lost
    await one.fenced(fence(7, version=8, mac="cc"), marked=True).run(["true"])
    assert await one.fenced(fence(8, version=9, mac="cc9"), marked=True).raise_fence() == Mark("job1", 8, "cc")


async def test_a_node_keeps_no_marker(one: OneHost) -> None:
    """Only the RKE host is told about the journal."""
    assert await one.fenced(fence()).raise_fence() is None
    assert not (one.state / "mark").exists()


async def test_a_damaged_fence_is_never_passed(one: OneHost) -> None:
    """A fence file that is no fence stops everybody and names the file."""
    await one.fenced(fence()).run(["true"])
    (one.state / "fence").write_text("rubbish\n")
    with pytest.raises(Refused, match="fence"):
        await one.fenced(fence(9)).run(["true"])


async def test_a_missing_flock_is_named(one: OneHost) -> None:
    """Without flock nothing runs, and the operator learns which package to install."""
    one.host.env["PATH"] = str(one.host.bin)
    for tool in ("sh", "dd"):
        (one.host.bin / tool).symlink_to(f"/bin/{tool}")
    with pytest.raises(Refused, match="util-linux"):
        await one.fenced(fence()).run(["true"])


async def test_an_unusable_home_is_named(one: OneHost) -> None:
    """A state directory that cannot be made is the operator's to repair."""
    (one.host.home / ".etcd-snapshot-bot").write_text("in the way")
    with pytest.raises(Refused, match="cannot keep its state"):
        await one.fenced(fence()).run(["true"])


async def test_words_are_checked(one: OneHost) -> None:
    """A word that could leave the state directory is never sent."""
    with pytest.raises(Fatal):
        await one.fenced(fence(owner="../x y")).run(["true"])


async def test_a_failing_command_is_told(one: OneHost) -> None:
    """The last line it wrote is the reason."""
    with pytest.raises(Retryable, match="no luck"):
        await one.fenced(fence()).run(script("echo no luck >&2; exit 3"))


async def test_a_detached_command_outlives_the_connection(one: OneHost) -> None:
    """It runs in the yml's directory, output and status are read later, by whoever asks."""
    detached = processes(one)
    assert (await detached.observe(FIRST, 0)).state is AttemptState.NEVER
    command = [*script("pwd; echo to stderr >&2; exec " + 'sh -c "$2" sh "$1"')]
    text = blocker(one)[2]
    assert await detached.launch(FIRST, [*command, str(one.host.home), text + "; exit 3"]) is Launch.STARTED
    one.host.drop_connections()
    running = await processes(one).observe(FIRST, 0)
    assert (running.state, running.status) == (AttemptState.RUNNING, None)
    assert await detached.running("job1") == (FIRST,)
    (one.host.home / "go").touch()
    seen = await ended(detached)
    output = f"{one.host.home}/cluster\nto stderr\ngone\n".encode()
    assert (seen.state, seen.status, seen.output, seen.size) == (AttemptState.ENDED, 3, output, len(output))
    assert await detached.running("job1") == ()


async def test_output_is_read_from_an_offset_and_bounded(one: OneHost) -> None:
    """Each look hands over at most 256 KiB; the offset goes on from there."""
    detached, size = processes(one), OUTPUT + 1000
    await detached.launch(FIRST, script('head -c "$1" /dev/zero | tr "\\0" x; printf end', size))
    assert (await ended(detached)).size == size + 3
    first = await detached.observe(FIRST, 0)
    rest = await detached.observe(FIRST, len(first.output))
    assert (len(first.output), rest.output) == (OUTPUT, b"x" * 1000 + b"end")
    assert (await detached.observe(FIRST, size + 3)).output == b""


async def test_forty_launches_give_one_run(one: OneHost) -> None:
    """However many workers try at once, one starts it and the others learn so."""
    runs = one.host.home / "runs"
    answers = await asyncio.gather(
        *(processes(one).launch(FIRST, script('echo run >>"$1"', str(runs))) for _ in range(40))
    )
    await ended(processes(one))
    assert sorted(answers) == sorted([Launch.STARTED] + [Launch.ALREADY] * 39)
    assert runs.read_text() == "run\n"


async def test_an_ended_attempt_is_not_started_again(one: OneHost) -> None:
    """Once means once; the next attempt is another one."""
    detached = processes(one)
    await detached.launch(FIRST, ["true"])
    await ended(detached)
    assert await detached.launch(FIRST, ["true"]) is Launch.ALREADY
    assert await detached.launch(Attempt("job1", 1, 2), ["true"]) is Launch.STARTED


async def test_a_killed_wrapper_still_reads_as_running(one: OneHost) -> None:
    """The command holds the lock itself; when it ends without its wrapper, it died half-way."""
    detached = processes(one)
    await detached.launch(FIRST, blocker(one))
    await begun(one)
    started = dict(line.split("=", 1) for line in (attempt_dir(one) / "started").read_text().splitlines())
    os.kill(int(started["pid"]), signal.SIGKILL)
    assert (await detached.observe(FIRST, 0)).state is AttemptState.RUNNING
    (one.host.home / "go").touch()
    assert (await ended(detached)).state is AttemptState.DIED
    assert await detached.launch(FIRST, ["true"]) is Launch.ALREADY


async def test_a_reboot_reads_as_died(one: OneHost) -> None:
    """Locks go with the power, what was written stays."""
    detached = processes(one)
    await detached.launch(FIRST, blocker(one))
    await begun(one)
    await one.host.down()
    await one.host.up()
    seen = await detached.observe(FIRST, 0)
    assert (seen.state, seen.status) == (AttemptState.DIED, None)
    assert await detached.running("job1") == ()


async def test_a_crash_before_started_is_a_launch_that_never_was(one: OneHost) -> None:
    """A directory with a free lock and nothing else is launched."""
    attempt_dir(one).mkdir(parents=True)
    (attempt_dir(one) / "lock").touch()
    detached = processes(one)
    assert (await detached.observe(FIRST, 0)).state is AttemptState.NEVER
    assert await detached.launch(FIRST, ["true"]) is Launch.STARTED


async def test_somebody_elses_rke_is_not_disturbed(one: OneHost) -> None:
    """While a person's terminal holds the cluster's lock nothing is started; afterwards it is."""
    detached, lock = processes(one), str(one.host.home / "cluster/rancher-cluster.yml.lock")
    person = asyncio.create_task(one.machines.run(one.machine, ["flock", lock, *blocker(one)]))
    await begun(one)
    assert await detached.launch(FIRST, ["true"]) is Launch.BUSY
    assert (await detached.observe(FIRST, 0)).state is AttemptState.NEVER
    (one.host.home / "go").touch()
    await person
    assert await detached.launch(FIRST, ["true"]) is Launch.STARTED


async def test_a_running_command_holds_the_clusters_lock(one: OneHost) -> None:
    """A person's `flock -n` fails while rke runs, and another job's launch is told busy."""
    await processes(one).launch(FIRST, blocker(one))
    lock = str(one.host.home / "cluster/rancher-cluster.yml.lock")
    assert (await one.machines.run(one.machine, ["flock", "-n", lock, "true"], ok=None)).status == 1
    other = processes(one, fence(2, job="job2"))
    assert await other.launch(Attempt("job2", 1, 1), ["true"]) is Launch.BUSY
    (one.host.home / "go").touch()
    await ended(processes(one))


async def test_a_running_command_does_not_hold_the_fence(one: OneHost) -> None:
    """A new worker raises the fence while rke runs, and follows the run it finds."""
    await processes(one).launch(FIRST, blocker(one))
    await one.fenced(fence(2, "worker-b"), marked=True).raise_fence()
    assert await processes(one, fence(2, "worker-b")).running("job1") == (FIRST,)
    (one.host.home / "go").touch()
    await ended(processes(one))


async def test_a_replaced_worker_launches_nothing(one: OneHost) -> None:
    """The fence is checked before `started` is written."""
    await one.fenced(fence(2, "worker-b")).raise_fence()
    with pytest.raises(Fenced):
        await processes(one).launch(FIRST, ["touch", str(one.host.home / "changed")])
    assert (await processes(one).observe(FIRST, 0)).state is AttemptState.NEVER


async def test_a_launch_is_for_its_own_job(one: OneHost) -> None:
    """An attempt of another job under our marker is a broken program."""
    with pytest.raises(Fatal):
        await processes(one).launch(Attempt("job2", 1, 1), ["true"])


@pytest.mark.parametrize("shell", ["dash", "bash"])
async def test_any_posix_shell_will_do(one: OneHost, shell: str) -> None:
    """The wrapper is the same in the shells that nodes have."""
    (one.host.bin / "sh").symlink_to(f"/bin/{shell}")
    detached = processes(one)
    assert await detached.launch(FIRST, script("echo hello")) is Launch.STARTED
    assert (await ended(detached)).output == b"hello\n"
    with pytest.raises(Fenced):
        await one.fenced(fence(0)).run(["true"])


def attempt_dir(one: OneHost) -> Path:
    """Where the host keeps the first attempt."""
    return one.state / "jobs/job1/1/1"
