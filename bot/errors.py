"""Every error of the bot. A class says what to do next; the texts say it to the person who reads them.

    BotError              what happened (`what`), what to do (`todo`)
    |- Refused            the request cannot be done as asked; nothing was queued, nothing is lost
    |- Retryable          may work later, trying again is safe
    |  |- Unreachable     a machine or service did not answer in time
    |  `- Conflict        somebody else wrote first: read again, decide again
    |- NeedsPerson        only a person can decide how to go on; the job stops and asks
    |- Fenced             this worker's right to act has passed to another one: stop, change nothing
    `- Fatal              a broken invariant or configuration: stop

The lowest layer: imports nothing of the project.
"""


class BotError(Exception):
    """Base class. `what` is one sentence of fact, `todo` one sentence of advice (may be empty); both are
    shown to people.
    """

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what} {self.todo}".strip()


class Refused(BotError):
    """The request cannot be done as asked. Answered privately; nothing was queued."""


class Retryable(BotError):
    """May work later; trying again is safe."""


class Unreachable(Retryable):
    """A machine or a service did not answer in time, so it is not known whether it did what was asked."""


class Conflict(Retryable):
    """Somebody else wrote to the journal first: read again and decide again."""


class NeedsPerson(BotError):
    """Only a person can decide how to go on. `lines` describe the state, one line per node or fact."""

    def __init__(self, what: str, todo: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(what, todo)
        self.lines = lines


class Fenced(BotError):
    """This worker's right to act has passed to another one. `floor` is the token the machine knows, 0 if
    unknown.
    """

    def __init__(self, what: str, floor: int = 0) -> None:
        super().__init__(what)
        self.floor = floor


class Fatal(BotError):
    """A broken invariant or configuration: the process or the job must stop."""
