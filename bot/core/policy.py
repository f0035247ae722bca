"""Who may do what: roles by user id and group, approval policies, both decided here and nowhere else.

A person is `TEAM/USER` (Slack ids); group membership is looked up by the caller and handed in.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from bot.core.events import Data, Json


class Action(StrEnum):
    """What a person can ask for. Approving is not an action of a role: the approval policy names the
    approvers.
    """

    READ = "read"  # list, status, clusters, help
    SAVE = "save"
    RESTORE = "restore"  # ask for one; others approve
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """How a restore is approved. `users` are Slack user ids and `groups` Slack user group ids; lifetimes are
    in seconds: how long votes are taken, and how soon after the last vote the job must start. One deny ends
    the request.
    """

    required: int
    users: tuple[str, ...]
    groups: tuple[str, ...]
    requester_counts: bool
    approval_lifetime: float
    execution_lifetime: float

    @property
    def people(self) -> int:
        """How many different people a restore takes, the requester included."""
        return self.required + (0 if self.requester_counts else 1)

    def to_json(self) -> dict[str, Json]:
        """The stored form; `from_json` is its inverse."""
        return {
            "required": self.required,
            "users": list(self.users),
            "groups": list(self.groups),
            "requester_counts": self.requester_counts,
            "approval_lifetime": self.approval_lifetime,
            "execution_lifetime": self.execution_lifetime,
        }

    def names(self, user: str, groups: AbstractSet[str]) -> bool:
        """Whether that user id, or one of those groups, is among the approvers."""
        return user in self.users or not groups.isdisjoint(self.groups)

    @staticmethod
    def from_json(raw: Data) -> "ApprovalPolicy":
        """The policy stored as `raw`."""
        users, groups = raw["users"], raw["groups"]
        assert isinstance(users, list | tuple)
        assert isinstance(groups, list | tuple)
        return ApprovalPolicy(
            required=int(str(raw["required"])),
            users=tuple(str(user) for user in users),
            groups=tuple(str(group) for group in groups),
            requester_counts=bool(raw["requester_counts"]),
            approval_lifetime=float(str(raw["approval_lifetime"])),
            execution_lifetime=float(str(raw["execution_lifetime"])),
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Who has a role: everybody in the workspace's full members, or these user ids and groups."""

    everybody: bool = False
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def covers(self, user: str, groups: AbstractSet[str]) -> bool:
        """Whether a person with that user id and those groups has the role. Default deny."""
        return self.everybody or user in self.users or not groups.isdisjoint(self.groups)
