"""rke's command line: urfave/cli's parsing, help texts and exit statuses.

Transcripts: `v0.1.20-unknown-subcommand.txt` (status 3), `v0.1.20-list.txt`, `v0.1.20-restore-without-name.txt`,
`v0.1.20-save-without-name.txt`, `v0.1.20-config-file-missing.txt`.
"""

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from . import config
from .log import Log, RkeError
from .session import Session
from .settings import Settings

BOOLEANS = {
    "snapshot": {"ssh-agent-auth", "ignore-docker-version"},
    "up": {"ssh-agent-auth", "ignore-docker-version", "local", "dind", "update-only", "disable-port-check"},
}
STRINGS = {"snapshot": {"name", "config"}, "up": {"config"}}
LATER_BOOLEANS = {"snapshot": {"s3"}, "up": {"init", "custom-certs"}}
LATER_STRINGS = {
    "snapshot": {"s3-endpoint", "s3-endpoint-ca", "access-key", "secret-key", "bucket-name", "region", "folder"},
    "up": {"cert-dir", "dind-storage-driver", "dind-dns-server"},
}
ETCD_HELP = """NAME:
   rke etcd - etcd snapshot save/restore operations in k8s cluster

USAGE:
   rke etcd command [command options] [arguments...]

COMMANDS:
     snapshot-save     Take snapshot on all etcd hosts
     snapshot-restore  Restore existing snapshot

OPTIONS:
   --help, -h  show help
   {blank}
""".format(blank="")
APP_HELP = """NAME:
   rke - Rancher Kubernetes Engine, an extremely simple, lightning fast Kubernetes installer that works everywhere

USAGE:
   rke [global options] command [command options] [arguments...]

COMMANDS:
     up       Bring the cluster up
     remove   Teardown the cluster and clean cluster nodes
     version  Show cluster Kubernetes version
     config   Setup cluster configuration
     etcd     etcd snapshot save/restore operations in k8s cluster
     help, h  Shows a list of commands or help for one command

GLOBAL OPTIONS:
   --debug, -d    Debug logging
   --help, -h     show help
   --version, -v  print the version
"""
USAGES = {"snapshot-save": "Take snapshot on all etcd hosts", "snapshot-restore": "Restore existing snapshot"}
Verb = Callable[[Session, "Options"], Awaitable[None]]


@dataclass(frozen=True)
class Options:
    """Flags of one command."""

    words: dict[str, str] = field(default_factory=dict)
    switches: frozenset[str] = frozenset()

    @property
    def config(self) -> Path:
        """--config, $RKE_CONFIG or cluster.yml."""
        return Path(self.words.get("config") or os.environ.get("RKE_CONFIG") or "cluster.yml")


class BadFlag(Exception):
    """A flag urfave/cli does not know, or one without its value."""


def parse_flags(arguments: list[str], kind: str, legacy: bool) -> Options:
    """Go's flag syntax: -x, --x, --x=value, --x value; stops at the first word that is no flag."""
    booleans = BOOLEANS[kind] | (set() if legacy else LATER_BOOLEANS[kind])
    strings = STRINGS[kind] | (set() if legacy else LATER_STRINGS[kind])
    words: dict[str, str] = {}
    switches: set[str] = set()
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in {"-", "--"}:
        name, equals, value = rest.pop(0).lstrip("-").partition("=")
        if name in booleans:
            switches |= {name} if value != "false" else set()
        elif name in strings:
            if not equals and not rest:
                raise BadFlag(f"flag needs an argument: -{name}")
            words[name] = value if equals else rest.pop(0)
        elif name in {"help", "h"}:
            switches.add("help")
        else:
            raise BadFlag(f"flag provided but not defined: -{name}")
    return Options(words, frozenset(switches))


def incorrect_usage(log: Log, error: str, help_text: str) -> int:
    """Help on standard output, the reason as FATAL line, status 1 [v0.1.20-list.txt]."""
    sys.stdout.write(f"Incorrect Usage.\n\n{help_text}")
    sys.stdout.flush()
    log.fatal(error)
    return 1


def command_help(name: str, usage: str, kind: str) -> str:
    """urfave/cli's help of one command."""
    flags = "\n".join(f"   --{flag} value" for flag in sorted(STRINGS[kind]))
    switches = "\n".join(f"   --{flag}" for flag in sorted(BOOLEANS[kind]))
    head = f"NAME:\n   rke {name} - {usage}\n\nUSAGE:\n   rke {name} [command options] [arguments...]\n\nOPTIONS:\n"
    return f"{head}{flags}\n{switches}\n   \n"


def record_launch() -> None:
    """One line of JSON per launch in $RKE_DOUBLE_LOG."""
    path = os.environ.get("RKE_DOUBLE_LOG")
    if not path:
        return
    line = json.dumps({"time": time.time(), "argv": sys.argv[1:], "pid": os.getpid()}) + "\n"
    with Path(path).open("a") as file:
        file.write(line)


def open_session(options: Options, settings: Settings, log: Log) -> Session:
    """Read and check the yml before anything is logged; raises RkeError."""
    failed = "Failed" if settings.legacy else "failed"
    try:
        text = config.read(options.config)
    except RkeError as error:
        raise RkeError(f"{failed} to resolve cluster file: {error}") from error
    try:
        tree = config.parse(text)
    except RkeError as error:
        raise RkeError(f"{failed} to parse cluster file: {error}") from error
    tree |= {"ssh_agent_auth": True} if "ssh-agent-auth" in options.switches else {}
    tree |= {"ignore_docker_version": True} if "ignore-docker-version" in options.switches else {}
    return Session(config.Cluster(options.config, tree, ()), settings, log)


def classify(session: Session) -> None:
    """Validate the hosts; rke does it after its first line."""
    session.cluster = config.cluster_of(session.cluster.path, session.cluster.tree)


def snapshot_name(options: Options, settings: Settings, log: Log, saving: bool) -> str:
    """--name, or for save a name with the local time (it has colons); raises RkeError for restore."""
    name = options.words.get("name", "")
    if name:
        return name
    if not saving:
        raise RkeError(f"{'You' if settings.legacy else 'you'} must specify the snapshot name to restore")
    stamp = datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
    name = f"rke_etcd_snapshot_{stamp}"
    log.warning(f"Name of the snapshot is not specified using [{name}]")
    return name
