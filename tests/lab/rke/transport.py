"""One SSH connection per node, and `docker …` through it: the double touches a node in no other way.

Dialling errors are worded as rke words them; transcripts `v0.1.20-save-ssh-port-refused.txt`,
`-save-node-3-unreachable.txt`, `-key-file-missing.txt`, `-key-not-accepted.txt`, `-encrypted-key.txt`,
`-save-docker-socket-missing.txt`. rke does not check host keys.
"""

import asyncio
import errno
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from .config import Bastion, Host
from .log import RkeError

NO_DAEMON = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
DURING_CONNECT = 'error during connect: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/{path}": {error}'
NO_SOCKET = (
    "Unable to access the service on /var/run/docker.sock. The service might be still starting up. "
    "Error: ssh: rejected: connect failed (open failed)"
)


@dataclass(frozen=True)
class Result:
    """What one docker command left: exit status and both streams."""

    status: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output without its last newline."""
        return self.out.decode(errors="replace").strip()

    @property
    def error(self) -> str:
        """Standard error as the docker API would have said it."""
        return (
            self.err.decode(errors="replace")
            .strip()
            .removeprefix("docker: ")
            .removesuffix(".\nSee 'docker run --help'.")
        )


def shell_word(word: str) -> str:
    """Quote one word so that no path in it can be recognised before the shell has read it.

    Lab nodes have no root directory of their own and redirect the paths of a session's command line. What is meant
    for dockerd has to arrive unchanged, else `docker inspect` shows other words than rke gave and the next run
    replaces the container. To a shell, '/opt' and '/''opt' are the same.
    """
    return shlex.quote(word) if "/" not in word else "'" + word.replace("'", "'\"'\"'").replace("/", "/''") + "'"


class Transport:
    """`docker …` on one node. Raises RkeError when the node or its dockerd went away meanwhile."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection = connection

    async def docker(self, *arguments: str, stdin: bytes | None = None, timeout: float | None = None) -> Result:
        """Run one docker command; after `timeout` seconds rke gives up with its misleading "Cannot connect"."""
        command = " ".join(("docker", *(shell_word(word) for word in arguments)))
        try:
            done = await asyncio.wait_for(
                self.connection.run(command, input=stdin or b"", encoding=None), timeout=timeout
            )
        except (TimeoutError, asyncssh.Error, OSError) as error:
            raise RkeError(NO_DAEMON) from error
        result = Result(_status(done), _bytes(done.stdout), _bytes(done.stderr))
        if result.status and b"to the Docker daemon" in result.err:
            # rke reaches the socket through ssh: no daemon and no right to the socket look the same
            raise RkeError(DURING_CONNECT.format(path=arguments[0], error=NO_SOCKET))
        return result

    def close(self) -> None:
        """Drop the connection."""
        self.connection.close()


def _status(done: asyncssh.SSHCompletedProcess) -> int:
    return done.exit_status if done.exit_status is not None else 255


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def key_text(inline: str, path: str) -> str:
    """The private key's text: `ssh_key` wins over `ssh_key_path`."""
    if inline:
        return inline
    try:
        return Path(path).expanduser().read_text()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RkeError(
            f"Can't establish dialer connection: Error while reading SSH key file: open {path}: {reason}"
        ) from error


async def dial(host: Host, bastion: Bastion | None, use_agent: bool) -> Transport:
    """Connect to one node; raises RkeError with the reason rke would print."""
    key = "" if use_agent else key_text(host.ssh_key, host.ssh_key_path)
    hop_key = "" if use_agent or bastion is None else key_text(bastion.ssh_key, bastion.ssh_key_path)
    try:
        if bastion is None:
            return Transport(await _connect(host.address, host.port, host.user, key))
        hop = await _connect(bastion.address, bastion.port, bastion.user, hop_key)
        return Transport(await _connect(host.address, host.port, host.user, key, tunnel=hop))
    except (asyncssh.Error, OSError, asyncssh.KeyImportError) as error:
        raise RkeError(_info_error(host, error)) from error


async def _connect(
    address: str, port: str, user: str, key: str, tunnel: asyncssh.SSHClientConnection | None = None
) -> asyncssh.SSHClientConnection:
    keys = [asyncssh.import_private_key(key)] if key else ()
    agent = os.environ.get("SSH_AUTH_SOCK") if not key else None
    return await asyncssh.connect(
        address,
        int(port),
        username=user,
        client_keys=keys,
        agent_path=agent,
        known_hosts=None,
        tunnel=tunnel or (),
        config=None,
        preferred_auth="publickey",
        keepalive_interval=5,
    )


def _info_error(host: Host, error: Exception) -> str:
    where = f"{host.address}:{host.port}"
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return f"Can't retrieve Docker Info: {NO_DAEMON}"
    if isinstance(error, OSError):
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        text = f"Failed to dial ssh using address [{where}]: dial tcp {where}: connect: {reason}"
    elif isinstance(error, asyncssh.KeyImportError):
        text = _bad_key(where, error)
    elif isinstance(error, asyncssh.PermissionDenied):
        text = (
            f"Unable to access node with address [{where}] using SSH. Please check if you are able to SSH to the "
            "node using the specified SSH Private Key and if you have configured the correct SSH username. Error: "
            "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported "
            "methods remain"
        )
    else:
        text = f"Failed to dial ssh using address [{where}]: {error}"
    return "Can't retrieve Docker Info: " + DURING_CONNECT.format(path="info", error=text)


def _bad_key(where: str, error: asyncssh.KeyImportError) -> str:
    begin = f"Unable to access node with address [{where}] using SSH. "
    if "passphrase" in str(error).lower() or "encrypted" in str(error).lower():
        return begin + (
            "Using encrypted private keys is only supported using ssh-agent. Please configure the option "
            "`ssh_agent_auth: true` in the configuration file or use --ssh-agent-auth as a parameter when running "
            "RKE. This will use the `SSH_AUTH_SOCK` environment variable. Error: Error configuring SSH: ssh: cannot "
            "decode encrypted private keys"
        )
    return begin + (
        "Please check if the configured key or specified key file is a valid SSH Private Key. "
        "Error: Error configuring SSH: ssh: no key found"
    )
