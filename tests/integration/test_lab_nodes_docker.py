"""The lab's dockerd: Docker's output, streams and exit codes, and what containers do to files and processes."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lab.nodes import Machines, Node
from tests.lab.nodes.direct import docker_words

TOOLS = "rancher/rke-tools:v0.1.16-2"
ETCD = "rancher/coreos-etcd:v3.4.3-rancher1"
BARE_ETCD = "rancher/mirrored-coreos-etcd:v3.5.0"
KUBE = "rancher/hyperkube:v1.13.12-rancher1"
DEADLINE = 20.0


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """One node with images and no containers."""
    async with Machines(tmp_path / "lab", nodes=1) as machines:
        yield machines.nodes[0]


async def docker(node: Node, *words: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    """Exit status and both streams of a docker command."""
    status, out, err = await asyncio.wait_for(node.docker_cli(*words, stdin=stdin), DEADLINE)
    return status, out.decode(), err.decode()


async def standin(node: Node, name: str, *flags: str) -> None:
    """A container that only stays up."""
    status, _, err = await docker(node, "run", "-d", "--name", name, "--net", "host", *flags, KUBE, name)
    assert status == 0, err


async def until_restarted(node: Node, name: str, times: int) -> None:
    """Wait until the restart policy has started a container so many times."""
    async with asyncio.timeout(DEADLINE):
        while node.container(name).state.restart_count < times:  # noqa: ASYNC110  # dockerd has no event for it here
            await asyncio.sleep(0.01)


# --- restart: what the bot depends on most ------------------------------------------------------------------


async def test_restart_of_a_missing_container_restarts_the_others_and_fails(node: Node) -> None:
    """Names of done ones on stdout, one sentence per missing one on stderr, exit status 1."""
    await standin(node, "kubelet")
    await standin(node, "kube-proxy")
    before = node.container("kube-proxy").state.started_at
    status, out, err = await docker(node, "restart", "kubelet", "kube-scheduler", "kube-proxy")
    assert (status, out) == (1, "kubelet\nkube-proxy\n")
    assert err == "Error response from daemon: No such container: kube-scheduler\n"
    assert node.container("kube-proxy").state.started_at > before


async def test_restart_without_a_name_prints_the_usage(node: Node) -> None:
    """As `xargs docker restart` runs it when nothing matched."""
    status, out, err = await docker(node, "restart")
    assert (status, out) == (1, "")
    assert err.startswith('"docker restart" requires at least 1 argument.\n')
    node.docker_version("28.2.2")
    assert (await docker(node, "restart"))[2].startswith("docker: 'docker restart' requires at least 1 argument\n")


async def test_restart_pipelines_of_the_manual(node: Node) -> None:
    """grep, cut and xargs over `docker ps`: with a match 0, without one 123."""
    await standin(node, "kubelet")
    line = "docker ps | grep {} | cut -f 1 -d ' ' | xargs docker restart"
    assert (await node.run(line.format("kubelet"))).exit_status == 0
    assert (await node.run(line.format("flannel"))).exit_status == 123


async def test_started_at_is_rfc_3339_and_restart_count_stays(node: Node) -> None:
    """A restart by hand changes StartedAt and not RestartCount."""
    await standin(node, "kubelet", "--restart", "always")
    await docker(node, "restart", "kubelet")
    _, out, _ = await docker(node, "inspect", "-f", "{{.State.StartedAt}} {{.RestartCount}}", "kubelet")
    stamp, count = out.split()
    assert stamp.endswith("Z")
    assert len(stamp) > len("2026-11-22T16:00:00Z")
    assert count == "0"


# --- looking ------------------------------------------------------------------------------------------------


async def test_ps_lists_running_containers_newest_first(node: Node) -> None:
    """Created and exited ones only with -a; filters match parts of names."""
    await standin(node, "kubelet")
    await standin(node, "kube-proxy")
    await docker(node, "create", "--name", "service-sidekick", TOOLS, "/bin/bash")
    assert (await docker(node, "ps", "--format", "{{.Names}}"))[1] == "kube-proxy\nkubelet\n"
    everything = (await docker(node, "ps", "-a", "--format", "{{.Names}} {{.Status}}"))[1].splitlines()
    assert everything[0] == "service-sidekick Created"
    assert (await docker(node, "ps", "-q", "--filter", "name=^kubelet$"))[1].strip() == node.container(
        "kubelet"
    ).short_id
    row = json.loads((await docker(node, "ps", "--filter", "name=let", "--format", "{{json .}}"))[1])
    assert (row["Names"], row["Image"]) == ("kubelet", KUBE)


async def test_ps_prints_dockers_table(node: Node) -> None:
    """Columns as the docker CLI names them."""
    await standin(node, "kubelet")
    head, row = (await docker(node, "ps"))[1].splitlines()
    assert head.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert row.endswith("   kubelet")


async def test_inspect_names_what_is_missing(node: Node) -> None:
    """The found ones are printed all the same, exit status 1."""
    await standin(node, "kubelet")
    status, out, err = await docker(node, "inspect", "nope", "kubelet")
    assert (status, err) == (1, "Error: No such object: nope\n")
    assert [found["Name"] for found in json.loads(out)] == ["/kubelet"]
    status, out, err = await docker(node, "inspect", "--type", "container", "-f", "{{.Name}}", "nope")
    assert (status, out, err) == (1, "\n", "Error: No such container: nope\n")


async def test_inspect_shows_what_was_asked_for(node: Node) -> None:
    """Config, binds and policy come back as they were given."""
    flags = ["-v", "/etc/kubernetes:/etc/kubernetes:z", "-e", "A=1", "--restart", "always", "--label", "x=y"]
    await standin(node, "kubelet", *flags)
    value = json.loads((await docker(node, "inspect", "-f", "{{json .}}", "kubelet"))[1])
    assert value["HostConfig"]["Binds"] == ["/etc/kubernetes:/etc/kubernetes:z"]
    assert value["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert value["HostConfig"]["NetworkMode"] == "host"
    assert value["Config"]["Image"] == KUBE
    assert value["Config"]["Labels"] == {"x": "y"}
    assert "A=1" in value["Config"]["Env"]
    assert value["State"]["Running"] is True


async def test_a_template_naming_a_missing_key_is_an_error(node: Node) -> None:
    """.State.Health does not exist without a health check."""
    await standin(node, "kubelet")
    status, _, err = await docker(node, "inspect", "-f", "{{.State.Health.Status}}", "kubelet")
    assert status != 0
    assert 'map has no entry for key "Health"' in err


async def test_version_and_info_report_the_server_version(node: Node) -> None:
    """The version is a switch of the lab."""
    node.docker_version("20.10.24")
    assert (await docker(node, "info", "--format", "{{.ServerVersion}}"))[1] == "20.10.24\n"
    assert (await docker(node, "version", "--format", "{{.Server.Version}}"))[1] == "20.10.24\n"


async def test_a_dead_dockerd_is_told_apart_from_a_missing_container(node: Node) -> None:
    """Docker's own sentence and exit status, for run 125."""
    node.docker_dead()
    text = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
    assert await docker(node, "ps") == (1, "", f"{text}\n")
    assert (await docker(node, "run", TOOLS, "true"))[0] == 125
    node.docker_alive()
    assert (await docker(node, "ps"))[0] == 0


