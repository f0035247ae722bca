"""How a payload reaches the app: one interface over Socket Mode and signed HTTP."""

import uuid
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tests.lab.slack.state import Ack
from tests.lab.slack.wire import JsonObject

PayloadKind = Literal["slash_commands", "interactive", "events_api"]


@dataclass(frozen=True)
class Envelope:
    """One payload on its way. A redelivery keeps the id and counts `retry_attempt`."""

    kind: PayloadKind
    payload: JsonObject
    accepts_response: bool = False
    retry_attempt: int = 0
    retry_reason: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Transport(Protocol):
    """Carries one envelope to the app and tells what came back."""

    async def deliver(self, envelope: Envelope, limit: float) -> Ack:
        """Deliver and wait at most `limit` seconds; never raises for what the app does."""
