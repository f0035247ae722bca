"""After the play: type commands as any of the people, and click what stands in the channel."""

import asyncio
import contextlib
import shlex
import sys

from tests.lab.lab import Lab
from tests.lab.slack.state import Message
from tests.lab.slack.wire import JsonObject

HELP = """
The lab stays up. Type as one of alice, bob, carol, dave (Ctrl-D ends):
  alice save nightly             as `/etcd-snapshot save nightly` in the channel
  bob click vote.approve         click a button of the newest message that has it; without a name: what can be clicked
  bob submit                     submit bob's open form with every box ticked; TEXT fills text fields: bob submit TEXT
  node 2 down | node 2 up        power a node off and on
  etcd                           what every member says of `color`
"""


async def prompt(lab: Lab, slash: str) -> None:
    """Read lines until the end of input."""
    print(HELP)
    while True:
        line = await asyncio.to_thread(_read)
        if line is None:
            return
        try:
            words = shlex.split(line)
            if words:
                print(await _act(lab, slash, words) or "", flush=True)
        except (LookupError, ValueError, PermissionError, TimeoutError) as error:
            print(f"That did not work: {error}", flush=True)


def _read() -> str | None:
    sys.stdout.write("> ")
    sys.stdout.flush()
    line = sys.stdin.readline()
    return line or None


async def _act(lab: Lab, slash: str, words: list[str]) -> str:
    match words:
        case ["etcd"]:
            return "\n".join([f"{node.address} color={await node.get('color')}" for node in lab.nodes])
        case ["node", number, "down" | "up" as what]:
            nodes = {str(index): node for index, node in enumerate(lab.nodes, 1)}
            if number not in nodes:
                raise LookupError(f"the nodes are {', '.join(nodes)}")
            node = nodes[number]
            await (node.down() if what == "down" else node.up())
            return f"{node.address} is {what}"
        case [name, "click", *action] if name in ("alice", "bob", "carol", "dave"):
            return await _click(lab, name, action[0] if action else "")
        case [name, "submit", *text] if name in ("alice", "bob", "carol", "dave"):
            return await _submit(lab, name, " ".join(text))
        case [name, *rest] if name in ("alice", "bob", "carol", "dave"):
            user = lab.user(name)
            said = len(user.ephemerals)
            ack = await user.slash(lab.channel, slash, " ".join(rest))
            return _private(lab, name, said) or ack.text or ack.error or ""
    return HELP


async def _click(lab: Lab, name: str, action: str) -> str:
    buttons = [(message, button) for message in lab.channel.messages for button in _buttons(message)]
    if not action:
        return "\n".join(dict.fromkeys(f"{button['action_id']}  {button['text']['text']}" for _, button in buttons))
    message = next((message for message, button in reversed(buttons) if button["action_id"] == action), None)
    if message is None:
        raise LookupError(f"no message has a button {action}")
    said = len(lab.user(name).ephemerals)
    ack = await lab.user(name).click(message, action)
    with contextlib.suppress(TimeoutError):
        await lab.workspace.wait_for(lambda: len(lab.user(name).ephemerals) > said, 1)
    return _private(lab, name, said) or ack.error or "clicked"


async def _submit(lab: Lab, name: str, text: str) -> str:
    view = lab.user(name).modals[-1]
    answers: dict[str, object] = {}
    for block in view.blocks:
        if block["type"] == "input":
            boxes = block["element"]["type"] == "checkboxes"
            answers[block["block_id"]] = True if boxes else text
    ack = await lab.user(name).submit(view, answers)
    return str(ack.errors or ack.error or "submitted")


def _buttons(message: Message) -> list[JsonObject]:
    return [
        element
        for block in message.blocks
        if block["type"] == "actions"
        for element in block["elements"]
        if element["type"] == "button"
    ]


def _private(lab: Lab, name: str, said: int) -> str:
    return "\n".join(f"({name} alone sees) {ephemeral.text}" for ephemeral in lab.user(name).ephemerals[said:])
