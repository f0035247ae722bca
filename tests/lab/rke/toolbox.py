"""Shell texts that run inside containers, in place of rke-tools' own programs.

They use only sh, etcdctl and small tools that busybox has as well (od, head, tail, gzip, printf, wc, tar, mktemp),
so that the same text runs in the lab and in a small image on a real dockerd.

The zip is the one of rke-tools v0.1.69: one deflated entry whose name is the file's absolute path in the container,
"/backup/NAME" with the leading slash; it is looked up by exactly that name (rke-tools compressFiles,
decompressFile). A renamed zip therefore "loses" its content.
"""

import shlex
from collections.abc import Sequence

SNAPSHOT_DIR = "/opt/rke/etcd-snapshots/"
RESTORE_DIR = "/opt/rke/etcd-snapshots-restore/"
DATA_DIR = "/var/lib/rancher/etcd/"
SSL_DIR = "/etc/kubernetes/ssl/"
TEMP_CERTS = "/etc/kubernetes/.tmp/"

# Numbers of a zip are little-endian; printf takes octal escapes. $1 value, $2 bytes.
_NUMBER = r"""
le() { v=$1; i=0; while [ $i -lt $2 ]; do printf "\\$(printf %03o $((v % 256)))"; v=$((v / 256)); i=$((i + 1)); done; }
at() { tail -c +$(($2 + 1)) "$1" | head -c $3 | od -An -v -tu1 | {
  v=0; f=1; while read -r line; do for b in $line; do v=$((v + b * f)); f=$((f * 256)); done; done; echo $v; }; }
"""

# gzip's output is a 10 byte header, the deflate stream, crc32 and length: all that a zip entry needs.
_ZIP = r"""
zip_one() {
  src=$1; dst=$2; name=$3; gzip -nc "$src" > "$dst.gz"; total=$(wc -c < "$dst.gz"); packed=$((total - 18))
  crc=$(at "$dst.gz" $((total - 8)) 4); plain=$(wc -c < "$src"); len=${#name}
  { printf 'PK\003\004'; le 20 2; le 0 2; le 8 2; le 0 2; le 33 2; le $crc 4; le $packed 4; le $plain 4; le $len 2
    le 0 2; printf %s "$name"; tail -c +11 "$dst.gz" | head -c $packed
    printf 'PK\001\002'; le 788 2; le 20 2; le 0 2; le 8 2; le 0 2; le 33 2; le $crc 4; le $packed 4; le $plain 4
    le $len 2; le 0 2; le 0 2; le 0 2; le 0 2; le 2172649472 4; le 0 4; printf %s "$name"
    printf 'PK\005\006'; le 0 4; le 1 2; le 1 2; le $((46 + len)) 4; le $((30 + len + packed)) 4; le 0 2; } > "$dst"
  rm -f "$dst.gz"
}
"""

_UNZIP = r"""
unzip_one() {
  zip=$1; name=$2; dst=$3; size=$(wc -c < "$zip"); end=$((size - 22))
  [ $end -ge 0 ] && [ $(at "$zip" $end 4) = 101010256 ] || { echo "zip: not a valid zip file" >&2; return 1; }
  count=$(at "$zip" $((end + 10)) 2); pos=$(at "$zip" $((end + 16)) 4)
  while [ $count -gt 0 ]; do
    len=$(at "$zip" $((pos + 28)) 2); more=$(($(at "$zip" $((pos + 30)) 2) + $(at "$zip" $((pos + 32)) 2)))
    if [ "$(tail -c +$((pos + 47)) "$zip" | head -c $len)" = "$name" ]; then
      method=$(at "$zip" $((pos + 10)) 2); packed=$(at "$zip" $((pos + 20)) 4); local=$(at "$zip" $((pos + 42)) 4)
      data=$((local + 30 + $(at "$zip" $((local + 26)) 2) + $(at "$zip" $((local + 28)) 2)))
      if [ $method = 0 ]; then tail -c +$((data + 1)) "$zip" | head -c $packed > "$dst"
      else { printf '\037\213\010\000\000\000\000\000\000\003'; tail -c +$((data + 1)) "$zip" | head -c $packed
        le $(at "$zip" $((pos + 16)) 4) 4; le $(at "$zip" $((pos + 24)) 4) 4; } | gzip -dc > "$dst" || return 1; fi
      chmod 600 "$dst"; return 0
    fi
    pos=$((pos + 46 + len + more)); count=$((count - 1))
  done
  echo "File [$name] not found in file [${name%/*}/${zip##*/}]" >&2; return 1
}
"""


def _entry(name: str) -> str:
    """The entry's name as a shell word that nobody takes for a path of the container: it is data."""
    return f"/'backup'/{shlex.quote(name)}"


def save(etcdctl: Sequence[str], name: str, retry_interval: float, zipped: bool) -> str:
    """rke-etcd-backup … --once: five attempts; v0.1.16-2 ends with status 0 even when all of them failed.

    Source: rke-tools v0.1.16-2 and v0.1.69, CreateBackup.
    """
    call = shlex.join(etcdctl)
    file = shlex.quote(f"/backup/{name}")
    pack = f"&& zip_one {file} {file}.zip {_entry(name)} && rm -f {file} && chmod 600 {file}.zip" if zipped else ""
    failed = "exit 1" if zipped else "exit 0"
    return (
        (_NUMBER + _ZIP if zipped else "")
        + f"n=0; while [ $n -lt 5 ]; do [ $n -gt 0 ] && sleep {retry_interval:g}; n=$((n + 1)); "
        + f"{call} endpoint health >&2 || continue; "
        + f"{call} snapshot save {file} >&2 {pack} && exit 0; done; {failed}"
    )


