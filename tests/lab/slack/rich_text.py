"""Rules for rich_text: sections, lists, quotes and preformatted text, and what may stand inside them.

Source: docs.slack.dev/reference/block-kit/blocks/rich-text-block.
"""

from tests.lab.slack.schema import (
    Check,
    Fields,
    Required,
    anything,
    boolean,
    fields,
    integer,
    items,
    one_of,
    string,
    variants,
)

_TEXT_STYLE = fields(dict.fromkeys(("bold", "italic", "strike", "code", "underline"), boolean))
_MENTION_STYLE = fields(dict.fromkeys(("bold", "italic", "strike", "highlight", "client_highlight", "unlink"), boolean))
_IDENTITY = string(50, 1)


def _part(style: Check, **own: Check | Required) -> Check:
    table: Fields = {"type": Required(anything), "style": style, **own}
    return fields(table)


_TEXT = _part(_TEXT_STYLE, text=Required(string(1_000_000, 1, counts=True)))
_LINK = _part(_TEXT_STYLE, url=Required(string(3000, 1)), text=string(3000, counts=True), unsafe=boolean)
_PARTS: dict[str, Check] = {
    "text": _TEXT,
    "link": _LINK,
    "user": _part(_MENTION_STYLE, user_id=Required(_IDENTITY)),
    "usergroup": _part(_MENTION_STYLE, usergroup_id=Required(_IDENTITY)),
    "channel": _part(_MENTION_STYLE, channel_id=Required(_IDENTITY)),
    "team": _part(_MENTION_STYLE, team_id=Required(_IDENTITY)),
    "broadcast": fields({"type": Required(anything), "range": Required(one_of("here", "channel", "everyone"))}),
    "color": fields({"type": Required(anything), "value": Required(string(20, 1))}),
    "emoji": fields(
        {
            "type": Required(anything),
            "name": Required(string(100, 1)),
            "unicode": string(100),
            "skin_tone": integer(1, 6),
            "style": _TEXT_STYLE,
        }
    ),
    "date": _part(
        _TEXT_STYLE,
        timestamp=Required(integer(0, 9_999_999_999)),
        format=Required(string(500, 1)),
        url=string(3000, 1),
        fallback=string(500, counts=True),
    ),
}
_INLINE = variants(_PARTS)
#: Preformatted text knows no mentions and no dates.
_PREFORMATTED_INLINE = variants({"text": _TEXT, "link": _LINK})
_BORDER = integer(0, 1)
SECTION = fields({"type": Required(anything), "elements": Required(items(_INLINE, 0, 1000))})
_LIST = fields(
    {
        "type": Required(anything),
        "style": Required(one_of("bullet", "ordered")),
        "elements": Required(items(variants({"rich_text_section": SECTION}), 1, 1000)),
        "indent": integer(0, 8),
        "offset": integer(0, 1_000_000),
        "border": _BORDER,
    }
)
_PREFORMATTED = fields(
    {
        "type": Required(anything),
        "elements": Required(items(_PREFORMATTED_INLINE, 0, 1000)),
        "border": _BORDER,
        "language": string(50),
    }
)
_QUOTE = fields({"type": Required(anything), "elements": Required(items(_INLINE, 0, 1000)), "border": _BORDER})
ELEMENTS = items(
    variants(
        {
            "rich_text_section": SECTION,
            "rich_text_list": _LIST,
            "rich_text_preformatted": _PREFORMATTED,
            "rich_text_quote": _QUOTE,
        }
    ),
    1,
    1000,
)
#: A rich_text value inside something else (a table cell, the details of a task).
RICH_TEXT = fields({"type": Required(one_of("rich_text")), "elements": Required(ELEMENTS), "block_id": string(255)})
