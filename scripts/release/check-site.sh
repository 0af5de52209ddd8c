#!/bin/sh
# Whether the package repositories are whole: fails if a file is missing or unknown, a digest is another one, or the archive key
# did not sign it. With gpgv and coreutils alone.
# Usage: MOUNTAINEER_ARCHIVE_KEY=ARMORED-PUBLIC-KEY scripts/release/check-site.sh SITE VERSION PLATFORM…
set -eu
cd "$1"
version=$2
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

refuse() {
  printf '%s\n' "$1" >&2
  exit 1
}

{
  printf '%s\n' key.asc mountaineer.repo mountaineer.sources
  printf 'apt/dists/stable/%s\n' InRelease Release Release.gpg
  printf 'dnf/repodata/%s\n' repomd.xml repomd.xml.asc primary.xml.gz filelists.xml.gz other.xml.gz
  for platform in "$@"; do
    case $platform in
      linux-x64) names='amd64 x86_64' ;;
      linux-arm64) names='arm64 aarch64' ;;
      *) continue ;;
    esac
    printf 'apt/dists/stable/main/binary-%s/Packages\n' "${names% *}"
    printf 'apt/dists/stable/main/binary-%s/Packages.gz\n' "${names% *}"
    printf 'apt/pool/mountaineer_%s_%s.deb\n' "$version" "${names% *}"
    printf 'dnf/mountaineer-%s-1.%s.rpm\n' "$version" "${names#* }"
  done
} | LC_ALL=C sort >"$work/expected"
# dnf's indexes have their digest in their name.
find . -type f | sed -E 's,^\./,,; s,^(dnf/repodata/)[0-9a-f]{64}-,\1,' | LC_ALL=C sort >"$work/found"
if ! diff "$work/expected" "$work/found" >"$work/difference"; then
  sed -n 's/^< /missing: /p; s/^> /not part of a repository: /p' "$work/difference" >&2
  exit 1
fi

printf '%s\n' "$MOUNTAINEER_ARCHIVE_KEY" >"$work/key.asc"
cmp -s key.asc "$work/key.asc" || refuse 'key.asc is another key'
sed 's/^$/./; s/^/ /' key.asc >"$work/indented"
sed '1,/^Signed-By:$/d' mountaineer.sources | cmp -s - "$work/indented" || refuse 'mountaineer.sources has another key'
grep -qx 'repo_gpgcheck=1' mountaineer.repo || refuse 'mountaineer.repo does not ask for a signature'
# gpgv reads no armor.
sed -n '/^$/,/^[=-]/{/^[=-]/!p}' key.asc | openssl base64 -d >"$work/keyring"
# verify WHAT gpgv's arguments…
verify() {
  what=$1
  shift
  gpgv --quiet --keyring "$work/keyring" "$@" 2>"$work/said" || refuse "$what was not signed by the archive key"
}
verify InRelease --output "$work/Release" apt/dists/stable/InRelease
cmp -s "$work/Release" apt/dists/stable/Release || refuse 'Release is not what InRelease has'
verify Release apt/dists/stable/Release.gpg apt/dists/stable/Release
verify repomd.xml dnf/repodata/repomd.xml.asc dnf/repodata/repomd.xml

# digests FOLDER: of `DIGEST  FILE` lines.
digests() { (cd "$1" && sha256sum --check --strict --quiet) >&2; }
sed -n '/^SHA256:$/,$s/^ \([0-9a-f]\{64\}\) *[0-9]* \(.*\)$/\1  \2/p' apt/dists/stable/Release | digests apt/dists/stable
for index in apt/dists/stable/main/*/Packages; do
  gzip -dc "$index.gz" | cmp -s - "$index" || refuse "$index.gz has other packages"
  awk '/^Filename: /{file=$2} /^SHA256: /{print $2 "  " file}' "$index" | tee "$work/listed" | digests apt
  [ "$(wc -l <"$work/listed")" -eq 1 ] || refuse "$index lists $(wc -l <"$work/listed") packages, not 1"
done
# Of createrepo_c's own text: one element a line.
awk -F '[">]' '/<checksum /{sum=$4; sub(/<.*/, "", sum)} /<location /{print sum "  " $2}' dnf/repodata/repomd.xml | digests dnf
gzip -dc dnf/repodata/*-primary.xml.gz |
  awk -F '[">]' '/<checksum /{sum=$6; sub(/<.*/, "", sum)} /<location /{print sum "  " $2}' >"$work/listed"
digests dnf <"$work/listed"
[ "$(wc -l <"$work/listed")" -eq "$(find dnf -name '*.rpm' | wc -l)" ] || refuse 'repomd.xml leaves a package out'
printf 'repositories whole and signed: %s files\n' "$(wc -l <"$work/found")"
