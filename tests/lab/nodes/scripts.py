"""The sh programs the lab puts in front of real ones."""

from pathlib import Path

SHEBANG = "#!/bin/sh\n"

ID = """case "$*" in
-u) echo {uid} ;;
-un) echo {user} ;;
-g) echo {uid} ;;
-gn) echo {user} ;;
'') echo "uid={uid}({user}) gid={uid}({user}) groups={uid}({user})" ;;
*) exec /usr/bin/id "$@" ;;
esac
"""
"""``id``: the lab runs everything as one user of the machine, a node does not."""

TAR = """IFS='
'
exec {tar} "$@" $LAB_TAR
"""
"""``tar``: LAB_TAR holds --transform options (one a line) that give archive members their names on a real node."""

ETCD = """for word do
  case $word in
  --cert-file=*|--key-file=*|--peer-cert-file=*|--peer-key-file=*)
    [ -e "${{word#*=}}" ] || {{ echo "etcdmain: open ${{word#*=}}: no such file or directory" >&2; exit 1; }} ;;
  esac
done
unset ETCD_HEARTBEAT_INTERVAL ETCD_ELECTION_TIMEOUT ETCD_UNSAFE_NO_FSYNC
given() {{ case "$words" in *"$1"*) return 0 ;; *) return 1 ;; esac; }}
words=" $* "
given --listen-client-urls || [ -n "$ETCD_LISTEN_CLIENT_URLS" ] || set -- "$@" --listen-client-urls "http://$LAB_ADDRESS:2379"
given --advertise-client-urls || [ -n "$ETCD_ADVERTISE_CLIENT_URLS" ] || set -- "$@" --advertise-client-urls "http://$LAB_ADDRESS:2379"
given --listen-peer-urls || [ -n "$ETCD_LISTEN_PEER_URLS" ] || set -- "$@" --listen-peer-urls "http://$LAB_ADDRESS:2380"
case $1 in --version|--help|-h) exec {etcd} "$1" ;; esac
exec {etcd} "$@" --heartbeat-interval 50 --election-timeout 400 --unsafe-no-fsync
"""
"""``etcd``: elections in less than a second, no fsync, loopback addresses of its container; certificates that are named
must exist although this lab speaks plain HTTP (rke-made members crash-loop until their certificates arrive)."""

ETCDCTL = """case " $* " in
*" --endpoints"*) ;;
*) [ -n "$ETCDCTL_ENDPOINTS" ] || export ETCDCTL_ENDPOINTS="http://$LAB_ADDRESS:2379" ;;
esac
exec {etcdctl} "$@"
"""
"""``etcdctl``: its built-in default endpoint is the container's own loopback address."""


DF = """[ -f {switch} ] || exec /usr/bin/env PATH=/usr/bin:/bin df "$@"
read -r total free <{switch}
unit=1024 columns= paths=
for word do
  case $word in
  -B1|--block-size=1) unit=1 ;;
  -m|-BM) unit=1048576 ;;
  --output=*) columns=${{word#*=}} ;;
  -*) ;;
  *) paths="$paths $word" ;;
  esac
done
total=$((total / unit)) free=$((free / unit))
used=$((total - free)) percent=$((total ? (total - free) * 100 / total : 0))%
field() {{
  case $1 in
  source) echo /dev/sda1 ;; fstype) echo ext4 ;; size) echo $total ;; used) echo $used ;;
  avail) echo $free ;; pcent) echo $percent ;; target) echo / ;; *) echo - ;;
  esac
}}
: "${{columns:=source,size,used,avail,pcent,target}}"
echo Filesystem 1K-blocks Used Available Use% Mounted on
for path in ${{paths:-/}}; do
  echo $(for column in $(echo "$columns" | tr , ' '); do field $column; done)
done
"""
"""``df``: figures of a switch file instead of the machine's."""


def write_script(path: Path, body: str) -> None:
    """Write an executable sh script."""
    path.write_text(f"{SHEBANG}{body}")
    path.chmod(0o755)
