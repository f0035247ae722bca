"""Recorded runs of the real rke, and how a run of the double is held against one.

A file holds the command line, `rc=`, and both streams; "… (N lines cut)" stands for N lines that were not kept. What
differs by nature is levelled: times, addresses, ports, sums, the words of another etcdctl, where a node's root lies.
Hosts that rke serves at once interleave freely; the lines of one host keep their order.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

DIRECTORY = Path(__file__).resolve().parents[2] / "data" / "rke"
_CUT = re.compile(r"… \((\d+) lines cut\)")
_HOST = re.compile(r"<node\d+>")
# Lines that the keepers of the v1.0.16 transcripts left out, in their own words.
PROGRESS = re.compile(
    r'msg="(Image \[|Starting container|Waiting for|Container \[[^]]+\] is still running|Removing container|'
    r"Checking if container|\[healthcheck\])|log-linker"
)
_LEVELLERS: Sequence[tuple[str, str]] = (
    (r'^time="[^"]*" ', ""),
    (r'time=\\"[^"\\]*\\"', "time=<time>"),
    (r"<node(\d)>:(22|2222)\b", r"<node\1>:<port>"),
    (r"container logs: (?!time=).*?Error: ", "container logs: … Error: "),
    (r"\b[0-9a-f]{32}\b", "<md5>"),
    (r"open /\S*?(/opt/rke/)", r"open \1"),
    (r"rke_etcd_snapshot_[0-9T:+Z-]+", "rke_etcd_snapshot_<time>"),
)


@dataclass(frozen=True)
class Stream:
    """Kept lines of one stream and how many were cut."""

    lines: tuple[str, ...]
    cut: int

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Split kept lines from notes about cut ones."""
        kept: list[str] = []
        cut = 0
        for line in lines:
            note = _CUT.fullmatch(line)
            cut += int(note[1]) if note else 0
            kept += [] if note else [line]
        return cls(tuple(kept), cut)


@dataclass(frozen=True)
class Transcript:
    """One recorded run. `arguments` is the command line behind `rke`."""

    arguments: str
    status: int
    stdout: Stream
    stderr: Stream

    @classmethod
    def load(cls, name: str) -> Self:
        """Read tests/data/rke/NAME.txt."""
        text = (DIRECTORY / f"{name}.txt").read_text()
        lines = [line for line in text.splitlines() if not line.startswith("# ")]
        out = next(i for i, line in enumerate(lines) if line.startswith("--stdout"))
        err = next(i for i, line in enumerate(lines) if line.startswith("--stderr"))
        status = re.match(r"rc=(\d+)", lines[1])
        if status is None:
            raise ValueError(f"{name}: no exit status in the second line")
        return cls(
            arguments=lines[0].removeprefix("$ rke "),
            status=int(status[1]),
            stdout=Stream.parse(lines[out + 1 : err]),
            stderr=Stream.parse(lines[err + 1 :]),
        )


def level(line: str, nodes: Mapping[str, int]) -> str:
    """The line without what differs by nature; `nodes` maps an address to the node's number."""
    for address, number in sorted(nodes.items(), key=lambda item: -len(item[0])):
        line = line.replace(address, f"<node{number}>").replace(address.replace(".", "-"), f"<node{number}>")
    for pattern, instead in _LEVELLERS:
        line = re.sub(pattern, instead, line)
    return line


def differences(
    expected: Stream,
    expected_nodes: Mapping[str, int],
    actual: str,
    actual_nodes: Mapping[str, int],
    *,
    progress: bool = True,
) -> list[str]:
    """What the actual stream has wrong, empty when it agrees. `progress=False` leaves rke's small talk out."""
    want = [level(line, expected_nodes) for line in expected.lines]
    have = [level(line, actual_nodes) for line in actual.splitlines()]
    if not progress:
        want = [line for line in want if not PROGRESS.search(line)]
        have = [line for line in have if not PROGRESS.search(line)]
    found = _order(want, have)
    if progress and len(have) != len(want) + expected.cut:
        found.append(f"{len(have)} lines, {len(want) + expected.cut} expected")
    if not expected.cut:
        found += [
            f"unexpected: {line}" for line in (Counter(have) - Counter(want)).elements() if not _cut_short(line, want)
        ]
    return found


def _cut_short(line: str, want: Sequence[str]) -> bool:
    return any(wanted.endswith("…") and line.startswith(wanted.rstrip(" …")) for wanted in want)


def _order(want: Sequence[str], have: Sequence[str]) -> list[str]:
    """Lines of each host, and of no host, must come in the same order."""
    found: list[str] = []
    groups = {tuple(sorted(set(_HOST.findall(line)))) for line in want}
    for group in groups:
        lines = iter(line for line in have if set(group) <= set(_HOST.findall(line)) or not group)
        for wanted in (line for line in want if tuple(sorted(set(_HOST.findall(line)))) == group):
            if not any(line == wanted or _cut_short(line, [wanted]) for line in lines):
                found.append(f"missing or out of order: {wanted}")
                break
    return found
