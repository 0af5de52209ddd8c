# Read by .ci/run and .ci/nightly (`.`), in the checkout's folder: what the machine must allow and have, and how a suite
# is run and counted.
exec </dev/null
export CI=true DEBIAN_FRONTEND=noninteractive NO_COLOR=1

# --- what the machine must allow -------------------------------------------------------------------------------

refuse() {
  printf '.ci/%s: %s\n' "$(basename "$0")" "$1" >&2
  printf '0 passed, 1 failed\n'
  exit 1
}

check_privileges() {
  [ "$(id -u)" -eq 0 ] || refuse "needs root: it installs packages and makes network namespaces"
  unshare --net true 2>/dev/null || refuse "needs the right to make network namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)"
  [ -c /dev/fuse ] || refuse "needs /dev/fuse"
  (exec 3<>/dev/fuse) 2>/dev/null || refuse "needs /dev/fuse to be readable and writable"
  unshare --mount sh -c 'mount -t tmpfs none /mnt' 2>/dev/null || refuse "needs the right to mount (CAP_SYS_ADMIN)"
  for tool in node npm; do
    command -v "$tool" >/dev/null || refuse "needs $tool on the PATH"
  done
}

# Debian keeps some of them (mke2fs, debootstrap) where only root's PATH looks.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# A program of each package, as the package's presence is not its being usable. CONTRIBUTING.md names the same packages.
declare -A PACKAGE_OF=(
  [smbd]=samba [pdbedit]=samba [smbclient]=smbclient [bindfs]=bindfs [fusermount3]=fuse3 [lsof]=lsof [fuser]=psmisc
  [ip]=iproute2 [nft]=nftables [tmux]=tmux [ps]=procps [nsenter]=util-linux
  [dbus-daemon]=dbus [gdbus]=libglib2.0-bin [Xvfb]=xvfb
  [secret-tool]=libsecret-tools [gnome-keyring-daemon]=gnome-keyring [zsh]=zsh [fish]=fish
  [chromium]=chromium [firefox-esr]=firefox-esr [systemd-analyze]=systemd [setpriv]=util-linux [notify-send]=libnotify-bin
  [socat]=socat [rsync]=rsync [git]=git [sqlite3]=sqlite3 [mke2fs]=e2fsprogs [mkfs.xfs]=xfsprogs [mkfs.btrfs]=btrfs-progs
  [debootstrap]=debootstrap [faketime]=faketime [rpmbuild]=rpm [createrepo_c]=createrepo-c [apt-ftparchive]=apt-utils [gpg]=gnupg [gpgv]=gpgv [ruby]=ruby [xz]=xz-utils
  [bwrap]=bubblewrap [ed]=ed [patch]=patch [vim]=vim [nano]=nano [jq]=jq [less]=less [script]=bsdutils [python3]=python3 [cc]=gcc
  [nats-server]=nats-server [haproxy]=haproxy [nginx]=nginx [openssl]=openssl [avahi-daemon]=avahi-daemon [wsdd]=wsdd
  [tinyproxy]=tinyproxy [shellcheck]=shellcheck [inotifywait]=inotify-tools
)

