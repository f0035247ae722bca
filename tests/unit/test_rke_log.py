"""rke's log is read as rke writes it, and its misleading words are explained."""

from pathlib import Path

import pytest

from bot.core import rke_log

DATA = Path(__file__).parents[1] / "data" / "rke"


def run(name: str) -> str:
    """The log of a recorded run."""
    text = (DATA / f"{name}.txt").read_text()
    log = [line for line in text.splitlines() if line.startswith("time=")]
    return "\n".join(log)


def words(name: str) -> dict[str, str]:
    """The progress words of a recorded run's nodes, times left out."""
    return {host: " ".join(text.split()[:2]) for host, text in rke_log.progress(run(name)).items() if host != "rke"}


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.txt")))
def test_every_recorded_run_is_understood(name: str) -> None:
    """No run of rke confuses the reader, cut anywhere: output arrives in pieces."""
    log = run(name)
    for end in range(0, len(log), 97):
        rke_log.progress(log[:end])
        rke_log.read(log[:end])
    assert bool(rke_log.read(log).error) == ("level=fatal" in log)


def test_escapes_are_undone() -> None:
    """Quotes and line ends inside a message are rke's, not the log's."""
    line = next(rke_log.lines('time="2026-11-22T12:17:26Z" level=fatal msg="a \\"b\\" \\\\ c\\nd"'))
    assert (line.level, line.text, line.at) == ("fatal", 'a "b" \\ c\nd', 1795349846)


def test_a_save_is_followed_node_by_node() -> None:
    """One node saves at a time; the ones before it have their file, with the seconds it took."""
    log = run("v0.1.20-save-3-nodes-ok")
    half = log[: log.index("on host [10.77.0.3]", log.index("[etcd] Saving snapshot [snap1] on host [10.77.0.3]"))]
    shown = rke_log.progress(half + "on host [10.77.0.3]")
    assert list(shown) == ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
    assert shown["10.77.0.1"] == "file written     1 s"
    assert shown["10.77.0.3"] == "saving"
    assert set(words("v1.0.16-save-3-nodes-ok").values()) == {"file written"}


def test_a_restore_is_followed_node_by_node() -> None:
    """Which node is restored, which one is at work, which one failed."""
    assert words("v0.1.20-restore-file-missing-on-node-3") == {
        "10.77.0.1": "restored 0",
        "10.77.0.2": "restored 0",
        "10.77.0.3": "failed 1",
    }
    assert set(words("v0.1.20-restore-same-file-on-all-three-nodes").values()) == {"etcd started"}


def test_a_skipped_host_is_a_warning_although_rke_ends_well() -> None:
    """rke writes "on all etcd hosts" and exits 0; the host it dropped is named, with the reason."""
    log = rke_log.read(run("v0.1.20-save-node-3-unreachable"))
    assert list(log.skipped) == ["10.77.0.3"]
    assert log.warnings == ("rke left out 10.77.0.3: 10.77.0.3 does not answer: it is off or cut off.",)
    assert log.error == ""
    assert words("v0.1.20-save-node-3-unreachable")["10.77.0.3"] == "left out"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("v0.1.20-save-etcd-container-stopped-on-node-2", "gives each node 50 s, and 10.77.0.2 took longer"),
        ("v0.1.20-restore-file-truncated-on-node-2", "truncated or corrupt"),
        ("v0.1.20-restore-name-exists-nowhere", "missing on a node"),
        ("v1.0.16-restore-name-exists-nowhere", "missing on a node"),
        ("v1.0.16-restore-fails-in-the-port-check", "firewall"),
        ("v0.1.20-unsupported-docker", "ignore_docker_version"),
        ("v0.1.20-bad-yaml", "rancher-cluster.yml has a mistake"),
        ("v0.1.20-key-not-accepted", "could not reach any etcd node"),
    ],
)
def test_a_failure_is_explained(name: str, part: str) -> None:
    """The last word of rke comes with what it means (F25 and others)."""
    assert part in rke_log.read(run(name)).meaning


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("v0.1.20-save-ssh-port-refused", "SSH to 10.77.0.3 was refused, or docker does not run"),
        ("v0.1.20-save-docker-socket-missing", "not in the group docker"),
        ("v0.1.20-key-file-missing", "is not there"),
        ("v0.1.20-key-not-accepted", "does not accept the SSH key"),
    ],
)
def test_a_skipped_hosts_reason_is_explained(name: str, part: str) -> None:
    """rke's reason for leaving out a host is often not the true one."""
    assert part in rke_log.read(run(name)).warnings[0]


@pytest.mark.parametrize(
    ("name", "destroyed"),
    [
        ("v0.1.20-restore-same-file-on-all-three-nodes", True),
        ("v1.0.16-restore-after-files-deleted", True),
        ("v1.0.16-restore-name-exists-nowhere", False),
        ("v0.1.20-save-3-nodes-ok", False),
        ("v0.1.20-swap-rke-up-afterwards", False),
    ],
)
def test_destruction_is_seen(name: str, destroyed: bool) -> None:
    """The first removed etcd (v0.1.x) or the cleaning of the cluster (v0.2 and later) is the point of no return."""
    assert rke_log.read(run(name)).destroyed is destroyed
