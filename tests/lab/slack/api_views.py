"""views.*: modals behind a trigger, their updates under a hash, and Home tabs."""

import secrets

from tests.lab.slack.state import View, ViewKind
from tests.lab.slack.store import Store, Trigger
from tests.lab.slack.view_rules import check_view
from tests.lab.slack.wire import JsonObject, SlackError, refused_arguments

MAX_STACK = 3


def open_view(store: Store, args: JsonObject) -> JsonObject:
    """views.open: a new modal, on a trigger that is fresh and unused."""
    content = check_view(args.get("view"), "modal", store.refused_block_types)
    trigger = _use_trigger(store, args.get("trigger_id"))
    return {"view": add_view(store, "modal", trigger.user, content, None).to_wire(*_identity(store))}


def push_view(store: Store, args: JsonObject) -> JsonObject:
    """views.push: on top of the modal the trigger came from."""
    content = check_view(args.get("view"), "modal", store.refused_block_types)
    trigger = _use_trigger(store, args.get("trigger_id"))
    below = store.views.get(trigger.view_id or "")
    if below is None or not below.is_open:
        raise SlackError("not_found")
    return {"view": push_on(store, below, content).to_wire(*_identity(store))}


def update_view(store: Store, args: JsonObject) -> JsonObject:
    """views.update by view_id or external_id; a `hash` that is not the current one is refused."""
    content = check_view(args.get("view"), "modal", store.refused_block_types)
    view = store.views.get(str(args.get("view_id")))
    if view is None and args.get("external_id"):
        named = [v for v in store.views.values() if v.content.get("external_id") == args["external_id"]]
        view = named[-1] if named else None
    if view is None or not view.is_open or view.kind != "modal":
        raise SlackError("not_found")
    _check_hash(args.get("hash"), view)
    set_view(store, view, content)
    return {"view": view.to_wire(*_identity(store))}


def publish_view(store: Store, args: JsonObject) -> JsonObject:
    """views.publish: the Home tab of one person."""
    content = check_view(args.get("view"), "home", store.refused_block_types)
    user = str(args.get("user_id"))
    if user not in store.users:
        raise SlackError("user_not_found")
    homes = [v for v in store.views.values() if v.kind == "home" and v.user == user]
    if homes:
        _check_hash(args.get("hash"), homes[0])
        set_view(store, homes[0], content)
    view = homes[0] if homes else add_view(store, "home", user, content, None)
    return {"view": view.to_wire(*_identity(store))}


def add_view(store: Store, kind: ViewKind, user: str, content: JsonObject, below: View | None) -> View:
    """Open a view for a person."""
    view_id = store.next_id("V")
    root = below.root_id if below else view_id
    view = View(view_id, kind, user, {}, "", root, below.id if below else None)
    store.views[view_id] = view
    set_view(store, view, content)
    return view


def push_on(store: Store, below: View, content: JsonObject) -> View:
    """Stack a modal on another; at most three lie on each other."""
    stack = [v for v in store.views.values() if v.root_id == below.root_id and v.is_open]
    if len(stack) >= MAX_STACK:
        raise SlackError("push_limit_reached")
    return add_view(store, "modal", below.user, content, below)


def set_view(store: Store, view: View, content: JsonObject) -> None:
    """Give a view new content and a new hash."""
    store.name_blocks(content["blocks"])
    view.content = content
    view.versions.append(content)
    view.hash = f"{int(store.clock.now())}.{secrets.token_hex(4)}"
    store.changed()


def _check_hash(given: object, view: View) -> None:
    if given is not None and given != view.hash:
        raise SlackError("hash_conflict")


def _use_trigger(store: Store, trigger_id: object) -> Trigger:
    if trigger_id is None:
        raise refused_arguments("missing required field: trigger_id")
    trigger = store.triggers.get(str(trigger_id))
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if trigger.used:
        raise SlackError("exchanged_trigger_id")
    if store.clock.now() - trigger.at > store.trigger_seconds:
        raise SlackError("expired_trigger_id")
    trigger.used = True
    return trigger


def _identity(store: Store) -> tuple[str, str, str]:
    return store.team_id, store.app_id, store.bot_id
