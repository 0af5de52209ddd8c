#!/bin/sh
# Puts a release's formula into a Homebrew tap, as one commit; does nothing if the tap has it already.
# Usage: scripts/release/tap.sh FORMULA VERSION TAP-REPOSITORY
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$3" "$work/tap"
mkdir -p "$work/tap/Formula"
cp "$1" "$work/tap/Formula/mountaineer.rb"
cd "$work/tap"
git add Formula/mountaineer.rb
if git diff --cached --quiet; then
  printf 'the tap has %s already\n' "$2"
  exit 0
fi
git -c user.name=mountaineer -c user.email=mountaineer@localhost commit --quiet --message "mountaineer $2"
git push --quiet origin HEAD
printf 'the tap has mountaineer %s\n' "$2"
