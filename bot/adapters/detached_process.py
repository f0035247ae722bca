"""Commands that outlive connection and worker: started at most once per attempt, found again by their lock.

Per job, step and attempt a directory on the RKE host holds lock, started, log and exit; fence.sh writes them.
"""

from collections.abc import Sequence
from typing import Final

from bot.adapters.fence import ALREADY, BUSY, FencedMachine
from bot.engine.ports import Attempt, AttemptState, Launch, Observation
from bot.errors import Fatal

OUTPUT: Final = 256 * 1024  # bytes of output handed over per look
_STATES: Final = {
    "never": AttemptState.NEVER,
    "running": AttemptState.RUNNING,
    "ended": AttemptState.ENDED,
    "died": AttemptState.DIED,
}


class DetachedProcesses:
    """The detached commands of one cluster on its RKE host."""

    def __init__(self, host: FencedMachine, yml: str) -> None:
        self._host, self._yml = host, yml

    async def launch(self, attempt: Attempt, argv: Sequence[str]) -> Launch:
        """Start `argv` in the directory of rancher-cluster.yml with the cluster's lock held, at most once per attempt.

        Returns when `started` is on disk.
        """
        if (job := self._host.fence().job) != attempt.job:
            raise Fatal(f"Job {job} tried to launch an attempt of job {attempt.job}.")
        arguments = [str(attempt.step), str(attempt.attempt), self._yml, *argv]
        done = await self._host.mutate("launch", arguments, ok=(0, BUSY, ALREADY))
        return {0: Launch.STARTED, BUSY: Launch.BUSY}.get(done.status, Launch.ALREADY)

    async def observe(self, attempt: Attempt, offset: int) -> Observation:
        """The attempt as read under its lock, in one round trip."""
        place = [str(attempt.step), str(attempt.attempt), str(offset), str(OUTPUT)]
        done = await self._host.observe("observe", attempt.job, place)
        head, _, output = done.stdout.partition(b"\n")
        word, status, size = head.decode().split()
        return Observation(_STATES[word], int(status) if status != "-" else None, output, int(size))

    async def running(self, job: str) -> tuple[Attempt, ...]:
        """The attempts of that job whose lock is held."""
        done = await self._host.observe("running", job, [])
        places = (line.split() for line in done.stdout.decode().splitlines())
        return tuple(sorted((Attempt(job, int(step), int(number)) for step, number in places), key=_order))


def _order(attempt: Attempt) -> tuple[int, int]:
    return attempt.step, attempt.attempt
