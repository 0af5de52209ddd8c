// A view of this machine without the SMB shares that other tests have mounted on it.

const LET_GO = `
awk '$3 ~ /^(cifs|smb3|fuse)/ { print $2 }' /proc/mounts | while read -r at; do umount -l "$(printf %b "$at")"; done
exec "$@"`;

/** Words to put before a command. Only root can: others see what is mounted. */
export const WITHOUT_SHARES: readonly string[] =
  process.platform === "linux" && process.getuid?.() === 0
    ? ["unshare", "--mount", "--", "sh", "-c", LET_GO, "sh"]
    : [];
