"""The front door of the Web API: reads a call in any of its forms, checks token, scopes and budget, answers.

Source of token kinds and scopes: each method's page under docs.slack.dev/reference/methods.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tests.lab.slack import api_chat, api_conversations, api_files, api_views
from tests.lab.slack.faults import Faults
from tests.lab.slack.limits import Budgets
from tests.lab.slack.state import Call
from tests.lab.slack.store import Store
from tests.lab.slack.wire import JsonObject, SlackError, refused_arguments

#: Arguments that arrive as JSON text inside forms.
STRUCTURED = ("blocks", "attachments", "view", "files", "metadata")
Handler = Callable[[Store, JsonObject], JsonObject]


@dataclass(frozen=True)
class Method:
    """A method with what the token must be and hold. Of `scopes` one is enough."""

    handle: Handler
    scopes: tuple[str, ...] = ()
    token: str = "xoxb"


def auth_test(store: Store, args: JsonObject) -> JsonObject:
    """auth.test."""
    return {
        "url": f"https://{store.team_domain}.slack.com/",
        "team": store.team_domain,
        "team_id": store.team_id,
        "user": "etcd-snapshot",
        "user_id": store.bot_user_id,
        "bot_id": store.bot_id,
        "is_enterprise_install": False,
    }


_READ = ("channels:read", "groups:read", "im:read")
_HISTORY = ("channels:history", "groups:history", "im:history")
METHODS: dict[str, Method] = {
    "api.test": Method(lambda _store, args: {"args": args}),
    "auth.test": Method(auth_test),
    "chat.postMessage": Method(api_chat.post_message, ("chat:write",)),
    "chat.update": Method(api_chat.update, ("chat:write",)),
    "chat.delete": Method(api_chat.delete, ("chat:write",)),
    "chat.postEphemeral": Method(api_chat.post_ephemeral, ("chat:write",)),
    "chat.getPermalink": Method(api_chat.get_permalink),
    "reactions.add": Method(api_chat.add_reaction, ("reactions:write",)),
    "conversations.open": Method(api_conversations.open_dm, ("im:write",)),
    "conversations.info": Method(api_conversations.info, _READ),
    "conversations.members": Method(api_conversations.members, _READ),
    "conversations.join": Method(api_conversations.join, ("channels:join",)),
    "conversations.history": Method(api_conversations.history, _HISTORY),
    "conversations.replies": Method(api_conversations.replies, _HISTORY),
    "users.info": Method(api_conversations.user_info, ("users:read",)),
    "users.list": Method(api_conversations.user_list, ("users:read",)),
    "usergroups.list": Method(api_conversations.group_list, ("usergroups:read",)),
    "usergroups.users.list": Method(api_conversations.group_members, ("usergroups:read",)),
    "views.open": Method(api_views.open_view),
    "views.push": Method(api_views.push_view),
    "views.update": Method(api_views.update_view),
    "views.publish": Method(api_views.publish_view),
    "files.getUploadURLExternal": Method(api_files.get_upload_url, ("files:write",)),
    "files.completeUploadExternal": Method(api_files.complete, ("files:write",)),
}
#: The kinds of scope a conversation needs, by what it is.
_SCOPE_OF_KIND = {"public": "channels", "private": "groups", "im": "im"}


class WebApi:
    """Serves `/api/<method>`."""

    def __init__(self, store: Store, new_socket_url: Callable[[], str], budgets: Budgets, faults: Faults) -> None:
        self._store, self._budgets, self._faults = store, budgets, faults
        connect = Method(lambda _store, _args: {"url": new_socket_url()}, ("connections:write",), "xapp")
        self._methods = METHODS | {"apps.connections.open": connect}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call and record it with its answer."""
        name = request.match_info["method"]
        args: JsonObject = {}
        headers: dict[str, str] = {}
        status, lost = 200, self._faults.lost(name)
        if lost == "request":
            return self._cut(request, name, args)
        try:
            args, token = await read_arguments(request)
            answer = {"ok": True, **self._call(name, copy.deepcopy(args), token)}
        except SlackError as error:
            status, headers = self._note(name, args, error)
            answer = error.answer()
        if lost == "reply":
            return self._cut(request, name, args)
        self._store.calls.append(Call(name, args, self._store.clock.now(), status, answer))
        self._store.changed()
        return web.json_response(answer, status=status, headers=headers)

    def _cut(self, request: web.Request, name: str, args: JsonObject) -> web.StreamResponse:
        self._store.calls.append(Call(name, args, self._store.clock.now(), 0, None))
        self._store.changed()
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _note(self, name: str, args: JsonObject, error: SlackError) -> tuple[int, dict[str, str]]:
        """Status and headers of a refusal; a refusal the bot earned is a violation."""
        if error.is_bot_bug:
            self._store.violate(name, error.error, args, *error.reasons)
        if error.error == "ratelimited":
            return 429, {"Retry-After": str(error.details.pop("retry_after"))}
        return (int(error.details.pop("status")) if "status" in error.details else 200), {}

    def _call(self, name: str, args: JsonObject, token: str) -> JsonObject:
        method = self._methods.get(name)
        self._faults.check(name)
        if method is None:
            raise SlackError("unknown_method", {"req_method": name})
        self._authorise(method, args, token)
        self._budgets.spend(name, str(args.get("channel", "")))
        return method.handle(self._store, args)

    def _authorise(self, method: Method, args: JsonObject, token: str) -> None:
        store = self._store
        if not token:
            raise SlackError("not_authed")
        if token not in (store.bot_token, store.app_token):
            raise SlackError("invalid_auth")
        if not token.startswith(method.token):
            raise SlackError("not_allowed_token_type")
        if method.token == "xapp" or not method.scopes:
            return
        needed = _needed_scope(store, method, args)
        if needed not in store.scopes:
            raise SlackError("missing_scope", {"needed": needed, "provided": ",".join(sorted(store.scopes))})


def _needed_scope(store: Store, method: Method, args: JsonObject) -> str:
    """The scope for this call: reading a conversation needs the scope of its kind."""
    if len(method.scopes) == 1:
        return method.scopes[0]
    channel = store.channels.get(str(args.get("channel")))
    kind = "public"
    if channel is not None:
        kind = "im" if channel.dm_with else "private" if channel.is_private else "public"
    return next(scope for scope in method.scopes if scope.startswith(f"{_SCOPE_OF_KIND[kind]}:"))


async def read_arguments(request: web.Request) -> tuple[JsonObject, str]:
    """Arguments and token of a call, whether it came as query, form or JSON; the JSON form needs the header."""
    header = request.headers.get("Authorization", "")
    token = header.removeprefix("Bearer ").strip()
    args: JsonObject = dict(request.query)
    if request.content_type == "application/json" and request.can_read_body:
        try:
            body = await request.json()
        except ValueError as problem:
            raise SlackError("invalid_json") from problem
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        args |= body
    elif request.method == "POST":
        form = await request.post()
        args |= {name: value for name, value in form.items() if isinstance(value, str)}
        token = token or str(args.pop("token", ""))
    args.pop("token", None)
    for name in STRUCTURED:
        if isinstance(args.get(name), str):
            args[name] = _parse(name, args[name])
    return args, token


def _parse(name: str, value: str) -> object:
    if not value:
        return None
    try:
        return json.loads(value)
    except ValueError as problem:
        if name == "blocks":
            raise SlackError("invalid_blocks_format") from problem
        raise refused_arguments(f"failed to parse JSON [json-pointer:/{name}]") from problem
