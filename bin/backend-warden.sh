#!/bin/sh
# Ends what the daemon leaves behind, however it ended: learns the process groups of backends on stdin (`+ID`, `-ID`),
# and when that ends, ends the groups it still knows: SIGTERM, and after 2 s SIGKILL.

trap '' INT TERM HUP QUIT PIPE USR1 USR2
cd / || :

groups=' '
while IFS= read -r line; do
  id=${line#[+-]}
  # 0 and 1 would mean our own group and everything there is.
  case $id in '' | 0* | 1 | *[!0-9]*) continue ;; esac
  case $line in
    +*) case $groups in *" $id "*) ;; *) groups="$groups$id " ;; esac ;;
    -*) case $groups in *" $id "*) groups="${groups%%" $id "*} ${groups#*" $id "}" ;; esac ;;
  esac
done

for id in $groups; do kill -s TERM -- "-$id" 2>/dev/null; done
tries=0
while [ "$tries" -lt 20 ]; do
  left=' '
  for id in $groups; do
    if kill -s 0 -- "-$id" 2>/dev/null; then left="$left$id "; fi
  done
  groups=$left
  [ "$groups" != ' ' ] || exit 0
  sleep 0.1 2>/dev/null || { sleep 1; tries=$((tries + 9)); }
  tries=$((tries + 1))
done
for id in $groups; do kill -s KILL -- "-$id" 2>/dev/null; done
exit 0
