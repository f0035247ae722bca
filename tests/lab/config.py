"""The bot's configuration for a lab: the YAML a user would write, and the secrets a user would set."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.nodes import Machines

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

JOURNAL_KEY = "1ab0" * 16
"""Signs the journal of every lab: a lab that is started again on the same Redis must know its jobs."""
HTTP_PORT = 3000


@dataclass
class BotConfig:
    """The parsed form of the YAML file."""

    raw: dict[str, Json]

    @classmethod
    def of(cls, lab: "Lab") -> Self:
        """Everything of `lab`, by Socket Mode or HTTP as its workspace delivers."""
        slack: dict[str, Json] = {"mode": lab.workspace.transport, "api_url": lab.workspace.api_url}
        if lab.workspace.transport == "http":
            listen = f"{lab.machines[lab.cluster].subnet}.250:{HTTP_PORT}"
            slack["http"] = {"listen": listen, "path": "/slack/events"}
            lab.workspace.request_url = f"http://{listen}/slack/events"
        return cls(
            {
                "slack": slack,
                "redis": {"durability": "aof"},
                "ssh": {
                    "known_hosts": str(lab.known_hosts),
                    "keys": [str(machines.ssh_key) for machines in lab.machines.values()],
                },
                "s3": {"bucket": lab.s3.bucket, "endpoint_url": lab.s3.endpoint_url, "region": lab.s3.region},
                "clusters": {name: _cluster(lab, machines) for name, machines in lab.machines.items()},
            }
        )

    def change(self, **changes: Json) -> Self:
        """A copy with some values replaced; `a__b` names the key b below a, None removes the key."""
        raw = copy.deepcopy(self.raw)
        for path, value in changes.items():
            *parents, key = path.split("__")
            place = raw
            for parent in parents:
                below = place.setdefault(parent, {})
                assert isinstance(below, dict), f"{path} names a value below a plain value"
                place = below
            if value is None:
                place.pop(key, None)
            else:
                place[key] = value
        return type(self)(raw)

    def write(self, path: Path) -> Path:
        """Write the YAML file."""
        path.write_text(yaml.safe_dump(self.raw, sort_keys=False))
        return path


def _cluster(lab: "Lab", machines: "Machines") -> Json:
    host = machines.rke_host
    cluster: dict[str, Json] = {
        "channels": [lab.channel.id],
        "rke_host": {"address": host.address, "port": host.port, "user": host.user},
        "config": str(host.config),
        "rke": str(host.bin / "rke"),
        "approvals": {"required": 2, "groups": [lab.approvers.id]},
        "roles": dict.fromkeys(("read", "save", "restore", "cancel"), "everybody"),
    }
    return cluster


def secrets_of(lab: "Lab") -> dict[str, str]:
    """The bot's environment: nothing of the developer's own gets in but the search path."""
    workspace = lab.workspace
    tokens = {"SLACK_BOT_TOKEN": workspace.bot_token}
    if workspace.transport == "http":
        tokens["SLACK_SIGNING_SECRET"] = workspace.signing_secret
    else:
        tokens["SLACK_APP_TOKEN"] = workspace.app_token
    return {
        **tokens,
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(lab.base),
        "REDIS_URL": lab.redis.url,
        "S3_ACCESS_KEY": lab.s3.access_key,
        "S3_SECRET_KEY": lab.s3.secret_key,
        "JOURNAL_KEY": JOURNAL_KEY,
    }
