#!/bin/sh
# Signs what a release holds, with openssl and coreutils alone: the job that has the key installs nothing and runs nothing of
# the release. Usage: MOUNTAINEER_SIGNING_KEY=PEM scripts/release/sign.sh FOLDER VERSION
# Makes FILE.run.sig for each single file, as `mountaineer upgrade` reads it, then SHA256SUMS of everything and its signature.
set -eu
version=$2
cd "$1"

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\n' "$MOUNTAINEER_SIGNING_KEY" >"$work/key"

# signature_of FILE: the 64 bytes.
signature_of() {
  openssl pkeyutl -sign -rawin -inkey "$work/key" -in "$1"
}

umask 022
for file in "mountaineer-$version"-*.run; do
  platform=${file#"mountaineer-$version-"}
  printf 'name mountaineer\nversion %s\nplatform %s\nsha256 %s\n' \
    "$version" "${platform%.run}" "$(sha256sum "$file" | cut -d ' ' -f 1)" >"$work/text"
  { cat "$work/text" && printf 'ed25519 %s\n' "$(signature_of "$work/text" | openssl base64 -A)"; } >"$file.sig"
done
find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' | sed 's,^\./,,' | LC_ALL=C sort |
  xargs -d '\n' sha256sum -- >"$work/sums"
cp "$work/sums" SHA256SUMS
signature_of SHA256SUMS >SHA256SUMS.sig
