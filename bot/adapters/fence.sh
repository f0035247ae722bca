# Runs on nodes and on the RKE host (dash, bash, busybox ash), sent on stdin; needs flock(1) of util-linux.
#   MODE CLUSTER TOKEN OWNER PATIENCE JOB VERSION MAC [ARGUMENTS]
# Refusals go to stderr as "etcd-snapshot-bot: WORD DETAIL" with the exit statuses 91 to 96.
mode=$1 cluster=$2 token=$3 owner=$4 patience=$5 job=$6 version=$7 mac=$8
shift 8
state=$HOME/.etcd-snapshot-bot/$cluster
umask 077

refuse() { printf 'etcd-snapshot-bot: %s\n' "$2" >&2; exit "$1"; }

# Standard input becomes the file $1 at once or not at all. An old sync takes no argument and syncs everything.
keep() {
  cat >"$1.new" && { sync "$1.new" || sync; } 2>/dev/null && mv -f "$1.new" "$1" && { sync "${1%/*}" || sync; } 2>/dev/null
}

# Descriptor 9 is inherited: while a command of an older owner runs, a new owner waits here.
lock() {
  mkdir -p "$state" && true >>"$state/lock" || refuse 95 "unusable $state"
  exec 9>>"$state/lock"
  flock -w "$patience" 9 || refuse 92 "locked"
}

check() {
  floor=0 holder=
  if [ -e "$state/fence" ]; then read -r floor holder <"$state/fence"; fi
  case $floor in '' | *[!0-9]*) refuse 95 "damaged $state/fence" ;; esac
  if [ "$token" -lt "$floor" ] || { [ "$token" -eq "$floor" ] && [ "$owner" != "$holder" ]; }; then
    refuse 91 "fenced $floor"
  fi
  [ "$token" -eq "$floor" ] || printf '%s %s\n' "$token" "$owner" | keep "$state/fence" || refuse 95 "unwritable $state"
}

# The journal state this machine was told, and the token it was last shown to. `raise` only shows it: whoever finds that
# it is not in the journal stops there, and must find it again until that is recorded. A change under a token that was
# shown the mark says that its holder has compared, or that a person has chosen: only then it moves, also back.
mark() {
  was=- had=0 sum=- shown=
  if [ -e "$state/mark" ]; then read -r was had sum shown <"$state/mark"; fi
  [ "$job" != - ] || return 0
  set -- "$was" "$had" "$sum"
  if [ "$job" != "$was" ] || { [ "$mode" != raise ] && [ "$token" = "$shown" ]; }; then
    set -- "$job" "$version" "$mac"
  elif [ "$mode" != raise ]; then
    return 0
  fi
  [ "$*" = "$was $had $sum" ] && [ "$token" = "$shown" ] ||
    printf '%s %s %s %s\n' "$@" "$token" | keep "$state/mark" || refuse 95 "unwritable $state"
}

command -v flock >/dev/null 2>&1 || refuse 96 "flock"
case $mode in
raise)
  lock && check && mark
  printf '%s %s %s\n' "$was" "$had" "$sum"
  ;;
run)
  lock && check && mark
  "$@"
  exit $?
  ;;
launch) # STEP ATTEMPT YML COMMAND...
  dir=$state/jobs/$job/$1/$2 yml=$3
  shift 3
  mkdir -p "$dir" && true >>"$dir/lock" || refuse 95 "unusable $dir"
  [ ! -e "$dir/started" ] || refuse 94 "already"
  exec 7>>"$dir/lock"
  flock -w 1 7 || refuse 94 "already" # an observer holds it for a moment only
  [ ! -e "$dir/started" ] || refuse 94 "already"
  true >>"$yml.lock" || refuse 95 "unwritable $yml.lock"
  exec 8>>"$yml.lock"
  flock -n 8 || refuse 93 "busy"
  lock && check && mark
  cd "${yml%/*}" || refuse 95 "unusable ${yml%/*}"
  said=$(setsid sh -c "$wrapper" sh supervise "$cluster" "$token" "$owner" 0 "$job" 0 - "$dir" "$@" 2>&1 &)
  [ -e "$dir/started" ] || refuse 95 "unusable $dir $said"
  ;;
supervise) # DIR COMMAND..., in a session of its own, with the descriptors 7, 8 and 9 of launch
  dir=$1
  shift
  printf 'pid=%s\nboot=%s\ntoken=%s\nowner=%s\ntime=%s\n' $$ "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)" \
    "$token" "$owner" "$(date +%s)" | keep "$dir/started" || exit 1
  # Launch returns when nobody holds its pipe any more. The cluster's fence is free again, both locks stay.
  exec 9>&- </dev/null >>"$dir/log" 2>&1
  "$@"
  status=$?
  printf '%s %s\n' "$status" "$(date +%s)" | keep "$dir/exit"
  ;;
observe) # STEP ATTEMPT OFFSET LIMIT
  dir=$state/jobs/$job/$1/$2 offset=$3 limit=$4
  word=never status=-
  if [ -e "$dir/lock" ]; then
    exec 7<"$dir/lock"
    if ! flock -s -n 7; then
      word=running
    elif [ -e "$dir/exit" ]; then
      word=ended
      read -r status _ <"$dir/exit"
    elif [ -e "$dir/started" ]; then
      word=died
    fi
    exec 7<&-
  fi
  size=0
  if [ -e "$dir/log" ]; then size=$(($(wc -c <"$dir/log"))); fi
  printf '%s %s %s\n' "$word" "$status" "$size"
  if [ "$size" -gt "$offset" ]; then tail -c "+$((offset + 1))" "$dir/log" | head -c "$limit"; fi
  exit 0
  ;;
running)
  for dir in "$state/jobs/$job"/*/*; do
    [ -e "$dir/lock" ] || continue
    (exec 7<"$dir/lock" && flock -s -n 7) && continue
    step=${dir%/*}
    printf '%s %s\n' "${step##*/}" "${dir##*/}"
  done
  exit 0
  ;;
esac
