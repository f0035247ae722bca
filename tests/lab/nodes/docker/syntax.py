"""The flags of the docker verbs the lab understands. ``docker container X`` and ``docker image X`` lead here too."""

from tests.lab.nodes.docker.options import Syntax


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _short(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


_CREATE_VALUES = _words(
    "name volume mount network net restart env entrypoint user memory label workdir volumes-from tmpfs hostname pid "
    "ipc cpus cpu-shares memory-swap ulimit log-driver log-opt security-opt cap-add cap-drop pids-limit stop-timeout "
    "stop-signal publish userns shm-size env-file oom-score-adj cpuset-cpus device add-host dns expose"
)
_CREATE_SWITCHES = _words("interactive tty rm privileged read-only init no-healthcheck oom-kill-disable")
_MANY = "CONTAINER [CONTAINER...]"


_CREATE_SHORT = _short("v=volume e=env u=user m=memory l=label w=workdir h=hostname p=publish c=cpu-shares") | {
    "i": "interactive",
    "t": "tty",
}

_ALL = (
    Syntax(
        "version",
        "Show the Docker version information",
        "[OPTIONS]",
        _words("format"),
        short=_short("f=format"),
        maximum=0,
    ),
    Syntax(
        "info",
        "Display system-wide information",
        "[OPTIONS]",
        _words("format"),
        short=_short("f=format"),
        maximum=0,
    ),
    Syntax(
        "ps",
        "List containers",
        "[OPTIONS]",
        _words("filter format last"),
        _words("all quiet no-trunc latest size"),
        _short("a=all q=quiet f=filter n=last l=latest s=size"),
        maximum=0,
    ),
    Syntax(
        "inspect",
        "Return low-level information on Docker objects",
        "[OPTIONS] NAME|ID [NAME|ID...]",
        _words("format type"),
        _words("size"),
        _short("f=format s=size"),
        minimum=1,
    ),
    Syntax(
        "restart",
        "Restart one or more containers",
        f"[OPTIONS] {_MANY}",
        _words("time timeout signal"),
        short=_short("t=time s=signal"),
        minimum=1,
    ),
    Syntax(
        "stop",
        "Stop one or more running containers",
        f"[OPTIONS] {_MANY}",
        _words("time timeout signal"),
        short=_short("t=time s=signal"),
        minimum=1,
    ),
    Syntax(
        "start",
        "Start one or more stopped containers",
        f"[OPTIONS] {_MANY}",
        switches=_words("attach interactive"),
        short=_short("a=attach i=interactive"),
        minimum=1,
    ),
    Syntax(
        "kill",
        "Kill one or more running containers",
        f"[OPTIONS] {_MANY}",
        _words("signal"),
        short=_short("s=signal"),
        minimum=1,
    ),
    Syntax(
        "rm",
        "Remove one or more containers",
        f"[OPTIONS] {_MANY}",
        switches=_words("force volumes link"),
        short=_short("f=force v=volumes l=link"),
        minimum=1,
    ),
    Syntax("wait", "Block until one or more containers stop, then print their exit codes", _MANY, minimum=1),
    Syntax("rename", "Rename a container", "CONTAINER NEW_NAME", minimum=2, maximum=2),
    Syntax(
        "logs",
        "Fetch the logs of a container",
        "[OPTIONS] CONTAINER",
        _words("tail since until"),
        _words("follow timestamps details"),
        _short("n=tail f=follow t=timestamps"),
        minimum=1,
        maximum=1,
    ),
    Syntax(
        "create",
        "Create a new container",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        _CREATE_VALUES,
        _CREATE_SWITCHES,
        _CREATE_SHORT,
        minimum=1,
        interspersed=False,
    ),
    Syntax(
        "run",
        "Run a command in a new container",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        _CREATE_VALUES | {"attach"},
        _CREATE_SWITCHES | {"detach", "sig-proxy"},
        _CREATE_SHORT | {"d": "detach", "a": "attach"},
        minimum=1,
        interspersed=False,
    ),
    Syntax(
        "exec",
        "Run a command in a running container",
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        _words("env user workdir"),
        _words("interactive tty privileged"),
        _short("e=env u=user w=workdir i=interactive t=tty"),
        minimum=2,
        interspersed=False,
    ),
    Syntax(
        "cp",
        "Copy files/folders between a container and the local filesystem",
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-",
        switches=_words("archive follow-link"),
        short=_short("a=archive L=follow-link"),
        minimum=2,
        maximum=2,
    ),
    Syntax(
        "images",
        "List images",
        "[OPTIONS] [REPOSITORY[:TAG]]",
        _words("format filter"),
        _words("quiet all no-trunc digests"),
        _short("q=quiet a=all f=filter"),
        maximum=1,
    ),
    Syntax(
        "pull",
        "Pull an image or a repository from a registry",
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        switches=_words("quiet all-tags"),
        short=_short("q=quiet a=all-tags"),
        minimum=1,
        maximum=1,
    ),
    Syntax(
        "update",
        "Update configuration of one or more containers",
        f"[OPTIONS] {_MANY}",
        _words("restart memory cpus"),
        short=_short("m=memory"),
        minimum=1,
    ),
    Syntax(
        "top",
        "Display the running processes of a container",
        "CONTAINER [ps OPTIONS]",
        minimum=1,
        interspersed=False,
    ),
)

SYNTAX: dict[str, Syntax] = {syntax.verb: syntax for syntax in _ALL}
"""By verb."""
