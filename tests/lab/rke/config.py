"""cluster.yml as rke reads it: defaults, and the errors of a file it refuses.

Texts: transcripts `v0.1.20-config-file-missing.txt`, `-bad-yaml`, `-role-as-string`, `-unknown-role`, `-no-user`,
`-no-etcd-role`, `-duplicate-node`. Unknown keys are ignored, as rke does (`v0.1.20-key-file-missing.txt`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml

from .log import RkeError

ROLES = ("etcd", "controlplane", "worker")
Tree = dict[str, Any]


@dataclass(frozen=True)
class Host:
    """One entry of `nodes`, with rke's defaults filled in. `address` is the name rke uses in its lines."""

    address: str
    port: str
    user: str
    roles: tuple[str, ...]
    internal_address: str
    hostname: str
    ssh_key: str
    ssh_key_path: str

    @property
    def is_etcd(self) -> bool:
        """It runs an etcd member."""
        return "etcd" in self.roles

    @property
    def is_control(self) -> bool:
        """It runs kube-apiserver, kube-controller-manager and kube-scheduler."""
        return "controlplane" in self.roles

    @property
    def is_worker(self) -> bool:
        """It takes pods."""
        return "worker" in self.roles

    @property
    def etcd_cert(self) -> str:
        """Base name of its etcd certificate, e.g. kube-etcd-10-77-0-1."""
        return "kube-etcd-" + self.internal_address.replace(".", "-")


@dataclass(frozen=True)
class Bastion:
    """`bastion_host`: the machine every node is dialled through."""

    address: str
    port: str
    user: str
    ssh_key: str
    ssh_key_path: str


@dataclass(frozen=True)
class Cluster:
    """A parsed cluster.yml. `tree` is the whole file; `path` is what --config was given."""

    path: Path
    tree: Tree
    hosts: tuple[Host, ...]
    bastion: Bastion | None = None

    def with_role(self, role: str) -> list[Host]:
        """Hosts of one role, in the order of the file."""
        return [host for host in self.hosts if role in host.roles]

    @property
    def etcd_hosts(self) -> list[Host]:
        """Hosts with the etcd role, in the order of the file: the order of save and restore."""
        return self.with_role("etcd")

    @property
    def control_hosts(self) -> list[Host]:
        """Hosts with the controlplane role."""
        return self.with_role("controlplane")

    @property
    def worker_hosts(self) -> list[Host]:
        """Hosts with the worker role."""
        return self.with_role("worker")

    @property
    def etcd(self) -> Tree:
        """`services.etcd`."""
        return section(section(self.tree, "services"), "etcd")

    @property
    def kube_config(self) -> Path:
        """kube_config_<file name> beside the file: v0.1.x knows an existing cluster by it."""
        return self.path.parent / f"kube_config_{self.path.name}"

    @property
    def state_file(self) -> Path:
        """<base>.rkestate beside the file: v0.2 and later."""
        return self.path.with_suffix(".rkestate")

    @property
    def ignore_docker_version(self) -> bool:
        """A docker version rke does not know is then a warning only."""
        return bool(self.tree.get("ignore_docker_version"))

    def image(self, name: str, default: str) -> str:
        """`system_images.<name>`, or rke's own choice."""
        return str(section(self.tree, "system_images").get(name) or default)

    def without(self, addresses: Iterable[str]) -> "Cluster":
        """The cluster rke goes on with after it dropped the hosts it could not reach."""
        dropped = set(addresses)
        return replace(self, hosts=tuple(host for host in self.hosts if host.address not in dropped))


def section(tree: Tree, key: str) -> Tree:
    """A nested mapping, empty when it is missing or null."""
    found = tree.get(key)
    return found if isinstance(found, dict) else {}


def read(path: Path) -> str:
    """The file's text; raises RkeError with the absolute path, as rke prints it."""
    try:
        return path.read_text()
    except OSError as error:
        shown = path if path.is_absolute() else Path.cwd() / path
        reason = (error.strerror or str(error)).lower()
        raise RkeError(f"Can not find cluster configuration file: open {shown}: {reason}") from error


