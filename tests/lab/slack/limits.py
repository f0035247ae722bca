"""Rate budgets per method, as Slack's tiers give them: full at the start, refilled evenly.

Source: docs.slack.dev/apis/web-api/rate-limits. Slack documents "50+ per minute"; the lab allows exactly that.
"""

import math
from dataclasses import dataclass, field

from tests.lab.slack.clock import Clock
from tests.lab.slack.wire import SlackError

TIER_PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}
_TIERS = {
    2: ("usergroups.list", "usergroups.users.list", "users.list", "conversations.join"),
    3: (
        "chat.update",
        "chat.delete",
        "reactions.add",
        "conversations.open",
        "conversations.info",
        "conversations.history",
        "conversations.replies",
    ),
    4: (
        "chat.postEphemeral",
        "users.info",
        "conversations.members",
        "views.open",
        "views.push",
        "views.update",
        "views.publish",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
    ),
}
#: chat.postMessage: about one per second and channel, short bursts allowed.
POST_BURST, POST_PER_SECOND = 5, 1.0


@dataclass(frozen=True)
class Rate:
    """A bucket of `burst` calls that refills with `per_second`."""

    burst: float
    per_second: float


def default_rates() -> dict[str, Rate]:
    """Slack's own budgets; methods that are not named have none that a bot meets."""
    rates = {
        method: Rate(TIER_PER_MINUTE[tier], TIER_PER_MINUTE[tier] / 60)
        for tier, methods in _TIERS.items()
        for method in methods
    }
    return rates | {"chat.postMessage": Rate(POST_BURST, POST_PER_SECOND)}


@dataclass
class Budgets:
    """Spends the budgets; `rates` may be changed by a test, an empty one lifts all limits."""

    clock: Clock
    rates: dict[str, Rate] = field(default_factory=default_rates)
    _left: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def spend(self, method: str, channel: str) -> None:
        """Take one call from the budget; raises `ratelimited` with `retry_after` in whole seconds."""
        rate = self.rates.get(method)
        if rate is None:
            return
        key = (method, channel if method == "chat.postMessage" else "")
        left, at = self._left.get(key, (rate.burst, self.clock.now()))
        now = self.clock.now()
        left = min(rate.burst, left + (now - at) * rate.per_second)
        if left < 1:
            self._left[key] = (left, now)
            raise SlackError("ratelimited", {"retry_after": max(1, math.ceil((1 - left) / rate.per_second))})
        self._left[key] = (left - 1, now)
