"""Reading what people type after /etcd-snapshot."""

import pytest

from bot.core.cluster import Cluster, SshTarget
from bot.core.commands import (
    Cancel,
    Clusters,
    Command,
    Help,
    List,
    Restore,
    Save,
    Status,
    UnknownCommand,
    choose_cluster,
    distance,
    parse,
)
from bot.core.policy import ApprovalPolicy
from bot.errors import Refused


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", Help()),
        ("   ", Help()),
        ("help", Help()),
        ("help restore", Help("restore")),
        ("restore --help", Help("restore")),
        ("--help", Help()),
        ("save", Save()),
        ("save before-upgrade", Save("before-upgrade")),
        ("SAVE Before", Save("Before")),
        ("save x --cluster prod", Save("x", "prod")),
        ("--cluster prod save x", Save("x", "prod")),
        ("save --cluster=prod x", Save("x", "prod")),
        ("list", List()),
        ("list --cluster prod", List("prod")),
        ("restore before-upgrade", Restore("before-upgrade")),
        ("restore before-upgrade.zip", Restore("before-upgrade")),
        ("restore 2026-11-20T18:00:00Z_etcd", Restore("2026-11-20T18:00:00Z_etcd")),
        ("restore LATEST", Restore("latest")),
        ('restore x --reason "Upgrade broke it"', Restore("x", reason="Upgrade broke it")),
        ('restore --reason "Upgrade broke it" x', Restore("x", reason="Upgrade broke it")),
        ('restore x --reason="it didn\'t help" --cluster prod', Restore("x", "prod", "it didn't help")),
        ("restore x --reason it broke --cluster prod", Restore("x", "prod", "it broke")),
        (r'restore x --reason "say \"no\""', Restore("x", reason='say "no"')),
        ("status", Status()),
        ("status 7f3a91c2", Status("7f3a91c2")),
        ("status 7F3A91C2 --cluster prod", Status("7f3a91c2", "prod")),
        ("cancel 7f3a91c2", Cancel("7f3a91c2")),
        ("clusters", Clusters()),
        ("/etcd-snapshot save x", Save("x")),
    ],
)
def test_commands(text: str, command: Command) -> None:
    """Every command, with its arguments and options in any order."""
    assert parse(text) == command


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("restore \u201cbefore-upgrade\u201d", Restore("before-upgrade")),
        ("restore \u201ebefore-upgrade\u201c", Restore("before-upgrade")),
        ("restore \u2018before-upgrade\u2019", Restore("before-upgrade")),
        ("restore x \u2014reason \u201cdidn\u2019t help\u201d", Restore("x", reason="didn't help")),
        ("list \u2014cluster prod", List("prod")),
        ("list \u2013cluster=prod", List("prod")),
        ("list \u2013-cluster prod", List("prod")),
        ("save\u00a0\u00a0 \u202fx", Save("x")),
        ("save \u200bx\ufeff", Save("x")),
        ("`save x`", Save("x")),
        ("```save x```", Save("x")),
        ("save <http://before.upgrade|before.upgrade>", Save("before.upgrade")),
        ("save <http://before.upgrade>", Save("before.upgrade")),
        ("list --cluster <http://rancher.prod|rancher.prod>", List("rancher.prod")),
        ("restore x --reason ask <mailto:a@b.example|a@b.example>", Restore("x", reason="ask a@b.example")),
        ("restore x --reason 1 &lt; 2 &amp;&amp; 3 &gt; 2", Restore("x", reason="1 < 2 && 3 > 2")),
    ],
)
def test_what_slack_and_telephones_make_of_it(text: str, command: Command) -> None:
    """Curly quotes, long dashes, odd blanks, code marks and links are understood."""
    assert parse(text) == command


