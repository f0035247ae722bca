"""What travels on the wire: JSON values, and the one error every Web API method may answer with."""

from dataclasses import dataclass, field
from typing import Any

#: A decoded JSON object. Values stay untyped on purpose: clients send them, and checking them is the lab's job.
JsonObject = dict[str, Any]

#: Errors that tell of the world (a full queue, an outage, a race, a missing channel), not of a wrong call.
NOT_THE_BOTS_FAULT = frozenset(
    {
        "ratelimited",
        "internal_error",
        "service_unavailable",
        "hash_conflict",
        "channel_not_found",
        "is_archived",
        "message_not_found",
        "not_found",
        "not_in_channel",
        "user_not_in_channel",
        "user_disabled",
        "cannot_dm_bot",
        "already_reacted",
        "user_not_found",
        "no_such_subteam",
    }
)


@dataclass
class SlackError(Exception):
    """A refusal with Slack's own error word; `details` are merged into the answer."""

    error: str
    details: JsonObject = field(default_factory=dict)
    #: Set when a switch of the lab asked for this refusal; such a refusal is never a violation.
    injected: bool = False

    def answer(self) -> JsonObject:
        """The body Slack sends for this error."""
        return {"ok": False, "error": self.error, **self.details}

    @property
    def reasons(self) -> list[str]:
        """What is wrong in detail, where Slack tells."""
        told: list[str] = self.details.get("response_metadata", {}).get("messages", [])
        return told

    @property
    def is_bot_bug(self) -> bool:
        """Whether a correct bot in a healthy workspace would never have caused it."""
        return not self.injected and self.error not in NOT_THE_BOTS_FAULT


def refused_arguments(*messages: str, error: str = "invalid_arguments") -> SlackError:
    """An error that names what is wrong, as Slack does in `response_metadata.messages`."""
    return SlackError(error, {"response_metadata": {"messages": [f"[ERROR] {text}" for text in messages]}})


def invalid_blocks(problems: list[str], *, injected: bool = False) -> SlackError:
    """`invalid_blocks` with the reasons in both places where Slack writes them."""
    reasons = [f"[ERROR] {text}" for text in problems]
    details = {"errors": problems, "response_metadata": {"messages": reasons}}
    return SlackError("invalid_blocks", details, injected)
