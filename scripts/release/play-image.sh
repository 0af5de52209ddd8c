#!/bin/sh
# Builds the container image without a daemon, by buildah, on a bare system in place of its base image, and plays it as a runtime
# with a read-only root would: the healthcheck, a call with a token and one without, and a stop. As root; leaves nothing.
# Usage: scripts/release/play-image.sh FOLDER-WITH-THE-DEB VERSION amd64|arm64 BARE-SYSTEM
set -eu
folder=$1 version=$2 architecture=$3 bare=$4
here=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
  printf 'play-image: %s\n' "$1" >&2
  exit 1
}
work=$(mktemp -d)
buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
ended() {
  buildah umount --all >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap ended EXIT

base=$(buildah from scratch)
buildah add --quiet "$base" "$bare" / >/dev/null
buildah commit --quiet "$base" localhost/base >/dev/null
buildah rm "$base" >/dev/null
buildah bud --quiet --isolation chroot --format docker --pull-never -f "$here/Dockerfile" \
  --build-arg BASE=localhost/base --build-arg "VERSION=$version" --build-arg "TARGETARCH=$architecture" \
  -t localhost/mountaineer "$folder" >"$work/built" 2>&1 || { cat "$work/built" >&2 && fail 'the image was not built'; }
container=$(buildah from --pull-never localhost/mountaineer)
buildah inspect --type image localhost/mountaineer >"$work/inspected"
# said PATTERN WHAT
said() { grep -q "$1" "$work/inspected" || fail "the image $2"; }
said '"User": "10001:10001"' 'runs as root'
said '"Healthcheck"' 'has no healthcheck'
said '"/data": {}' 'has no volume'
root=$(buildah mount "$container")
[ ! -e "$root/opt/mountaineer/mount-program" ] || fail 'the image brings mountaineer-fs'

cat >"$work/inside" <<'END'
set -eu
root=$1 work=$2
ip link set lo up
mkdir "$work/root" "$work/data"
mount --bind "$root" "$work/root"
cp "$work/config.toml" "$work/server.mjs" "$work/data/"
chown -R 10001:10001 "$work/data"
chmod 700 "$work/data"
mount --bind "$work/data" "$work/root/data"
mount -t tmpfs none "$work/root/tmp"
mount -t proc proc "$work/root/proc"
mount --bind /dev "$work/root/dev"
mount -o remount,bind,ro "$work/root"
who=10001
# In place of this shell, so that a signal meets the program.
become() {
  exec chroot --userspec=$who:$who "$work/root" /usr/bin/env -i HOME=/data MOUNTAINEER_HOME=/data AGENT_TOKEN=a-token-that-is-long-enough \
    PATH=/opt/mountaineer/bin:/usr/bin:/bin "$@"
}
as_container() { (become "$@"); }
healthy() {
  as_container /opt/mountaineer/dist/node -e "fetch('http://127.0.0.1:9000/manage/v1/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"
}
! healthy 2>/dev/null || { echo 'healthy without a daemon' >&2 && exit 1; }
(become mountaineer monitor) >"$work/log" 2>&1 &
daemon=$!
tries=0
until healthy 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 150 ] || { cat "$work/log" >&2 && echo 'never healthy' >&2 && exit 1; }
  sleep 0.2
done
[ "$(as_container mountaineer call echo '{"message": "hello"}')" = hello ] || { cat "$work/log" >&2 && exit 1; }
status() {
  as_container /opt/mountaineer/dist/node -e 'const [, token] = process.argv;
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "container", version: "1" } } });
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream", ...(token ? { authorization: `Bearer ${token}` } : {}) };
    fetch("http://127.0.0.1:9000/mcp", { method: "POST", body, headers }).then(({ status }) => { console.log(status); process.exit(0); });' "$1"
}
[ "$(status a-token-that-is-long-enough)" = 200 ] || { echo "with a token: $(status a-token-that-is-long-enough)" >&2 && exit 1; }
[ "$(status '')" = 401 ] || { echo "without a token: $(status '')" >&2 && exit 1; }
kill "$daemon"
wait "$daemon" || { code=$? && cat "$work/log" >&2 && echo "ended with $code" >&2 && exit 1; }
# A volume of somebody else, as a bind mount is; then as that user, by --user.
chown -R 1000:1000 "$work/data"
! as_container mountaineer monitor >"$work/log" 2>&1 && grep -q 'cannot use the folder /data' "$work/log" || { cat "$work/log" >&2 && exit 1; }
who=1000
[ "$(as_container mountaineer call echo '{"message": "hello"}')" = hello ] || { echo 'no call as another user' >&2 && exit 1; }
END
cp "$here/test/docs/programs/tools-server.mjs" "$work/server.mjs"
cat >"$work/config.toml" <<'END'
[server]
host = "0.0.0.0"

[incoming_auth]
type = "local"

[[incoming_auth.users]]
name = "agent"
token = "${AGENT_TOKEN}"

[backends.tools]
command = "/opt/mountaineer/dist/node"
args = ["/data/server.mjs"]
END
unshare --mount --net --pid --fork --kill-child /bin/sh "$work/inside" "$root" "$work" || fail 'the container did not do what it must'
printf 'image for %s: not root, root file system read-only, healthy, %s MB\n' "$architecture" "$(du -sm "$root/opt/mountaineer" | cut -f 1)"
