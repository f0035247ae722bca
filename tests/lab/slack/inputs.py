"""What a person entered: the `state.values` of messages and views, with the checks Slack's client makes itself."""

from collections.abc import Iterable, Mapping

from tests.lab.slack.blocks import interactive_parts
from tests.lab.slack.wire import JsonObject

#: Where an element's state stands in `state.values`, and under which name its initial value.
SINGLE = {
    "plain_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "users_select": ("selected_user", "initial_user"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_users_select": ("selected_users", "initial_users"),
}
ONE_OPTION = ("static_select", "radio_buttons", "overflow", "external_select")
OPTIONS = ("checkboxes", "multi_static_select")


class NotSubmitted(ValueError):
    """Slack's client would not send this: a field is empty or has the wrong length."""


def element_state(element: JsonObject, given: object) -> JsonObject:
    """The state of one element after a person entered `given` (None keeps the initial value).

    Options are named by their value (an external select takes the option itself); `True` ticks all boxes.
    LookupError when there is no such option.
    """
    kind = str(element["type"])
    if kind in ONE_OPTION:
        option = element.get("initial_option") if given is None else _option(element, given)
        return {"type": kind, "selected_option": option}
    if kind in OPTIONS:
        if given is None:
            chosen = element.get("initial_options") or []
        else:
            names = [o["value"] for o in _options(element)] if given is True else _as_list(given)
            chosen = [_option(element, name) for name in names]
        return {"type": kind, "selected_options": chosen}
    name, initial = SINGLE.get(kind, ("value", "value"))
    return {"type": kind, name: element.get(initial) if given is None else given}


def _as_list(given: object) -> list[object]:
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _options(element: JsonObject) -> list[JsonObject]:
    groups: list[JsonObject] = element.get("option_groups") or []
    options: list[JsonObject] = list(element.get("options") or [])
    return options + [option for group in groups for option in group["options"]]


def _option(element: JsonObject, value: object) -> JsonObject:
    if isinstance(value, dict) and element["type"] == "external_select":
        return value
    for option in _options(element):
        if option["value"] == value:
            return option
    raise LookupError(f"no option {value!r} in {element.get('action_id')}")


def values_of(blocks: list[JsonObject], given: Mapping[str, object]) -> JsonObject:
    """`state.values` of all elements that hold state; `given` is by block_id or action_id.

    Raises LookupError for a field that is not there.
    """
    values: JsonObject = {}
    known: set[str] = set()
    for block in blocks:
        for element in interactive_parts(block):
            if element["type"] in ("button", "overflow"):
                continue
            names = (str(block["block_id"]), str(element["action_id"]))
            known.update(names)
            entered = given.get(names[0], given.get(names[1]))
            values.setdefault(names[0], {})[names[1]] = element_state(element, entered)
    unknown = set(given) - known
    if unknown:
        raise LookupError(f"no field {sorted(unknown)}; there are: {sorted(known)}")
    return values


def check_required(blocks: list[JsonObject], values: JsonObject) -> None:
    """Raise NotSubmitted as Slack's client does before anything is sent."""
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        state = values[block["block_id"]][element["action_id"]]
        entered = next((value for name, value in state.items() if name != "type"), None)
        if entered in (None, "", []) and not block.get("optional"):
            raise NotSubmitted(f"{block['block_id']}: this field is required")
        if isinstance(entered, str) and entered:
            least, most = element.get("min_length", 0), element.get("max_length", 3000)
            if not least <= len(entered) <= most:
                raise NotSubmitted(f"{block['block_id']}: {len(entered)} characters, wants {least} to {most}")
