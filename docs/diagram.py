"""Writes the job's state diagram into architecture.md, from the table that the code itself goes by.

python -m docs.diagram            rewrite the diagram in the file
python -m docs.diagram --check    exit status 1 if the diagram in the file is not the table's
"""

import sys
from pathlib import Path

from bot.core.transitions import ENDS, TABLE, Phase

FILE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- diagram: made by docs/diagram.py -->\n", "<!-- end of diagram -->\n"


def diagram() -> str:
    """The table as a Mermaid state diagram: one arrow per pair of phases, with all events that lead that way."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for (before, event), after in TABLE.items():
        arrows.setdefault((before, after), []).append(event.replace(":", " "))
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {_id(phase)} : {phase}" for phase in Phase if phase is not Phase.NEW]
    lines += [f"    {_id(before)} --> {_id(after)} : {', '.join(names)}" for (before, after), names in arrows.items()]
    lines += [f"    {_id(phase)} --> [*]" for phase in Phase if phase in ENDS]
    return "\n".join([*lines, "```"]) + "\n"


def _id(phase: Phase) -> str:
    return "[*]" if phase is Phase.NEW else phase.replace(" ", "_")


def renewed(text: str) -> str:
    """`text` with the present diagram between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{diagram()}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """The command line; the exit status."""
    text = FILE.read_text(encoding="utf-8")
    if arguments == ["--check"]:
        return int(renewed(text) != text)
    FILE.write_text(renewed(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
