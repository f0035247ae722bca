"""Rules for the `table` and `data_table` blocks: rows of equal width, cells that are never empty, size limits.

Source: docs.slack.dev/reference/block-kit/blocks/table-block and /data-table-block; limits differ between sources,
the stricter one is used.
"""

from tests.lab.slack.rich_text import RICH_TEXT
from tests.lab.slack.schema import (
    ID_LIMIT,
    Check,
    Report,
    Required,
    all_of,
    anything,
    boolean,
    fields,
    integer,
    items,
    number,
    one_of,
    string,
    variants,
)

MAX_COLUMNS = 20
TABLE_ROWS, TABLE_CHARACTERS = 100, 10_000
DATA_ROWS, DATA_CHARACTERS = 100, 20_000

_RAW_TEXT = fields({"type": Required(anything), "text": Required(string(DATA_CHARACTERS, 1, counts=True))})
_RAW_NUMBER = fields(
    {"type": Required(anything), "value": Required(number), "text": string(DATA_CHARACTERS, 1, counts=True)}
)
CELL = variants({"raw_text": _RAW_TEXT, "raw_number": _RAW_NUMBER, "rich_text": RICH_TEXT})
HEADER_CELL = variants({"raw_text": _RAW_TEXT})
_ROW = items(CELL, 1, MAX_COLUMNS)


def _grid(rows_limit: int, characters: int, *, has_header: bool) -> Check:
    """Rows x columns of one block. Its characters have a limit of their own, apart from the message's."""

    def check(value: object, path: str, report: Report) -> None:
        own = Report(report.problems)
        items(_ROW, 2 if has_header else 1, rows_limit)(value, path, own)
        if not isinstance(value, list):
            return
        if len({len(row) for row in value if isinstance(row, list)}) > 1:
            report.add("all rows must have the same number of cells", path)
        if has_header and value:
            items(HEADER_CELL, 1, MAX_COLUMNS)(value[0], f"{path}/0", Report(report.problems))
        if own.characters > characters:
            report.add(f"must be less than {characters + 1} characters in all cells", path)

    return check


def _row_header_exists(value: object, path: str, report: Report) -> None:
    if not isinstance(value, dict) or value.get("row_header_column_index") is None:
        return
    rows, index = value.get("rows"), value["row_header_column_index"]
    width = len(rows[0]) if isinstance(rows, list) and rows and isinstance(rows[0], list) else 0
    if not isinstance(index, int) or not 0 <= index < width:
        report.add("must name a column of the table", f"{path}/row_header_column_index")


_COLUMN_SETTING = fields({"align": one_of("left", "center", "right"), "is_wrapped": boolean})


def _column_setting(value: object, path: str, report: Report) -> None:
    if value is not None:
        _COLUMN_SETTING(value, path, report)


_COMMON: dict[str, Check | Required] = {"type": Required(anything), "block_id": string(ID_LIMIT, 1)}
TABLE = fields(
    _COMMON
    | {
        "rows": Required(_grid(TABLE_ROWS, TABLE_CHARACTERS, has_header=False)),
        "column_settings": items(_column_setting, 0, MAX_COLUMNS),
    }
)
DATA_TABLE = all_of(
    fields(
        _COMMON
        | {
            "caption": Required(string(3000, 1)),
            "rows": Required(_grid(DATA_ROWS + 1, DATA_CHARACTERS, has_header=True)),
            "page_size": integer(1, 100),
            "row_header_column_index": integer(0, MAX_COLUMNS - 1),
        }
    ),
    _row_header_exists,
)
