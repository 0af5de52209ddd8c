// Whether the disk behind a path answers. A call on a hung mount blocks its thread, and the process cannot end before the
// thread does. So a child process makes the call first, unless the path is on local disks.
import { readFileSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isOwnError, isSystemError, MountaineerError, recoverFrom, systemErrorCode } from "../errors.ts";

const DEADLINE_MS = 5_000;
/** Prints where a link leads, and reads a regular file: a pipe would wait for its writer. */
const READ_FILE =
  'if [ -L "$1" ]; then readlink -- "$1"; fi; if [ -f "$1" ]; then head -c 1048576 -- "$1" > /dev/null; fi';

/**
 * File systems on which a call may wait for another machine or process, or that do not report changes made
 * there.
 */
const REMOTE_TYPE =
  /^(nfs\d?|cifs|smb\d?|smbfs|ncpfs|afs|afpfs|webdav|davfs\d?|9p|v9fs|virtiofs|vboxsf|vmhgfs|prl_fs|ceph|glusterfs|lustre|gpfs|coda|autofs|fuse(blk)?(\..+)?)$/;

interface Mounted {
  readonly path: string;
  readonly type: string;
}

/** The reported names of paths that did not answer; these are not checked again. */
const silent = new Map<string, string>();

/** Rejects with `config_unreadable`, which names the mount, if reading the path takes longer than 5 s. */
export async function requireResponsiveDisk(path: string): Promise<void> {
  let message = silent.get(path);
  if (message === undefined) {
    const mounts = readMounts();
    if (mounts.length > 0 && (await areOnLocalDisks([path], mounts))) return;
    const options = { deadlineMs: DEADLINE_MS, killGraceMs: 0 };
    const { runCommand } = await import("./child-process.ts");
    const reading = runCommand("/bin/sh", ["-c", READ_FILE, "sh", path], options);
    // A check that cannot be started shows nothing about the disk.
    const { timedOut = false, stdout = "" } = (await reading.catch(recoverFrom(isOwnError, null))) ?? {};
    if (!timedOut) return;
    const mount = mountOf(mounts, resolve(dirname(path), stdout.trimEnd()));
    const mountPoint = mount === null ? "" : `: it lies on the mount ${mount.path} (${mount.type})`;
    message = `${path} gives no answer within ${DEADLINE_MS / 1000} s${mountPoint}`;
    silent.set(path, message);
  }
  throw new MountaineerError("config_unreadable", message, {
    hint: "make what is mounted there answer again, or unmount it (umount -l)",
    retry: "later",
  });
}

/** Synchronous: the kernel answers from memory. Empty where there is no such table. */
function readMounts(): readonly Mounted[] {
  try {
    const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
    return lines.flatMap((line) => {
      const [, path, type] = line.split(" ").map(unescaped);
      return path === undefined || type === undefined ? [] : [{ path, type }];
    });
  } catch (error) {
    return recoverFrom(isSystemError, [])(error);
  }
}

function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8)));
}

/** The mount that a path without links is on. */
function mountOf(mounts: readonly Mounted[], path: string): Mounted | null {
  let found: Mounted | null = null;
  for (const mount of mounts) {
    const isAbove = mount.path === "/" || path === mount.path || path.startsWith(`${mount.path}/`);
    if (isAbove && (found === null || mount.path.length >= found.path.length)) found = mount;
  }
  return found;
}

/** True if a call on the path asks another machine or process. */
export function isRemote(mounts: readonly Mounted[], path: string): boolean {
  const found = mountOf(mounts, path);
  return found !== null && REMOTE_TYPE.test(found.type);
}

/**
 * True if no part of the paths is a symbolic link or on a remote file system.
 */
export async function areOnLocalDisks(
  paths: readonly string[],
  mounts: readonly Mounted[],
): Promise<boolean> {
  for (const at of new Set(paths.flatMap(withFoldersAbove))) {
    if (isRemote(mounts, at)) return false;
    try {
      if ((await lstat(at)).isSymbolicLink()) return false;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== "ENOENT" && code !== "ENOTDIR") return false;
    }
  }
  return true;
}

/** The topmost first. */
function withFoldersAbove(path: string): string[] {
  const folder = dirname(resolve(path));
  return folder === path ? [path] : [...withFoldersAbove(folder), path];
}
