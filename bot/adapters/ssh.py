"""SSH to machines: verified host keys, one connection per machine, a deadline for every command.

Host keys and client keys are read once: asyncssh would read known_hosts again at every connect, which takes most of the
CPU of a fan-out.
"""

import asyncio
import contextlib
import shlex
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import asyncssh

from bot.errors import BotError, Fatal, Refused, Retryable, Unreachable

_SESSIONS: Final = 8  # at once on one connection; sshd's MaxSessions is 10
_CHUNK: Final = 256 * 1024
_STALL: Final = 60.0  # seconds a stream may stand still
_CLOSED: Final = "SSH connection closed"  # asyncssh's own words for a channel on a connection that is gone
_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
_KEX: Final = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)

Input = bytes | AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to connect; `via` is the jump host."""

    address: str
    user: str
    port: int = 22
    via: "Machine | None" = None


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended. `status` is its exit status, 128 + n when signal n killed it."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def said(self) -> str:
        """The last line it wrote to stderr, else to stdout, for people."""
        lines = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace").splitlines()
        return lines[-1].strip() if lines else f"exit status {self.status}"


def script(text: str, *arguments: str | int) -> list[str]:
    """A shell text as argv; its arguments reach it as $1, $2, ..."""
    return ["sh", "-c", text, "sh", *map(str, arguments)]


@dataclass(frozen=True)
class SshKeys:
    """Everything SSH needs to trust and to be trusted, read once; build it with `load`."""

    known_hosts: asyncssh.SSHKnownHosts
    known_hosts_path: Path
    paths: tuple[Path, ...]
    options: asyncssh.SSHClientConnectionOptions

    @staticmethod
    def load(known_hosts: Path, keys: Sequence[Path], *, agent: str = "", connect_timeout: float = 10) -> "SshKeys":
        """Read the files. `agent` is the socket of an SSH agent, used after the keys. Raises Fatal, naming the file."""
        try:
            trusted = asyncssh.import_known_hosts(known_hosts.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Fatal(f"known_hosts {known_hosts} cannot be used: {error}.", "Name a file ssh reads.") from error
        pairs = [pair for path in keys for pair in _pairs(path)]
        options = asyncssh.SSHClientConnectionOptions(
            known_hosts=trusted,
            client_keys=pairs or None,
            agent_path=agent or None,
            config=None,
            encryption_algs=_CIPHERS,
            kex_algs=_KEX,
            compression_algs=["none"],
            preferred_auth="publickey",
            keepalive_interval=10,
            keepalive_count_max=3,
            connect_timeout=connect_timeout,
            login_timeout=connect_timeout,
        )
        return SshKeys(trusted, known_hosts, tuple(keys), options)


def _pairs(path: Path) -> Sequence[asyncssh.SSHKeyPair]:
    try:
        return asyncssh.load_keypairs(str(path))
    except (OSError, ValueError) as error:
        todo = "Give a private key without a passphrase that the bot's user can read, or use an agent."
        raise Fatal(f"SSH key {path} cannot be used: {error}.", todo) from error


@dataclass(slots=True)
class _Slot:
    """The one connection to a machine, made by whoever needs it first."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sessions: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_SESSIONS))
    connection: asyncssh.SSHClientConnection | None = None


class _Client(asyncssh.SSHClient):
    """Remembers the key of a host that is not trusted, to tell people about it."""

    offered: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """Called for keys that known_hosts does not hold: never trusted."""
        self.offered = key
        return False


