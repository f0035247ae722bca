"""etcd's member on a node, asked by etcdctl in its own container: its environment names endpoint and certificates.

etcdctl is called directly, not by a shell: etcd images from 3.5 on carry none (rke cluster/plan.go sets the environment
in v0.1.7 to v1.3.24).
"""

import json
import re
from typing import Final

from bot.adapters.ssh import Completed
from bot.core.facts import Member
from bot.errors import Retryable

INSPECT: Final = ("docker", "inspect", "--type", "container", "--format", "{{json .}}", "etcd")
_ALARM: Final = re.compile(r"alarm:(\w+)")
_DATA: Final = "/var/lib/rancher/etcd"

# Three answers, each with its status and on one line.
ASK: Final = """
ask() {
  said=$(docker exec etcd etcdctl "$@")
  printf '%s %s\\n' $? "$(printf %s "$said" | tr '\\n' ';')"
}
ask endpoint status -w json
ask member list -w json
ask alarm list
"""

# REVISION. etcd before 3.3 has no hashkv and prints its usage instead.
HASH: Final = """
said=$(docker exec etcd etcdctl endpoint hashkv --rev="$1" -w json)
case $said in
\\[*) printf '%s\\n' "$said" ;;
*)
  docker exec etcd etcdctl get '' --prefix --limit=1 --rev="$1" >/dev/null || exit
  docker exec etcd etcdctl get '' --prefix --consistency=s --rev="$1" | sha256sum
  ;;
esac
"""

# KEY VALUE
PUT_AND_READ: Final = """
docker exec etcd etcdctl put -- "$1" "$2" >/dev/null && docker exec etcd etcdctl get --print-value-only -- "$1"
"""


def told(address: str, done: Completed) -> Member:
    """The member as its answers to ASK describe it."""
    answers = [line.partition(" ") for line in done.stdout.decode(errors="replace").splitlines()]
    if len(answers) != 3 or answers[0][0] != "0":
        return Member(address, error=f"etcd does not answer: {done.said}")
    try:
        status = json.loads(answers[0][2])[0]["Status"]
        listed = json.loads(answers[1][2])["members"] if answers[1][0] == "0" else []
    except (ValueError, LookupError, TypeError) as error:
        return Member(address, error=f"etcdctl's answer cannot be read: {error}")
    return Member(
        address=address,
        member_id=int(status["header"]["member_id"]),
        leader=int(status.get("leader", 0)),
        revision=int(status["header"].get("revision", 0)),
        version=str(status.get("version", "")),
        alarms=tuple(_ALARM.findall(answers[2][2])),
        names=tuple(sorted(str(member.get("name", "")) for member in listed)),
    )


def hash_told(address: str, done: Completed) -> int:
    """The hash in the answer to HASH. Raises Retryable when there is none."""
    text = done.stdout.decode(errors="replace").strip()
    try:
        return int(json.loads(text)[0]["HashKV"]["hash"]) if text.startswith("[") else int(text[:15], 16)
    except (ValueError, LookupError, TypeError) as error:
        raise Retryable(f"etcd on {address} gave no hash: {done.said}") from error


def save_command(address: str, etcd: Completed, path: str, directory: str) -> list[str]:
    """`etcdctl snapshot save` in a new container like the etcd container: its image, certificates and endpoint.

    It works without quorum, and unlike rke's own it leaves no container behind. Raises Retryable when there is no etcd
    container.
    """
    try:
        found = json.loads(etcd.stdout)
        image, env, binds = found["Config"]["Image"], found["Config"]["Env"] or [], found["HostConfig"]["Binds"] or []
    except (ValueError, LookupError, TypeError) as error:
        raise Retryable(f"There is no etcd container on {address} to take a safety copy of: {etcd.said}") from error
    options = ["--rm", "--network", "host", "-v", f"{directory}:{directory}:z"]
    for bind in binds:
        if bind.split(":")[1].rstrip("/") != _DATA:
            options += ["-v", bind]
    for setting in env:
        if setting.startswith("ETCDCTL_"):
            options += ["-e", setting]
    return ["docker", "run", *options, "--entrypoint", "etcdctl", image, "snapshot", "save", path]
