"""The flags of the docker verbs the lab understands."""

from tests.lab.nodes.docker.options import Syntax

_CREATE_VALUES = frozenset(
    {
        "name", "volume", "mount", "network", "net", "restart", "env", "entrypoint", "user", "memory", "label", "workdir",
        "volumes-from", "tmpfs", "hostname", "pid", "ipc", "cpus", "cpu-shares", "memory-swap", "ulimit", "log-driver",
        "log-opt", "security-opt", "cap-add", "cap-drop", "pids-limit", "stop-timeout", "stop-signal", "publish", "userns",
        "shm-size", "env-file", "oom-score-adj", "cpuset-cpus", "blkio-weight", "device", "add-host", "dns", "expose",
    }
)  # fmt: skip
_CREATE_SWITCHES = frozenset(
    {"interactive", "tty", "rm", "privileged", "read-only", "init", "no-healthcheck", "oom-kill-disable"}
)
_CREATE_SHORT = {"v": "volume", "e": "env", "u": "user", "m": "memory", "l": "label", "w": "workdir", "h": "hostname"} | {
    "p": "publish", "i": "interactive", "t": "tty", "c": "cpu-shares",
}  # fmt: skip
_MANY = "CONTAINER [CONTAINER...]"

SYNTAX: dict[str, Syntax] = {
    s.verb: s
    for s in (
        Syntax("version", "Show the Docker version information", "[OPTIONS]", frozenset({"format"}), short={"f": "format"}, maximum=0),
        Syntax("info", "Display system-wide information", "[OPTIONS]", frozenset({"format"}), short={"f": "format"}, maximum=0),
        Syntax(
            "ps", "List containers", "[OPTIONS]",
            frozenset({"filter", "format", "last"}), frozenset({"all", "quiet", "no-trunc", "latest", "size"}),
            {"a": "all", "q": "quiet", "f": "filter", "n": "last", "l": "latest", "s": "size"}, maximum=0,
        ),
        Syntax(
            "inspect", "Return low-level information on Docker objects", "[OPTIONS] NAME|ID [NAME|ID...]",
            frozenset({"format", "type"}), frozenset({"size"}), {"f": "format", "s": "size"}, minimum=1,
        ),
        Syntax("restart", "Restart one or more containers", f"[OPTIONS] {_MANY}", frozenset({"time", "timeout", "signal"}), short={"t": "time", "s": "signal"}, minimum=1),
        Syntax("stop", "Stop one or more running containers", f"[OPTIONS] {_MANY}", frozenset({"time", "timeout", "signal"}), short={"t": "time", "s": "signal"}, minimum=1),
        Syntax("start", "Start one or more stopped containers", f"[OPTIONS] {_MANY}", switches=frozenset({"attach", "interactive"}), short={"a": "attach", "i": "interactive"}, minimum=1),
        Syntax("kill", "Kill one or more running containers", f"[OPTIONS] {_MANY}", frozenset({"signal"}), short={"s": "signal"}, minimum=1),
        Syntax("rm", "Remove one or more containers", f"[OPTIONS] {_MANY}", switches=frozenset({"force", "volumes", "link"}), short={"f": "force", "v": "volumes", "l": "link"}, minimum=1),
        Syntax("wait", "Block until one or more containers stop, then print their exit codes", _MANY, minimum=1),
        Syntax("rename", "Rename a container", "CONTAINER NEW_NAME", minimum=2, maximum=2),
        Syntax(
            "logs", "Fetch the logs of a container", "[OPTIONS] CONTAINER",
            frozenset({"tail", "since", "until"}), frozenset({"follow", "timestamps", "details"}),
            {"n": "tail", "f": "follow", "t": "timestamps"}, minimum=1, maximum=1,
        ),
        Syntax("create", "Create a new container", "[OPTIONS] IMAGE [COMMAND] [ARG...]", _CREATE_VALUES, _CREATE_SWITCHES, _CREATE_SHORT, 1, interspersed=False),
        Syntax(
            "run", "Run a command in a new container", "[OPTIONS] IMAGE [COMMAND] [ARG...]", _CREATE_VALUES | {"attach"},
            _CREATE_SWITCHES | {"detach", "sig-proxy"}, _CREATE_SHORT | {"d": "detach", "a": "attach"}, 1, interspersed=False,
        ),
        Syntax(
            "exec", "Run a command in a running container", "[OPTIONS] CONTAINER COMMAND [ARG...]",
            frozenset({"env", "user", "workdir"}), frozenset({"interactive", "tty", "detach", "privileged"}),
            {"e": "env", "u": "user", "w": "workdir", "i": "interactive", "t": "tty", "d": "detach"}, 2, interspersed=False,
        ),
        Syntax("cp", "Copy files/folders between a container and the local filesystem", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", switches=frozenset({"archive", "follow-link"}), short={"a": "archive", "L": "follow-link"}, minimum=2, maximum=2),
        Syntax(
            "images", "List images", "[OPTIONS] [REPOSITORY[:TAG]]",
            frozenset({"format", "filter"}), frozenset({"quiet", "all", "no-trunc", "digests"}), {"q": "quiet", "a": "all", "f": "filter"}, maximum=1,
        ),
        Syntax("pull", "Pull an image or a repository from a registry", "[OPTIONS] NAME[:TAG|@DIGEST]", switches=frozenset({"quiet", "all-tags"}), short={"q": "quiet", "a": "all-tags"}, minimum=1, maximum=1),
        Syntax("update", "Update configuration of one or more containers", f"[OPTIONS] {_MANY}", frozenset({"restart", "memory", "cpus"}), short={"m": "memory"}, minimum=1),
        Syntax("top", "Display the running processes of a container", "CONTAINER [ps OPTIONS]", minimum=1, interspersed=False),
    )
}  # fmt: skip
"""By verb. ``docker container X`` and ``docker image X`` lead to the same verbs."""
