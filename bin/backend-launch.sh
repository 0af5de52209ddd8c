#!/bin/sh
# Becomes a backend: `backend-launch.sh FOLDER COMMAND ARGS…`, in a session of its own. Tells the warden (descriptor 3)
# of its process group before anything of the backend runs; whatever may hang on a dead mount is done here, not in the
# daemon. Why it could not start is its last line on stderr, which stdio-link.ts reads.
#
# `backend-launch.sh --client FOLDER HOME ALLOWED… -- OURS… -- COMMAND ARGS…` starts it in a client's folder, which must
# be one of ALLOWED or lie below it, and must not be HOME or a path of ours, nor lie above them or inside ours. What is in
# the folder must not choose which program runs. With `--no-client`, the folder is made if it is missing.

# Sets `here` to the folder where this is, without symbolic links, and with the newlines at the end of its name.
find_here() {
  here=$(pwd -P && printf .)
  here=${here%??}
}

# npx runs the server by this, as npm's script shell: only the server itself starts in the client's folder, because npx
# looks for packages, settings and even `node` in the folder where it is.
if [ "$1" = -c ]; then
  if [ "${npm_lifecycle_event-}" = npx ] && [ -n "${MOUNTAINEER_CLIENT_FOLDER-}" ]; then
    cd -P "$MOUNTAINEER_CLIENT_FOLDER" || exit 126
    find_here
    [ "$here" = "$MOUNTAINEER_CLIENT_FOLDER" ] || exit 126
    unset MOUNTAINEER_CLIENT_FOLDER npm_config_script_shell OLDPWD
  fi
  exec /bin/sh "$@"
fi

trap '' PIPE
printf '+%s\n' "$$" 2>/dev/null >&3
trap - PIPE
exec 3>&-

cannot() {
  printf 'mountaineer-backend-launch: %s\n' "$1" >&2
  exit "$2"
}

# Moves to the folder $1; the option -P leaves symbolic links behind.
enter() {
  if cd ${2-} "$1" 2>/dev/null; then return; fi
  if [ -d "$1" ]; then cannot folder-closed 126; fi
  if [ -e "$1" ]; then cannot folder-is-file 127; fi
  cannot folder-missing 127
}

# True if $1 is $2 or lies below it. Compares files, because names may differ in letter case.
within() {
  inner=$1
  # shellcheck disable=SC3013 # POSIX has had -ef since 2024, and each sh of Linux and macOS longer.
  until [ "$inner" -ef "$2" ]; do
    if [ "$inner" = / ]; then return 1; fi
    inner=${inner%/*}
    inner=${inner:-/}
  done
}

# Prints the path $1 without symbolic links.
real() {
  path=$1
  while [ -L "$path" ] && [ -f "$path" ]; do
    link=$(readlink -- "$path")
    case $link in /*) path=$link ;; *) path=${path%/*}/$link ;; esac
  done
  if cd -P "$path" 2>/dev/null; then pwd -P; return; fi
  if cd -P "${path%/*}/" 2>/dev/null; then path=$(pwd -P)/${path##*/}; fi
  printf '%s\n' "$path"
}

if [ "$1" = --no-client ]; then mkdir -p "$2" 2>/dev/null; fi
if [ "$1" = --client ] || [ "$1" = --no-client ]; then
  folder=$2
  home=$3
  shift 3
  enter "$folder" -P
  find_here
  folder=$here
  allowed=
  while [ "$1" != -- ]; do
    if within "$folder" "$1"; then allowed=yes; fi
    shift
  done
  shift
  if [ -z "$allowed" ]; then cannot folder-not-allowed 126; fi
  if within "$(real "$home")" "$folder"; then cannot folder-is-home 126; fi
  while [ "$1" != -- ]; do
    if within "$(real "$1")" "$folder" || within "$folder" "$1"; then cannot folder-is-ours 126; fi
    shift
  done
  shift

  program=$1
  case $program in [!/]*/*) cannot program-missing 127 ;; esac
  shift
  for word do
    shift
    text=
    while :; do
      case $word in
        *'${client:cwd}'*)
          text=$text${word%%'${client:cwd}'*}$folder
          word=${word#*'${client:cwd}'}
          ;;
        *) break ;;
      esac
    done
    set -- "$@" "$text$word"
  done
  set -- "$program" "$@"

  # Entries of PATH such as `node_modules/.bin` would lead into the client's folder, and so would a `path:` there in the
  # file that asdf and mise read. Of a program that is given by its path, what lies beside it comes first.
  path=
  IFS=:
  set -f
  for entry in ${program%/*} $PATH; do
    case $entry in
      *asdf/shims | *mise/shims) ;;
      /*) within "$(real "$entry")" "$folder" || path=${path:+$path:}$entry ;;
    esac
  done
  set +f
  unset IFS
  PATH=${path:-/usr/bin:/bin}
  case ${1##*/} in
    npx)
      export MOUNTAINEER_CLIENT_FOLDER="$folder" npm_config_script_shell="$0"
      folder=$home
      ;;
    uvx)
      export PYTHONSAFEPATH=1
      # With a file named, uv reads no other: the person's own, with their package index, but none of the folder.
      UV_CONFIG_FILE=${UV_CONFIG_FILE:-${XDG_CONFIG_HOME:-$home/.config}/uv/uv.toml}
      if [ -f "$UV_CONFIG_FILE" ]; then export UV_CONFIG_FILE; else
        unset UV_CONFIG_FILE
        export UV_NO_CONFIG=1
      fi
      ;;
    python | python[0-9]*)
      # Earlier versions look for modules in the folder where they start.
      cd /
      # Asked here for its own path, too: a `.python-version` there would choose another.
      if ! program=$("$1" -Ic 'import sys; print(sys.executable); sys.exit(sys.version_info < (3, 11))' </dev/null); then
        cannot python-too-old 126
      fi
      shift
      set -- "$program" -P "$@"
      export PYTHONSAFEPATH=1
      ;;
  esac
  enter "$folder" -P
  find_here
  if [ "$folder" != "$home" ] && [ "$here" != "$folder" ]; then cannot folder-not-allowed 126; fi
  unset home allowed inner text word path entry program here
else
  folder=$1
  shift
  enter "$folder"
fi
unset OLDPWD folder

# A shell would take these for itself.
case $1 in
  '' | -*) cannot program-missing 127 ;;
  */*)
    if [ -d "$1" ]; then cannot program-is-folder 126; fi
    if [ ! -e "$1" ]; then cannot program-missing 127; fi
    if [ ! -x "$1" ]; then cannot program-closed 126; fi
    ;;
  *) if ! command -v "$1" >/dev/null 2>&1; then cannot program-missing 127; fi ;;
esac
exec "$@"
