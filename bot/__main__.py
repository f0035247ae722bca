"""The command line: `etcd-snapshot-bot run | worker | slack | check`."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from bot import checks, wiring
from bot.errors import BotError, Refused
from bot.settings import Settings, load

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
Config = Annotated[
    Path,
    typer.Option(envvar="ETCD_SNAPSHOT_BOT_CONFIG", help="The configuration file (YAML).", show_default=False),
]


@app.command()
def run(config: Config) -> None:
    """Slack side and worker in one process."""
    _serve(config, works=True, talks=True)


@app.command()
def worker(config: Config) -> None:
    """Only a worker: runs jobs and answers queries. Any number of them may run."""
    _serve(config, works=True, talks=False)


@app.command()
def slack(config: Config) -> None:
    """Only the Slack side: takes commands and clicks, and reports."""
    _serve(config, works=False, talks=True)


@app.command()
def check(config: Config) -> None:
    """Check configuration, Slack, Redis, S3, RKE hosts and nodes, and say what to do."""
    settings = _settings(config)
    sys.exit(asyncio.run(checks.run(settings)))


def _serve(config: Path, *, works: bool, talks: bool) -> None:
    settings = _settings(config)
    _log_to_stderr()
    try:
        asyncio.run(wiring.run(settings, works=works, talks=talks))
    except BotError as error:
        sys.exit(f"etcd-snapshot-bot: {error}")


def _settings(config: Path) -> Settings:
    """The settings; the process ends with status 2 and every problem when there are any."""
    try:
        return load(config, os.environ)
    except Refused as error:
        print(f"etcd-snapshot-bot: {error}", file=sys.stderr)
        sys.exit(2)


def _log_to_stderr() -> None:
    """One JSON line per event: a constant name with fields. Libraries speak only from warning on."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
