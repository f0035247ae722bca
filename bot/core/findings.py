"""What a check found: one sentence of fact, one of advice, and how bad it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot.core.events import Data, Json


class Level(StrEnum):
    """Red blocks approval, yellow must be confirmed by every approver, green is fine."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"


@dataclass(frozen=True, slots=True)
class Finding:
    """`id` is stable and names the check (and node), e.g. `node-unreachable:3.3.3.3`; `text` is a whole
    sentence; `todo` says what to do and is never empty for red; `confirm` is the fact an approver vouches for
    (yellow).
    """

    id: str
    level: Level
    text: str
    todo: str = ""
    confirm: str = ""

    def to_json(self) -> dict[str, Json]:
        """The stored form; `from_json` is its inverse."""
        return {
            "id": self.id,
            "level": self.level.value,
            "text": self.text,
            "todo": self.todo,
            "confirm": self.confirm,
        }

    @staticmethod
    def from_json(raw: Data) -> "Finding":
        """The finding stored as `raw`."""
        return Finding(
            str(raw["id"]), Level(str(raw["level"])), str(raw["text"]), str(raw["todo"]), str(raw["confirm"])
        )


def count(findings: tuple[Finding, ...]) -> Mapping[Level, int]:
    """How many findings there are of each level."""
    return {level: sum(f.level is level for f in findings) for level in Level}
