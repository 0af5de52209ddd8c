#!/bin/sh
# Stays a service manager's process while one daemon hands over to the next: `service-keeper.sh PROGRAM ARGS…`. The
# daemon, and each that follows it, has two pipes: on descriptor 3 it says how it ended, from 4 it reads the signals that
# came here. All are gone when nobody holds 3 any more. Where there can be no pipes the program runs in this process, and
# hands over to nobody.

set -u
alone() {
  printf 'mountaineer: runs without its keeper, so it cannot hand over: %s\n' "$1" >&2
  shift
  exec "$@"
}

# Descriptors 8 and 9 are for an instant: alone, each end would wait for the other one to be opened.
folder=$(mktemp -d) || alone 'no temporary folder' "$@"
mkfifo -m 600 "$folder/words" "$folder/signals" || alone "no pipe in $folder" "$@"
exec 8<>"$folder/words" 9<>"$folder/signals"
exec 3>"$folder/words" 4<"$folder/signals" 5<"$folder/words" 6>"$folder/signals" 8>&- 9>&-
rm -r "$folder"

trap '' PIPE
trap 'echo TERM >&6' TERM
trap 'echo TERM >&6' INT
trap 'echo HUP >&6' HUP

MOUNTAINEER_KEEPER=1 "$@" 5<&- 6>&- &
daemon=$!
(
  exec 3>&- 4<&- 6>&-
  trap '' TERM INT HUP
  code=none
  while read -r said; do code=$said; done <&5
  case $code in *[!0-9]* | '') exit 255 ;; esac
  exit "$code"
) &
words=$!
exec 3>&- 4<&- 5<&-

# A signal ends a wait, not what is waited for.
wait "$words"
code=$?
while kill -s 0 "$words" 2>/dev/null; do
  wait "$words"
  code=$?
done
if [ "$code" -eq 255 ]; then
  # Without a last word: it was killed, or never began.
  wait "$daemon" 2>/dev/null
  code=$?
  [ "$code" -ne 0 ] || code=1
fi
exit "$code"
