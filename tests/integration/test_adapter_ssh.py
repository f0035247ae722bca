"""Machines are reached once, safely, and say in an operator's words why they cannot be."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from bot.adapters.ssh import Machine, Machines, SshKeys, script
from bot.errors import Fatal, Refused, Retryable, Unreachable
from tests.integration.adapter_site import OneHost, exists, machine, one_host, write_keys
from tests.lab.nodes.hosts import Host

BLOB = random.Random(7).randbytes(5_000_000)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[OneHost]:
    """A machine and connections to it."""
    async with one_host(tmp_path) as host:
        yield host


@pytest.fixture
async def two(one: OneHost) -> AsyncIterator[Host]:
    """Another machine that trusts the same key; its host key is known, too."""
    address = one.host.address.rpartition(".")[0] + ".2"
    other = Host(one.host.site, "other", address)
    await other.start()
    one.keys.known_hosts.load(other.known_hosts_line)
    yield other
    await other.stop()


async def test_streams_and_status_are_the_commands(one: OneHost) -> None:
    """Binary output, stderr apart, and any exit status that is allowed."""
    done = await one.machines.run(one.machine, script("printf '\\377\\000'; echo no >&2; exit 7"), ok=(7,))
    assert (done.status, done.stdout, done.stderr, done.said) == (7, b"\xff\x00", b"no\n", "no")


async def test_an_unexpected_status_is_an_error(one: OneHost) -> None:
    """The last line is the reason."""
    with pytest.raises(Retryable, match="disk is full"):
        await one.machines.run(one.machine, script("echo first; echo disk is full >&2; exit 1"))


async def test_a_killed_command_has_a_status(one: OneHost) -> None:
    """As a shell would say it: 128 and the signal."""
    done = await one.machines.run(one.machine, script("kill -9 $$"), ok=None)
    assert done.status == 137


async def test_input_is_sent_whole(one: OneHost) -> None:
    """From bytes and from an iterator alike."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(BLOB), 70_000):
            yield BLOB[start : start + 70_000]

    digest = hashlib.sha256(BLOB).hexdigest().encode()
    for source in (BLOB, pieces()):
        done = await one.machines.run(one.machine, ["sha256sum"], stdin=source)
        assert done.stdout.split()[0] == digest


async def test_a_source_that_breaks_is_the_error(one: OneHost) -> None:
    """Its error reaches the caller; the command does not take the part for the whole."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise Retryable("the other node went away")

    with pytest.raises(Retryable, match="went away"):
        await one.machines.run(one.machine, script("cat; echo whole"), stdin=broken())


async def test_a_command_that_does_not_read_is_no_deadlock(one: OneHost) -> None:
    """It ends, whatever was still to be sent."""
    assert (await one.machines.run(one.machine, script("echo done"), stdin=BLOB)).stdout == b"done\n"


async def test_a_deadline_is_kept(one: OneHost) -> None:
    """A command that hangs is Unreachable: nobody knows whether it ended."""
    with pytest.raises(Unreachable, match="did not finish `sleep 600`"):
        await one.machines.run(one.machine, ["sleep", "600"], timeout=0.5)


async def test_endless_output_is_refused(one: OneHost) -> None:
    """Memory is bounded."""
    with pytest.raises(Retryable, match="more than 1000 bytes"):
        await one.machines.run(one.machine, ["cat"], stdin=BLOB, limit=1000)


async def test_a_stream_comes_through_whole(one: OneHost) -> None:
    """Piece by piece, and a failure at the end is told."""
    path = one.base / "blob"
    path.write_bytes(BLOB)
    got = b"".join([chunk async for chunk in one.machines.stream(one.machine, ["cat", str(path)])])
    assert got == BLOB
    with pytest.raises(Retryable, match="half way"):
        async for _ in one.machines.stream(one.machine, script("echo x; echo half way >&2; exit 1")):
            pass


async def test_one_connection_serves_many_commands(one: OneHost) -> None:
    """More at once than sshd's ten sessions, over a single connection."""
    answers = await asyncio.gather(*(one.machines.run(one.machine, ["echo", str(n)]) for n in range(40)))
    assert [int(done.stdout) for done in answers] == list(range(40))
    assert len(one.host.sshd.connections) == 1


async def test_a_dead_connection_is_made_anew(one: OneHost) -> None:
    """A machine that was rebooted between two commands is simply reached again."""
    await one.machines.run(one.machine, ["true"])
    one.host.drop_connections()
    assert (await one.machines.run(one.machine, ["echo", "back"])).stdout == b"back\n"


async def test_a_connection_lost_half_way_is_unreachable(one: OneHost) -> None:
    """Whether the command ended is not known."""
    marker = one.base / "begun"
    running = asyncio.ensure_future(one.machines.run(one.machine, script('touch "$1"; sleep 600', str(marker))))
    await exists(marker)
    one.host.drop_connections()
    with pytest.raises(Unreachable):
        await running


