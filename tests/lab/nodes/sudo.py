"""``sudo -n`` on a lab machine: runs the command with root's view of the files."""

import asyncio
import signal
from collections.abc import Callable, Mapping

from tests.lab.nodes.gate import Call, PipedCall
from tests.lab.nodes.paths import MachinePaths
from tests.lab.nodes.processes import signal_group, spawn

_WITH_VALUE = frozenset({"-u", "-g", "-p", "-C", "-h", "--user", "--group", "--prompt"})


class Sudo:
    """Carries out sudo calls of one machine; ``allowed`` is the fault switch."""

    def __init__(self, paths: MachinePaths, environment: Callable[[], Mapping[str, str]]) -> None:
        self.allowed = True
        self._paths = paths
        self._environment = environment

    async def __call__(self, call: PipedCall) -> int:
        """Run the command; returns its status, 1 where sudo itself refuses."""
        if not self.allowed:
            await call.err("sudo: a password is required\n")
            return 1
        settings, command = split(list(call.argv))
        if not command:
            return await _usage(call)
        env = {**self._environment(), **settings}
        try:
            child = await spawn(
                [self._paths.as_root(word) for word in command],
                env=env,
                cwd=call.cwd,
                stdin=call.stdin,
                stdout=call.stdout,
                stderr=call.stderr,
            )
        except FileNotFoundError:
            await call.err(f"sudo: {command[0]}: command not found\n")
            return 1
        except PermissionError:
            await call.err(f"sudo: unable to execute {command[0]}: Permission denied\n")
            return 1
        return await _wait(call, child)


async def _usage(call: Call) -> int:
    await call.err("usage: sudo -h | -K | -k | -V\nusage: sudo [-AbEHknPS] [-u user] [VAR=value] [command]\n")
    return 1


async def _wait(call: Call, child: asyncio.subprocess.Process) -> int:
    """Wait for the command; a sudo that is killed takes its command along, as sudo relays signals."""
    ended = asyncio.ensure_future(child.wait())
    gone = asyncio.ensure_future(call.gone())
    try:
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            signal_group(child.pid, signal.SIGTERM)
        status = await ended
    finally:
        gone.cancel()
    return status if status >= 0 else 128 - status


def split(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Separate sudo's options and assignments from the command; ``-v`` becomes a command that does nothing."""
    settings: dict[str, str] = {}
    while argv:
        word = argv.pop(0)
        if word == "--":
            return settings, argv
        if word in _WITH_VALUE:
            argv = argv[1:]
        elif word in {"-v", "--validate"}:
            return settings, ["true"]
        elif word.startswith("-"):
            continue
        elif "=" in word and word.split("=")[0].isidentifier():
            name, _, value = word.partition("=")
            settings[name] = value
        else:
            return settings, [word, *argv]
    return settings, []
