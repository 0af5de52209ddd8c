#!/bin/sh
# Signs what a release holds, with openssl and coreutils alone: the job that has the key installs nothing and runs nothing of
# the release. Usage: MOUNTAINEER_SIGNING_KEY=PEM scripts/release/sign.sh FOLDER
# Makes SHA256SUMS of everything, and its signature.
set -eu
cd "$1"

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\n' "$MOUNTAINEER_SIGNING_KEY" >"$work/key"

umask 022
find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' | sed 's,^\./,,' | LC_ALL=C sort |
  xargs -d '\n' sha256sum -- >"$work/sums"
cp "$work/sums" SHA256SUMS
openssl pkeyutl -sign -rawin -inkey "$work/key" -in SHA256SUMS >SHA256SUMS.sig
