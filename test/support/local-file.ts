// A file on a local disk as its watcher sees it, looked at by this process itself.
import { realpath, stat } from "node:fs/promises";
import { systemErrorCode } from "../../src/runtime/errors.ts";
import type { WatchedFile } from "../../src/sync/watched-file.ts";

/** Its bytes are read by `readBytes`, which may reject with ENOENT itself or as a cause. */
export function createLocalFile(
  path: string,
  readBytes: (path: string, signal: AbortSignal) => Promise<Uint8Array>,
): WatchedFile {
  return {
    path,
    stat: () =>
      unlessMissing(async () => {
        const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
        return { dev, ino, size, mtimeNs, ctimeNs };
      }),
    read: (signal) =>
      unlessMissing(async () => {
        for (;;) {
          const before = await stat(path, { bigint: true });
          const bytes = await readBytes(path, signal);
          const { ino } = await stat(path, { bigint: true });
          if (ino === before.ino) return { bytes, inode: String(ino) };
        }
      }),
    realPath: (other) => realpath(other).catch(() => null),
    isHere: () => true,
  };
}

async function unlessMissing<T>(look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (saysMissing(error)) return null;
    throw error;
  }
}

/** Whether an error, or what caused it, says that there is no such file. */
function saysMissing(error: unknown): boolean {
  const code = systemErrorCode(error);
  if (code === "ENOENT" || code === "ENOTDIR") return true;
  return error instanceof Error && error.cause !== undefined && saysMissing(error.cause);
}