def rolling() -> str:
    """etcd-rolling-snapshots: waits for its period, which no test outlives."""
    return "trap 'kill $!; exit 0' TERM INT; while :; do sleep 43200 & wait $!; done"


def restore(name: str, flags: Sequence[str]) -> str:
    """etcd-restore, v0.1.x and later alike [rke v0.1.20 services/etcd.go RestoreEtcdSnapshot]."""
    return (
        f"rm -rf {RESTORE_DIR} && /usr/local/bin/etcdctl snapshot restore {SNAPSHOT_DIR}{name} "
        f"--data-dir={RESTORE_DIR} {' '.join(flags)} && mv {RESTORE_DIR}* {DATA_DIR} && rm -rf {RESTORE_DIR}"
    )


def serve(name: str) -> str:
    """etcd-Serve-backup: unpack the zip over a plain file of that name, then stay up.

    Without any file it dies with logrus' line [v1.0.16-restore-name-exists-nowhere.txt].
    """
    file = f"/backup/{name}"
    return (
        _NUMBER
        + _UNZIP
        + f"if [ -f {file}.zip ]; then unzip_one {file}.zip {_entry(name)} {file} || exit 1; fi; "
        + f'[ -f {file} ] || {{ printf \'time="%s" level=fatal msg="stat %s: no such file or directory"\\n\' '
        + f'"$(date -u +%Y-%m-%dT%H:%M:%SZ)" {_entry(name)} >&2; exit 1; }}; touch /tmp/serving; '
        + rolling()
    )


def unpack(name: str) -> str:
    """What rke-tools does after it downloaded a zip."""
    file = f"/backup/{name}"
    return _NUMBER + _UNZIP + f"unzip_one {file}.zip {_entry(name)} {file}"


def download(name: str) -> str:
    """etcd-download-backup: the file arrives on standard input."""
    return f"cat > /backup/{name} && chmod 600 /backup/{name}"


def checksum(name: str) -> str:
    """etcd-checksum-checker: md5 of the unpacked file."""
    file = SNAPSHOT_DIR + name
    return (
        f"if [ -f '{file}' ]; then md5sum '{file}' | cut -f1 -d' ' | tr -d '\\n'; "
        "else echo 'snapshot file does not exist' >&2; fi"
    )


def remove_plain(name: str) -> str:
    """etcd-remove-snapshot: the plain file goes only when the zip is there."""
    return f"[ -f /backup/{name}.zip ] && rm -f /backup/{name} || true"


def clean(directories: Sequence[str]) -> str:
    """kube-cleaner: a bind mount cannot be removed, its content can; errors do not count."""
    return "; ".join(f"find {path} -mindepth 1 -delete" for path in directories) + "; exit 0"


def pack_certs() -> str:
    """rke-bundle-cert at save: nothing to pack is no error."""
    return (
        f'if [ -d {TEMP_CERTS} ] && [ "$(ls -A {TEMP_CERTS})" ]; then t=$(mktemp -d); d="etc/"kubernetes; '
        f"mkdir -p $t/$d && cp -rp {TEMP_CERTS} $t/$d/.tmp && (cd $t && tar czf /backup/pki.bundle.tar.gz $d/.tmp); "
        "r=$?; rm -rf $t; exit $r; fi"
    )


def unpack_certs() -> str:
    """rke-bundle-cert after a restore: the bundle's files into .tmp, wherever they lay in the tar."""
    return (
        f"mkdir -p {TEMP_CERTS}; [ -f /backup/pki.bundle.tar.gz ] || {{ "
        "echo 'tar: pki.bundle.tar.gz: Cannot open: No such file or directory' >&2; exit 1; }; "
        "t=$(mktemp -d); tar xzf /backup/pki.bundle.tar.gz -C $t && "
        f"find $t -type f -exec cp -p {{}} {TEMP_CERTS} \\; ; r=$?; rm -rf $t; exit $r"
    )


def deploy_certs(directory: str) -> str:
    """cert-deployer: a tar on standard input; a file that is there stays as it is [pitfall F36]."""
    return (
        f"t=$(mktemp -d) && tar xf - -C $t && mkdir -p {directory} && for f in $t/*; do b=${{f##*/}}; "
        f"[ -e {directory}$b ] || cp -p $f {directory}$b; done; rm -rf $t"
    )


def fetch_certs() -> str:
    """cert-fetcher: everything in .tmp as a tar on standard output."""
    return f"cd {TEMP_CERTS} 2>/dev/null && tar cf - . || true"


def log_link(container: str, identity: str) -> str:
    """rke-log-linker."""
    logs = "/var/lib/rancher/rke/log"
    source = f"/var/lib/docker/containers/{identity}/{identity}-json.log"
    return f"mkdir -p {logs} ; ln -sf {source} {logs}/{container}_{identity}.log"


def log_clean() -> str:
    """rke-log-cleaner: removes links to logs of containers that are gone."""
    return "find /var/lib/rancher/rke/log -type l ! -exec test -e {} \\; -print -delete 2>/dev/null; true"


def save_state() -> str:
    """cluster-state-deployer: the last resort when the API does not answer."""
    file = TEMP_CERTS + "cluster-state.yml"
    return f"mkdir -p {TEMP_CERTS} && cat > {file} && chmod 644 {file}"


def read_state() -> str:
    """cluster-state-deployer, reading."""
    return f"cat {TEMP_CERTS}cluster-state.yml"
