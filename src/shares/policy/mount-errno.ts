// What the result of a mount check says about the mount.

/** If a readdir over a silent host takes longer than this, the host counts as gone, ms. */
export const SILENT_CHECK_MS = 1000;

const LOCAL_ERRNOS: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR"]);

/**
 * Whether an errno means that the mount does not answer. A responding server or the system's privacy settings cause
 * EACCES and EPERM; a shortage on this machine proves nothing.
 */
export function isDeadErrno(errno: string | null): boolean {
  return errno !== null && errno !== "EACCES" && errno !== "EPERM" && !isLocalErrno(errno);
}

/** Whether the check failed for a shortage on this machine, which proves nothing about the mount. */
export function isLocalErrno(errno: string | null): boolean {
  return errno !== null && LOCAL_ERRNOS.has(errno);
}
