"""The lab's machines over SSH: commands, streams, files only root may read, sudo, forwarding, faults."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from tests.lab.nodes import Machines, Node
from tests.lab.nodes.watcher import marked

DEADLINE = 20.0


@pytest.fixture
async def machines(tmp_path: Path) -> AsyncIterator[Machines]:
    """One node, a spare, an RKE host and a bastion; no cluster."""
    async with Machines(tmp_path / "lab", nodes=1, spares=1, bastion=True) as started:
        yield started


@pytest.fixture
def node(machines: Machines) -> Node:
    """The node."""
    return machines.nodes[0]


def snapshot(node: Node, name: str, content: bytes = b"data") -> None:
    """A snapshot file as rke leaves it: root's, mode 0600."""
    node.snapshots.mkdir(parents=True, exist_ok=True)
    path = node.snapshots / name
    path.write_bytes(content)
    path.chmod(0o600)


async def test_a_command_has_its_streams_and_exit_status(node: Node) -> None:
    """stdout, stderr and the exit status of a shell command arrive as they are."""
    done = await node.run("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.exit_status) == (b"out\n", b"err\n", 7)


async def test_streams_are_binary_safe_in_both_directions(node: Node) -> None:
    """Three megabytes of noise go through `cat` unchanged."""
    noise = os.urandom(3_000_000)
    done = await node.run("cat", stdin=noise)
    assert done.stdout == noise


async def test_a_command_killed_by_a_signal_says_so(node: Node) -> None:
    """A signal is reported as exit-signal, as sshd does."""
    done = await node.run("kill -9 $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "KILL"


async def test_a_signal_of_the_client_reaches_the_command(node: Node) -> None:
    """A client may end its command by SSH's signal request."""
    async with node.connect() as connection:
        process = await connection.create_process("echo ready; exec sleep 1000")
        await process.stdout.readline()
        process.terminate()
        done = await asyncio.wait_for(process.wait(), DEADLINE)
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "TERM"


async def test_a_vanished_client_does_not_end_its_command(node: Node) -> None:
    """Without a terminal sshd leaves the command alone; it goes on after the connection was cut."""
    flag = node.home / "flag"
    async with node.connect() as connection:
        process = await connection.create_process("echo ready; read line; echo done >flag")
        await process.stdout.readline()
        connection.abort()
    await until(flag.exists)


async def test_only_the_lab_key_is_accepted(machines: Machines, node: Node) -> None:
    """Another key, and another user, are refused."""
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for user, key in (("rke", stranger), ("root", machines.client_key)):
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                node.address,
                node.port,
                username=user,
                client_keys=[key],
                known_hosts=None,
                config=None,
                agent_path=None,
            )


async def test_known_hosts_verify_every_machine(machines: Machines) -> None:
    """The known_hosts file holds each machine's own key."""
    for host in machines.hosts:
        async with asyncssh.connect(
            host.address,
            host.port,
            username=host.user,
            client_keys=[str(machines.ssh_key)],
            known_hosts=str(machines.known_hosts),
            config=None,
            agent_path=None,
        ) as connection:
            assert (await connection.run("true")).exit_status == 0


async def test_an_eleventh_session_on_one_connection_is_refused(node: Node) -> None:
    """MaxSessions is ten, as in OpenSSH; ended sessions make room."""
    async with node.connect() as connection:
        processes = [await connection.create_process("cat") for _ in range(10)]
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process("cat")
        for process in processes:
            process.stdin.write_eof()
            await process.wait()
        assert (await connection.run("true")).exit_status == 0


async def test_snapshots_are_for_root_only(node: Node) -> None:
    """The SSH user sees that the directory exists and nothing in it; root reads it."""
    snapshot(node, "snap1")
    denied = await node.run("cat /opt/rke/etcd-snapshots/snap1")
    assert denied.exit_status == 1
    assert b"Permission denied" in raw(denied.stderr)
    allowed = await node.run("sudo -n cat /opt/rke/etcd-snapshots/snap1")
    assert allowed.stdout == b"data"


async def test_a_fresh_machine_has_none_of_the_paths(machines: Machines) -> None:
    """A virgin machine shows no /etc/kubernetes, no etcd data, no snapshots."""
    paths = "/etc/kubernetes /var/lib/etcd /opt/rke/etcd-snapshots"
    done = await machines.spares[0].run(f"for p in {paths}; do test -e $p && echo $p; done; true")
    assert done.stdout == b""


async def test_private_keys_are_for_root_only(machines: Machines, node: Node) -> None:
    """Certificates can be read by everybody, keys by root."""
    machines.pki.deploy(node.real("/etc/kubernetes/ssl"), [node.address])
    assert (await node.run("cat /etc/kubernetes/ssl/kube-ca.pem")).exit_status == 0
    assert (await node.run("cat /etc/kubernetes/ssl/kube-node-key.pem")).exit_status == 1
    assert (await node.run("sudo -n cat /etc/kubernetes/ssl/kube-node-key.pem")).exit_status == 0


async def test_a_script_on_stdin_gets_paths_as_arguments(node: Node) -> None:
    """Arguments are rewritten, the script is not."""
    snapshot(node, "snap1")
    done = await node.run("sudo -n sh -s -- /opt/rke/etcd-snapshots", stdin=b'ls "$1"; echo /opt/rke\n')
    assert done.stdout == b"snap1\n/opt/rke\n"


async def test_sudo_passes_stdin_status_and_user(node: Node) -> None:
    """sudo hands the streams through and runs as root."""
    done = await node.run("sudo -n sh -c 'id -u; cat; exit 3'", stdin=b"in")
    assert (done.stdout, done.exit_status) == (b"0\nin", 3)
    assert (await node.run("id -u")).stdout == b"1000\n"


async def test_sudo_can_be_switched_off(node: Node) -> None:
    """Without the right, sudo -n asks for a password."""
    node.sudo_off()
    done = await node.run("sudo -n true")
    assert (done.stderr, done.exit_status) == (b"sudo: a password is required\n", 1)
    node.sudo_on()
    assert (await node.run("sudo -n true")).exit_status == 0


async def test_a_killed_sudo_takes_its_command_along(machines: Machines, node: Node) -> None:
    """`timeout` around sudo ends the command behind it."""
    done = await node.run("timeout 0.2 sudo -n sleep 1000")
    assert done.exit_status == 124
    await until(lambda: not any(b"sleep" in command(pid) for pid in marked(machines.warden.token)))


async def test_the_bastion_forwards_to_a_node(machines: Machines, node: Node) -> None:
    """A node is reached through the bastion and through the RKE host, and nothing outside the lab is."""
    assert machines.bastion is not None
    for hop in (machines.bastion, machines.rke_host):
        async with (
            hop.connect() as outer,
            asyncssh.connect(
                node.address,
                node.port,
                tunnel=outer,
                username=node.user,
                client_keys=[machines.client_key],
                known_hosts=None,
                config=None,
                agent_path=None,
            ) as inner,
        ):
            assert (await inner.run("echo here")).stdout == "here\n"
            with pytest.raises(asyncssh.ChannelOpenError):
                await outer.open_connection("192.0.2.1", 22)


async def test_ssh_refused_and_accepted_again(node: Node) -> None:
    """A refused port is a refused connection; afterwards the same host key answers."""
    await node.ssh_refused()
    with pytest.raises(ConnectionRefusedError):
        await node.run("true")
    await node.ssh_accepted()
    assert (await node.run("true")).exit_status == 0


async def test_a_silent_ssh_server_never_answers(node: Node) -> None:
    """The port accepts and says nothing: only a deadline ends the attempt."""
    await node.ssh_silent()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(node.run("true"), 0.3)
    await node.ssh_accepted()


async def test_cutting_the_power_ends_sessions_and_what_they_left(machines: Machines) -> None:
    """A detached process on the RKE host does not survive its machine."""
    host = machines.rke_host
    await host.run("setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
    assert marked(f"{machines.warden.token}/{host.name}/")
    await host.down()
    await until(lambda: not marked(f"{machines.warden.token}/{host.name}/"))
    await host.up()
    assert (await host.run("true")).exit_status == 0


async def test_df_reports_the_figures_of_the_fault(node: Node) -> None:
    """A full disk is a matter of `df` alone."""
    node.disk(free_bytes=2048, total_bytes=1024 * 1024)
    plain = await node.run("df -P /opt/rke | tail -n 1")
    assert raw(plain.stdout).split()[1:4] == [b"1024", b"1022", b"2"]
    column = await node.run("sudo -n df -B1 --output=avail / | tail -n 1")
    assert column.stdout == b"2048\n"
    node.disk(None)
    assert (await node.run("df -P / | tail -n 1")).stdout != plain.stdout


async def test_curl_uploads_a_file_to_a_url_nobody_sees(node: Node) -> None:
    """The signed URL comes by `--config -`; the file's bytes and length arrive, `-w` reports the status."""
    received = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await received.put(head.split(b"\r\n")[0] + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    snapshot(node, "snap1", b"x" * 100_000)
    server = await asyncio.start_server(serve, node.address, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        config = f'url = "http://{node.address}:{port}/snap1?signature=1"\n'
        command = "sudo -n curl -sS -f -o /dev/null -w '%{http_code}' -T /opt/rke/etcd-snapshots/snap1 --config -"
        done = await node.run(command, stdin=config.encode())
    assert (done.stdout, done.exit_status) == (b"200", 0)
    assert await received.get() == b"PUT /snap1?signature=1 HTTP/1.1" + b"x" * 100_000


async def test_commands_are_recorded_as_sent(node: Node) -> None:
    """The log holds the client's own words."""
    await node.run("ls /opt/rke")
    assert node.ssh_log == ["ls /opt/rke"]


async def test_nothing_survives_a_killed_lab(tmp_path: Path) -> None:
    """SIGKILL to the lab process: its watcher ends every process, also detached ones."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _KILLED_LAB,
        str(tmp_path / "lab"),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    token, directory = (await asyncio.wait_for(child.stdout.readline(), DEADLINE)).decode().split()
    assert marked(token)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    await until(lambda: not marked(token) and not Path(directory).exists())


_KILLED_LAB = """
import asyncio, sys
from pathlib import Path
from tests.lab.nodes import Machines

async def main():
    async with Machines(Path(sys.argv[1]), nodes=1) as machines:
        await machines.bring_up()
        await machines.rke_host.run("setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
        print(machines.warden.token, machines.warden.directory, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def raw(data: bytes | str | None) -> bytes:
    """Output of a command that was run without an encoding."""
    assert isinstance(data, bytes)
    return data


def command(pid: int) -> bytes:
    """A process's command line, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a named condition; TimeoutError when it does not come true."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  # files and processes of others signal nothing
            await asyncio.sleep(0.01)
