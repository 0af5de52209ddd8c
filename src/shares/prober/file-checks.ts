// Checks files and folders on local disks, which may also hang. None of the functions rejects.
import { constants, type StatsFs } from "node:fs";
import { lstat, open, readlink, realpath, stat } from "node:fs/promises";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { type Exposure, exposureOf, ownIdentity } from "../../runtime/files/exposure.ts";
import { FILE_LIMIT_BYTES, type FileBytes, type FileCheck, type LinkReading, type Space } from "./prober.ts";

export const fileChecks = {
  /** The real path; null: the path does not exist. */
  realPath: (path: string): Promise<string | null> => realpath(path).catch(() => null),

  async checkFile(path: string): Promise<FileCheck> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      return {
        state: "file",
        dev: String(dev),
        ino: String(ino),
        size: String(size),
        mtimeNs: String(mtimeNs),
        ctimeNs: String(ctimeNs),
      };
    } catch (error) {
      return { state: "failed", errno: errnoOf(error) };
    }
  },

  /** Reads only regular files up to the limit: reading a pipe would never end. */
  async fileBytes(path: string): Promise<FileBytes> {
    try {
      // One open file, so that bytes and inode belong together. Without O_NONBLOCK, opening a pipe would wait.
      await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const stats = await file.stat({ bigint: true });
      if (stats.isDirectory()) return { state: "failed", errno: "EISDIR" };
      if (!stats.isFile()) return { state: "failed", errno: "EINVAL" };
      if (stats.size > FILE_LIMIT_BYTES) return { state: "failed", errno: "EFBIG" };
      const base64 = (await file.readFile()).toString("base64");
      return { state: "read", base64, inode: String(stats.ino) };
    } catch (error) {
      return { state: "failed", errno: errnoOf(error) };
    }
  },

  /** One path after the other, to take only one thread. */
  async exposures(paths: readonly string[]): Promise<readonly Exposure[]> {
    const identity = await ownIdentity();
    const entries = new Map();
    const found: Exposure[] = [];
    for (const path of paths) found.push(await exposureOf(path, identity, entries));
    return found;
  },
} as const;

/** A server that does not know its size, such as impacket's, says 16 EiB, all of it free. */
const UNKNOWN_FROM_BYTES = 2 ** 50;

/** null: the file system does not know. */
export function spaceOf({
  bsize,
  blocks,
  bavail,
}: Pick<StatsFs, "bsize" | "blocks" | "bavail">): Space | null {
  const [total, free] = [blocks * bsize, bavail * bsize];
  const isUnknown = total === 0 || (free === total && total >= UNKNOWN_FROM_BYTES);
  return isUnknown ? null : { free_bytes: free, total_bytes: total };
}

export async function readLinkTarget(path: string): Promise<LinkReading> {
  try {
    const stats = await lstat(path, { bigint: true });
    if (stats.isSymbolicLink()) {
      const { dev, ino, ctimeNs } = stats;
      return { state: "link", target: await readlink(path), identity: `${dev}:${ino}:${ctimeNs}` };
    }
    const kind = stats.isDirectory() ? "folder" : stats.isFile() ? "file" : "special file";
    return { state: "other", kind };
  } catch (error) {
    const code = errnoOf(error);
    const isMissing = code === "ENOENT" || code === "ENOTDIR";
    return isMissing ? { state: "missing" } : { state: "unknown", text: code };
  }
}

export function errnoOf(error: unknown): string {
  return systemErrorCode(error) ?? errorText(error);
}
