"""What `rke up` leaves behind, for those who build a cluster without running it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import pki
from .config import Cluster, cluster_of, parse
from .kube import KubeObject, config_map, namespace, node
from .up import secrets, state_text


def seed_objects(config: Path, certificates: Mapping[str, bytes], uid: str | None = None) -> dict[str, bytes]:
    """Keys and values of a cluster in etcd: ConfigMap cluster-state, certificate secrets, nodes, kube-system.

    `certificates` maps file names (kube-ca.pem, kube-ca-key.pem, …) to their content; `uid` is kube-system's.
    """
    cluster = cluster_of(config, parse(config.read_text()))
    objects: list[KubeObject] = [config_map("cluster-state", state_text(cluster)), namespace("kube-system", uid)]
    objects += secrets(pki.bundle_of(certificates))
    objects += [node(host.hostname, host.roles) for host in cluster.hosts]
    return {found.key: found.encode() for found in objects}


def write_state(config: Path, certificates: Mapping[str, bytes] | None = None) -> Path:
    """Write <base>.rkestate beside the yml, both states the same, as a finished `rke up` of v1.0.x leaves it."""
    cluster = cluster_of(config, parse(config.read_text()))
    state = state_of(cluster, pki.bundle_of(certificates or {}))
    cluster.state_file.write_text(json.dumps({"desiredState": state, "currentState": state}, indent=2))
    cluster.state_file.chmod(0o640)
    return cluster.state_file


def state_of(cluster: Cluster, bundle: pki.Bundle) -> dict[str, Any]:
    """One state: the yml as JSON and every certificate as PEM."""
    rke = parse(state_text(cluster))
    return {"rkeConfig": rke, "certificatesBundle": {name: _certificate(name, pair) for name, pair in bundle.items()}}


def _certificate(name: str, pair: pki.Pair) -> dict[str, str]:
    variable = name.upper().replace("-", "_")
    return {
        "certificatePEM": pair.certificate.decode(),
        "keyPEM": pair.key.decode(),
        "name": name,
        "commonName": name,
        "envName": variable,
        "path": f"/etc/kubernetes/ssl/{name}.pem",
        "keyEnvName": f"{variable}_KEY",
        "keyPath": f"/etc/kubernetes/ssl/{name}-key.pem",
    }


def bundle_from(state: Mapping[str, Any]) -> pki.Bundle:
    """The certificates of one state."""
    found = state.get("certificatesBundle") or {}
    return {
        name: pki.Pair(str(entry.get("certificatePEM", "")).encode(), str(entry.get("keyPEM", "")).encode())
        for name, entry in found.items()
    }
