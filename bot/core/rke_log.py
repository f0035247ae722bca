r"""Reading rke's log: what it did on which node, whom it skipped, why it failed, and what its misleading words mean.

The lines are those of rke v0.1.7 to v1.6 without a terminal: `time="…" level=info msg="…"`, in msg `\"` and `\n`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

_LINE: Final = re.compile(
    r'^time="(?P<time>[^"]*)" level=(?P<level>\w+) msg=(?:"(?P<text>(?:[^"\\]|\\.)*)|(?P<bare>\S*))'
)
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "t": "\t"}
_HOST: Final = re.compile(r"\b(?:host|node with address) \[(?P<host>[^\]:]+)")
_UNREACHED: Final = re.compile(r"Failed to set up SSH tunneling for host \[(?P<host>[^\]]+)\]: (?P<why>.*)", re.DOTALL)
_REMOVED: Final = re.compile(r"Removing host \[(?P<host>[^\]]+)\] from node lists")
_COMPONENTS: Final = "etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|nginx-proxy"

# What a line says about its host. A word in _DONE is what becomes of a node once the work it names has moved on.
_WORDS: Final = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\[etcd\] Saving snapshot \[(?!etcd-rolling-snapshots\])", "saving"),
        (r"\[etcd\] Running snapshot save once on host", "saving"),
        (r"^Removing container \[etcd-snapshot-once\]", "file written"),
        (r"\[etcd\] starting backup server on host", "serving the snapshot"),
        (r"\[etcd\] Get snapshot \[", "fetching the snapshot"),
        (r"\[etcd\] Checksum of etcd snapshot on host", "checksum taken"),
        (r"\[remove/etcd\] Successfully removed container on host", "etcd removed"),
        (r"\[hosts\] Cleaning up host", "cleaning"),
        (r"\[hosts\] Successfully cleaned up host", "cleaned"),
        (r"\[etcd\] Restoring \[", "restoring"),
        (rf"Successfully (?:started|updated) \[(?P<name>{_COMPONENTS})\] container on host", "{name} started"),
        (r"\[healthcheck\] service \[(?P<name>[\w-]+)\] on host .* is healthy", "{name} healthy"),
        (r"\[reconcile\] Couldn't clean up", "could not be cleaned up"),
    )
)
_DONE: Final = {"saving": "file written", "restoring": "restored"}
_MOVED_ON: Final = re.compile(
    r"\[etcd\] Building up etcd plane|\[certificates\] Successfully started \[rke-bundle-cert\]|^Finished |^Initiating "
)
_PHASE: Final = re.compile(
    r"^\[(?:addons|ingress|network)\] (Setting up [\w .-]+|Executing deploy job[\w .-]*)"
    r"|^(Pre-pulling kubernetes images)"
    r"|^\[(?:etcd|controlplane|worker)\] (Building up [\w ]+)|^(Finished building Kubernetes cluster) successfully"
)
_DESTROYED: Final = re.compile(r"^Cleaning old kubernetes cluster|^\[remove/etcd\] Successfully removed container")

# rke's words, and what they mean. The first that fits wins; {host} is the host the line names.
_MEANINGS: Final = tuple(
    (re.compile(pattern, re.DOTALL), meaning)
    for pattern, meaning in (
        (
            r"Error waiting for container \[(?P<name>[\w-]+)\] on host .*Cannot connect to the Docker daemon",
            (
                "This message misleads: docker on {host} may well answer. rke v0.1.x gives each node 50 s, and {host} "
                "took longer, or its etcd did not answer. {name} is left there."
            ),
        ),
        (
            r"Can't retrieve Docker Info: Cannot connect to the Docker daemon",
            "SSH to {host} was refused, or docker does not run there: rke has one message for both.",
        ),
        (
            r"Unable to access the service on /var/run/docker\.sock",
            "docker does not run on {host}, or the SSH user there is not in the group docker.",
        ),
        (r"no route to host|i/o timeout|connection timed out", "{host} does not answer: it is off or cut off."),
        (r"connection refused", "{host} runs, but nothing listens on its SSH port."),
        (r"unable to authenticate", "{host} does not accept the SSH key or the user in rancher-cluster.yml."),
        (r"Error while reading SSH key file", "The SSH key named in rancher-cluster.yml is not there."),
        (r"cannot decode encrypted private keys|passphrase", "rke cannot use an SSH key with a passphrase."),
        (r"Unsupported Docker version", "rke refuses this docker version unless ignore_docker_version is set."),
        (r"snapshot missing hash|expected sha256", "The snapshot file on a node is truncated or corrupt."),
        (r"/etcd-snapshots/\S+: no such file|stat /backup/", "The snapshot file is missing on a node."),
        (
            r"mv: can't remove '/var/lib/rancher/etcd",
            "etcd's data directory on a node was not empty, although rke said that it had cleaned it.",
        ),
        (
            r"IsLocalSnapshot|no cluster level S3",
            "backup_config without S3: this rke restores only names it made itself.",
        ),
        (r"etcd cluster is unhealthy", "etcd was started but did not become healthy: look at `docker logs etcd`."),
        (r"not able to connect to the following ports", "A firewall is between the nodes, or a port is taken."),
        (r"Provisioning incomplete", "rke left out hosts it could not reach; the others are done."),
        (r"failed to connect to the following etcd host", "rke could not reach any etcd node."),
        (r"Failed to verify healthcheck", "A component on {host} was started but is not healthy."),
        (r"[Ff]ailed to (?:resolve|parse|validate|classify).*(?:cluster|config)", "rancher-cluster.yml has a mistake."),
    )
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `at` in seconds since the epoch (0 when rke gave none), level info, warning or fatal."""

    at: float
    level: str
    text: str

    @property
    def host(self) -> str:
        """The node the line is about, "" if it names none."""
        found = _HOST.search(self.text)
        return found["host"] if found else ""