def parse(text: str) -> Tree:
    """YAML to a mapping; raises RkeError in the words of go-yaml."""
    try:
        tree = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise RkeError(_go_yaml(error)) from error
    if tree is None:
        return {}
    _refuse_scalar_roles(root)
    return cast("Tree", tree)


def _go_yaml(error: yaml.YAMLError) -> str:
    problem = str(getattr(error, "problem", None) or error)
    wanted = re.match(r"expected (.*?), but ", problem)
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line}: " if mark is not None and mark.line else ""
    return f"yaml: {line}did not find expected {_go_token(wanted[1])}" if wanted else f"yaml: {line}{problem}"


def _go_token(token: str) -> str:
    return {"<block end>": "'-' indicator", "',' or ']'": "',' or ']'", "',' or '}'": "',' or '}'"}.get(token, token)


def _refuse_scalar_roles(root: yaml.Node | None) -> None:
    bad = [
        f"  line {value.start_mark.line + 1}: cannot unmarshal !!str `{_shorten(value.value)}` into []string"
        for node in _items(_child(root, "nodes"))
        if isinstance(value := _child(node, "role"), yaml.ScalarNode) and value.value
    ]
    if bad:
        raise RkeError("yaml: unmarshal errors:\n" + "\n".join(bad))


def _shorten(value: str) -> str:
    return value[:7] + "..." if len(value) > 10 else value


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    return next((value for name, value in pairs if name.value == key), None)


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def cluster_of(path: Path, tree: Tree) -> Cluster:
    """Classify and validate; raises RkeError for what rke refuses before it dials anybody."""
    hosts = tuple(_host(tree, node) for node in tree.get("nodes") or [])
    for host in hosts:
        for role in host.roles:
            if role not in ROLES:
                raise RkeError(
                    f"Failed to classify hosts from config file: Failed to recognize host [{host.address}] role {role}"
                )
    try:
        _validate(hosts)
    except RkeError as error:
        raise RkeError(f"Failed to validate cluster: {error}") from error
    return Cluster(path, tree, hosts, _bastion(tree))


def _host(tree: Tree, node: Tree) -> Host:
    address = str(node.get("address") or "")
    return Host(
        address=address,
        port=str(node.get("port") or "22"),
        user=str(node.get("user") or ""),
        roles=tuple(str(role) for role in node.get("role") or []),
        internal_address=str(node.get("internal_address") or address),
        hostname=str(node.get("hostname_override") or address).lower(),
        ssh_key=str(node.get("ssh_key") or ""),
        ssh_key_path=str(node.get("ssh_key_path") or tree.get("ssh_key_path") or "~/.ssh/id_rsa"),
    )


def _bastion(tree: Tree) -> Bastion | None:
    given = section(tree, "bastion_host")
    if not given.get("address"):
        return None
    return Bastion(
        address=str(given["address"]),
        port=str(given.get("port") or "22"),
        user=str(given.get("user") or ""),
        ssh_key=str(given.get("ssh_key") or ""),
        ssh_key_path=str(given.get("ssh_key_path") or tree.get("ssh_key_path") or "~/.ssh/id_rsa"),
    )


def _validate(hosts: tuple[Host, ...]) -> None:
    if not any(host.is_etcd for host in hosts):
        raise RkeError(
            "Cluster must have at least one etcd plane host: please specify one or more etcd in cluster config"
        )
    for names in ([host.address for host in hosts], [host.hostname for host in hosts]):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise RkeError(f"Cluster can't have duplicate node: {twice}")
    for number, host in enumerate(hosts, 1):
        for field, value in (("Address", host.address), ("User", host.user), ("Role", host.roles)):
            if not value:
                raise RkeError(f"{field} for host ({number}) is not provided")
