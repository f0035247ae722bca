"""The machine rke runs on: the cluster's directory with its yml, and the ``rke`` double first in PATH."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.lab.nodes.hosts import Host, Site
from tests.lab.nodes.node import Node
from tests.lab.rke import install

CONFIG_NAME = "rancher-cluster.yml"
_KUBERNETES = {"v0.1.": "v1.13.12-rancher1-1", "": "v1.17.17-rancher1-1"}


class RkeHost(Host):
    """Holds everything rke needs; ``version`` is the release its double behaves as."""

    def __init__(self, site: Site, name: str, address: str, version: str, bastion: Host | None) -> None:
        super().__init__(site, name, address)
        self.version = version
        self._bastion = bastion

    @property
    def cluster_dir(self) -> Path:
        """The directory of the cluster's files."""
        return self.home / "cluster"

    @property
    def config(self) -> Path:
        """The cluster's yml."""
        return self.cluster_dir / CONFIG_NAME

    @property
    def kube_config(self) -> Path:
        """The kubeconfig rke writes beside the yml; v0.1.x knows an existing cluster by it."""
        return self.cluster_dir / f"kube_config_{CONFIG_NAME}"

    @property
    def state_file(self) -> Path:
        """The state file of v0.2 and later."""
        return self.config.with_suffix(".rkestate")

    @property
    def rke_key(self) -> Path:
        """The key rke uses to reach the nodes."""
        return self.home / ".ssh/id_ed25519"

    def install(self, client_key: Path) -> None:
        """Put the double and its SSH key in place."""
        self.rke_key.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(client_key, self.rke_key)
        self.rke_key.chmod(0o600)
        install(self.bin, self.version)

    def write_config(self, nodes: Sequence[Node], **extra: object) -> None:
        """Write the yml for these nodes; ``extra`` are further top-level keys (None leaves a default key out)."""
        kubernetes = next(v for k, v in _KUBERNETES.items() if self.version.startswith(k))
        tree: dict[str, object] = {
            "cluster_name": "lab",
            "kubernetes_version": kubernetes,
            "ssh_key_path": str(self.rke_key),
            "nodes": [_entry(node) for node in nodes],
            "services": {"etcd": {"snapshot": True, "creation": "6h", "retention": "24h"}},
            "network": {"plugin": "canal"},
        }
        if self._bastion is not None:
            tree["bastion_host"] = {
                "address": self._bastion.address,
                "port": str(self._bastion.port),
                "user": self._bastion.user,
                "ssh_key_path": str(self.rke_key),
            }
        tree |= extra
        self.cluster_dir.mkdir(exist_ok=True)
        kept = {key: value for key, value in tree.items() if value is not None}
        self.config.write_text(yaml.safe_dump(kept, sort_keys=False))


def _entry(node: Node) -> dict[str, object]:
    return {
        "address": node.address,
        "internal_address": node.address,
        "port": str(node.port),
        "user": node.user,
        "role": list(node.roles),
    }
