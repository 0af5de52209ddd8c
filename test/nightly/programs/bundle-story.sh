#!/bin/sh
# A person's way with the single file, where there is no Node: demo, a share, a gateway's call, an upgrade
# under an open session, and leaving again. `bundle-story.sh WORK FIRST NEXT`, with HOME set; ends with 0 if all held.
set -u
work=$1
first=$2
next=$3
m=$HOME/bin/mountaineer

fail() {
  printf 'bundle-story: %s\n' "$1" >&2
  exit 1
}
step() { printf '== %s\n' "$1"; }
# Waits for a condition, for half a minute.
until_true() {
  tries=0
  until eval "$1"; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || fail "never came true: $1"
    sleep 0.1
  done
}

step 'nothing here that it could lean on'
! node --version 2>/dev/null || fail 'there is a Node'
mkdir -p "$HOME/bin" && cp "$first" "$m" || fail 'cannot copy'
[ "$("$m" --version)" = 0.1.0 ] || fail "says $("$m" --version)"
[ "$(stat -c %a "$HOME/.local/share/mountaineer")" = 700 ] || fail 'its folder is not private'

step demo
"$m" demo --script --driver local >"$work/demo.txt" 2>&1 || { tail -n 20 "$work/demo.txt"; fail 'the demo failed'; }

step 'a share and a server'
mkdir -m 700 "$HOME/.mountaineer" && cp "$work/config.toml" "$HOME/.mountaineer/" || fail 'no home'
"$m" secret set nas <"$work/password" || fail 'the secret was not kept'
printf '{"mcpServers": {"own": {"command": "true"}}}' >"$HOME/.claude.json"
client=$(sha256sum <"$HOME/.claude.json")
"$m" up || fail 'up failed'
until_true '[ -e "$HOME/Shares/CORE/kept.txt" ]'
printf 'written here\n' >"$HOME/Shares/CORE/new.txt" || fail 'cannot write to the share'
until_true '[ -s "$work/exported/new.txt" ]'
readlink /proc/[0-9]*/exe 2>/dev/null | grep -q '/mount-program/[0-9a-f]*/mountaineer-fs$' || fail 'no mountaineer-fs of this home serves the share'
[ "$("$m" call echo '{"message": "hello"}')" = hello ] || fail 'the call of a tool failed'
"$m" connect claude-code --yes >/dev/null || fail 'connect failed'
[ "$client" != "$(sha256sum <"$HOME/.claude.json")" ] || fail 'connect changed nothing'
grep -q '/mountaineer/current/bin/mountaineer' "$HOME/.claude.json" || fail 'the client starts one version only'

step 'an upgrade under an open session and a mount'
mkfifo "$work/in"
"$m" mcp <"$work/in" >"$work/out" 2>"$work/mcp.txt" &
exec 7>"$work/in"
echo '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"story","version":"1"}}}' >&7
until_true 'grep -q "\"id\":1[,}]" "$work/out"'
echo '{"jsonrpc":"2.0","method":"notifications/initialized"}' >&7
call() {
  printf '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"echo","arguments":{"message":"said %s"}}}\n' "$1" "$1" >&7
  until_true "grep '\"id\":$1[,}]' '$work/out' | grep -q 'said $1'"
}
call 2
mounted=$(grep " $HOME/.mountaineer/volumes/CORE " /proc/self/mountinfo)
cp "$next" "$work/broken.run" && printf x >>"$work/broken.run"
"$work/broken.run" --version 2>"$work/refused.txt" && fail 'took a file that is not whole'
grep -q 'is not whole' "$work/refused.txt" || fail "refused otherwise: $(cat "$work/refused.txt")"
[ "$("$m" --version)" = 0.1.0 ] || fail "after a broken file says $("$m" --version)"
[ "$("$next" --version)" = 0.2.0 ] || fail 'the newer file says another version'
[ "$("$m" --version)" = 0.2.0 ] || fail "after the newer file says $("$m" --version)"
"$m" restart || fail 'the upgrade failed'
"$m" status --json | grep -q '"version": *"0.2.0"' || fail 'another daemon answers'
call 3
[ "$mounted" = "$(grep " $HOME/.mountaineer/volumes/CORE " /proc/self/mountinfo)" ] || fail 'the mount is another one'
[ "$("$first" --version)" = 0.2.0 ] || fail 'went back unasked'
exec 7>&-

step 'a purge, refused and done'
exec 8<"$HOME/Shares/CORE/kept.txt"
"$m" uninstall --purge --yes >"$work/busy.txt" 2>&1
[ $? -eq 7 ] || fail "with an open file: $(cat "$work/busy.txt")"
[ -e "$HOME/.mountaineer/config.toml" ] || fail 'removed something all the same'
exec 8<&-
"$m" uninstall --purge --yes || fail 'the purge failed'
[ "$client" = "$(sha256sum <"$HOME/.claude.json")" ] || fail "the client's file is another one"
left=$(cd "$HOME" && find . -mindepth 1 ! -path ./bin ! -path ./bin/mountaineer ! -path ./.claude.json ! -path ./.local ! -path ./.local/share ! -path ./.local/state)
[ -z "$left" ] || fail "left behind: $left"
! grep -q "$HOME" /proc/self/mountinfo || fail 'something is mounted'
until_true '! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q "share/mountaineer/"'
step 'done'
