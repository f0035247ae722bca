"""The rke double's command line and the files it refuses: no node is needed for these."""

import asyncio
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.lab.rke import install
from tests.lab.rke.log import go_quote, logfmt, terminal
from tests.lab.rke.transcript import Transcript, differences

NODES = {"10.77.0.1": 1, "10.77.0.2": 2, "10.77.0.3": 3}


@dataclass(frozen=True)
class Ran:
    """A finished run."""

    status: int
    stdout: str
    stderr: str


async def run(directory: Path, *arguments: str, version: str = "v0.1.20", **environment: str) -> Ran:
    """Run the installed double in a directory."""
    rke = install(directory / "bin", version)
    process = await asyncio.create_subprocess_exec(
        str(rke),
        *arguments,
        cwd=directory,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


def check(name: str, ran: Ran) -> None:
    """Hold a run against a transcript."""
    recorded = Transcript.load(name)
    assert ran.status == recorded.status
    assert differences(recorded.stdout, NODES, ran.stdout, NODES) == []
    assert differences(recorded.stderr, NODES, ran.stderr, NODES) == []


NODE = "{address: 10.77.0.1, user: rke, role: [controlplane, etcd, worker]}"
REFUSED = {
    "bad-yaml": ("bad1.yml", "nodes: [a"),
    "no-user": ("bad2.yml", "nodes:\n- address: 10.77.0.1\n  role: [etcd]\n"),
    "unknown-role": ("bad3.yml", "nodes:\n- {address: 10.77.0.1, user: rke, role: [etc]}\n"),
    "no-etcd-role": ("bad4.yml", "nodes:\n- {address: 10.77.0.1, user: rke, role: [worker]}\n"),
    "role-as-string": ("bad5.yml", "nodes:\n- address: 10.77.0.1\n  user: rke\n  role: controlplane\n"),
    "duplicate-node": ("bad6.yml", f"nodes:\n- {NODE}\n- {NODE}\n"),
    "key-file-missing": ("bad7.yml", f"foo: bar\nssh_key_path: /nonexistent\nnodes:\n- {NODE}\n"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_file_rke_refuses_is_refused_in_its_words(name: str, tmp_path: Path) -> None:
    """Exit status 1 and rke's FATAL line; unknown keys never matter."""
    file, text = REFUSED[name]
    (tmp_path / file).write_text(text)
    recorded = Transcript.load(f"v0.1.20-{name}")
    check(f"v0.1.20-{name}", await run(tmp_path, *recorded.arguments.split()))


async def test_an_empty_file_has_no_etcd_host(tmp_path: Path) -> None:
    """An empty yml is refused as one without the etcd role."""
    (tmp_path / "bad4.yml").write_text("")
    check("v0.1.20-no-etcd-role", await run(tmp_path, *"etcd snapshot-save --name a --config bad4.yml".split()))


async def test_a_missing_file_is_named_with_its_absolute_path(tmp_path: Path) -> None:
    """The path is that of the working directory."""
    ran = await run(tmp_path, *"etcd snapshot-save --name a --config nope.yml".split())
    check("v0.1.20-config-file-missing", Ran(ran.status, ran.stdout, ran.stderr.replace(str(tmp_path), "<cwd>")))


async def test_a_restore_needs_a_name(tmp_path: Path) -> None:
    """Without --name nothing is touched."""
    (tmp_path / "rancher-cluster.yml").write_text(f"nodes:\n- {NODE}\n")
    recorded = Transcript.load("v0.1.20-restore-without-name")
    check("v0.1.20-restore-without-name", await run(tmp_path, *recorded.arguments.split()))


async def test_there_is_no_list_command(tmp_path: Path) -> None:
    """An unknown subcommand ends with status 3."""
    check("v0.1.20-unknown-subcommand", await run(tmp_path, "etcd", "snapshot-list"))


async def test_there_is_no_list_flag(tmp_path: Path) -> None:
    """A wrong flag prints help on standard output and ends with status 1."""
    check("v0.1.20-list", await run(tmp_path, "etcd", "--list"))


@pytest.mark.parametrize("version", ["v0.1.20", "v1.0.16"])
async def test_the_version_is_printed_on_standard_output(version: str, tmp_path: Path) -> None:
    """`rke --version` is one line, status 0."""
    ran = await run(tmp_path, "--version", version=version)
    assert (ran.status, ran.stdout, ran.stderr) == (0, f"rke version {version}\n", "")


async def test_the_version_subcommand_asks_the_cluster(tmp_path: Path) -> None:
    """Without kube_config_cluster.yml `rke version` is fatal."""
    ran = await run(tmp_path, "version")
    assert ran.status == 1
    assert "level=fatal" in ran.stderr


async def test_v1_writes_its_fatal_line_to_standard_output(tmp_path: Path) -> None:
    """From v0.2 on standard error stays empty."""
    ran = await run(tmp_path, *"etcd snapshot-restore --name a --config nope.yml".split(), version="v1.0.16")
    first, last = ran.stdout.splitlines()
    assert (ran.status, ran.stderr) == (1, "")
    assert first.endswith('level=info msg="Running RKE version: v1.0.16"')
    assert "level=fatal" in last


async def test_each_launch_is_recorded(tmp_path: Path) -> None:
    """RKE_DOUBLE_LOG gets one JSON line per launch, --version included."""
    log = tmp_path / "launches"
    for words in (["--version"], ["etcd", "snapshot-list"]):
        await run(tmp_path, *words, RKE_DOUBLE_LOG=str(log))
    assert [json.loads(line)["argv"] for line in log.read_text().splitlines()] == [
        ["--version"],
        ["etcd", "snapshot-list"],
    ]


def test_a_line_for_a_pipe_is_logfmt() -> None:
    """Quotes and newlines are escaped; a plain word is not quoted."""
    at = datetime(2026, 11, 22, 12, 17, 26, tzinfo=UTC)
    assert logfmt(at, "info", 'a "b"\nc') == r'time="2026-11-22T12:17:26Z" level=info msg="a \"b\"\nc"'
    assert logfmt(at, "info", "word") == 'time="2026-11-22T12:17:26Z" level=info msg=word'
    assert go_quote("tab\t") == '"tab\\t"'


def test_a_line_for_a_terminal_is_coloured_and_padded() -> None:
    """As recorded on a TTY: level, seconds, message padded to 44 columns and one blank."""
    assert terminal(0, "info", "Starting saving snapshot on etcd hosts") == (
        "\x1b[36mINFO\x1b[0m[0000] Starting saving snapshot on etcd hosts       "
    )
    long = "[etcd] Saving snapshot [tty1] on host [10.77.0.1]"
    assert terminal(1, "info", long) == f"\x1b[36mINFO\x1b[0m[0001] {long} "
