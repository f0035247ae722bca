"""Switches that make the workspace misbehave as the real one does on its bad days."""

from dataclasses import dataclass, field
from typing import Literal

from tests.lab.slack.wire import SlackError

Lost = Literal["request", "reply"]


@dataclass
class _Planned:
    method: str
    times: int
    error: SlackError | None = None
    lost: Lost | None = None


@dataclass
class Faults:
    """What shall go wrong next. Planned faults hit calls in the order in which they were planned."""

    broken_status: int | None = None
    _planned: list[_Planned] = field(default_factory=list)

    def plan(self, method: str, times: int, *, error: SlackError | None = None, lost: Lost | None = None) -> None:
        """Let the next `times` calls of `method` (`*` for any) fail with `error`, or lose request or reply."""
        self._planned.append(_Planned(method, times, error, lost))

    def _take(self, method: str, *, lost: bool) -> _Planned | None:
        for one in self._planned:
            if one.method in (method, "*") and one.times > 0 and (one.lost is not None) == lost:
                one.times -= 1
                return one
        return None

    def lost(self, method: str) -> Lost | None:
        """Whether this call loses its request (nothing is done) or its reply (it is done)."""
        planned = self._take(method, lost=True)
        return planned.lost if planned else None

    def check(self, method: str) -> None:
        """Raise the planned error of this call, if there is one."""
        if self.broken_status is not None:
            raise SlackError("service_unavailable", {"status": self.broken_status}, injected=True)
        planned = self._take(method, lost=False)
        if planned is not None and planned.error is not None:
            error = planned.error
            raise SlackError(error.error, dict(error.details), injected=True)
