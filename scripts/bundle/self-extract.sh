#!/bin/sh
# Mountaineer @VERSION@ for @PLATFORM@ in one file. Its first start unpacks it into a private folder of your home, once it
# has found the digest of what follows this text; every start becomes the version that is current there.
version=@VERSION@
digest=@DIGEST@
folder=mountaineer-@VERSION@-@PLATFORM@

fail() {
  printf 'mountaineer: %s\n' "$1" >&2
  exit 127
}

case ${XDG_DATA_HOME-} in
  /*) data=$XDG_DATA_HOME home=${XDG_DATA_HOME%/*} ;;
  *) data=${HOME:?mountaineer: HOME is not set}/.local/share home=$HOME ;;
esac
base=$data/mountaineer

# The highest folder of $base from $home on that is another user's; empty: none.
foreign=
at=$base
while [ "$at" != "$home" ] && [ -n "$at" ]; do
  if [ -e "$at" ] && [ ! -O "$at" ]; then foreign=$at; fi
  at=${at%/*}
done
near=$base
until [ -e "$near" ]; do near=${near%/*} near=${near:-/}; done
root_base=/var/cache/mountaineer
if [ "$(id -u)" = 0 ] && { [ -n "$foreign" ] || [ ! -O "$near" ]; }; then
  # sudo may keep a user's HOME: what root unpacked there, that user could never start.
  [ -x "$root_base/current/bin/mountaineer" ] ||
    printf 'mountaineer: %s belongs to another user, so root unpacks into %s\n' "${foreign:-$near}" "$root_base" >&2
  base=$root_base
elif [ -n "$foreign" ]; then
  fail "$foreign belongs to another user: sudo chown -R $(id -u) '$foreign'"
fi
# Root acts as the user whose home it is, who must read the program.
mode=700
if [ "$base" = "$root_base" ]; then mode=755; fi
own=$base/$version-@SHORT@

unpack() {
  [ "$(uname -sm)" = '@SYSTEM@' ] || fail "this file is for @SYSTEM@, and this machine is $(uname -sm)"
  mkdir -p "${base%/*}" && (umask 077 && mkdir -p "$base") || fail "cannot make $base"
  [ ! -L "$base" ] && [ -O "$base" ] && chmod "$mode" "$base" || fail "$base is not your own folder"
  new=$(mktemp -d "$base/.new-XXXXXX") || fail "cannot write into $base"
  trap 'rm -rf "$new"' EXIT
  trap 'exit 129' HUP INT TERM
  # A copy, so that what was checked is what is unpacked.
  tail -n +@LINES@ -- "$0" >"$new/payload" || fail "cannot read $0 or write into $base"
  found=$({ sha256sum <"$new/payload" || shasum -a 256 <"$new/payload"; } 2>/dev/null)
  [ "${found%% *}" = "$digest" ] || fail "$0 is not whole: its digest is '${found%% *}', not $digest"
  tar -xzof "$new/payload" -C "$new" || fail "cannot unpack into $base"
  "$new/$folder/dist/node" --version >"$new/said" 2>&1 ||
    fail "cannot start what is unpacked in $base (is it mounted noexec? then set XDG_DATA_HOME to another folder): $(cat "$new/said")"
  # Of two that unpack at once, the later one finds it there. A person's file of a newer version becomes the current one.
  "$new/$folder/dist/node" -e '
    const fs = require("node:fs");
    const [from, base, name] = process.argv.slice(1);
    const versionOf = (at) => JSON.parse(fs.readFileSync(`${at}/bundle.json`, "utf8")).version;
    try { fs.renameSync(from, `${base}/${name}`); } catch (error) { if (!fs.existsSync(`${base}/${name}`)) throw error; }
    const isPrevious = () => {
      try {
        const [own, now] = [name, "current"].map((at) => versionOf(`${base}/${at}`).split(/-(.*)/s));
        const compare = (one, other) => one.localeCompare(other, "en", { numeric: true });
        const byRelease = compare(own[0], now[0]) || !own[1] - !now[1];
        return (byRelease || compare(own[1] ?? "", now[1] ?? "")) < 0;
      } catch { return false; }
    };
    if (!isPrevious()) {
      fs.symlinkSync(name, `${from}.link`);
      fs.renameSync(`${from}.link`, `${base}/current`);
    }
  ' "$new/$folder" "$base" "${own##*/}" || fail "cannot place $own"
  rm -rf "$new"
  trap - EXIT HUP INT TERM
}

[ -x "$own/bin/mountaineer" ] || unpack
[ -O "$base" ] || fail "$base is not your own folder"
if [ -x "$base/current/bin/mountaineer" ]; then own=$base/current; fi
exec "$own/bin/mountaineer" "$@"
exit 127
