"""The lab's machines as far as SSH goes: what a node, the RKE host and a bastion have in common."""

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests.lab.nodes import stub
from tests.lab.nodes.direct import Direct
from tests.lab.nodes.gate import Gate, Handler, PipedCall
from tests.lab.nodes.paths import MachinePaths
from tests.lab.nodes.processes import Warden, spawn
from tests.lab.nodes.scripts import ID, SHEBANG, write_script
from tests.lab.nodes.sshd import Sshd
from tests.lab.nodes.standins import write_curl, write_df
from tests.lab.nodes.sudo import Sudo
from tests.lab.nodes.userview import UserView

PORT = 2222
USER = "rke"
SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Site:
    """What all machines of one lab share."""

    base: Path
    warden: Warden
    client_key: asyncssh.SSHKey


class Host:
    """A machine with an SSH server, its own host key and its own files; the user may use ``sudo -n``."""

    def __init__(self, site: Site, name: str, address: str) -> None:
        self.site = site
        self.name = name
        self.address = address
        self.port = PORT
        self.user = USER
        self.paths = MachinePaths(site.base / name)
        self._user_view = UserView(self.paths)
        self.env: dict[str, str] = {}
        self.sshd = Sshd(address, PORT, USER, self._start_command, self._direct)
        self.sshd.accepted_keys.append(site.client_key.convert_to_public())
        self.sudo = Sudo(self.paths, lambda: self.environment(root=True))
        self._gate = Gate(site.warden.directory / f"{name}.sock", self._handlers())

    # --- places -------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The directory that holds everything of this machine."""
        return self.paths.root

    @property
    def fs(self) -> Path:
        """Root's view of the machine's file system."""
        return self.paths.fs

    @property
    def home(self) -> Path:
        """HOME of the SSH user."""
        return self.paths.home

    @property
    def bin(self) -> Path:
        """The user's programs that come before the system's."""
        return self.paths.bin

    @property
    def host_key(self) -> asyncssh.SSHKey:
        """The server's own key."""
        return self.sshd.host_key

    @property
    def ssh_log(self) -> list[str]:
        """The commands clients ran, as they sent them."""
        return self.sshd.log

    @property
    def known_hosts_line(self) -> str:
        """This machine's line for a known_hosts file."""
        return f"[{self.address}]:{self.port} {self.host_key.export_public_key().decode().strip()}\n"

    def real(self, path: str) -> Path:
        """Where a path of this machine really is."""
        return self.paths.real(path)

    # --- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Make the files, listen for stubs and for SSH."""
        self.paths.create()
        self._write_programs()
        self._gate.start()
        await self.sshd.open()

    async def stop(self) -> None:
        """Close the server and kill whatever runs here."""
        await self.sshd.close()
        await self.sshd.drop_background()
        self.site.warden.sweep(self.name)
        await self._gate.stop()

    async def down(self) -> None:
        """Cut the power: connections are gone, processes killed, the port closed."""
        await self.sshd.close()
        self.site.warden.sweep(self.name)

    async def up(self) -> None:
        """Power on again with the same host key and files."""
        await self.sshd.open()

    async def ssh_refused(self) -> None:
        """Refuse SSH; everything else on the machine goes on."""
        await self.sshd.close()

    async def ssh_silent(self) -> None:
        """Accept SSH connections and never answer."""
        await self.sshd.silence()

    async def ssh_accepted(self) -> None:
        """End ``ssh_refused`` and ``ssh_silent``."""
        await self.sshd.open()

    def drop_connections(self) -> None:
        """Cut all SSH connections once; commands on the machine go on."""
        for connection in list(self.sshd.connections):
            connection.abort()

    def environment(self, *, root: bool = False) -> dict[str, str]:
        """The environment of a command run by the user, or by root."""
        bin_, home, user = (self.paths.root_bin, self.fs / "root", "root") if root else (self.bin, self.home, self.user)
        return {
            "PATH": f"{bin_}:{SYSTEM_PATH}",
            "HOME": str(home),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/sh",
            "TMPDIR": str(self.paths.tmp),
            **self.env,
            **self.site.warden.mark(self.name),
        }

    # --- use from tests -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """An SSH connection with the lab's client key and this machine's host key."""
        known = asyncssh.import_known_hosts(self.known_hosts_line)
        async with asyncssh.connect(
            self.address,
            self.port,
            username=self.user,
            client_keys=[self.site.client_key],
            known_hosts=known,
            config=None,
            agent_path=None,
        ) as connection:
            yield connection

    async def run(
        self, command: str, *, stdin: bytes | None = None, check: bool = False
    ) -> asyncssh.SSHCompletedProcess:
        """Run one command over SSH; output is bytes. ``check`` raises asyncssh.ProcessError on failure."""
        async with self.connect() as connection:
            return await connection.run(command, input=stdin, check=check, encoding=None)

    # --- inside -------------------------------------------------------------------------------------------

    def _direct(self, command: str) -> Direct | None:
        """How to carry out a command without a shell; None when one is needed."""
        return None

    async def _start_command(self, command: str) -> asyncio.subprocess.Process:
        self._user_view.refresh()
        return await spawn(
            ["/bin/sh", "-c", self.paths.as_user(command)],
            env=self.environment(),
            cwd=self.home,
            stdin=asyncio.subprocess.PIPE,
            unprivileged=True,
        )

    def _handlers(self) -> dict[str, Handler]:
        return {"sudo": self._sudo}

    async def _sudo(self, call: PipedCall) -> int:
        return await self.sudo(call)

    def _write_programs(self) -> None:
        """Put the machine's own programs first in both search paths."""
        for directory, uid, user in ((self.bin, 1000, self.user), (self.paths.root_bin, 0, "root")):
            for kind in self._handlers():
                self.write_stub(directory / kind, kind)
            write_script(directory / "id", ID.format(uid=uid, user=user))
            write_script(directory / "whoami", f"echo {user}\n")
            write_df(directory / "df", self.paths.df_switch)
            write_curl(directory / "curl")

    def write_stub(self, path: Path, kind: str) -> None:
        """Write a program that hands its call to the lab."""
        write_script(path, self._stub(kind))

    def has_stub(self, path: Path, kind: str) -> bool:
        """Whether the program is still the one the lab wrote; a test may have put another in its place."""
        return path.exists() and path.read_text() == f"{SHEBANG}{self._stub(kind)}"

    def _stub(self, kind: str) -> str:
        interpreter, script = shlex.quote(sys.executable), shlex.quote(str(Path(stub.__file__)))
        socket = shlex.quote(str(self._gate.path))
        return f'exec {interpreter} -S -E -I {script} {kind} {socket} "$@"\n'
