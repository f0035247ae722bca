"""Properties of reading rancher-cluster.yml."""

import contextlib

import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.core import cluster_yml, strict_yaml
from bot.core.cluster_yml import ROLES
from bot.errors import Refused

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc:-# ", min_size=1), inner, max_size=3),
    max_leaves=10,
)
_nodes = st.lists(
    st.fixed_dictionaries(
        {
            "address": st.ip_addresses(v=4).map(str),
            "user": st.sampled_from(["rke", "ubuntu", "k8s-admin"]),
            "role": st.lists(st.sampled_from(ROLES), min_size=1, unique=True),
        },
        optional={
            "port": st.integers(1, 65535) | st.integers(1, 65535).map(str),
            "internal_address": st.just("10.0.0.1"),
        },
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda node: node["address"],
)


@given(_nodes, st.sampled_from([None, True, False]), st.sampled_from([None, '"', "'"]))
def test_generated_files_are_read(nodes: list[dict[str, object]], flow: bool | None, style: str | None) -> None:
    """Whatever style the file has, its nodes come out in order with their values."""
    nodes[0]["role"] = ["etcd"]
    text = yaml.safe_dump({"nodes": nodes}, default_flow_style=flow, default_style=None if style is None else style)
    yml = cluster_yml.read(text.replace("!!int ", "").encode())
    assert [node.address for node in yml.nodes] == [node["address"] for node in nodes]
    assert [node.port for node in yml.nodes] == [int(str(node.get("port", 22))) for node in nodes]
    assert [node.roles for node in yml.nodes] == [frozenset(str(r) for r in node["role"]) for node in nodes]  # type: ignore[attr-defined]  # the strategy makes a list


@given(_values)
def test_plain_values_survive(value: object) -> None:
    """What YAML writes is read back the same."""
    assert strict_yaml.load(yaml.safe_dump(value, allow_unicode=True).encode(), "x") == value


@given(st.binary() | st.text().map(str.encode) | st.text("[]{}:-,&*!|>'\"#\n ab<").map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """There is no third way."""
    with contextlib.suppress(Refused):
        cluster_yml.read(raw)
