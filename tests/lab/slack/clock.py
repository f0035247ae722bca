"""Slack's clock, which tests may move: triggers, response URLs and rate budgets expire by it."""

import time


class Clock:
    """Wall time plus an offset; `freeze` stops it until `thaw`."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen: float | None = None

    def now(self) -> float:
        """Seconds since 1970, as Slack sees them."""
        return self._frozen if self._frozen is not None else time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        if self._frozen is not None:
            self._frozen += seconds
        self._offset += seconds

    def freeze(self) -> None:
        """Stop the clock, so that nothing expires while a slow machine works."""
        self._frozen = self.now()

    def thaw(self) -> None:
        """Let the clock run on from where it stands."""
        if self._frozen is not None:
            self._offset = self._frozen - time.time()
            self._frozen = None
