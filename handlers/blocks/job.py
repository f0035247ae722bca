"""The living message of a job: one function of its state, in every phase."""

from collections.abc import Callable
from typing import Final

from bot.core.job import Job
from bot.core.plans import Kind
from bot.core.transitions import Phase
from handlers.blocks import before, during, ends, kit, saved
from handlers.blocks.kit import finished
from handlers.blocks.message import Message, View

_Renderer = Callable[[Job, View], before.Draft]

_COMMON: Final[dict[Phase, _Renderer]] = {
    Phase.NEW: before.waiting,
    Phase.GATHERING: before.waiting,
    Phase.APPROVED: before.waiting,
    Phase.QUEUED: before.waiting,
    Phase.RUNNING: during.running,
    Phase.ASKING: during.asking,
    Phase.AGAIN: during.chosen,
    Phase.GIVING_UP: during.chosen,
    Phase.FAILED: ends.failed,
    Phase.CANCELLED: ends.cancelled,
    Phase.EXPIRED: ends.expired,
}
_RENDERERS: Final[dict[Kind, dict[Phase, _Renderer]]] = {
    Kind.SAVE: _COMMON | {Phase.SUCCEEDED: saved.succeeded, Phase.PARTIAL: saved.partial},
    Kind.RESTORE: _COMMON
    | {
        Phase.GATHERING: before.gathering,
        Phase.BLOCKED: before.blocked,
        Phase.VOTING: before.voting,
        Phase.DENIED: ends.denied,
        Phase.SUCCEEDED: ends.restore_succeeded,
        Phase.PARTIAL: ends.restore_partial,
    },
}


def job_message(job: Job, view: View) -> Message:
    """The message of a job as it stands. The same state gives the same message."""
    text, blocks = _RENDERERS[job.kind][job.phase](job, view)
    return finished(text, blocks)


def job_status(job: Job, view: View) -> Message:
    """A copy of a job's message for `status`: the living one is elsewhere, so no buttons and no checklist here."""
    text, blocks = _RENDERERS[job.kind][job.phase](job, view)
    kept = [block for block in blocks if block["type"] not in ("actions", "plan")]
    return finished(text, [*kept, kit.context("As of now. The message at the top of the job's thread stays current.")])