async def test_a_hung_dockerd_never_answers(node: Node) -> None:
    """Only the caller's own deadline ends the command."""
    node.docker_hung()
    done = await node.run("timeout 0.2 docker ps")
    assert done.exit_status == 124


# --- running ------------------------------------------------------------------------------------------------


async def test_run_returns_the_programs_status_and_streams(node: Node) -> None:
    """An attached run is transparent, also for binary stdin."""
    noise = os.urandom(300_000)
    status, out, err = await node.docker_cli(
        "run", "-i", "--rm", TOOLS, "sh", "-c", "cat; echo err >&2; exit 3", stdin=noise
    )
    assert (status, out, err) == (3, noise, b"err\n")
    assert node.containers() == {}


async def test_binds_lead_to_the_nodes_files(node: Node) -> None:
    """A file written below a bind's target lies in its source, which docker makes when it is missing."""
    bind = "/opt/rke/etcd-snapshots/:/backup"
    await docker(node, "run", "--rm", "-v", bind, TOOLS, "sh", "-c", "echo data >/backup/a && chmod 600 /backup/a")
    assert (node.snapshots / "a").read_text() == "data\n"
    assert (await node.run("cat /opt/rke/etcd-snapshots/a")).exit_status == 1
    assert (await node.run(f"docker run --rm -v {bind} {TOOLS} cat /backup/a")).stdout == b"data\n"


