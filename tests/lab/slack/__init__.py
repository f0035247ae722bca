"""A local Slack workspace over the real wire protocols, strict about what Slack refuses."""

from tests.lab.slack.clock import Clock
from tests.lab.slack.inputs import NotSubmitted
from tests.lab.slack.limits import Rate
from tests.lab.slack.people import User
from tests.lab.slack.state import Ack, Call, Ephemeral, Message, View, Violation
from tests.lab.slack.store import Channel, UserGroup
from tests.lab.slack.workspace import Workspace

__all__ = [
    "Ack",
    "Call",
    "Channel",
    "Clock",
    "Ephemeral",
    "Message",
    "NotSubmitted",
    "Rate",
    "User",
    "UserGroup",
    "View",
    "Violation",
    "Workspace",
]
