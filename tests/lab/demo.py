"""The play of `make demo`: a save, a list, and a restore that two people approve, on a real lab.

Prints the thread as it grows and ends with exit status 0 only when everything is as it should be. In a terminal the
lab then stays up and takes commands as any of the people.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.lab.acting import SLASH, NotAsItShouldBe, Stage, expect, listening
from tests.lab.demo_prompt import prompt
from tests.lab.lab import Lab
from tests.lab.slack.state import Message
from tests.lab.slack.terminal import Style, render
from tests.lab.slack.wire import JsonObject

SNAPSHOT = "before-upgrade"
TRANSCRIPT = Path("build/demo/transcript.json")


@dataclass
class Screen:
    """Prints what people see: a message whole at first, then only the lines that changed."""

    lab: Lab
    style: Style
    shown: dict[str, list[str]] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line of the play itself."""
        print(self.style.paint(f"\n--- {time.monotonic() - self.started:5.1f} s  {text}", "bold"), flush=True)

    def show_changes(self) -> None:
        """Print every message of the channel that is new or has changed."""
        for message in self.lab.channel.all_messages:
            self._show(message)

    def _show(self, message: Message) -> None:
        style = Style(self.lab.workspace.names(), self.style.width, self.style.colour)
        lines = [line for line in render(message.blocks, message.text, style).split("\n") if line.strip()]
        before = self.shown.get(message.ts)
        if before == lines:
            return
        self.shown[message.ts] = lines
        indent = "      | " if message.thread_ts not in (None, message.ts) else "    "
        news = lines if before is None else [line for line in lines if line not in before]
        print("\n".join(f"{indent}{line}" for line in news), flush=True)

    async def follow(self) -> None:
        """Print changes as they happen, until cancelled."""
        while True:
            seen = self._forms()
            self.show_changes()
            await self.lab.workspace.store.wait_for(partial(self._changed_since, seen), 3600)

    def _changed_since(self, seen: int) -> bool:
        return self._forms() != seen

    def _forms(self) -> int:
        """How many forms of messages there have been: it grows with every post and every edit."""
        return sum(len(message.versions) for message in self.lab.workspace.store.messages.values())


@dataclass
class Play:
    """The play and what it proves."""

    stage: Stage
    etcd: dict[str, dict[str, str | None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Everything, in order; raises NotAsItShouldBe at the first thing that is not as it should be."""
        await self.write("blue")
        await self.save()
        await self.write("red")
        await self.list()
        await self.restore()
        await self.look("after the restore", "blue")

    async def write(self, color: str) -> None:
        """Write color into etcd through one member and see it on all."""
        self.stage.say(f"etcd: write color={color}")
        await self.stage.lab.nodes[0].put("color", color)
        await self.look(f"after writing {color}", color)

    async def look(self, when: str, color: str) -> None:
        """What every member says, which must be `color`."""
        values = {node.address: await node.get("color") for node in self.stage.lab.nodes}
        self.etcd[when] = values
        self.stage.say(f"etcd {when}: " + ", ".join(f"{address} color={value}" for address, value in values.items()))
        expect(f"color is {values} {when}", set(values.values()) == {color})

    async def save(self) -> None:
        """Alice saves."""
        save = await self.stage.asks("alice", f"save {SNAPSHOT}")
        await save.shows("save succeeded", text=SNAPSHOT)

    async def list(self) -> None:
        """Alice lists."""
        await self.stage.types("alice", "list")
        message = await self.stage.finds("1 snapshot")
        expect("the list names the snapshot", SNAPSHOT in json.dumps(message.blocks))

    async def restore(self) -> None:
        """Alice asks, may not approve herself; Bob and Carol approve."""
        restore = await self.stage.asks("alice", f"restore {SNAPSHOT} --reason \u201cUpgrade broke the ingress.\u201d")
        message = await restore.shows("waits for 2 approvals")
        refused = await self.stage.approves("alice", message)
        expect(f"alice's own approval was refused: {refused}", "not counted" in refused)
        for name in ("bob", "carol"):
            await self.stage.approves(name, message)
        await restore.shows("restore succeeded")


async def play(arguments: argparse.Namespace, base: Path) -> int:
    """Start the lab and a bot, play, write the transcript; the exit status."""
    style = Style(width=min(100, shutil.get_terminal_size().columns), colour=sys.stdout.isatty())
    print(f"Starting the lab: Redis, S3, Slack, an RKE host with rke {arguments.rke}, 3 nodes with etcd …", flush=True)
    async with Lab(base, rke=arguments.rke) as lab:
        screen = Screen(lab, style)
        lab.workspace.transport = arguments.transport
        stage = Stage(lab, lab.write_config(), screen.say)
        bot = await lab.bot(config=stage.config)
        screen.say("the bot starts")
        follower = asyncio.create_task(screen.follow())
        acted = Play(stage)
        problem = ""
        try:
            await listening(lab, bot)
            await acted.run()
        except (NotAsItShouldBe, TimeoutError, LookupError) as error:
            problem = str(error) or type(error).__name__
        await asyncio.sleep(0)
        screen.show_changes()
        jobs = await stage.journals()
        write_transcript(lab, jobs, acted.etcd)
        violations = [f"{v.where}: {v.error}" for v in lab.workspace.violations]
        problem = problem or (f"Slack refused calls of the bot: {violations}" if violations else "")
        print(summary(screen, jobs, problem), flush=True)
        if problem:
            print(f"\nEnd of the bot's log:\n{bot.output()[-3000:]}", file=sys.stderr)
        elif sys.stdin.isatty() and sys.stdout.isatty() and not arguments.no_prompt:
            await prompt(lab, SLASH)
        follower.cancel()
        return 1 if problem else 0


def write_transcript(lab: Lab, jobs: dict[str, list[JsonObject]], etcd: dict[str, dict[str, str | None]]) -> None:
    """build/demo/transcript.json: messages in their final form, jobs with their events, etcd before and after."""
    TRANSCRIPT.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "messages": lab.workspace.messages_json(),
        "jobs": [{"id": job, "events": events} for job, events in jobs.items()],
        "etcd": etcd,
    }
    TRANSCRIPT.write_text(json.dumps(whole, indent=1))


def summary(screen: Screen, jobs: dict[str, list[JsonObject]], problem: str) -> str:
    """The last words."""
    took = time.monotonic() - screen.started
    if problem:
        return f"\nThe demo failed after {took:.1f} s: {problem}"
    ends = ", ".join(f"{events[0]['data']['kind']} {job}: {events[-1]['type']}" for job, events in jobs.items())
    return (
        f"\nThe demo is over after {took:.1f} s. {ends}.\n"
        f"color was blue, became red, and is blue again on every etcd member.\nEverything said: {TRANSCRIPT}"
    )


def main(argv: Sequence[str]) -> int:
    """`python -m tests.lab demo`."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab demo", description=__doc__)
    parser.add_argument("--rke", default="v0.1.20", choices=("v0.1.20", "v1.0.16"), help="the rke to stand in for")
    parser.add_argument("--transport", default="socket", choices=("socket", "http"), help="how Slack reaches the bot")
    parser.add_argument("--no-prompt", action="store_true", help="end after the play, also in a terminal")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="etcd-demo-") as base:
        return asyncio.run(play(arguments, Path(base)))