async def test_tar_members_have_the_names_of_a_real_node(node: Node) -> None:
    """Paths inside an archive do not tell that the lab rewrote them."""
    (node.real("/etc/kubernetes/.tmp")).mkdir(parents=True)
    (node.real("/etc/kubernetes/.tmp/kube-ca.pem")).write_text("pem")
    bind = "/etc/kubernetes:/etc/kubernetes:z"
    command = "tar cf - /etc/kubernetes/.tmp 2>/dev/null | tar tf -"
    _, out, _ = await docker(node, "run", "--rm", "-v", bind, TOOLS, "sh", "-c", command)
    assert out.splitlines() == ["etc/kubernetes/.tmp/", "etc/kubernetes/.tmp/kube-ca.pem"]


async def test_unbound_paths_are_private_to_the_container(node: Node) -> None:
    """/data of one container is not /data of another, and goes with it."""
    await docker(node, "run", "-d", "--name", "one", TOOLS, "sh", "-c", "echo 1 >/data/x; sleep 1000")
    async with asyncio.timeout(DEADLINE):
        while (await docker(node, "exec", "one", "cat", "/data/x"))[1] != "1\n":  # noqa: ASYNC110  # the shell decides
            await asyncio.sleep(0.01)
    assert (await docker(node, "run", "--rm", TOOLS, "cat", "/data/x"))[0] == 1
    scratch = node.container("one").scratch
    await docker(node, "rm", "-f", "one")
    assert not scratch.exists()


async def test_unknown_and_absent_images(node: Node) -> None:
    """An image nobody has is refused in Docker's words; one the registry has is pulled."""
    status, _, err = await docker(node, "run", "nobody/has:this", "true")
    assert status == 125
    assert err.startswith(
        "Unable to find image 'nobody/has:this' locally\ndocker: Error response from daemon: pull access"
    )
    node.engine.images.clear()
    status, out, err = await docker(node, "run", "--rm", TOOLS, "echo", "hi")
    assert (status, out) == (0, "hi\n")
    assert "Downloaded newer image" in err
    assert (await docker(node, "image", "inspect", "-f", "{{.RepoTags}}", TOOLS))[1] == f"[{TOOLS}]\n"


async def test_a_name_in_use_is_a_conflict(node: Node) -> None:
    """run says 125, create 1, both the same sentence."""
    await standin(node, "kubelet")
    for verb, expected in (("run", 125), ("create", 1)):
        status, _, err = await docker(node, verb, "--name", "kubelet", TOOLS, "true")
        assert status == expected
        assert 'Conflict. The container name "/kubelet" is already in use' in err


async def test_etcd_images_from_3_5_on_have_no_shell(node: Node) -> None:
    """etcdctl runs, sh does not exist."""
    assert (await docker(node, "run", "--rm", BARE_ETCD, "etcdctl", "version"))[0] == 0
    status, _, err = await docker(node, "run", "--rm", BARE_ETCD, "sh", "-c", "true")
    assert status == 127
    assert 'exec: "sh": executable file not found in $PATH' in err