# install_packages [PROGRAM…]: the packages of these programs; of all of them if none is named.
install_packages() {
  local missing=() program programs=("$@")
  [ "${#programs[@]}" -eq 0 ] && programs=("${!PACKAGE_OF[@]}")
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || missing+=("${PACKAGE_OF[$program]}")
  done
  # These have no program of their own.
  [ "$#" -gt 0 ] || python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  [ "$#" -gt 0 ] || [ -e /usr/lib/*/samba/vfs/shadow_copy2.so ] || missing+=(samba-vfs-modules)
  [ "${#missing[@]}" -eq 0 ] && return
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  printf 'installing %s\n' "${missing[*]}"
  # Once more: mirrors and the lock of another apt pass.
  local attempt
  for attempt in 1 2; do
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/tmp/ci-apt.log 2>&1 && break
    tail -n 20 /tmp/ci-apt.log 2>/dev/null
    [ "$attempt" -eq 2 ] && refuse "could not install ${missing[*]}"
    sleep 5
  done
  # Debian starts the machine's own; the rigs bring theirs.
  for service in smbd nmbd samba-ad-dc nats-server haproxy nginx avahi-daemon wsdd tinyproxy; do
    systemctl disable --now "$service" >/dev/null 2>&1 || service "$service" stop >/dev/null 2>&1 || true
  done
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || refuse "${PACKAGE_OF[$program]} is installed, but $program is not there"
  done
}

# A real FUSE mount, now that bindfs is there.
check_fuse() {
  local folder answer=1
  folder=$(mktemp -d)
  mkdir "$folder/from" "$folder/to"
  touch "$folder/from/seen"
  timeout 20 bindfs --no-allow-other "$folder/from" "$folder/to" >/dev/null 2>&1
  [ -e "$folder/to/seen" ] && answer=0
  fusermount3 -uz "$folder/to" 2>/dev/null
  mountpoint -q "$folder/to" || rm -rf "$folder"
  [ "$answer" -eq 0 ] || refuse "FUSE mounts do not work here (bindfs of a local folder failed)"
}

prepare_machine() {
  check_privileges
  install_packages
  check_fuse
}

# The bare machine of this run (scripts/bare-machine.ts); empty where none can be made.
export MOUNTAINEER_BARE_MACHINE=

# Makes it, before anything but debootstrap is installed. Else the suite is skipped, by name, and it fails.
make_bare_machine() {
  if (install_packages debootstrap) >"$log" 2>&1 &&
    MOUNTAINEER_BARE_MACHINE=$(bin/with-node scripts/bare-machine.ts make 2>"$log"); then
    trap 'rm -rf "$MOUNTAINEER_BARE_MACHINE"' EXIT
    return
  fi
  printf '\n=== tests in a bare system: skipped, as none can be made here:\n'
  grep -vE '^(0 passed.*)?$' "$log"
  skipped=$((skipped + 1))
  times+=("$(printf '%-28s skipped: %s' "tests in a bare system" "$(grep -vE '^(0 passed.*)?$' "$log" | tail -n 1 | cut -c 1-200)")")
  MOUNTAINEER_BARE_MACHINE=
  return 1
}

# --- suites -----------------------------------------------------------------------------------------------------

passed=0
failed=0
skipped=0
times=()
# What failed, by suite: printed in the end, too, as who reads a long log sees that first.
wrong=()
log=$(mktemp)
# Which test files failed, as scripts/test-replay.ts reads it.
failed_files=$(mktemp)

# suite NAME SECONDS counted|whole COMMAND…: "counted" commands end with "N passed, N failed"; another is one check.
suite() {
  local name=$1 limit=$2 kind=$3 started=$SECONDS
  shift 3
  printf '\n=== %s: %s\n' "$name" "$*"
  MOUNTAINEER_TEST_FAILURES=$log.failed timeout --kill-after=10 "$limit" "$@" 2>&1 | tee "$log"
  count "$name" "$limit" "$kind" $((SECONDS - started)) "${PIPESTATUS[0]}"
}

# beside NAME SECONDS counted|whole COMMAND…: begins a suite that mostly waits, while the next ones are played. `join_beside`, in
# the same part, prints and counts it.
beside() {
  besides=("$1" "$2" "$3")
  shift 3
  beside_log=$(mktemp)
  {
    MOUNTAINEER_TEST_FAILURES=$beside_log.failed timeout --kill-after=10 "${besides[1]}" "$@"
    printf '%d %d\n' "$?" "$SECONDS" >"$beside_log.code"
  } >"$beside_log" 2>&1 &
  besides+=("$SECONDS" "$*" "$!")
}

join_beside() {
  local code ended
  wait "${besides[5]}"
  read -r code ended <"$beside_log.code"
  printf '\n=== %s: %s\n' "${besides[0]}" "${besides[4]}"
  cat "$beside_log"
  mv "$beside_log" "$log"
  [ -e "$beside_log.failed" ] && mv "$beside_log.failed" "$log.failed"
  rm -f "$beside_log.code"
  count "${besides[@]:0:3}" $((ended - besides[3])) "$code"
}

# count NAME LIMIT KIND TOOK CODE: what $log says of a suite.
count() {
  local name=$1 limit=$2 kind=$3 took=$4 code=$5 line
  [ "$code" -eq 124 ] && printf '%s did not end within %s s\n' "$name" "$limit"
  line=$(grep -Eo '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
  local ok=0 bad=0 left=0
  if [ "$kind" = counted ] && [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    ok=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]} left=${BASH_REMATCH[4]:-0}
    # It says that nothing failed and fails all the same: that is one.
    [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    # Of a suite that was ended, the numbers do not say what failed.
    [ "$code" -ne 124 ] && [ -e "$log.failed" ] && cat "$log.failed" >>"$failed_files"
  elif [ "$code" -eq 0 ] && [ "$kind" = whole ]; then
    ok=1
  else
    bad=1
  fi
  if [ "$bad" -gt 0 ]; then
    wrong+=("--- $name" "$(grep -aE '^ *(BROKEN|FAIL|failed:)' "$log" | cut -c 1-300 | head -n 20)")
  fi
  rm -f "$log.failed"
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
  times+=("$(printf '%-28s %5d s  %5d passed  %4d failed  %4d skipped' "$name" "$took" "$ok" "$bad" "$left")")
}

# Begins this run's line in the record of replays, which the next runs in this checkout read; scripts/test-replay.ts adds
# to it.
begin_record() {
  mkdir -p .tmp
  date -u +%FT%TZ >>.tmp/replays
}

# Plays each test file that failed since the last call once more, alone: one that passes then fails the run no longer,
# unless that happened in two of the last thirty runs.
play_failed_again() {
  [ -s "$failed_files" ] || return 0
  local started=$SECONDS code line
  printf '\n=== what failed, once more\n'
  timeout --kill-after=10 1200 bin/with-node scripts/test-replay.ts "$failed_files" "$passed" "$failed" "$skipped" 2>&1 |
    tee "$log"
  code=${PIPESTATUS[0]}
  line=$(tail -n 1 "$log")
  if [ "$code" -eq 0 ] && [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} skipped=${BASH_REMATCH[3]}
  fi
  : >"$failed_files"
  times+=("$(printf '%-28s %5d s' "what failed, once more" $((SECONDS - started)))")
}

# Prints the times and the one line; its exit code is that of the whole run.
finish() {
  rm -f "$log" "$failed_files"
  printf '\n'
  printf '%s\n' "${wrong[@]}" "${times[@]}"
  printf '%d s in all\n' "$SECONDS"
  if [ "$skipped" -gt 0 ]; then
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  else
    printf '%d passed, %d failed\n' "$passed" "$failed"
  fi
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
