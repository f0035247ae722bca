"""What the double itself may be told through its environment; rke knows none of these variables."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Settings:
    """Knobs of the double. Times are seconds."""

    version: str
    pace: float
    response_timeout: float
    retry_interval: float
    wait_scale: float
    etcd_scheme: str
    api_server: bool
    failing_addons: tuple[str, ...]

    @property
    def legacy(self) -> bool:
        """True for v0.1.x: state in the cluster, standard error, plain snapshot files."""
        return self.version.startswith("v0.1.")

    @classmethod
    def from_environ(cls) -> Self:
        """Read RKE_DOUBLE_*: VERSION, PACE, RESPONSE_TIMEOUT (50 in rke), RETRY_INTERVAL (15 in rke-tools), …"""
        env = os.environ
        return cls(
            version=env.get("RKE_DOUBLE_VERSION", "v0.1.20"),
            pace=float(env.get("RKE_DOUBLE_PACE", "0")),
            response_timeout=float(env.get("RKE_DOUBLE_RESPONSE_TIMEOUT", "50")),
            retry_interval=float(env.get("RKE_DOUBLE_RETRY_INTERVAL", "15")),
            wait_scale=float(env.get("RKE_DOUBLE_WAIT_SCALE", "0.01")),
            etcd_scheme=env.get("RKE_DOUBLE_ETCD_SCHEME", "http"),
            api_server=env.get("RKE_DOUBLE_APISERVER", "on") != "off",
            failing_addons=tuple(env.get("RKE_DOUBLE_FAILING_ADDONS", "").split()),
        )
