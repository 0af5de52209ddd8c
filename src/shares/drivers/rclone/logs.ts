// Cuts rclone's logs while the mounts last, because rclone never does. Keeps logs of crashes.

import { open, readdir, readFile, rename, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import { type StateFolderTools, shareMountsFolder } from "../share-files.ts";
import { rcloneFilesIn } from "./files.ts";

const LOOKED_AT_MS = 10_000;
const MOST_BYTES = 1024 * 1024;
const KEPT_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;
const CRASHES_KEPT = 3;
/** How the crash message of a Go program begins. */
const CRASH = /^(?:panic: |fatal error: |SIG[A-Z]+: )/mu;

export function createRcloneLogs({ clock, logger, stateFolder }: StateFolderTools) {
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking = false;

  const lookAt = async (log: string): Promise<void> => {
    try {
      if ((await stat(log)).size <= MOST_BYTES) return;
      await cutLog(log, KEPT_BYTES);
      logger.debug("log of rclone cut", { path: log });
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return;
      logger.debug("log of rclone not cut", { path: log, error: errorText(error) });
    }
  };

  return {
    /**
     * Begins a check of all logs, including those of removed shares, unless one began within the last 10 s.
     */
    trigger(): void {
      const atMs = clock.monotonicMs();
      if (looking || atMs - lookedAtMs < LOOKED_AT_MS) return;
      lookedAtMs = atMs;
      looking = true;
      void (async () => {
        for (const folder of await readdir(shareMountsFolder(stateFolder)).catch(() => [])) {
          await lookAt(rcloneFilesIn(join(shareMountsFolder(stateFolder), folder)).log);
        }
        looking = false;
      })();
    },
  };
}

/**
 * Prepares an empty log for a mount. A log that shows a crash is kept as `PATH.1`; earlier ones are kept up to
 * `PATH.3`.
 */
export async function beginLog(path: string): Promise<void> {
  try {
    if ((await stat(path)).size > MOST_BYTES) await cutLog(path, KEPT_BYTES);
    if (CRASH.test(await readFile(path, "utf8"))) {
      for (let number = CRASHES_KEPT - 1; number > 0; number -= 1)
        await rename(`${path}.${number}`, `${path}.${number + 1}`).catch(() => {});
      await rename(path, `${path}.1`);
    }
    await truncate(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
    await writeFile(path, "", { mode: 0o600 });
  }
}

/**
 * Shortens a log to about its newest `keptBytes`, beginning with a whole line. rclone may write during the cut and
 * loses no line: every version appends (O_APPEND). Needs no room on the disk, and removes nothing until the newest
 * lines are copied. Rejects with the system's error.
 */
export async function cutLog(path: string, keptBytes: number): Promise<void> {
  await using file = await open(path, "r+");
  const { size } = await file.stat();
  const firstKept = size - keptBytes;
  const piece = Buffer.alloc(PIECE_BYTES);
  let from = firstKept;
  let to = 0;
  // The copy ends before it would overwrite lines that are to be kept.
  while (to + piece.length <= firstKept) {
    const { bytesRead } = await file.read(piece, 0, piece.length, from);
    if (bytesRead === 0) break;
    const read = piece.subarray(0, bytesRead);
    const kept = from === firstKept ? read.subarray(read.indexOf("\n") + 1) : read;
    const { bytesWritten } = await file.write(kept, 0, kept.length, to);
    if (bytesWritten < kept.length) return;
    from += bytesRead;
    to += bytesWritten;
  }
  await file.truncate(to);
}
