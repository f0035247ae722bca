"""The configuration: what a file and an environment give, and every mistake with its path."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.core.cluster import SshTarget
from bot.core.policy import Action, ApprovalPolicy, Grant
from bot.settings import Settings, SettingsError, load

EXAMPLE = Path(__file__).parents[2] / "config" / "etcd-snapshot-bot.example.yaml"
ENVIRON = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "REDIS_URL": "redis://127.0.0.1/0",
    "S3_ACCESS_KEY": "key",
    "S3_SECRET_KEY": "secret",
    "JOURNAL_KEY": "ab" * 32,
}


@pytest.fixture(name="raw")
def _raw(tmp_path: Path) -> dict[str, Any]:
    """The smallest file there is."""
    for name in ("known_hosts", "id"):
        (tmp_path / name).touch()
    return {
        "ssh": {"known_hosts": "known_hosts", "keys": ["id"]},
        "s3": {"bucket": "b"},
        "clusters": {
            "prod": {
                "channels": ["C01"],
                "rke_host": {"address": "127.0.0.1", "user": "rke"},
                "config": "/home/rke/rancher-cluster.yml",
                "approvals": {"groups": ["S01"]},
            }
        },
    }


def read(tmp_path: Path, raw: object, environ: Mapping[str, str] = ENVIRON, **more: str) -> Settings:
    """The settings of a file with that content."""
    path = tmp_path / "bot.yaml"
    path.write_text(yaml.safe_dump(raw))
    return load(path, {**environ, **more})


def problems(tmp_path: Path, raw: object, environ: Mapping[str, str] = ENVIRON) -> tuple[str, ...]:
    """What is wrong with a file of that content."""
    with pytest.raises(SettingsError) as error:
        read(tmp_path, raw, environ)
    return error.value.problems


def test_defaults(tmp_path: Path, raw: dict[str, Any]) -> None:
    """What is not set has a sensible value."""
    settings = read(tmp_path, raw)
    assert (settings.slack.mode, settings.slack.api_url) == ("socket", "https://slack.com/api/")
    assert (settings.slack.listen, settings.slack.path) == (("127.0.0.1", 3000), "/slack/events")
    assert (settings.redis.url, settings.redis.durability) == ("redis://127.0.0.1/0", "aof")
    assert (settings.ssh.known_hosts, settings.ssh.keys) == (tmp_path / "known_hosts", (tmp_path / "id",))
    assert (settings.ssh.agent, settings.ssh.connect_timeout) == ("", 10)
    assert (settings.s3.prefix, settings.s3.endpoint_url, settings.s3.ca, settings.s3.path_style) == (
        "",
        "",
        None,
        False,
    )
    assert (settings.worker.lease, settings.worker.parallel_reads, settings.worker.grace) == (15, 4, 20)
    cluster = settings.clusters["prod"]
    assert cluster.rke_host == SshTarget("127.0.0.1", "rke")
    assert cluster.approvals == ApprovalPolicy(2, (), ("S01",), False, 3600, 1800)
    assert cluster.grants[Action.READ] == Grant(everybody=True)
    assert cluster.grants[Action.SAVE] == cluster.grants[Action.CANCEL] == Grant(groups=("S01",))
    assert (cluster.rke, cluster.jump_host, cluster.nodes_via_rke_host) == ("rke", None, False)


def test_everything_set(tmp_path: Path, raw: dict[str, Any]) -> None:
    """Every key arrives where it belongs."""
    raw["slack"] = {"mode": "http", "api_url": "http://127.0.0.1:1/api", "http": {"listen": "0.0.0.0:8", "path": "/x"}}
    raw["redis"] = {"url": "redis://other/1", "durability": "replicas"}
    raw["ssh"] |= {"agent": True, "connect_timeout": "1m30s"}
    raw["s3"] |= {"prefix": "/a/b/", "endpoint_url": "https://s3", "region": "eu", "path_style": True, "ca": "id"}
    raw["worker"] = {"lease": "2s", "parallel_reads": 1, "grace": "0s"}
    raw["clusters"]["prod"] |= {
        "jump_host": {"address": "jump", "user": "j", "port": 2222},
        "rke": "/opt/rke",
        "nodes_via": "rke_host",
        "approvals": {"required": 1, "users": ["U1"], "requester_counts": True, "approval_lifetime": "2h"},
        "roles": {"save": "everybody", "restore": {"users": ["U1"], "groups": ["S1"]}},
    }
    settings = read(tmp_path, raw, SLACK_SIGNING_SECRET="ab" * 16, SSH_AUTH_SOCK="/agent")
    assert (settings.slack.listen, settings.slack.path) == (("0.0.0.0", 8), "/x")
    assert settings.slack.api_url == "http://127.0.0.1:1/api/"
    assert (settings.redis.url, settings.redis.durability) == ("redis://127.0.0.1/0", "replicas")
    assert (settings.ssh.agent, settings.ssh.connect_timeout) == ("/agent", 90)
    assert (settings.s3.prefix, settings.s3.region, settings.s3.ca) == ("a/b", "eu", tmp_path / "id")
    assert (settings.worker.lease, settings.worker.grace) == (2, 0)
    cluster = settings.clusters["prod"]
    assert cluster.jump_host == SshTarget("jump", "j", 2222)
    assert cluster.nodes_via_rke_host
    assert cluster.approvals == ApprovalPolicy(1, ("U1",), (), True, 7200, 1800)
    assert cluster.grants[Action.RESTORE] == Grant(users=("U1",), groups=("S1",))


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("s3", None, "s3: is missing"),
        ("s3.bucket", None, "s3.bucket: is missing"),
        ("s3.bucket", 3, "s3.bucket: should be a valid string"),
        ("s3.buckett", "x", "s3.buckett: is not a known key"),
        ("nonsense", {}, "nonsense: is not a known key"),
        ("s3.endpoint_url", "s3.example", "s3.endpoint_url: 's3.example' is not an http(s) address"),
        ("slack", {"mode": "websocket"}, "slack.mode: should be 'socket' or 'http'"),
        ("slack", {"http": {"listen": "3000"}}, "slack.http.listen: '3000' is not an address to listen on"),
        ("redis", {"url": "redis://:pw@x"}, "redis.url: is not a Redis address without a password"),
        ("ssh.keys", [], "ssh: name at least one key"),
        ("ssh.keys", ["gone"], "ssh.keys[0]: gone cannot be read: No such file or directory"),
        ("ssh.known_hosts", "gone", "ssh.known_hosts: gone cannot be read"),
        ("ssh.connect_timeout", 10, "ssh.connect_timeout: 10 is not a duration"),
        ("ssh.connect_timeout", "10", "ssh.connect_timeout: '10' is not a duration"),
        ("ssh.connect_timeout", "0s", "ssh.connect_timeout: should be greater than 0"),
        ("worker", {"lease": "1h"}, "worker.lease: should be less than or equal to 300"),
        ("worker", {"parallel_reads": "4"}, "worker.parallel_reads: should be a valid integer"),
        ("clusters", {}, "clusters: dictionary should have at least 1 item"),
        ("clusters.prod.channels", ["#ops"], "clusters.prod.channels[0]: '#ops' is not a channel id"),
        ("clusters.prod.channels", [], "clusters.prod.channels: list should have at least 1 item"),
        ("clusters.prod.rke_host.address", "-oProxy", "clusters.prod.rke_host.address: '-oProxy' is not a host name"),
        ("clusters.prod.rke_host.port", 0, "clusters.prod.rke_host.port: should be greater than or equal to 1"),
        ("clusters.prod.config", "x.yml", "clusters.prod.config: 'x.yml' is not an absolute path"),
        ("clusters.prod.rke", "sudo rke", "clusters.prod.rke: 'sudo rke' is not rke or an absolute path"),
        ("clusters.prod.roles", {"save": "all"}, "clusters.prod.roles.save: 'all' is not a role"),
        (
            "clusters.prod.roles",
            {"save": {"users": ["bob"]}},
            "clusters.prod.roles.save.users[0]: 'bob' is not a user id",
        ),
        ("clusters.prod.approvals", None, "clusters.prod.approvals: is missing"),
        (
            "clusters.prod.approvals.required",
            0,
            "clusters.prod.approvals.required: should be greater than or equal to 1",
        ),
        (
            "clusters.prod.approvals.groups",
            ["@ops"],
            "clusters.prod.approvals.groups[0]: '@ops' is not a user group id",
        ),
        ("clusters.a b", {}, "clusters.a b: 'a b' is not a cluster name"),
    ],
)
def test_mistakes(tmp_path: Path, raw: dict[str, Any], path: str, value: object, problem: str) -> None:
    """A mistake is named with the path of its key."""
    *parents, key = path.split(".")
    place = raw
    for parent in parents:
        place = place[parent]
    place[key] = value
    if value is None:
        del place[key]
    assert any(found.startswith(problem) for found in problems(tmp_path, raw)), problems(tmp_path, raw)


@pytest.mark.parametrize(
    ("approvals", "problem"),
    [
        ({}, "2 approvals are required of 0 users and no group: nobody can reach that"),
        ({"users": ["U1"]}, "2 approvals are required of 1 users and no group: nobody can reach that"),
        ({"users": ["U1", "U1"]}, "2 approvals are required of 1 users and no group: nobody can reach that"),
        (
            {"required": 3, "users": ["U1", "U2"]},
            "3 approvals are required of 2 users and no group: nobody can reach that",
        ),
    ],
)
def test_a_policy_nobody_can_reach(tmp_path: Path, raw: dict[str, Any], approvals: object, problem: str) -> None:
    """Fewer approvers than approvals is a mistake, not a cluster that can never be restored."""
    raw["clusters"]["prod"]["approvals"] = approvals
    assert problems(tmp_path, raw) == (f"clusters.prod.approvals: {problem}",)


def test_two_names_for_one_cluster(tmp_path: Path, raw: dict[str, Any]) -> None:
    """One cluster under two names would run two jobs at once."""
    raw["clusters"]["other"] = raw["clusters"]["prod"]
    assert problems(tmp_path, raw) == ("clusters.prod and clusters.other are the same file on the same RKE host",)


def test_all_problems_at_once(tmp_path: Path, raw: dict[str, Any]) -> None:
    """File, files it names and environment are checked in one go."""
    raw["s3"] = {}
    raw["clusters"]["prod"]["nodes_via"] = "x"
    found = problems(tmp_path, raw, {})
    for part in ("s3.bucket", "clusters.prod.nodes_via", "SLACK_BOT_TOKEN", "JOURNAL_KEY"):
        assert any(problem.startswith(part) for problem in found), part


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"SLACK_BOT_TOKEN": ""}, "SLACK_BOT_TOKEN is missing: set a bot token, it starts with xoxb-"),
        ({"SLACK_BOT_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN is an app-level token: a bot token is needed"),
        ({"SLACK_BOT_TOKEN": "xoxp-1"}, "SLACK_BOT_TOKEN is a user token: a bot token is needed"),
        ({"SLACK_APP_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN is a bot token: an app-level token is needed"),
        ({"SLACK_APP_TOKEN": "hello"}, "SLACK_APP_TOKEN is not a Slack token: an app-level token is needed"),
        ({"SLACK_SIGNING_SECRET": "xoxb-1"}, "SLACK_SIGNING_SECRET is a token"),
        ({"REDIS_URL": ""}, "redis.url is missing: set it here or in the environment variable REDIS_URL"),
        ({"S3_SECRET_KEY": ""}, "S3_ACCESS_KEY and S3_SECRET_KEY: set both"),
        ({"JOURNAL_KEY": ""}, "JOURNAL_KEY is missing: make one with `openssl rand -hex 32` and keep it"),
        ({"JOURNAL_KEY": "ab" * 31}, "JOURNAL_KEY is not a key: 32 bytes or more are needed"),
        ({"JOURNAL_KEY": "a sentence is no key!"}, "JOURNAL_KEY is not a key: 32 bytes or more are needed"),
        ({"JOURNAL_OLD_KEYS": f"{'cd' * 32},ab"}, "JOURNAL_OLD_KEYS is not a key"),
        ({"JOURNAL_KEY_FILE": "/gone"}, "JOURNAL_KEY and JOURNAL_KEY_FILE are both set: keep one"),
        (
            {"REDIS_URL": "", "REDIS_URL_FILE": "/gone"},
            "REDIS_URL_FILE: /gone cannot be read: No such file or directory",
        ),
    ],
)
def test_secrets_of_the_wrong_kind(tmp_path: Path, raw: dict[str, Any], change: dict[str, str], problem: str) -> None:
    """A missing or mixed-up secret is named, and never shown."""
    assert any(found.startswith(problem) for found in problems(tmp_path, raw, ENVIRON | change))


def test_http_mode_needs_the_signing_secret_only(tmp_path: Path, raw: dict[str, Any]) -> None:
    """Each mode asks for its own secret."""
    raw["slack"] = {"mode": "http"}
    (found,) = problems(tmp_path, raw, ENVIRON | {"SLACK_APP_TOKEN": ""})
    assert found.startswith("SLACK_SIGNING_SECRET is missing")


def test_secrets_from_files(tmp_path: Path, raw: dict[str, Any]) -> None:
    """NAME_FILE holds the secret, with or without a newline."""
    (tmp_path / "token").write_text("xoxb-of-file\n")
    settings = read(tmp_path, raw, SLACK_BOT_TOKEN="", SLACK_BOT_TOKEN_FILE=str(tmp_path / "token"))
    assert settings.slack.bot_token == "xoxb-of-file"


@pytest.mark.parametrize("text", ["ab" * 32, base64.b64encode(b"\xab" * 32).decode(), "AB" * 32])
def test_journal_key(tmp_path: Path, raw: dict[str, Any], text: str) -> None:
    """A key in hex and in base64 is the same key with the same id; old keys only verify."""
    ring = read(tmp_path, raw, JOURNAL_KEY=text, JOURNAL_OLD_KEYS=f"{'cd' * 32}, {'ef' * 32}").keyring
    assert ring.current == "9a2db2e2"
    assert ring.key(ring.current) == b"\xab" * 32
    assert sorted(key[:1].hex() for key in ring.keys.values()) == ["ab", "cd", "ef"]


def test_secrets_are_not_shown(tmp_path: Path, raw: dict[str, Any]) -> None:
    """Settings can be logged."""
    shown = repr(
        read(tmp_path, raw, REDIS_URL="redis://:hidden1@x", S3_SECRET_KEY="hidden2", SLACK_BOT_TOKEN="xoxb-hidden3")
    )
    assert "hidden" not in shown
    assert "xab" not in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "is not valid YAML"),
        ("s3: {}\ns3: {}\n", "the key s3 stands there twice"),
        ("[1]", "should be a valid dictionary"),
        ("", "ssh: is missing"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, problem: str) -> None:
    """What is no YAML mapping is said to be none."""
    path = tmp_path / "bot.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(problem)):
        load(path, ENVIRON)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(SettingsError, match=r"gone\.yaml cannot be read: No such file or directory"):
        load(tmp_path / "gone.yaml", ENVIRON)


def test_the_example(tmp_path: Path) -> None:
    """The example is a valid configuration, with each comment taken off as well, and its defaults are the true ones."""
    text = EXAMPLE.read_text().replace("/etc/etcd-snapshot-bot", str(tmp_path))
    for name in ("known_hosts", "id_ed25519", "s3-ca.pem"):
        (tmp_path / name).touch()
    path = tmp_path / "bot.yaml"
    path.write_text(text)
    plain = load(path, ENVIRON)
    path.write_text(re.sub(r"^(\s*)# (\s*(?:- )?[a-z_0-9]+:(?: .*)?)$", _uncommented, text, flags=re.MULTILINE))
    full = load(path, ENVIRON)
    assert full.worker == plain.worker
    assert full.slack == plain.slack
    assert full.clusters["rancher-prod"].approvals == plain.clusters["rancher-prod"].approvals
    assert full.s3.ca == tmp_path / "s3-ca.pem"
    assert full.clusters["rancher-prod"].jump_host == SshTarget("bastion.example.com", "rke")


def _uncommented(line: re.Match[str]) -> str:
    """A key that was commented out; a sentence stays a comment."""
    value = line[2].partition(":")[2].strip()
    return line[0] if " " in value and value[:1] not in "[\"'" else line[1] + line[2]
