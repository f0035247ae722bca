"""The `rke` double: `python -m tests.lab.rke` with RKE_DOUBLE_VERSION=v0.1.20 or v1.0.16."""

import asyncio
import sys
from pathlib import Path

from . import snapshots, snapshots_v1, up, up_v1
from .cli import (
    APP_HELP,
    ETCD_HELP,
    USAGES,
    BadFlag,
    Options,
    classify,
    command_help,
    incorrect_usage,
    open_session,
    parse_flags,
    record_launch,
    snapshot_name,
)
from .log import Log, RkeError, log_for
from .settings import Settings


async def _snapshot(verb: str, options: Options, settings: Settings, log: Log) -> None:
    session = open_session(options, settings, log)
    saving = verb == "snapshot-save"
    name = snapshot_name(options, settings, log, saving)
    first = "Starting saving snapshot" if saving else "Starting restoring snapshot"
    module = snapshots if settings.legacy else snapshots_v1
    try:
        if settings.legacy or saving:
            log.info(f"{first} on etcd hosts")
        else:
            log.info(f"Restoring etcd snapshot {name}")
        classify(session)
        await (module.save if saving else module.restore)(session, name)
    finally:
        session.close()


async def _up(options: Options, settings: Settings, log: Log) -> None:
    session = open_session(options, settings, log)
    module = up if settings.legacy else up_v1
    port_check = "disable-port-check" not in options.switches
    try:
        log.info("Building Kubernetes cluster" if settings.legacy else "Initiating Kubernetes cluster")
        classify(session)
        await module.up(session, port_check=port_check, update_only="update-only" in options.switches)
    finally:
        session.close()


def _run(name: str, usage: str, arguments: list[str], settings: Settings, log: Log) -> int:
    kind = "up" if name == "up" else "snapshot"
    full = name if kind == "up" else f"etcd {name}"
    try:
        options = parse_flags(arguments, kind, settings.legacy)
    except BadFlag as error:
        return incorrect_usage(log, str(error), command_help(full, usage, kind))
    if "help" in options.switches:
        sys.stdout.write(command_help(full, usage, kind))
        return 0
    if not settings.legacy:
        log.info(f"Running RKE version: {settings.version}")
    try:
        asyncio.run(_up(options, settings, log) if kind == "up" else _snapshot(name, options, settings, log))
    except RkeError as error:
        log.fatal(str(error))
        return 1
    return 0


def _etcd(arguments: list[str], settings: Settings, log: Log) -> int:
    if not arguments or arguments[0] in {"--help", "-h", "help", "h"}:
        sys.stdout.write(ETCD_HELP)
        return 0
    verb = arguments[0]
    if verb.startswith("-"):
        return incorrect_usage(log, f"flag provided but not defined: -{verb.lstrip('-').partition('=')[0]}", ETCD_HELP)
    if verb not in USAGES:
        sys.stderr.write(f"No help topic for '{verb}'\n")
        return 3
    return _run(verb, USAGES[verb], arguments[1:], settings, log)


def _version(settings: Settings, log: Log) -> int:
    """`rke version` asks the cluster; without kube_config_cluster.yml it is fatal."""
    if not Path("kube_config_cluster.yml").exists():
        reason = "stat ./kube_config_cluster.yml: no such file or directory"
        log.fatal(f"Failed to create Kubernetes Client: {reason}")
        return 1
    log.info("Server version: v1.13.12" if settings.legacy else "Server version: v1.17.17")
    return 0


def main() -> int:
    """Parse the command line as rke does and run; the exit status."""
    settings = Settings.from_environ()
    log = log_for(settings.version)
    record_launch()
    arguments = [word for word in sys.argv[1:] if word not in {"--debug", "-d", "--quiet", "-q"}]
    if not arguments or arguments[0] in {"--help", "-h", "help", "h"}:
        sys.stdout.write(APP_HELP)
        return 0
    verb, *rest = arguments
    if verb in {"--version", "-v"}:
        sys.stdout.write(f"rke version {settings.version}\n")
        return 0
    if verb == "version":
        return _version(settings, log)
    if verb == "etcd":
        return _etcd(rest, settings, log)
    if verb == "up":
        return _run("up", "Bring the cluster up", rest, settings, log)
    if verb.startswith("-"):
        return incorrect_usage(log, f"flag provided but not defined: -{verb.lstrip('-')}", APP_HELP)
    sys.stderr.write(f"No help topic for '{verb}'\n")
    return 3


if __name__ == "__main__":
    sys.exit(main())
