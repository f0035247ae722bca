"""Reading rancher-cluster.yml: people's shapes, rke's defaults, rke's errors, and YAML's traps."""

from pathlib import Path

import pytest

from bot.core import cluster_yml, strict_yaml
from bot.core.facts import Bastion, ClusterYml, NodeSpec
from bot.errors import Refused

DATA = Path(__file__).parent.parent / "data" / "cluster-yml"
NODE = "nodes:\n- address: 1.1.1.1\n  user: rke\n  role: [etcd]\n"


def shape(name: str) -> ClusterYml:
    """A file as people really keep it."""
    return cluster_yml.read((DATA / f"{name}.yml").read_bytes())


def refusal(text: str) -> Refused:
    """The refusal of a text."""
    with pytest.raises(Refused) as error:
        cluster_yml.read(text.encode())
    assert error.value.todo
    return error.value


@pytest.mark.parametrize(
    ("name", "nodes", "etcd", "controlplane"),
    [
        ("block-roles-document-start", 4, 4, 3),
        ("comments-inside-entries", 3, 3, 3),
        ("quoted-trailing-blanks-no-final-newline", 1, 1, 1),
        ("rke-config-dump", 2, 1, 1),
        ("zero-indent-quoted-ports", 2, 1, 1),
    ],
)
def test_shapes(name: str, nodes: int, etcd: int, controlplane: int) -> None:
    """Every shape people keep is read."""
    yml = shape(name)
    assert (len(yml.nodes), len(yml.with_role("etcd")), len(yml.with_role("controlplane"))) == (
        nodes,
        etcd,
        controlplane,
    )
    assert all(node.port == 22 for node in yml.nodes)
    assert yml.bastion is None


def test_internal_address_and_versions() -> None:
    """Addresses, users and the Kubernetes version are taken as they stand."""
    yml = shape("zero-indent-quoted-ports")
    assert yml.nodes[0].internal_address == "10.0.197.10"
    assert yml.nodes[1].user == "vagrant"
    assert shape("comments-inside-entries").kubernetes_version == "v1.15.5-rancher1-2"


@pytest.mark.parametrize(
    ("name", "snapshot"),
    [("comments-inside-entries", True), ("rke-config-dump", None), ("zero-indent-quoted-ports", None)],
)
def test_rolling_snapshots(name: str, snapshot: bool | None) -> None:
    """services.etcd.snapshot is true, false, or not set."""
    assert shape(name).rolling_snapshots is snapshot


def test_defaults() -> None:
    """What is not set is what rke takes."""
    (node,) = cluster_yml.read(NODE.encode()).nodes
    assert node == NodeSpec("1.1.1.1", "rke", frozenset({"etcd"}), 22, "1.1.1.1", "1.1.1.1", "/var/run/docker.sock")


def test_everything_set() -> None:
    """Every key the bot reads."""
    yml = cluster_yml.read(b"""
nodes:
  - {address: 1.1.1.1, user: rke, port: 2222, role: [etcd, controlplane], internal_address: 10.0.0.1,
     hostname_override: Node-1, docker_socket: /run/docker.sock, unknown: 1}
bastion_host: {address: bastion.example, user: jump, port: "2200"}
kubernetes_version: v1.17.17-rancher1-1
prefix_path: /opt/prefix/
ssh_agent_auth: true
services:
  etcd:
    snapshot: false
    extra_args: {enable-v2: "true"}
    backup_config: {s3backupconfig: {bucket_name: b}}
addons: |-
  ---
  a: 1
  ---
  a: 2
""")
    roles = frozenset({"etcd", "controlplane"})
    assert yml.nodes == (NodeSpec("1.1.1.1", "rke", roles, 2222, "10.0.0.1", "node-1", "/run/docker.sock"),)
    assert yml.bastion == Bastion("bastion.example", "jump", 2200)
    assert (yml.kubernetes_version, yml.prefix_path) == ("v1.17.17-rancher1-1", "/opt/prefix")
    assert (yml.ssh_agent_auth, yml.rolling_snapshots, yml.enable_v2) == (True, False, True)
    assert (yml.backup_config, yml.s3_backup_config) == (True, True)


@pytest.mark.parametrize(
    ("line", "backup", "s3"),
    [
        ("backup_config: null", False, False),
        ("backup_config: {}", True, False),
        ("backup_config: {s3backupconfig: null}", True, False),
    ],
)
def test_backup_config(line: str, backup: bool, s3: bool) -> None:
    """Rke writes keys with null for what is not there."""
    yml = cluster_yml.read(f"{NODE}services:\n  etcd:\n    {line}\n".encode())
    assert (yml.backup_config, yml.s3_backup_config) == (backup, s3)


@pytest.mark.parametrize("text", [NODE.replace("\n", "\r\n"), "\ufeff" + NODE, "# comment with\ttab\n" + NODE])
def test_bytes_people_have(text: str) -> None:
    """CRLF, a byte order mark and tabs in comments do no harm."""
    assert len(cluster_yml.read(text.encode()).nodes) == 1


