"""The state diagram in the documentation."""

from bot.core.transitions import TABLE
from docs import diagram


def test_the_diagram_is_the_tables() -> None:
    """The page shows the table the code goes by; `python -m docs.diagram` renews it."""
    assert diagram.main(["--check"]) == 0


def test_every_transition_is_drawn() -> None:
    """Each entry of the table is on one of the arrows."""
    drawn = diagram.diagram()
    assert all(event.replace(":", " ") in drawn for _, event in TABLE)
    assert drawn.count("-->") == len({(before, after) for (before, _), after in TABLE.items()}) + 6
