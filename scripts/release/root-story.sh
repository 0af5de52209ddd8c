#!/bin/sh
# A person's way with a package repository or npm, in a bare system: the line from the README, the demo, a share and a tool, a forged
# index, an upgrade under a running daemon, and leaving again. As root, in a system that is thrown away afterwards.
# Usage: root-story.sh apt|dnf FOLDER, with the file that a person adds, and the repository, in FOLDER/site, and the next
# version's in FOLDER/next; or root-story.sh npm FOLDER NODE, with FOLDER/site.tgz, FOLDER/next.tgz, and Node and npm in FOLDER/node-NODE.
# FOLDER/first and FOLDER/second are their versions. Prints the seconds of each step.
set -u
tool=$1
folder=$2
export DEBIAN_FRONTEND=noninteractive
first=$(cat "$folder/first") second=$(cat "$folder/second")

fail() {
  printf 'root-story: %s\n' "$1" >&2
  exit 1
}
started=$(date +%s)
step() {
  now=$(date +%s)
  [ -z "${doing-}" ] || printf '%s: %s s\n' "$doing" $((now - started))
  doing=$1 started=$now
}
# Waits for a condition, for half a minute.
until_true() {
  tries=0
  until eval "$1"; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || fail "never came true: $1"
    sleep 0.1
  done
}
as_person() { setpriv --reuid=1000 --regid=1000 --clear-groups env -i HOME=/home/ann USER=ann PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8 "$@"; }

added=
program=/usr/lib/mountaineer/current
node=$program/dist/node
case $tool in
  apt)
    added=/etc/apt/sources.list.d/mountaineer.sources
    look() { apt-get update -q; }
    install() { apt-get install -qy mountaineer; }
    upgrade() { apt-get install -qy --only-upgrade mountaineer; }
    remove() { apt-get purge -qy mountaineer; }
    index=apt/dists/stable/main/binary-$(dpkg --print-architecture)/Packages
    ;;
  dnf)
    added=/etc/yum.repos.d/mountaineer.repo
    look() { dnf makecache -y --refresh --disablerepo='*' --enablerepo=mountaineer; }
    install() { dnf install -y mountaineer; }
    upgrade() { dnf upgrade -y mountaineer; }
    remove() { dnf remove -y mountaineer; }
    index=dnf/repodata/repomd.xml
    ;;
  npm)
    program=/usr/local/lib/node_modules/mountaineerd
    node=/usr/local/bin/node
    # As Node's own archive lays them out.
    mkdir -p /usr/local/lib/node_modules
    cp "$folder/node-$3"/node_modules/node-linux-*/bin/node "$node"
    cp -r "$folder/node-$3/node_modules/npm" /usr/local/lib/node_modules/
    ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
    export PATH="/usr/local/bin:$PATH"
    [ ! -e "$folder/authorities.pem" ] || export NODE_EXTRA_CA_CERTS="$folder/authorities.pem"
    install() { npm install --global "$folder/site.tgz"; }
    upgrade() { npm install --global "$folder/next.tgz"; }
    remove() { npm uninstall --global mountaineerd; }
    ;;
  *) fail 'say apt, dnf or npm' ;;
esac
said=$(mktemp)
# quietly COMMAND…: shows what it said only if it failed.
quietly() { "$@" >"$said" 2>&1 || { tail -n 30 "$said" >&2 && fail "$* failed"; }; }

step 'install'
mkdir -p /home/ann
chown 1000:1000 /home/ann
if [ -n "$added" ]; then
  ! command -v node >/dev/null || fail 'there is a Node'
  mkdir -p "$(dirname "$added")"
  cp "$folder/site/$(basename "$added")" "$added"
  quietly look
fi
quietly install
[ "$(as_person mountaineer --version)" = "$first" ] || fail "says $(as_person mountaineer --version)"
if [ -n "$added" ]; then
  for one in man/man1/mountaineer.1 man/man1/mountaineer-status.1 bash-completion/completions/mountaineer; do
    [ -s "/usr/share/$one" ] || fail "there is no /usr/share/$one"
  done
  grep -q read-ahead /usr/lib/udev/rules.d/70-mountaineer.rules || fail 'there is no rule for what is read ahead'