def test_anchors_and_merges() -> None:
    """Anchors and merge keys give what they say; a key of the entry itself wins."""
    yml = cluster_yml.read(b"""
x-common: &common {user: rke, role: [etcd], port: 2222}
nodes:
- <<: *common
  address: 1.1.1.1
- <<: [*common, {docker_socket: /x}]
  address: 2.2.2.2
  port: 22
""")
    assert [(node.user, node.port, node.docker_socket[:2]) for node in yml.nodes] == [
        ("rke", 2222, "/v"),
        ("rke", 22, "/x"),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "nodes names no node"),
        ("nodes:\n# only comments\n", "nodes names no node"),
        ("nodes: 3", "nodes is not a list"),
        ("- a", "rancher-cluster.yml is not a mapping"),
        (NODE.replace("[etcd]", "[worker]"), "nodes has no node with the role etcd"),
        (NODE.replace("[etcd]", "etcd"), "nodes[0].role is not a list"),
        (NODE.replace("[etcd]", "[]"), "nodes[0].role is missing"),
        (NODE.replace("[etcd]", "[etcd, master]"), "nodes[0].role 'master' is not recognized"),
        (NODE.replace("  user: rke\n", ""), "nodes[0].user is missing"),
        (NODE.replace("rke", "r;m"), "nodes[0].user 'r;m' cannot be used"),
        (NODE.replace("address: 1.1.1.1", "name: x"), "nodes[0].address is missing"),
        (NODE.replace("1.1.1.1", "'-oProxyCommand=x'"), "nodes[0].address '-oProxyCommand=x' cannot be used"),
        (NODE + "  port: ssh\n", "nodes[0].port 'ssh' is not a port"),
        (NODE + "  port: 65536\n", "nodes[0].port '65536' is not a port"),
        (NODE + "  hostname_override: a_b\n", "nodes[0].hostname_override 'a_b' is not a host name"),
        (NODE + NODE.removeprefix("nodes:\n"), "nodes[1] has the address 1.1.1.1 of nodes[0]"),
        (NODE + "bastion_host: {address: b}", "bastion_host.user is missing"),
        (NODE + "ssh_agent_auth: 'true'", "ssh_agent_auth is not true or false"),
        (NODE + "prefix_path: ../x", "prefix_path '../x' is not an absolute path"),
        (NODE + "services: []", "services is not a mapping"),
    ],
)
def test_rkes_own_errors(text: str, what: str) -> None:
    """What rke itself would refuse is refused with its path and what to do."""
    assert what in refusal(text).what


def test_equal_hostnames() -> None:
    """Two nodes may not claim one hostname: etcd members would share a name."""
    second = NODE.removeprefix("nodes:\n").replace("1.1.1.1", "2.2.2.2")
    text = NODE + "  hostname_override: a\n" + second + "  hostname_override: A\n"
    assert "nodes[1] has the hostname a of nodes[0]" in refusal(text).what


def test_all_problems_at_once() -> None:
    """Nobody corrects a file one message at a time."""
    what = refusal("nodes: [{role: [x]}, {address: 1.1.1.1, port: x}]\nssh_agent_auth: 1\n").what
    for part in (
        "nodes[0].address",
        "nodes[0].user",
        "nodes[0].role",
        "nodes[1].user",
        "nodes[1].port",
        "ssh_agent_auth",
    ):
        assert part in what


def test_duplicate_keys() -> None:
    """F40: a second `services:` at the end of the file, of which only one would count."""
    error = refusal("services:\n  etcd: {snapshot: true}\n" + NODE + "services: {}\n")
    assert error.what == "rancher-cluster.yml, line 7: the key services stands there twice, first in line 1."
    assert "Merge" in error.todo


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [1", "line 2 is not valid YAML"),
        ("a: b: c", "line 1 is not valid YAML"),
        ("a:\n\t- b", "is not valid YAML"),
        ("a: !!python/object/apply:os.system [id]", ""),
        ("a: !thing x", "'x' cannot be read: the tag !thing"),
        ("a: 1\n---\nb: 1", "line 2: a second document begins"),
        ("a: *nothing", "the alias *nothing refers to nothing"),
        ("a: &a [*a]", "the alias *a refers to nothing that is complete"),
        ("[a]: 1", "a key is not plain text"),
        ("[" * 100, "nested more than 40 deep"),
        ("a: 0b2\nb: !!int x", "'x' cannot be read"),
    ],
)
def test_yaml_that_is_refused(text: str, what: str) -> None:
    """What is no YAML, or not plain values, is refused with its line."""
    assert what in refusal(text).what


@pytest.mark.parametrize("join", ["[{}]", "{{<<: [{}]}}"])
def test_alias_bombs(join: str) -> None:
    """A few lines of aliases to aliases cannot fill the memory."""
    text = "a0: &a0 {k: v}\n" + "".join(
        f"a{level}: &a{level} " + join.format(", ".join([f"*a{level - 1}"] * 9)) + "\n" for level in range(1, 30)
    )
    assert f"more than {strict_yaml.MAX_VALUES} values" in refusal(text).what


def test_bytes_that_are_no_text() -> None:
    """A binary or huge file is refused before it is parsed."""
    with pytest.raises(Refused, match="not UTF-8"):
        cluster_yml.read(b"a: \xff")
    with pytest.raises(Refused, match="at most"):
        cluster_yml.read(b" " * (strict_yaml.MAX_BYTES + 1))
