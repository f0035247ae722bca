"""A cluster as the configuration names it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.core.policy import Action, ApprovalPolicy, Grant


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A machine reached over SSH by the bot itself."""

    address: str
    user: str
    port: int = 22


@dataclass(frozen=True, slots=True)
class Cluster:
    """One RKE cluster. `yml` is the path of rancher-cluster.yml on the RKE host and `rke` that of the binary
    there; `nodes_via_rke_host` reaches the nodes through the RKE host; `jump_host` reaches the RKE host
    itself. `channels` are Slack channel ids, the first one gets what belongs to no thread.
    """

    name: str
    channels: tuple[str, ...]
    rke_host: SshTarget
    yml: str
    approvals: ApprovalPolicy
    grants: Mapping[Action, Grant] = field(default_factory=dict)
    rke: str = "rke"
    jump_host: SshTarget | None = None
    nodes_via_rke_host: bool = False