fi
if [ "$tool" = apt ]; then
  dpkg --add-architecture i386
  apt-get update -o quiet=0 -o Dir::Etc::SourceList=/dev/null >"$said" 2>&1
  ! grep '^[NWE]: ' "$said" >&2 || fail 'with 32-bit packages apt complains'
  dpkg --remove-architecture i386
fi

step 'demo'
quietly as_person mountaineer demo --script --driver local

step 'service, share and tool'
quietly as_person mountaineer up --print
grep -q "^ExecStart=.*$program/" "$said" || { cat "$said" >&2 && fail 'the service starts one version only'; }
as_person mkdir -p /home/ann/nas/tb /home/ann/nas/fallback /home/ann/.mountaineer
chmod 700 /home/ann/.mountaineer
for route in tb fallback; do echo kept >/home/ann/nas/$route/kept.txt; done
cp "$folder/tools-server.mjs" /home/ann/
cat >/home/ann/.mountaineer/config.toml <<END
[[shares]]
name = "CORE"
driver = "local"
thunderbolt_path = "/home/ann/nas/tb"
fallback_path = "/home/ann/nas/fallback"

[backends.tools]
command = "$node"
args = ["/home/ann/tools-server.mjs"]

[server]
port = 38219
END
chown 1000:1000 /home/ann/.mountaineer/config.toml
quietly as_person mountaineer up
until_true '[ "$(cat /home/ann/Shares/CORE/kept.txt 2>/dev/null)" = kept ]'
[ "$(as_person mountaineer call echo '{"message": "hello"}')" = hello ] || fail 'the call of a tool failed'

if [ -n "$added" ]; then
  step 'a forged index'
  forged=$(mktemp -d)
  chmod 755 "$forged"
  cp -r "$folder/next/." "$forged/"
  sed -i "s/$second/9.9.9/g; s/<revision>.*</<revision>1</" "$forged/$index"
  sed "s,$folder/site,$forged," "$folder/site/$(basename "$added")" >"$added"
  # dnf goes on without a repository that it cannot verify, and apt with what it had: neither may have taken it.
  look >"$said" 2>&1
  grep -qiE 'hash sum mismatch|unexpected size|bad gpg signature|GPG signature verification' "$said" || { cat "$said" >&2 && fail 'the forged index was not refused'; }
  rm -rf "$forged"
fi

step 'upgrade'
if [ -n "$added" ]; then
  sed "s,$folder/site,$folder/next," "$folder/site/$(basename "$added")" >"$added"
  quietly look
fi
quietly upgrade
[ "$(as_person mountaineer call echo '{"message": "old"}')" = old ] || fail 'no call meanwhile'
quietly as_person mountaineer restart
[ "$(as_person mountaineer --version)" = "$second" ] || fail "after the upgrade says $(as_person mountaineer --version)"
as_person mountaineer status --json | grep -q "\"version\": *\"$second\"" || fail 'another daemon answers'
[ "$(as_person mountaineer call echo '{"message": "new"}')" = new ] || fail 'no call afterwards'

step 'remove'
quietly as_person mountaineer uninstall --purge --yes
quietly remove
! grep 'still runs' "$said" >&2 || fail 'what was ended is said to run'
[ -z "$added" ] || rm "$added"
left=$(find / -xdev \( -path /proc -o -path "$folder" -o -path /tmp -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /var/lib/rpm -o -path /var/lib/dnf \) -prune \
  -o -iname '*mountaineer*' -print)
[ -z "$left" ] || fail "left behind: $left"
[ -z "$(find /home/ann -mindepth 1 ! -path '/home/ann/nas*' ! -name tools-server.mjs ! -name .local ! -name state ! -name share ! -name .cache ! -name .config)" ] ||
  fail "left in the home: $(find /home/ann -mindepth 1)"
until_true '! grep -qsF -e /usr/lib/mountaineer/ -e /node_modules/mountaineerd/ /proc/[0-9]*/cmdline'
step 'done'
