#!/bin/sh
# Becomes a backend: `backend-launch.sh FOLDER COMMAND ARGS…`, in a session of its own. Tells the warden (descriptor 3)
# of its process group before anything of the backend runs; whatever may hang on a dead mount is done here, not in the
# daemon. Why it could not start is its last line on stderr, which stdio-link.ts reads.

trap '' PIPE
printf '+%s\n' "$$" 2>/dev/null >&3
trap - PIPE
exec 3>&-

cannot() {
  printf 'mountaineer-backend-launch: %s\n' "$1" >&2
  exit "$2"
}

folder=$1
shift
if ! cd "$folder" 2>/dev/null; then
  if [ -d "$folder" ]; then cannot folder-closed 126; fi
  if [ -e "$folder" ]; then cannot folder-is-file 127; fi
  cannot folder-missing 127
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
