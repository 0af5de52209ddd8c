#!/bin/sh
# Makes the package repositories of a release as static files: SITE/apt and SITE/dnf with the release's packages, and for each
# the file that a person adds to the system. Signs nothing; sign-site.sh does. Needs apt-utils and createrepo-c.
# Usage: MOUNTAINEER_ARCHIVE_KEY=ARMORED-PUBLIC-KEY scripts/release/site.sh RELEASE-FOLDER SITE ADDRESS EPOCH-SECONDS
# ADDRESS is where SITE will be served. The same release gives the same bytes.
set -eu
release=$(cd "$1" && pwd)
site=$2 address=$3 epoch=$4

rm -rf "$site"
mkdir -p "$site/apt/pool" "$site/dnf"
# place FILE FOLDER: a hard link where that can be, as a release has some hundred MB of packages.
place() {
  ln "$1" "$2/" 2>/dev/null || cp "$1" "$2/"
  touch -d "@$epoch" "$2/$(basename "$1")"
}
for file in "$release"/*.deb; do place "$file" "$site/apt/pool"; done
for file in "$release"/*.rpm; do place "$file" "$site/dnf"; done
cd "$site"
site=$PWD

cd "$site/apt"
for architecture in $(for file in pool/*.deb; do file=${file##*_} && printf '%s\n' "${file%.deb}"; done | sort -u); do
  index=dists/stable/main/binary-$architecture
  mkdir -p "$index"
  apt-ftparchive --arch "$architecture" packages pool >"$index/Packages"
  gzip -9n <"$index/Packages" >"$index/Packages.gz"
  found="${found:+$found }$architecture"
done
# Made beside the folder that it lists.
apt-ftparchive release \
  -o "APT::FTPArchive::Release::Origin=Mountaineer" \
  -o "APT::FTPArchive::Release::Label=Mountaineer" \
  -o "APT::FTPArchive::Release::Suite=stable" \
  -o "APT::FTPArchive::Release::Codename=stable" \
  -o "APT::FTPArchive::Release::Components=main" \
  -o "APT::FTPArchive::Release::Architectures=$found" \
  -o "APT::FTPArchive::Release::Date=$(LC_ALL=C date -u -d "@$epoch" '+%a, %d %b %Y %H:%M:%S UTC')" \
  -o "APT::FTPArchive::MD5=no" -o "APT::FTPArchive::SHA1=no" -o "APT::FTPArchive::SHA512=no" \
  dists/stable >"$site/Release"
mv "$site/Release" dists/stable/Release

createrepo_c --quiet --no-database --general-compress-type gz --revision "$epoch" --set-timestamp-to-revision "$site/dnf"

printf '%s\n' "$MOUNTAINEER_ARCHIVE_KEY" >"$site/key.asc"
# The key stands in the file, so that one download is all that apt needs. Where 32-bit packages are installed, too, apt would say at
# each update that there are none here.
{
  printf 'Types: deb\nURIs: %s/apt\nSuites: stable\nComponents: main\nArchitectures-Remove: i386 armhf\nSigned-By:\n' "$address"
  sed 's/^$/./; s/^/ /' "$site/key.asc"
} >"$site/mountaineer.sources"
# Packages carry no signature of their own: the signed index has the digest of each.
printf '[mountaineer]\nname=Mountaineer\nbaseurl=%s/dnf\nenabled=1\nrepo_gpgcheck=1\ngpgcheck=0\ngpgkey=%s/key.asc\n' \
  "$address" "$address" >"$site/mountaineer.repo"
