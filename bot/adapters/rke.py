"""The RKE host of a cluster: rke, rancher-cluster.yml and the state file beside it."""

import hashlib
import posixpath
import re
from collections.abc import Sequence
from typing import Final

from bot.adapters.detached_process import DetachedProcesses
from bot.adapters.fence import FencedMachine
from bot.adapters.ssh import script
from bot.core.cluster import Cluster
from bot.core.facts import RkeFacts
from bot.engine.ports import Attempt, Launch, Mark, Observation
from bot.errors import Refused

_YML_LIMIT: Final = 1 << 20
_VERSION: Final = re.compile(r"\bv\d+\.\d+\.\d+\S*")
_NO_RKE: Final = 81
_NO_YML: Final = 82
_UNREADABLE: Final = 83
_DIGEST: Final = f"""
digest() {{ # FILE: a digest that cannot be made must not move the lines below it up
  if command -v openssl >/dev/null 2>&1; then sum=$(openssl dgst -sha256 -r <"$1"); else sum=$(sha256sum <"$1"); fi
  [ "$sum" ] || {{ printf '%s\\n' "$1"; exit {_UNREADABLE}; }}
  printf '%.64s\\n' "$sum"
}}"""

# RKE YML STATE KUBE_CONFIG: five lines, then the yml itself.
_LOOK: Final = (
    _DIGEST
    + """
rke=$(command -v "$1") || exit 81
[ -r "$2" ] || exit 82
"$rke" --version </dev/null 2>/dev/null | tail -n 1
digest "$rke"
if [ -e "$3" ]; then digest "$3"; else echo -; fi
if [ -e "$4" ]; then echo yes; else echo -; fi
cat "$2"
"""
)

# SUFFIX FILE...: copies each file that is there; an equal copy that is there already stays, another one is not touched.
_BACK_UP: Final = """
suffix=$1
shift
for file do
  [ -e "$file" ] || continue
  copy=$file.$suffix number=1
  while [ -e "$copy" ] && ! cmp -s "$file" "$copy"; do
    number=$((number + 1))
    copy=$file.$suffix.$number
  done
  if [ ! -e "$copy" ]; then
    cp -p "$file" "$copy.new" && { sync "$copy.new" || sync; } && mv "$copy.new" "$copy" || exit 1
  fi
  printf '%s\\n' "$copy"
done
"""


class SshRkeHost:
    """Implements the port RkeHost over SSH."""

    def __init__(self, host: FencedMachine, cluster: Cluster) -> None:
        directory, name = posixpath.split(cluster.yml)
        base = posixpath.splitext(name)[0]
        self._host, self._rke = host, cluster.rke
        self._yml = posixpath.join(directory or ".", name)
        self._state = posixpath.join(directory or ".", f"{base}.rkestate")
        self._kube_config = posixpath.join(directory or ".", f"kube_config_{name}")
        self._processes = DetachedProcesses(host, self._yml)

    async def look(self) -> RkeFacts:
        """See the port."""
        machine = self._host.machine
        argv = script(_LOOK, self._rke, self._yml, self._state, self._kube_config)
        done = await self._host.machines.run(
            machine, argv, ok=(0, _NO_RKE, _NO_YML, _UNREADABLE), limit=_YML_LIMIT, name=f"{self._rke} --version"
        )
        if done.status == _NO_RKE:
            what = f"There is no {self._rke} on the RKE host {machine.address}."
            raise Refused(
                what, f"Put rke into the PATH of {machine.user} there, or name its path in the configuration."
            )
        if done.status == _NO_YML:
            what = f"{machine.user} cannot read {self._yml} on the RKE host {machine.address}."
            raise Refused(what, "Correct the path in the configuration, or the file's rights.")
        if done.status == _UNREADABLE:
            file = done.stdout.decode(errors="replace").splitlines()[-1]
            what = f"{machine.user} cannot read {file} on the RKE host {machine.address}."
            raise Refused(what, "Correct the file's rights: its sha256 is part of every plan.")
        return self._facts(done.stdout)

    def _facts(self, output: bytes) -> RkeFacts:
        version, binary, state, kube_config, yml = output.split(b"\n", 4)
        found = _VERSION.search(version.decode(errors="replace"))
        if found is None:
            what = f"`{self._rke} --version` on {self._host.machine.address} does not say a version."
            raise Refused(what, "Check that this binary is rke and fits the machine.")
        return RkeFacts(
            version=found[0],
            binary_sha256=binary.decode(),
            yml=yml,
            yml_sha256=hashlib.sha256(yml).hexdigest(),
            state_sha256="" if state == b"-" else state.decode(),
            kube_config=kube_config == b"yes",
        )

    async def raise_fence(self) -> Mark | None:
        """See the port."""
        return await self._host.raise_fence()

    async def back_up(self, suffix: str) -> tuple[str, ...]:
        """See the port. A copy of that suffix with other bytes stays, and a number is appended."""
        done = await self._host.run(script(_BACK_UP, suffix, self._yml, self._state))
        return tuple(done.stdout.decode().splitlines())

    async def busy(self) -> bool:
        """See the port. Where the lock file cannot be opened, the launch says why."""
        argv = script('[ -e "$1" ] || exit 0; exec 8<"$1" || exit 0; flock -s -n 8', f"{self._yml}.lock")
        done = await self._host.machines.run(self._host.machine, argv, ok=(0, 1), name="look at the cluster's lock")
        return done.status == 1

    async def launch(self, attempt: Attempt, arguments: Sequence[str]) -> Launch:
        """See the port."""
        return await self._processes.launch(attempt, [self._rke, *arguments])

    async def observe(self, attempt: Attempt, offset: int) -> Observation:
        """See the port."""
        return await self._processes.observe(attempt, offset)

    async def running(self, job: str) -> tuple[Attempt, ...]:
        """See the port."""
        return await self._processes.running(job)