async def test_a_machine_that_is_off_is_named(one: OneHost) -> None:
    """Address, port and what to check."""
    await one.host.down()
    with pytest.raises(Unreachable, match=f"{one.host.address}, port 2222 does not answer") as caught:
        await one.machines.run(one.machine, ["true"])
    assert "SSH port" in caught.value.todo


async def test_a_silent_machine_is_given_up(one: OneHost) -> None:
    """A port that is open and says nothing costs the connect timeout, not for ever."""
    await one.host.ssh_silent()
    keys = SshKeys.load(one.base / "known_hosts", [one.base / "id_ed25519"], connect_timeout=0.5)
    async with Machines(keys) as machines:
        with pytest.raises(Unreachable, match="does not answer"):
            await machines.run(one.machine, ["true"], timeout=20)


async def test_an_unknown_host_key_is_explained(one: OneHost) -> None:
    """Which file, and the exact line to add."""
    (one.base / "known_hosts").write_text("")
    keys = SshKeys.load(one.base / "known_hosts", [one.base / "id_ed25519"])
    async with Machines(keys) as machines:
        with pytest.raises(Refused, match="is not known") as caught:
            await machines.run(one.machine, ["true"])
    assert str(one.base / "known_hosts") in caught.value.todo
    assert one.host.known_hosts_line.split(" ")[0] in caught.value.todo
    assert one.host.known_hosts_line.split(" ")[2].strip() in caught.value.todo


async def test_a_changed_host_key_is_loud(one: OneHost, two: Host) -> None:
    """It is never accepted, and never taken for an unknown one."""
    wrong = two.known_hosts_line.replace(two.address, one.host.address)
    (one.base / "known_hosts").write_text(wrong)
    keys = SshKeys.load(one.base / "known_hosts", [one.base / "id_ed25519"])
    async with Machines(keys) as machines:
        with pytest.raises(Refused, match="HAS CHANGED"):
            await machines.run(one.machine, ["true"])


async def test_a_refused_key_is_explained(one: OneHost) -> None:
    """Which user and which key files were tried."""
    stranger = write_keys(one.base, asyncssh.generate_private_key("ssh-ed25519"), one.host)
    async with Machines(stranger) as machines:
        with pytest.raises(Refused, match=r"does not let user rke in with .*id_ed25519"):
            await machines.run(one.machine, ["true"])
    with pytest.raises(Refused, match="user nobody"):
        await one.machines.run(replace(one.machine, user="nobody"), ["true"])


async def test_a_jump_host_is_used_and_shared(one: OneHost, two: Host) -> None:
    """Behind it any number of machines by one connection to it, each with its own host key verified."""
    behind = machine(two, via=one.machine)
    done = await one.machines.run(behind, script("echo $SSH_CONNECTION; id -un"))
    assert done.stdout.endswith(b"rke\n")
    await one.machines.run(one.machine, ["true"])
    assert len(one.host.sshd.connections) == 1
    assert two.ssh_log


async def test_a_machine_behind_a_jump_host_that_is_off_is_named(one: OneHost, two: Host) -> None:
    """Who could not reach whom."""
    await two.down()
    with pytest.raises(Unreachable, match=f"{one.host.address} could not connect to {two.address}"):
        await one.machines.run(machine(two, via=one.machine), ["true"])


async def test_many_machines_behind_one_jump_host(one: OneHost, two: Host) -> None:
    """A fan-out that is narrower than the number of machines does not lock up."""
    async with Machines(one.keys, fan_out=1) as machines:
        via = [Machine(two.address, "rke", two.port, Machine(one.host.address, "rke", one.host.port)) for _ in range(5)]
        await asyncio.gather(*(machines.run(each, ["true"]) for each in (*via, machine(two), one.machine)))


@pytest.mark.parametrize(
    ("file", "content"), [("known_hosts", b"\xff\xfe"), ("id_ed25519", b"rubbish")], ids=["known_hosts", "key"]
)
async def test_an_unusable_file_is_named(one: OneHost, file: str, content: bytes) -> None:
    """At the start, not at the first connection."""
    (one.base / file).write_bytes(content)
    with pytest.raises(Fatal, match=file):
        SshKeys.load(one.base / "known_hosts", [one.base / "id_ed25519"])


async def test_a_key_with_a_passphrase_is_named(one: OneHost) -> None:
    """The bot cannot ask for it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (one.base / "locked").write_bytes(key.export_private_key("pkcs8-pem", passphrase="secret"))
    with pytest.raises(Fatal, match="locked") as caught:
        SshKeys.load(one.base / "known_hosts", [one.base / "locked"])
    assert "passphrase" in caught.value.todo
