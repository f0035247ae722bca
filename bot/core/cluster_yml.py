"""Reading rancher-cluster.yml as rke reads it, with rke's own defaults and rke's own reasons to refuse it.

Source of defaults and conditions: rke v0.1.20 and v1.0.16, cluster/defaults.go and cluster/validation.go. Unknown keys
are ignored, as rke does.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from bot.core import strict_yaml
from bot.core.events import Data, Json
from bot.core.facts import Bastion, ClusterYml, NodeSpec
from bot.errors import Refused

NAME: Final = "rancher-cluster.yml"
ROLES: Final = ("controlplane", "etcd", "worker")
ADDRESS: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,63}\$?")
_HOSTNAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")  # DNS-1123
_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]*")


def read(raw: bytes) -> ClusterYml:
    """What the bot needs of a rancher-cluster.yml. Raises Refused with every problem, each with its path."""
    document = strict_yaml.load(raw, NAME)
    problems = _Problems()
    root = problems.mapping("", document)
    nodes = tuple(
        _node(problems, index, entry) for index, entry in enumerate(problems.list("nodes", root.get("nodes")))
    )
    if not nodes:
        problems.add("nodes", "names no node")
    elif not any("etcd" in node.roles for node in nodes):
        problems.add("nodes", "has no node with the role etcd")
    _unique(problems, nodes)
    services = problems.mapping("services", root.get("services"))
    etcd = problems.mapping("services.etcd", services.get("etcd"))
    backup = etcd.get("backup_config")
    extra = problems.mapping("services.etcd.extra_args", etcd.get("extra_args"))
    yml = ClusterYml(
        nodes=nodes,
        bastion=_bastion(problems, root.get("bastion_host")),
        kubernetes_version=problems.text("kubernetes_version", root.get("kubernetes_version")),
        prefix_path=_prefix(problems, root.get("prefix_path")),
        ssh_agent_auth=bool(problems.flag("ssh_agent_auth", root.get("ssh_agent_auth"))),
        rolling_snapshots=problems.flag("services.etcd.snapshot", etcd.get("snapshot")),
        backup_config=backup is not None,
        s3_backup_config=problems.mapping("services.etcd.backup_config", backup).get("s3backupconfig") is not None,
        enable_v2=str(extra.get("enable-v2", "")).lower() == "true",
    )
    problems.refuse()
    return yml


def _node(problems: "_Problems", index: int, entry: Json) -> NodeSpec:
    path = f"nodes[{index}]"
    raw = problems.mapping(path, entry)
    address = problems.matching(f"{path}.address", raw.get("address"), ADDRESS)
    hostname = problems.text(f"{path}.hostname_override", raw.get("hostname_override")).lower() or address.lower()
    if hostname and not _HOSTNAME.fullmatch(hostname) and hostname != address.lower():
        problems.add(f"{path}.hostname_override", f"{hostname!r} is not a host name")
    return NodeSpec(
        address=address,
        user=problems.matching(f"{path}.user", raw.get("user"), USER),
        roles=frozenset(_roles(problems, f"{path}.role", raw.get("role"))),
        port=problems.port(f"{path}.port", raw.get("port")),
        internal_address=problems.text(f"{path}.internal_address", raw.get("internal_address")) or address,
        hostname=hostname,
        docker_socket=problems.text(f"{path}.docker_socket", raw.get("docker_socket")) or "/var/run/docker.sock",
    )


def _roles(problems: "_Problems", path: str, value: Json) -> tuple[str, ...]:
    roles = tuple(str(role) for role in problems.list(path, value))
    if not roles:
        problems.add(path, "is missing (a list of controlplane, etcd, worker)")
    for role in roles:
        if role not in ROLES:
            problems.add(path, f"{role!r} is not recognized (controlplane, etcd, worker)")
    return roles


def _unique(problems: "_Problems", nodes: Sequence[NodeSpec]) -> None:
    for what in ("address", "hostname"):
        seen: dict[str, int] = {}
        for index, node in enumerate(nodes):
            value = str(getattr(node, what))
            first = seen.setdefault(value, index)
            if value and first != index and (what == "address" or value != node.address.lower()):
                problems.add(f"nodes[{index}]", f"has the {what} {value} of nodes[{first}]")


def _bastion(problems: "_Problems", value: Json) -> Bastion | None:
    raw = problems.mapping("bastion_host", value)
    if not raw.get("address"):  # rke writes the key with empty values when there is none
        return None
    return Bastion(
        address=problems.matching("bastion_host.address", raw.get("address"), ADDRESS),
        user=problems.matching("bastion_host.user", raw.get("user"), USER),
        port=problems.port("bastion_host.port", raw.get("port")),
    )


def _prefix(problems: "_Problems", value: Json) -> str:
    prefix = problems.text("prefix_path", value).rstrip("/")
    if prefix and (not _PATH.fullmatch(prefix) or ".." in prefix):
        problems.add("prefix_path", f"{prefix!r} is not an absolute path of plain characters")
    return prefix


class _Problems:
    """Reads typed values and collects what is wrong with them, so that all of it can be said at once."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, path: str, what: str) -> None:
        self._found.append(f"{path} {what}" if path else what)

    def refuse(self) -> None:
        if self._found:
            raise Refused(f"{NAME} cannot be used: {'; '.join(self._found)}.", "Correct the file on the RKE host.")

    def mapping(self, path: str, value: Json) -> Data:
        if isinstance(value, Mapping):
            return value
        if value is not None:
            self.add(path or NAME, "is not a mapping")
        return {}

    def list(self, path: str, value: Json) -> Sequence[Json]:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return value
        if value is not None:
            self.add(path, "is not a list")
        return ()

    def text(self, path: str, value: Json) -> str:
        if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
            return "" if value is None else str(value)
        self.add(path, "is not text")
        return ""

    def matching(self, path: str, value: Json, pattern: re.Pattern[str]) -> str:
        """Text that is required."""
        text = self.text(path, value)
        if not text:
            self.add(path, "is missing")
        elif not pattern.fullmatch(text):
            self.add(path, f"{text!r} cannot be used")
        return text

    def flag(self, path: str, value: Json) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        self.add(path, "is not true or false")
        return None

    def port(self, path: str, value: Json) -> int:
        """rke wants a text and takes a number; 22 where there is none."""
        text = self.text(path, value) or "22"
        if text.isascii() and text.isdigit() and 0 < int(text[:9]) < 65536:
            return int(text)
        self.add(path, f"{text!r} is not a port")
        return 22
