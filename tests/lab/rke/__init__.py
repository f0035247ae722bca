"""The `rke` double: behaves as rke v0.1.20 or v1.0.16 does, on nodes it reaches by SSH and `docker …`.

`install` puts it in place. For builders of clusters: `node_plan` describes the containers of a node as `rke up` leaves
them, `seed_objects` what it leaves in etcd, `write_state` what v1.0.x leaves beside the yml.
"""

import shlex
import sys
from pathlib import Path

from .log import logfmt, terminal
from .plan import ContainerSpec, node_plan
from .seed import seed_objects, write_state

__all__ = ["ContainerSpec", "install", "logfmt", "node_plan", "seed_objects", "terminal", "write_state"]

# rke waits 50 s for a one-shot container and its tool tries every 15 s; a fifth keeps their proportion.
FAST = {"RKE_DOUBLE_RESPONSE_TIMEOUT": "10", "RKE_DOUBLE_RETRY_INTERVAL": "3"}

# Python takes half a second to say what the wrapper knows.
_VERSION_QUICKLY = r"""if [ "$*" = --version ]; then
  line='{"time": %s, "argv": ["--version"], "pid": %s}\n'
  [ -z "$RKE_DOUBLE_LOG" ] || printf "$line" "$(date +%s.%N)" $$ >> "$RKE_DOUBLE_LOG"
  echo "rke version $RKE_DOUBLE_VERSION"; exit 0
fi"""


def install(rke_host_bin: Path, version: str) -> Path:
    """Write the executable `rke` of one release into a directory and return its path.

    Whatever RKE_DOUBLE_* the caller's environment sets wins over the defaults written here.
    """
    root = Path(__file__).resolve().parents[3]
    defaults = {"RKE_DOUBLE_VERSION": version, **FAST}
    lines = ["#!/bin/sh"]
    lines += [f"export {name}=${{{name}:-{shlex.quote(value)}}}" for name, value in defaults.items()]
    lines += [_VERSION_QUICKLY]
    lines += [f"export PYTHONPATH={shlex.quote(str(root))}", "export PYTHONDONTWRITEBYTECODE=1"]
    lines += [f'exec {shlex.quote(sys.executable)} -m tests.lab.rke "$@"', ""]
    rke_host_bin.mkdir(parents=True, exist_ok=True)
    path = rke_host_bin / "rke"
    path.write_text("\n".join(lines))
    path.chmod(0o755)
    return path
