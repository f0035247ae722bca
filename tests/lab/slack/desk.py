"""Carries what people do to the app, and what the app answers to their screens."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.lab.slack import payloads
from tests.lab.slack.api_views import push_on, set_view
from tests.lab.slack.blocks import check_blocks
from tests.lab.slack.elements import OPTION
from tests.lab.slack.inputs import check_required, element_state, values_of
from tests.lab.slack.response_urls import ResponseUrls
from tests.lab.slack.schema import Report, check_fields, items
from tests.lab.slack.state import Ack, View
from tests.lab.slack.store import Channel, Store
from tests.lab.slack.transport import Envelope, PayloadKind, Transport
from tests.lab.slack.view_rules import check_view
from tests.lab.slack.wire import JsonObject, SlackError, invalid_blocks, refused_arguments

if TYPE_CHECKING:
    from tests.lab.slack.people import User

#: Slack gives an app three seconds for slash commands, actions and views.
ACK_SECONDS = 3.0
#: An event that was not acknowledged is sent up to three times more.
EVENT_RETRIES = 3


class Desk:
    """Delivers payloads over the transport in use and applies the acknowledgements."""

    def __init__(self, store: Store, urls: ResponseUrls, transport: Transport) -> None:
        self._store, self._urls = store, urls
        self.transport = transport
        self.ack_seconds = ACK_SECONDS
        self.envelopes: dict[str, Envelope] = {}
        self.redeliver_next = 0

    async def send(self, kind: PayloadKind, payload: JsonObject, *, accepts_response: bool = False) -> Ack:
        """Deliver one payload and record how the app answered; redelivers it when a switch asked for that."""
        envelope = Envelope(kind, payload, accepts_response)
        ack = await self._deliver(envelope)
        if self.redeliver_next > 0:
            self.redeliver_next -= 1
            await self.redeliver(ack)
        return ack

    async def redeliver(self, ack: Ack, reason: str = "timeout") -> Ack:
        """Deliver the same envelope again, as Slack does when it is not sure that it arrived."""
        envelope = self.envelopes[ack.envelope_id]
        again = replace(envelope, retry_attempt=envelope.retry_attempt + 1, retry_reason=reason)
        return await self._deliver(again)

    async def _deliver(self, envelope: Envelope) -> Ack:
        self.envelopes[envelope.id] = envelope
        ack = await self.transport.deliver(envelope, self.ack_seconds)
        self._store.acks.append(ack)
        self._store.changed()
        return ack

    async def slash(self, user: "User", channel: Channel, command: str, text: str) -> Ack:
        """A slash command; the answer in the acknowledgement appears in the channel, for this person only."""
        if not command.startswith("/"):
            raise ValueError(f"a slash command begins with a slash: {command!r}")
        response_url = self._urls.issue(user.id, channel.id)
        payload = payloads.slash(self._store, user, channel, command, text, response_url)
        ack = await self.send("slash_commands", payload, accepts_response=True)
        if ack.ok and (ack.text or ack.blocks):
            try:
                check_blocks(ack.blocks, "message", self._store.refused_block_types)
                self._urls.show(user.id, channel.id, ack.payload)
            except SlackError as error:
                self._refuse_answer("ack of slash command", ack, error)
        return ack

    async def click(
        self,
        user: "User",
        target: payloads.Target,
        action_id: str,
        value: str | Mapping[str, object] | None,
        *,
        which: int,
        entered: object,
        confirm: bool,
    ) -> Ack:
        """Act on an element of a message or view; `entered` is what was chosen when it is not a button."""
        block, element = payloads.find_element(target.blocks, action_id, value, which)
        asked = element.get("confirm")
        if asked is not None and not confirm:
            return Ack("", error="not_confirmed", asked=asked)
        action: JsonObject = {"block_id": block["block_id"], "action_id": action_id}
        if element["type"] == "button":
            action |= {name: element[name] for name in ("type", "text", "value", "style") if name in element}
        else:
            action |= element_state(element, entered)
        holder = {} if entered is None else {action_id: entered}
        values = values_of(target.blocks, holder if element["type"] not in ("button", "overflow") else {})
        url = None
        if not isinstance(target, View):
            live = self._store.messages.get((target.channel, target.ts))
            url = self._urls.issue(user.id, target.channel, live or target)
        payload = payloads.block_actions(self._store, user, target, action, values, url)
        ack = await self.send("interactive", payload)
        ack.asked = asked
        return ack

    async def submit(self, user: "User", view: View, given: Mapping[str, object]) -> Ack:
        """Submit a modal. Raises NotSubmitted where Slack's client refuses by itself."""
        if not view.is_open:
            raise LookupError(f"view {view.id} is not open any more")
        values = values_of(view.blocks, given)
        check_required(view.blocks, values)
        payload = payloads.view_event(self._store, user, view, "view_submission", values)
        ack = await self.send("interactive", payload, accepts_response=True)
        if ack.ok:
            try:
                self._apply_view_answer(view, ack.payload)
            except SlackError as error:
                self._refuse_answer("ack of view_submission", ack, error)
        self._store.changed()
        return ack

    async def close(self, user: "User", view: View) -> Ack | None:
        """Close a modal; the app hears of it only when the view asks for that."""
        self._close(view)
        if not view.content.get("notify_on_close"):
            return None
        return await self.send("interactive", payloads.view_event(self._store, user, view, "view_closed", {}))

    async def options(self, user: "User", target: payloads.Target, action_id: str, query: str) -> list[JsonObject]:
        """What the app offers in an external select for what was typed; at most 100 options."""
        block, element = payloads.find_element(target.blocks, action_id, None, 0)
        payload = payloads.suggestion(self._store, user, target, block, element, query)
        ack = await self.send("interactive", payload, accepts_response=True)
        report = Report()
        check_fields(ack.payload, {"options": items(OPTION, 0, 100)}, "", report)
        if ack.ok and report.problems:
            self._refuse_answer("options", ack, invalid_blocks(report.problems))
        found: list[JsonObject] = ack.payload.get("options") or []
        return found if ack.ok else []

    async def event(self, body: JsonObject) -> Ack:
        """An Events API event, repeated up to three times until it is acknowledged."""
        ack = await self.send("events_api", payloads.event(self._store, body))
        for _ in range(EVENT_RETRIES):
            if ack.ok:
                break
            ack = await self.redeliver(ack, "timeout" if ack.error == "operation_timeout" else "http_error")
        return ack

    def _refuse_answer(self, where: str, ack: Ack, error: SlackError) -> None:
        ack.error = error.error
        if error.is_bot_bug:
            self._store.violate(where, error.error, ack.payload, *error.reasons)

    def _close(self, view: View) -> None:
        view.is_open = False
        self._store.changed()

    def _apply_view_answer(self, view: View, answer: JsonObject) -> None:
        action = answer.get("response_action")
        if action is None:
            self._close(view)
        elif action == "clear":
            for one in self._store.views.values():
                if one.root_id == view.root_id:
                    self._close(one)
        elif action == "update":
            set_view(self._store, view, check_view(answer.get("view"), "modal"))
        elif action == "push":
            push_on(self._store, view, check_view(answer.get("view"), "modal"))
        elif action == "errors":
            _check_errors(view, answer.get("errors"))
        else:
            raise refused_arguments(f"response_action {action}", error="invalid_response_action")


def _check_errors(view: View, errors: object) -> None:
    """Field errors must name input blocks of the view, each with a text."""
    inputs = {block.get("block_id") for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors:
        raise refused_arguments("errors must be an object that names at least one field", error="invalid_errors")
    for block_id, text in errors.items():
        if block_id not in inputs:
            raise refused_arguments(f"{block_id} is not an input block of the view", error="invalid_errors")
        if not isinstance(text, str) or not text:
            raise refused_arguments(f"the error of {block_id} must be a text", error="invalid_errors")