async def test_exec_needs_a_running_container(node: Node) -> None:
    """Missing and stopped ones are told apart."""
    await standin(node, "kubelet")
    await docker(node, "stop", "kubelet")
    assert await docker(node, "exec", "nope", "true") == (1, "", "Error: No such container: nope\n")
    status, _, err = await docker(node, "exec", "kubelet", "true")
    assert (status, err.endswith("is not running\n")) == (1, True)


# --- lives --------------------------------------------------------------------------------------------------


async def test_restart_policy_always_starts_a_crashed_process_again(node: Node) -> None:
    """RestartCount grows and StartedAt moves; after `docker stop` nothing happens."""
    await standin(node, "kubelet", "--restart", "always")
    before = node.container("kubelet").state.started_at
    node.crash_container("kubelet")
    await until_restarted(node, "kubelet", 1)
    assert node.container("kubelet").state.started_at > before
    await docker(node, "stop", "kubelet")
    assert node.containers() == {"kubelet": "exited"}


async def test_wait_returns_the_first_exit_of_an_always_restarted_container(node: Node) -> None:
    """As rke waits for etcd-snapshot-once, which runs again and again until it is removed."""
    await docker(node, "run", "-d", "--name", "once", "--restart", "always", TOOLS, "sh", "-c", "sleep 0.05; exit 4")
    assert (await docker(node, "wait", "once"))[1] == "4\n"
    await until_restarted(node, "once", 2)
    assert await docker(node, "rm", "-f", "once") == (0, "once\n", "")
    assert node.containers() == {}


async def test_logs_keep_streams_apart_and_count_lines(node: Node) -> None:
    """stdout on stdout, stderr on stderr; --tail counts lines of both."""
    await docker(node, "run", "--name", "x", TOOLS, "sh", "-c", "echo a; echo b; sleep 0.1; echo c >&2")
    assert await docker(node, "logs", "x") == (0, "a\nb\n", "c\n")
    assert await docker(node, "logs", "--tail", "1", "x") == (0, "", "c\n")


async def test_rm_of_a_running_container_needs_force(node: Node) -> None:
    """Without force it is refused and goes on running."""
    await standin(node, "kubelet")
    status, _, err = await docker(node, "rm", "kubelet")
    assert (status, "You cannot remove a running container" in err) == (1, True)
    assert node.containers() == {"kubelet": "running"}


async def test_rename_and_start_keep_the_old_arguments(node: Node) -> None:
    """A stopped helper that is started again does its old work."""
    bind = "/opt/rke/etcd-snapshots/:/backup"
    await docker(node, "run", "--name", "a", "-v", bind, TOOLS, "sh", "-c", "echo x >>/backup/log")
    await docker(node, "rename", "a", "b")
    await docker(node, "start", "b")
    await docker(node, "wait", "b")
    assert (node.snapshots / "log").read_text() == "x\nx\n"


async def test_cp_streams_tar_both_ways(node: Node) -> None:
    """`docker cp x:/p -` and `docker cp - x:/p` carry an archive."""
    await docker(node, "run", "-d", "--name", "a", TOOLS, "sh", "-c", "mkdir /data/d; echo 1 >/data/d/f; sleep 1000")
    async with asyncio.timeout(DEADLINE):
        while (await docker(node, "exec", "a", "cat", "/data/d/f"))[0]:  # noqa: ASYNC110  # the shell decides
            await asyncio.sleep(0.01)
    _, archive, _ = await node.docker_cli("cp", "a:/data/d", "-")
    await standin(node, "kubelet")
    await docker(node, "exec", "kubelet", "mkdir", "-p", "/data")
    assert (await node.docker_cli("cp", "-", "kubelet:/data", stdin=archive))[0] == 0
    assert (await docker(node, "exec", "kubelet", "cat", "/data/d/f"))[1] == "1\n"