@dataclass(frozen=True, slots=True)
class RkeLog:
    """What a run's log says. `skipped` are the hosts rke dropped, with its reason; `warnings` are whole sentences;
    `error` is its last word when it failed ("" if it did not), `meaning` what that means for people; `destroyed`:
    something of the old cluster has been removed.
    """

    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    meaning: str = ""
    destroyed: bool = False


def lines(output: str) -> Iterator[Line]:
    """The log lines of some output; anything else rke wrote counts as info."""
    for raw in output.splitlines():
        found = _LINE.match(raw)
        if found is None:
            yield Line(0, "info", raw.strip())
        else:
            text = _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), found["text"] or found["bare"] or "")
            yield Line(_seconds(found["time"]), found["level"], text.strip())


def read(output: str) -> RkeLog:
    """Judge a run's output."""
    skipped: dict[str, str] = {}
    warnings: list[str] = []
    fatal, destroyed = Line(0, "", ""), False
    for line in lines(output):
        if line.level == "fatal":
            fatal = line
        elif found := _UNREACHED.search(line.text):
            skipped[found["host"]] = found["why"]
        elif found := _REMOVED.search(line.text):
            skipped.setdefault(found["host"], "rke gave no reason")
        elif line.level == "warning" and line.text not in warnings:
            warnings.append(line.text)
        destroyed = destroyed or bool(_DESTROYED.search(line.text))
    left_out = tuple(f"rke left out {host}: {_explained(host, why)}" for host, why in skipped.items())
    return RkeLog(skipped, (*left_out, *warnings), _shortened(fatal.text), meaning(fatal.text), destroyed)


def meaning(text: str) -> str:
    """What a message of rke means for people; "" when its words say it."""
    host = Line(0, "", text).host or "the node"
    for pattern, words in _MEANINGS:
        if found := pattern.search(text):
            return words.format(host=host, **found.groupdict())
    return ""


def progress(output: str) -> Mapping[str, str]:
    """What each node is at, in a word or two; "rke" for what concerns no single node. Works for every family of rke."""
    nodes: dict[str, _Node] = {}
    phase = ""
    for line in lines(output):
        if found := _PHASE.search(line.text):
            phase = next(part for part in found.groups() if part).strip(" .")
        if _MOVED_ON.search(line.text):
            _finish(nodes, "", line.at)
        if line.level == "fatal":
            _fail(nodes, line)
        elif (found := _UNREACHED.search(line.text) or _REMOVED.search(line.text)) is not None:
            nodes.setdefault(found["host"], _Node("", line.at)).word = "left out"
        elif line.host and (word := _word(line.text)):
            _set(nodes, line, word)
    words = {host: node.shown for host, node in nodes.items() if node.word}
    return ({"rke": phase} if phase else {}) | words


@dataclass(slots=True)
class _Node:
    word: str
    since: float
    took: float | None = None

    @property
    def shown(self) -> str:
        return self.word if self.took is None else f"{self.word:<14}{self.took:>4.0f} s"


def _word(text: str) -> str:
    for pattern, word in _WORDS:
        if found := pattern.search(text):
            return word.format(**found.groupdict())
    return ""


def _set(nodes: dict[str, _Node], line: Line, word: str) -> None:
    node = nodes.get(line.host)
    if word in _DONE:
        _finish(nodes, line.host, line.at)
        nodes[line.host] = _Node(word, line.at)
    elif node is not None and _DONE.get(node.word) == word:
        node.word, node.took = word, line.at - node.since
    else:
        nodes[line.host] = _Node(word, line.at)


def _finish(nodes: dict[str, _Node], but: str, at: float) -> None:
    """rke works on one node after the other: what was at work on another one is done."""
    for host, node in nodes.items():
        if host != but and node.word in _DONE:
            node.word, node.took = _DONE[node.word], at - node.since


def _fail(nodes: dict[str, _Node], line: Line) -> None:
    """The node the last word is about has failed; if it names none, the one rke was at work on."""
    if line.host:
        nodes.setdefault(line.host, _Node("", line.at))
    for host, node in nodes.items():
        if host == line.host or (not line.host and node.word in _DONE):
            node.word, node.took = "failed", line.at - node.since if line.at else None


def _explained(host: str, why: str) -> str:
    return meaning(f"host [{host}]: {why}") or _shortened(why)


def _shortened(text: str) -> str:
    """rke quotes whole container logs: keep its own words and the log's last line."""
    head, found, logs = text.partition(", container logs: ")
    last = [part for part in logs.splitlines() if len(part) > 2] if found else []
    return f"{head}: {last[-1].strip()}" if last else text.replace("\n", " ")


def _seconds(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0
