#!/bin/sh
# Signs the package repositories that site.sh made, with gpg alone: apt's Release and dnf's repomd.xml, which have the digests of
# all else. Usage: MOUNTAINEER_ARCHIVE_SIGNING_KEY=ARMORED-SECRET-KEY scripts/release/sign-site.sh SITE
# The signature's time is the index's, so the same key and release give the same bytes.
set -eu
cd "$1"

umask 077
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
printf '%s\n' "$MOUNTAINEER_ARCHIVE_SIGNING_KEY" | gpg --batch --quiet --import
umask 022

# An expiring key stops every installed machine's updates at once, and it takes a person on each to mend it.
if gpg --batch --with-colons --list-keys | awk -F: '/^(pub|sub):/ && $7 != "" {found=1} END {exit !found}'; then
  printf 'the archive key expires: make one that does not (docs/project/releasing.md)\n' >&2
  exit 1
fi

at=$(date -u -d "$(sed -n 's/^Date: //p' apt/dists/stable/Release)" +%Y%m%dT%H%M%S)
# sign OUTPUT INPUT HOW…
sign() {
  output=$1 input=$2
  shift 2
  gpg --batch --quiet --yes --no-emit-version --faked-system-time "$at!" --digest-algo SHA512 --armor --output "$output" "$@" "$input"
}
sign apt/dists/stable/InRelease apt/dists/stable/Release --clearsign
sign apt/dists/stable/Release.gpg apt/dists/stable/Release --detach-sign
sign dnf/repodata/repomd.xml.asc dnf/repodata/repomd.xml --detach-sign