async def test_a_throwaway_etcd_has_its_own_loopback_address(node: Node) -> None:
    """Two etcds without a network both listen on 127.0.0.1:2379, and exec reaches each one's own."""
    for name in ("proof-1", "proof-2"):
        argv = ["--data-dir", "/restore/data", "--listen-client-urls", "http://127.0.0.1:2379"]
        flags = ["--network", "none", "--memory", "256m"]
        advertise = ["--advertise-client-urls", "http://127.0.0.1:2379"]
        await docker(node, "run", "-d", "--name", name, *flags, ETCD, "/usr/local/bin/etcd", *argv, *advertise)
    async with asyncio.timeout(DEADLINE):
        for name in ("proof-1", "proof-2"):
            while (await docker(node, "exec", name, "etcdctl", "put", "name", name))[0]:  # noqa: ASYNC110  # etcd decides
                await asyncio.sleep(0.02)
    for name in ("proof-1", "proof-2"):
        endpoint = ["--endpoints", "http://127.0.0.1:2379"]
        _, out, _ = await docker(node, "exec", name, "etcdctl", *endpoint, "get", "name", "--print-value-only")
        assert out == f"{name}\n"


async def test_etcd_crash_loops_while_its_certificate_is_missing(node: Node) -> None:
    """A swapped-in member waits for its certificates, restarting (F28)."""
    argv = ["etcd", "--cert-file=/etc/kubernetes/ssl/kube-etcd.pem"]
    await docker(node, "run", "-d", "--name", "etcd", "--net", "host", "--restart", "always", ETCD, *argv)
    await until_restarted(node, "etcd", 1)
    _, _, err = await docker(node, "logs", "etcd")
    assert "kube-etcd.pem: no such file or directory" in err


async def test_docker_through_ssh_and_through_sudo(node: Node) -> None:
    """The SSH user may use docker, and so may root; both are recorded."""
    assert (await node.run("docker ps -q")).exit_status == 0
    assert (await node.run("sudo -n docker ps -q")).exit_status == 0
    assert node.docker_log == [["ps", "-q"], ["ps", "-q"]]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("docker ps -q", ["ps", "-q"]),
        ("docker inspect --format '{{json .}}' etcd", ["inspect", "--format", "{{json .}}", "etcd"]),
        ('docker ps --format "{{.Names}}"', ["ps", "--format", "{{.Names}}"]),
        ("docker run a sh -c 'echo '\"'\"'$x'\"'\"''", ["run", "a", "sh", "-c", "echo '$x'"]),
        ("docker ps | grep etcd", None),
        ('docker rm "$name"', None),
        ("docker ps; true", None),
        ("docker ps '", None),
        ("dockerd", None),
    ],
)
def test_only_commands_no_shell_would_change_go_without_one(command: str, words: list[str] | None) -> None:
    """Quoted words are taken apart as a shell does; anything a shell would act on needs one."""
    assert docker_words(command) == words


async def test_docker_sees_the_paths_of_a_real_node(node: Node) -> None:
    """Through a shell as well as without one, nothing Docker shows or does tells that paths were rewritten."""
    for name, prefix in (("direct", ""), ("by-shell", "true; ")):
        text = f"docker run -d --name {name} -v /opt/rke/:/opt/rke/:z {TOOLS} sh -c 'touch /opt/rke/{name}'"
        assert (await node.run(prefix + text)).exit_status == 0
        await docker(node, "wait", name)
        shown = (await docker(node, "inspect", "-f", "{{.HostConfig.Binds}} {{.Config.Cmd}}", name))[1]
        assert shown == f"[/opt/rke/:/opt/rke/:z] [sh -c touch /opt/rke/{name}]\n"
        assert node.real(f"/opt/rke/{name}").exists()
