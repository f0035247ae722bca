"""What stands around a job and is no event: read alike for its living message and for `status`."""

from collections.abc import Mapping

from bot.core.job import Job
from bot.core.transitions import Phase
from bot.engine.ports import Occupancy
from handlers.blocks.message import View


def lost(job: Job, about: Occupancy) -> bool:
    """Whether a job that has a worker seems to be without one. Job and queue are read one after the other, so that one
    look may fall into a hand-over: believe it only when the next look says so too.
    """
    gone = about.job == job.id and not about.alive
    return gone or (job.phase is Phase.RUNNING and about.job != job.id)


def view(job: Job, about: Occupancy, lines: Mapping[str, str], now: float, *, worker_alive: bool) -> View:
    """What a renderer is given; `now` in seconds since the epoch."""
    holder = about.hold or about.job
    ahead = about.waiting.index(job.id) if job.id in about.waiting else 0
    return View(now, lines, worker_alive=worker_alive, ahead=ahead, holder="" if holder == job.id else holder)
