#!/bin/sh
# Whether a folder is a whole release: fails if a file is missing or unknown, changed since it was signed, or signed by another
# key. Installs nothing. Usage: MOUNTAINEER_RELEASE_KEY=BASE64 scripts/release/check.sh FOLDER VERSION PLATFORM…
set -eu
cd "$1"
version=$2
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package_of PLATFORM: its .deb and .rpm, named as their systems name processors.
package_of() {
  case $1 in
    linux-x64) printf 'mountaineer_%s_amd64.deb\nmountaineer-%s-1.x86_64.rpm\n' "$version" "$version" ;;
    linux-arm64) printf 'mountaineer_%s_arm64.deb\nmountaineer-%s-1.aarch64.rpm\n' "$version" "$version" ;;
  esac
}
{
  printf 'SHA256SUMS\nSHA256SUMS.sig\nmountaineer.rb\nmountaineerd-%s.tgz\nsbom.cdx.json\n' "$version"
  for platform in "$@"; do
    printf "mountaineer-$version-$platform%s\n" .tar.xz .run
    package_of "$platform"
  done
} | LC_ALL=C sort >"$work/expected"
find . -mindepth 1 | sed 's,^\./,,' | LC_ALL=C sort >"$work/found"
if ! diff "$work/expected" "$work/found" >"$work/difference"; then
  sed -n 's/^< /missing: /p; s/^> /not part of a release: /p' "$work/difference" >&2
  exit 1
fi

# The header of an Ed25519 key, then its 32 bytes.
{
  printf '\060\052\060\005\006\003\053\145\160\003\041\000'
  printf '%s' "$MOUNTAINEER_RELEASE_KEY" | openssl base64 -d -A
} | openssl pkey -pubin -inform DER -out "$work/key"
openssl pkeyutl -verify -rawin -pubin -inkey "$work/key" -in SHA256SUMS -sigfile SHA256SUMS.sig >"$work/said" 2>&1 ||
  { printf 'SHA256SUMS was not signed by the release key\n' >&2 && exit 1; }
sha256sum --check --strict --quiet SHA256SUMS >&2
[ "$(wc -l <SHA256SUMS)" -eq "$(($(wc -l <"$work/expected") - 2))" ] ||
  { printf 'SHA256SUMS leaves something out\n' >&2 && exit 1; }
for platform in "$@"; do
  sum=$(sha256sum "mountaineer-$version-$platform.tar.xz" | cut -d ' ' -f 1)
  grep -q "sha256 \"$sum\"" mountaineer.rb || { printf 'mountaineer.rb has another %s\n' "$platform" >&2 && exit 1; }
done
printf 'whole and signed: %s files\n' "$(wc -l <"$work/found")"
