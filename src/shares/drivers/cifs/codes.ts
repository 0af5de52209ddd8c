// The error messages of mount.cifs and mount, and what each means.

import { type Failed, type FailureRow, failedAs } from "../mount-failure.ts";

const MODULE =
  'load the module (modprobe cifs; it may come with linux-modules-extra), or set driver = "rclone"';

/** Meanings of the errno in messages such as `mount error(13): Permission denied`. */
const BY_ERRNO: Readonly<Record<number, FailureRow>> = {
  1: [
    "permission_denied",
    "this machine does not permit the mount",
    "a container needs the right CAP_SYS_ADMIN",
  ],
  2: ["no_such_share", "the server has no such share"],
  5: ["other", "the server answered with an error"],
  6: ["no_such_share", "the server has no such share"],
  11: ["unreachable", "the server does not answer"],
  13: ["wrong_credentials", "the user name or the password is wrong", "or the share is closed to this user"],
  16: ["path_taken", "something is mounted there already, or the folder is in use"],
  19: ["driver_unavailable", "this kernel has no SMB client", MODULE],
  22: ["other", "the kernel does not accept the options", "`dmesg` says which"],
  79: [
    "driver_unavailable",
    "this kernel cannot convert names to UTF-8",
    "load the module nls_utf8 (modprobe nls_utf8)",
  ],
  95: [
    "other",
    "the server and the kernel have no SMB version in common",
    "enable SMB 2.1 or newer on the server",
  ],
  101: ["unreachable", "the server cannot be reached"],
  103: ["unreachable", "the connection was given up"],
  104: ["unreachable", "the server closed the connection"],
  107: ["unreachable", "the connection was given up"],
  110: ["unreachable", "the server does not answer"],
  111: ["refused", "the server refuses connections"],
  112: ["unreachable", "the server is down, or closed the connection"],
  113: ["unreachable", "there is no route to the server"],
  115: ["unreachable", "the server does not answer"],
  126: ["wrong_credentials", "the server wants Kerberos, and there is no ticket"],
  127: ["wrong_credentials", "the password has expired"],
  128: ["wrong_credentials", "the password was revoked"],
  129: ["wrong_credentials", "the server does not accept the password"],
};

const BY_MESSAGE: readonly (readonly [words: RegExp, row: FailureRow])[] = [
  [
    /cifs filesystem not supported|unknown filesystem type/i,
    ["driver_unavailable", "this kernel has no SMB client", MODULE],
  ],
  [/could not resolve address/i, ["unreachable", "the server's name has no address"]],
  [
    /not installed (setuid|suid)|setuid root program disabled/i,
    [
      "driver_unavailable",
      "mount.cifs may not mount for users",
      "set its setuid bit (chmod u+s), or run the service as root",
    ],
  ],
  [
    /only root can|must be superuser|no match for|can't find in|not in (the )?fstab/i,
    [
      "driver_unavailable",
      "/etc/fstab does not let users mount this",
      "only the first line for a path is used: keep one, with the option `users`, or run the service as root",
    ],
  ],
  [/already mounted|mount point busy|is busy/i, ["path_taken", "something is mounted there already"]],
  [/permission denied/i, ["permission_denied", "this machine does not permit the mount"]],
];

/** The failure that a non-zero exit code means. `output`: what the command printed. */
export function failedByMountCifs(exitCode: number | null, output: string): Failed {
  const errno = /mount error\s*\(?(\d+)\)?/i.exec(output)?.[1];
  const byErrno = errno === undefined ? undefined : BY_ERRNO[Number(errno)];
  const row = byErrno ?? BY_MESSAGE.find(([pattern]) => pattern.test(output))?.[1];
  const how = exitCode === null ? "a signal ended mount" : `mount ended with ${exitCode}`;
  return failedAs(row ?? ["other", `it could not be mounted: ${how}`], meaningfulLine(output));
}

/** Finds the line with the reason; the advice to read a manual is left out. */
function meaningfulLine(output: string): string {
  const lines = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^Refer to the |^dmesg\(1\)/.test(line));
  return lines.find((line) => /error|denied|unknown|busy/i.test(line)) ?? lines.at(-1) ?? "";
}