@pytest.mark.parametrize(
    ("text", "what", "nearest"),
    [
        ("resotre \u201cbefore-upgrade\u201d", '"resotre" is not a command.', "restore before-upgrade"),
        ("rest x", '"rest" is not a command.', "restore x"),
        ("snapshots", '"snapshots" is not a command.', "help"),
        ("blubb", '"blubb" is not a command.', "help"),
        ("restore", "restore needs NAME or latest.", "restore latest"),
        ("cancel", "cancel needs JOB.", "status"),
        ("cancel xyz", '"xyz" is not a job: its id has 4 or more of 0-9 and a-f.', "status"),
        ("save a b", '"b" is too much: save takes one NAME.', "save a"),
        ("clusters x", '"x" is too much: clusters takes no name.', "clusters"),
        ("save --name x", '"--name" is not an option of save.', "save x"),
        ("list --clutser prod", '"--clutser" is not an option of list.', "list --cluster prod"),
        ("list --cluster", "--cluster needs a value.", "list"),
        ("list --cluster a --cluster b", "--cluster stands there twice.", "list --cluster a"),
        ("list --cluster a/b", '"a/b" cannot be a cluster.', "list"),
        ('save "my snapshot"', "The name holds a blank.", "save my-snapshot"),
        ("save latest", "latest is not a name: it stands for the newest intact snapshot.", "save"),
        ("save x.zip", "A name must not end in .zip: rke adds that ending itself.", "save x"),
        ("save -x", "The name starts with a dash.", "save x"),
        ("restore x;reboot", 'The name holds ";".', "restore x-reboot"),
        ("restore <@U0A1>", 'The name holds "<".', "restore U0A1"),
        ("help me", '"me" is not a command.', "help"),
        ("restore x --reason " + "y" * 501, "The reason has 501 characters, at most 500 are allowed.", "restore x"),
    ],
)
def test_wrong_commands(text: str, what: str, nearest: str) -> None:
    """A wrong command says what is wrong, keeps what was typed, and names the nearest valid line."""
    with pytest.raises(UnknownCommand) as error:
        parse(text)
    assert error.value.what.startswith(what)
    assert error.value.typed == text
    assert error.value.nearest == f"/etcd-snapshot {nearest}"


def test_long_hostile_quotes_take_no_time() -> None:
    """Unclosed quotes and backslashes are read in one go."""
    with pytest.raises(UnknownCommand):
        parse('save "' + "\\" * 4000 + ' "' * 1000)


@pytest.mark.parametrize(
    ("one", "other", "far"), [("save", "save", 0), ("svae", "save", 1), ("sav", "save", 1), ("list", "save", 4)]
)
def test_distance(one: str, other: str, far: int) -> None:
    """Swapped neighbours count once."""
    assert distance(one, other) == far


def _cluster(name: str, *channels: str) -> Cluster:
    policy = ApprovalPolicy(2, ("U1", "U2"), (), False, 3600, 1800)
    return Cluster(name, channels, SshTarget("127.0.0.1", "rke"), "rancher-cluster.yml", policy)


CLUSTERS = {"prod": _cluster("prod", "C1", "C2"), "stage": _cluster("stage", "C2"), "lab": _cluster("lab", "C3")}


@pytest.mark.parametrize(
    ("channel", "wanted", "name"), [("C1", "", "prod"), ("C1", "prod", "prod"), ("C2", "stage", "stage")]
)
def test_cluster_of_a_channel(channel: str, wanted: str, name: str) -> None:
    """--cluster is needed only where the channel leaves a choice."""
    assert choose_cluster(CLUSTERS, channel, wanted).name == name


@pytest.mark.parametrize(
    ("channel", "wanted", "todo"),
    [
        ("C2", "", "Add --cluster and one of: prod, stage."),
        ("C2", "lab", "Clusters of this channel: prod, stage."),
        ("C1", "stage", "Clusters of this channel: prod."),
        ("C9", "prod", "Type the command in the channel of the cluster."),
    ],
)
def test_refused_clusters(channel: str, wanted: str, todo: str) -> None:
    """Only the channel's own clusters are offered and reached."""
    with pytest.raises(Refused) as error:
        choose_cluster(CLUSTERS, channel, wanted)
    assert error.value.todo == todo
