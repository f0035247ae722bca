"""Which indexes an append changes: derived from the state before and after, so that they can be rebuilt from
the journals.
"""

from dataclasses import dataclass
from typing import Final

from bot.core.job import Job
from bot.core.plans import Kind
from bot.core.transitions import Phase

_QUEUED: Final = frozenset({Phase.QUEUED, Phase.AGAIN, Phase.GIVING_UP})

_WAITING: Final = frozenset({Phase.GATHERING, Phase.BLOCKED, Phase.VOTING, Phase.QUEUED})  # the clock may end these


@dataclass(frozen=True, slots=True)
class Effects:
    """`push` puts the job into its lane: "back", "front" or "". `remove` takes it out. `hold` is "set",
    "clear" or "". `deadline` is when the clock must look again (seconds since the epoch), 0 for never.
    `ended` moves the job from the open to the ended ones.
    """

    cluster: str
    gather: bool
    push: str
    remove: bool
    hold: str
    deadline: float
    ended: bool


def effects(before: Job, after: Job) -> Effects:
    """The index effects of one append that leads from `before` to `after`."""
    gather = after.phase is Phase.GATHERING and after.kind is Kind.RESTORE
    push = ""
    if after.phase in _QUEUED and before.phase is not after.phase:
        push = "back" if after.phase is Phase.QUEUED else "front"
    hold = ""
    if after.phase is Phase.ASKING:
        hold = "set"
    elif before.phase is Phase.ASKING:
        hold = "clear"
    return Effects(
        cluster=after.cluster,
        gather=gather and before.phase is not Phase.GATHERING,
        push=push,
        remove=after.ended,
        hold=hold,
        deadline=after.deadline if after.phase in _WAITING else 0,
        ended=after.ended,
    )