class Machines:
    """Connections to the machines of one site, opened when needed and shared; `async with` closes them."""

    def __init__(self, keys: SshKeys, *, fan_out: int = 32) -> None:
        self._keys = keys
        self._connecting = asyncio.Semaphore(fan_out)
        self._slots: dict[Machine, _Slot] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A jump host is opened after its slot was made by a node behind it, so newest first closes inner ones first.
        for slot in reversed(self._slots.values()):
            if slot.connection is not None:
                slot.connection.abort()
                await slot.connection.wait_closed()

    async def run(
        self,
        machine: Machine,
        argv: Sequence[str],
        *,
        stdin: Input | None = None,
        timeout: float = 30,
        ok: Sequence[int] | None = (0,),
        limit: int = 4 << 20,
        name: str = "",
    ) -> Completed:
        """Run a command to its end, at most `timeout` seconds with connecting, its output at most `limit` bytes.

        `name` is what errors call it, by default the command itself. Raises Unreachable when it is not known whether it
        ended (it may still run), Refused when the machine does not let us in, Retryable when the exit status is not in
        `ok` (None: any will do) or the output is too long.
        """
        name = name or short(argv)
        try:
            async with asyncio.timeout(timeout):
                done = await self._run(machine, argv, stdin, limit, name)
        except TimeoutError as error:
            raise Unreachable(f"{machine.address} did not finish `{name}` within {timeout:.0f} s.") from error
        if ok is not None and done.status not in ok:
            raise Retryable(f"`{name}` failed on {machine.address}: {done.said}")
        return done

    async def _run(
        self, machine: Machine, argv: Sequence[str], stdin: Input | None, limit: int, name: str
    ) -> Completed:
        async with self._session(machine, argv, name) as process:
            feeding = asyncio.create_task(_feed(process, stdin))
            try:
                outputs = await asyncio.gather(_read(process.stdout, limit), _read(process.stderr, limit))
                await process.wait_closed()
            finally:
                feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding  # an error of the source of the bytes is the caller's to see
            if max(map(len, outputs)) > limit:
                raise Retryable(f"`{name}` on {machine.address} wrote more than {limit} bytes.")
            return Completed(_status(process, machine, name), *outputs)

    async def stream(self, machine: Machine, argv: Sequence[str]) -> AsyncIterator[bytes]:
        """The output of a command, piece by piece. Raises Retryable when it fails, Unreachable when it stands still."""
        name = short(argv)
        async with self._session(machine, argv, name) as process:
            errors = asyncio.create_task(_read(process.stderr, 64 * 1024))
            try:
                while data := await asyncio.wait_for(process.stdout.read(_CHUNK), _STALL):
                    yield data
                await asyncio.wait_for(process.wait_closed(), _STALL)
                status = _status(process, machine, name)
                if status:
                    done = Completed(status, b"", await errors)
                    raise Retryable(f"`{name}` failed on {machine.address}: {done.said}")
            except TimeoutError as error:
                raise Unreachable(f"{machine.address} stopped sending within `{name}`.") from error
            finally:
                errors.cancel()

    @contextlib.asynccontextmanager
    async def _session(
        self, machine: Machine, argv: Sequence[str], name: str
    ) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
        slot = self._slot(machine)
        try:
            async with slot.sessions:
                process = await self._process(machine, shlex.join(argv))
                try:
                    yield process
                finally:
                    process.close()
        except (OSError, asyncssh.Error) as error:
            raise Unreachable(
                f"The SSH connection to {machine.address} broke during `{name}`: {_reason(error)}.",
                "Check that the machine runs and answers on its SSH port.",
            ) from error

    async def _process(self, machine: Machine, command: str) -> asyncssh.SSHClientProcess[bytes]:
        """Start a command. A connection that turns out to be dead before anything was sent is made anew, once."""
        connection = await self._connection(machine)
        try:
            return await connection.create_process(command, encoding=None)
        except asyncssh.ChannelOpenError as error:
            if error.reason != _CLOSED:
                raise
        slot = self._slot(machine)
        if slot.connection is connection:
            slot.connection = None
        return await (await self._connection(machine)).create_process(command, encoding=None)

    def _slot(self, machine: Machine) -> _Slot:
        return self._slots.setdefault(machine, _Slot())

    async def _connection(self, machine: Machine) -> asyncssh.SSHClientConnection:
        """The open connection to a machine."""
        slot = self._slot(machine)
        async with slot.lock:
            if slot.connection is None or slot.connection.is_closed():
                slot.connection = None
                via = None if machine.via is None else await self._connection(machine.via)
                async with self._connecting:
                    slot.connection = await self._connect(machine, via)
            return slot.connection

    async def _connect(
        self, machine: Machine, via: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        client = _Client()
        try:
            return await asyncssh.connect(
                machine.address,
                machine.port,
                username=machine.user,
                tunnel=via or (),
                options=self._keys.options,
                client_factory=lambda: client,
            )
        except (OSError, asyncssh.Error) as error:
            raise self._told(machine, error, client.offered) from error

    def _told(self, machine: Machine, error: Exception, offered: asyncssh.SSHKey | None) -> BotError:
        """What an operator needs to know when a machine cannot be entered."""
        where, path = f"{machine.address}, port {machine.port}", self._keys.known_hosts_path
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return self._untrusted(machine, offered)
        if isinstance(error, asyncssh.PermissionDenied):
            keys = ", ".join(map(str, self._keys.paths)) or "the agent's keys"
            todo = f"Add the public key to ~{machine.user}/.ssh/authorized_keys there, or correct user and key."
            return Refused(f"{where} does not let user {machine.user} in with {keys}.", todo)
        if isinstance(error, asyncssh.KeyExchangeFailed):
            todo = f"Check which host keys and ciphers its sshd offers and which key {path} holds for it."
            return Refused(f"{where} and the bot have no common SSH algorithm: {_reason(error)}.", todo)
        if isinstance(error, asyncssh.ChannelOpenError) and machine.via is not None:
            todo = f"Check from {machine.via.address} that the address is right and sshd there allows TCP forwarding."
            return Unreachable(f"{machine.via.address} could not connect to {where}: {_reason(error)}.", todo)
        todo = "Check that the machine runs and that its SSH port is open from here."
        return Unreachable(f"{where} does not answer over SSH: {_reason(error)}.", todo)

    def _untrusted(self, machine: Machine, offered: asyncssh.SSHKey | None) -> Refused:
        path, address = self._keys.known_hosts_path, machine.address
        known = self._keys.known_hosts.match(address, "", machine.port)[0]
        name = address if machine.port == 22 else f"[{address}]:{machine.port}"
        line = "" if offered is None else f"{name} {offered.export_public_key().decode().strip()}"
        if known:
            what = f"THE HOST KEY OF {address} HAS CHANGED: somebody listens in, or the machine was set up anew."
            todo = f"Only if you know why: replace its line in {path} by: {line}"
        else:
            what = f"The host key of {address} is not known, so nobody can tell whether it is the right machine."
            todo = f"Compare the key with the machine's own (/etc/ssh/ssh_host_*.pub), then add to {path}: {line}"
        return Refused(what, todo)


async def _feed(process: asyncssh.SSHClientProcess[bytes], stdin: Input | None) -> None:
    """Send the input; when its source fails, the command must not take what came so far for the whole."""
    try:
        if isinstance(stdin, bytes):
            await _write(process, stdin)
        elif stdin is not None:
            async for chunk in stdin:
                await _write(process, chunk)
        process.stdin.write_eof()
    except (BrokenPipeError, ConnectionError, asyncssh.Error):
        return  # the command ended early; its status says why
    except BaseException:
        process.close()
        raise


async def _write(process: asyncssh.SSHClientProcess[bytes], data: bytes) -> None:
    view = memoryview(data)
    for start in range(0, len(view), _CHUNK):
        process.stdin.write(bytes(view[start : start + _CHUNK]))
        await process.stdin.drain()


async def _read(stream: asyncssh.SSHReader[bytes], limit: int) -> bytes:
    """All output, of which a little more than `limit` bytes are kept."""
    kept = bytearray()
    while data := await stream.read(_CHUNK):
        if len(kept) <= limit:
            kept += data
    return bytes(kept)


def _status(process: asyncssh.SSHClientProcess[bytes], machine: Machine, command: str) -> int:
    if process.exit_status is not None and process.exit_status >= 0:
        return process.exit_status
    if process.exit_signal:
        name = f"SIG{process.exit_signal[0]}"
        return 128 + (signal.Signals[name] if name in signal.Signals.__members__ else 0)
    raise Unreachable(f"The SSH connection to {machine.address} broke during `{command}`.")


def short(argv: Sequence[str]) -> str:
    """A command as people know it: without the texts of scripts."""
    words = [word for word in argv if "\n" not in word and word not in {"sh", "-c"}]
    text = " ".join(words)
    return text if len(text) <= 80 else text[:79] + "…"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, asyncssh.Error):
        return error.reason.rstrip(".")
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
