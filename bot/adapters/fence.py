"""The fence on every machine: mutating commands run only while nobody with a newer right to act has been there.

One small shell script does it for all of them. It travels on stdin, so that nothing has to be installed; paths and
values are its arguments, and what follows it on stdin is the command's input.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import resources
from typing import Final

from bot.adapters.ssh import Completed, Input, Machine, Machines, script, short
from bot.engine.ports import Fence, Mark
from bot.errors import BotError, Fatal, Fenced, Refused, Retryable, Unreachable

_SCRIPT: Final = "\n".join(
    line
    for line in resources.files("bot.adapters").joinpath("fence.sh").read_text(encoding="ascii").splitlines()
    if not line.lstrip().startswith("#")
)
# dd takes exactly the script's bytes off stdin; head or read may take more. A script cut short is not run.
_BOOT: Final = (
    f"wrapper=$(dd bs=1 count={len(_SCRIPT)} 2>/dev/null)\n"
    f'if [ ${{#wrapper}} -eq {len(_SCRIPT)} ]; then eval "$wrapper"; else exit 97; fi'
)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]*")
_ANSWER: Final = re.compile(rb"^etcd-snapshot-bot: (\w+) ?(.*)$", re.MULTILINE)
_NONE: Final = "-"

FENCED: Final = 91
BUSY: Final = 93
ALREADY: Final = 94
NO_FLOCK: Final = 96


class FencedMachine:
    """A machine with the fence of one cluster. `marked` machines (the RKE host) also keep the marker of the journal."""

    def __init__(
        self,
        machines: Machines,
        machine: Machine,
        cluster: str,
        fence: Callable[[], Fence] | None,
        *,
        marked: bool = False,
    ) -> None:
        self.machines, self.machine = machines, machine
        self._cluster, self._fence, self._marked = cluster, fence, marked

    def fence(self) -> Fence:
        """Our right to act as of now. Raises Fatal when we have none."""
        if self._fence is None:
            raise Fatal(f"A change on {self.machine.address} was tried without a lease.")
        return self._fence()

    async def raise_fence(self, timeout: float = 60) -> Mark | None:
        """Raise the fence to our token; the marker that a marked machine holds. It does not move yet, for its job: the
        next change under this token moves it, so compare it with the journal first.

        Waits while a fenced command of an older owner still runs. Raises Unreachable when it outlasts `timeout`.
        """
        done = await self.mutate("raise", [], timeout=timeout)
        job, version, mac = done.stdout.decode().split()
        return None if job == _NONE else Mark(job, int(version), mac)

    async def run(
        self, argv: Sequence[str], *, stdin: Input | None = None, timeout: float = 60, ok: Sequence[int] | None = (0,)
    ) -> Completed:
        """Run a mutating command under the fence; like `Machines.run`. Raises Fenced when a newer owner was here."""
        return await self.mutate("run", argv, stdin=stdin, timeout=timeout, ok=ok)

    async def mutate(
        self,
        mode: str,
        arguments: Sequence[str],
        *,
        stdin: Input | None = None,
        timeout: float = 60,
        ok: Sequence[int] | None = (0,),
    ) -> Completed:
        """Call the wrapper in a mode that checks and raises the fence. Raises Fatal when we have none."""
        fence = self.fence()
        mark = (fence.job, str(fence.version), fence.mac) if self._marked else (_NONE, "0", _NONE)
        patience = max(1, int(timeout * 0.8))
        head = [mode, fence.cluster, str(fence.token), fence.owner, str(patience), *mark]
        return await self._call(head, arguments, stdin, timeout, ok)

    async def observe(
        self, mode: str, job: str, arguments: Sequence[str], *, timeout: float = 30, limit: int = 4 << 20
    ) -> Completed:
        """Call the wrapper in a mode that changes nothing."""
        head = [mode, self._cluster, "0", _NONE, "0", job, "0", _NONE]
        return await self._call(head, arguments, None, timeout, (0,), limit)

    async def _call(
        self,
        head: Sequence[str],
        arguments: Sequence[str],
        stdin: Input | None,
        timeout: float,
        ok: Sequence[int] | None,
        limit: int = 4 << 20,
    ) -> Completed:
        if bad := [word for word in head if word != _NONE and not _WORD.fullmatch(word)]:
            raise Fatal(f"{bad[0]!r} is no word the fence can carry.")
        argv = [*script(_BOOT, *head), *arguments]
        text = _SCRIPT.encode()
        data = text + stdin if isinstance(stdin, bytes) else text if stdin is None else _after(text, stdin)
        name = short(arguments) or head[0]
        done = await self.machines.run(self.machine, argv, stdin=data, timeout=timeout, ok=None, limit=limit, name=name)
        if FENCED <= done.status <= NO_FLOCK and (error := self._refusal(done)):
            raise error
        if ok is not None and done.status not in ok:
            raise Retryable(f"`{name}` failed on {self.machine.address}: {done.said}")
        return done

    def _refusal(self, done: Completed) -> BotError | None:
        """The wrapper's own refusal; None when the status is the command's."""
        found = _ANSWER.search(done.stderr)
        if found is None:
            return None
        detail, where = found[2].decode(errors="replace"), self.machine.address
        match done.status:
            case 91:
                floor = int(detail) if detail.isdigit() else 0
                return Fenced(f"{where} has heard of a newer worker (token {floor}).", floor)
            case 92:
                return Unreachable(f"A command of an earlier worker still runs on {where}.", "It is waited for.")
            case 95:
                what = f"The bot cannot keep its state on {where}: {found[0].decode(errors='replace')[19:]}."
                return Refused(what, f"Check owner, rights and free space there (user {self.machine.user}).")
            case 96:
                return Refused(f"{where} has no flock, which the bot needs.", "Install the package util-linux there.")
        return None  # busy and already are answers, not errors


async def _after(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk
