"""<base>.rkestate of v0.2 and later: desired and current state, each with the yml and every certificate.

Source: cluster/state.go of v1.0.16. A restore empties the current state before it dials anybody.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from . import pki
from .config import Cluster, Tree, cluster_of
from .log import RkeError
from .reconcile import shown
from .seed import bundle_from, state_of
from .session import Session

State = dict[str, Any]


@dataclass(frozen=True)
class FullState:
    """Both states; an empty mapping is "none"."""

    desired: State
    current: State

    @property
    def bundle(self) -> pki.Bundle:
        """Certificates of the desired state."""
        return bundle_from(self.desired)

    @property
    def current_tree(self) -> Tree | None:
        """The yml of the current state, None for a cluster that is to be built anew."""
        tree = self.current.get("rkeConfig")
        return tree if isinstance(tree, dict) else None

    def as_json(self) -> str:
        """The file's text."""
        return json.dumps({"desiredState": self.desired, "currentState": self.current}, indent=2)


def read(session: Session) -> FullState:
    """The file's states; a missing or broken file reads as empty, rke says nothing about it."""
    try:
        tree = json.loads(session.cluster.state_file.read_text())
        return FullState(tree.get("desiredState") or {}, tree.get("currentState") or {})
    except (OSError, ValueError, AttributeError):
        return FullState({}, {})


def write(session: Session, state: FullState) -> None:
    """Write the file and say so; raises RkeError when it cannot be written."""
    path = session.cluster.state_file
    try:
        path.write_text(state.as_json())
        path.chmod(0o640)
    except OSError as error:
        raise RkeError(f"Failed to write state file: {error.strerror}") from error
    session.log.info(f"Successfully Deployed state file at [{shown(session, path.name)}]")


def with_desired(state: FullState, cluster: Cluster, bundle: pki.Bundle) -> FullState:
    """The desired state made from the yml."""
    return replace(state, desired=state_of(cluster, bundle))


def applied(state: FullState, cluster: Cluster, bundle: pki.Bundle) -> FullState:
    """The current state after the control plane stands."""
    return replace(state, current=state_of(cluster, bundle))


def current_cluster(session: Session, state: FullState) -> Cluster | None:
    """The cluster as it was, None when the current state is empty."""
    tree = state.current_tree
    return cluster_of(session.cluster.path, tree) if tree else None
