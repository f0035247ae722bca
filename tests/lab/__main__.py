"""`python -m tests.lab up`: a lab to work with by hand; `python -m tests.lab demo`: the play of `make demo`."""

import asyncio
import contextlib
import importlib
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from tests.lab.bot import bot_argv
from tests.lab.lab import Lab

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


async def interrupted() -> None:
    """Wait for Ctrl-C or TERM."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    await event.wait()


@contextlib.contextmanager
def place(given: Path | None) -> Iterator[Path]:
    """The directory asked for, or one that goes with the lab."""
    if given is not None:
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="etcd-lab-") as path:
        yield Path(path)


def describe(lab: Lab, config: Path) -> str:
    """Where everything is, and how to start a bot against it."""
    secrets = " ".join(f"{k}={shlex.quote(v)}" for k, v in lab.env().items() if k not in {"PATH", "HOME"})
    lines = [f"Slack     {lab.workspace.api_url}", f"Redis     {lab.redis.url}", f"S3        {lab.s3.endpoint_url}"]
    for name, machines in lab.machines.items():
        lines.append(f"cluster   {name}: rke on {machines.rke_host.address}, nodes on")
        lines += [f"          {node.address}:{node.port}  {node.root}" for node in machines.nodes]
        lines.append(f"SSH       ssh -i {machines.ssh_key} -o UserKnownHostsFile={lab.known_hosts} -p 2222 rke@ADDRESS")
    lines += [
        "",
        "Start a bot against it:",
        f"  {secrets} \\",
        f"  {shlex.join([*bot_argv(), 'run'])} --config {config}",
    ]
    return "\n".join(lines)


@app.command()
def up(
    base: Annotated[Path | None, typer.Option(help="keep everything here instead of in a temporary place")] = None,
    rke: Annotated[str, typer.Option(help="the version of rke to stand in for")] = "v0.1.20",
    nodes: Annotated[int, typer.Option(help="how many nodes the cluster has")] = 3,
    transport: Annotated[Literal["socket", "http"], typer.Option(help="how Slack reaches the bot")] = "socket",
    bot: Annotated[bool, typer.Option(help="start a bot too")] = False,
) -> None:
    """Start a lab, print its addresses, and keep it up until Ctrl-C."""

    async def keep(path: Path) -> None:
        async with Lab(path, rke=rke, nodes=nodes) as lab:
            lab.workspace.transport = transport
            print(describe(lab, lab.write_config()), flush=True)
            if bot:
                print(f"\nA bot runs; its output is in {(await lab.bot()).log}", flush=True)
            await interrupted()

    with place(base) as path:
        asyncio.run(keep(path))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def demo(context: typer.Context) -> None:
    """Play a save, a list and a restore that two people approve."""
    play = importlib.import_module("tests.lab.demo")  # it brings the renderer, which `up` does not need
    sys.exit(play.main(context.args))


if __name__ == "__main__":
    app()
