"""Snapshot files on a node: the shell texts that list, check, write and keep them, and what their answers mean.

A file of `etcdctl snapshot save` is the database and the sha256 of all bytes before it: size % 512 == 32 (observed with
etcd 3.4.23 and 3.5.1). rke keeps snapshots in /opt/rke/etcd-snapshots whatever prefix_path is (rke services/etcd.go).
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from bot.core import snapshots
from bot.core.facts import Copy, Form, Integrity

DIRECTORY: Final = "/opt/rke/etcd-snapshots"
ABSENT: Final = 83
WRONG_BYTES: Final = 84
_LISTED: Final = re.compile(r"(?P<size>\d+) (?P<mtime>\d+) 8[0-9a-f]{3} (?P<file>[A-Za-z0-9_][A-Za-z0-9._:+-]*)")

_DIGEST: Final = """
digest() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -c 1-64; }
facts() { # FILE: size, sha256, sha256 of all but the last 32 bytes, the last 32 bytes after an x
  size=$(($(wc -c <"$1"))) body=0
  [ "$size" -le 32 ] || body=$((size - 32))
  printf '%s %s %s x' "$size" "$(digest <"$1")" "$(head -c "$body" "$1" | digest)"
  tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \\n'
}
"""

# DIRECTORY: size, time, mode and name of every file whose name a snapshot can have; no directory, no files.
LIST: Final = """
if [ ! -e "$1" ]; then exit 0; fi
cd "$1" || exit 1
set --
for file in *; do
  case $file in *[!A-Za-z0-9._:+-]*) ;; *) set -- "$@" "$file" ;; esac
done
stat -c '%s %Y %f %n' -- "$@" 2>/dev/null
exit 0
"""

# FILE
CHECK: Final = f"""{_DIGEST}
[ -f "$1" ] || exit {ABSENT}
printf '%s ' "$(stat -c %Y "$1")"
facts "$1"
"""

# FILE NAME, in a container that has unzip and etcdctl: the file's facts, then those of the database inside.
# Entries of rke's zips are backup/NAME; a .rkestate may be beside it. unzip warns about absolute names with status 1.
CHECK_ZIP: Final = f"""{_DIGEST}
[ -f "$1" ] || exit {ABSENT}
inside=$(mktemp) || exit 1
trap 'rm -f "$inside"' EXIT
printf '%s ' "$(stat -c %Y "$1")"
facts "$1"
unzip -p "$1" "*$2" >"$inside" 2>/dev/null
printf ' '
facts "$inside"
printf '\\n'
ETCDCTL_API=3 etcdctl snapshot status "$inside" -w json 2>/dev/null
exit 0
"""

# FILE: etcd before 3.3 opens the file for writing, which a read-only bind refuses: then a copy is asked.
STATUS: Final = """etcdctl snapshot status "$1" -w json 2>/dev/null && exit
cp "$1" /tmp/snapshot && etcdctl snapshot status /tmp/snapshot -w json"""

# DIRECTORY FILE OTHER_FILE SHA256 TIME, the bytes on stdin
WRITE: Final = f"""{_DIGEST}
mkdir -p "$1" || exit
umask 077
part=$1/.$2.part
trap 'rm -f "$part"' EXIT
cat >"$part" || exit
got=$(digest <"$part")
[ "$got" = "$4" ] || {{ echo "sha256 is $got instead of $4" >&2; exit {WRONG_BYTES}; }}
touch -d "@$5" "$part"
{{ sync "$part" || sync; }} 2>/dev/null
[ ! -e "$1/$3" ] || mv -f "$1/$3" "$1/$3.aside" || exit
mv -f "$part" "$1/$2" || exit
{{ sync "$1" || sync; }} 2>/dev/null
"""

# DIRECTORY FILE: make .FILE.part the file, for good.
KEEP: Final = """
chmod 600 "$1/.$2.part" && { sync "$1/.$2.part" || sync; } 2>/dev/null && mv -f "$1/.$2.part" "$1/$2" || exit
{ sync "$1" || sync; } 2>/dev/null
"""


def listed(output: str, where: str) -> Iterator[Copy]:
    """The snapshot files that LIST wrote, unchecked: of a zip, `size` is the file's."""
    for line in output.splitlines():
        found = _LISTED.fullmatch(line)
        if found and snapshots.is_snapshot_file(found["file"]):
            name, form = snapshots.split_file_name(found["file"])
            size = int(found["size"])
            yield Copy(name, where, form, size, size, float(found["mtime"]))


def plain(name: str, where: str, output: str, revision: int | None) -> Copy:
    """The copy that CHECK described."""
    mtime, size, whole, body, trailer = output.split()
    problem = _problem(int(size), body, trailer)
    return Copy(
        name=name,
        where=where,
        form=Form.PLAIN,
        size=int(size),
        file_size=int(size),
        taken_at=float(mtime),
        sha256=whole,
        file_sha256=whole,
        integrity=Integrity.CORRUPT if problem else Integrity.INTACT,
        revision=revision,
        problem=problem,
    )


def zipped(name: str, where: str, output: str) -> Copy:
    """The copy that CHECK_ZIP described."""
    head, _, status = output.partition("\n")
    mtime, file_size, file_sha256, _, _, size, whole, body, trailer = head.split()
    problem = _problem(int(size), body, trailer) if int(size) else "holds no snapshot of that name, or is no whole zip"
    return Copy(
        name=name,
        where=where,
        form=Form.ZIP,
        size=int(size),
        file_size=int(file_size),
        taken_at=float(mtime),
        sha256=whole,
        file_sha256=file_sha256,
        integrity=Integrity.CORRUPT if problem else Integrity.INTACT,
        revision=revision(status),
        problem=problem,
    )


def revision(output: str) -> int | None:
    """The revision in the answer of `etcdctl snapshot status -w json`; None when it could not read the file."""
    try:
        return int(json.loads(output)["revision"])
    except (ValueError, KeyError, TypeError):
        return None


def _problem(size: int, body: str, trailer: str) -> str:
    """Why the file is no intact snapshot; "" if it is one."""
    if not size:
        return "the file is empty"
    if size % 512 == 0:
        return "etcd's sha256 at the end is missing: a member's raw database, or cut off"
    if size % 512 != 32:
        return f"cut off: {size} bytes cannot be a whole snapshot"
    return "" if trailer == f"x{body}" else "its bytes do not match the sha256 etcd wrote at the end"
