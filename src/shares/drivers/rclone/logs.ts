// Cuts rclone's logs while their mounts live: by itself a log grows as long as its mount lives.
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { shareMountsFolder } from "../share-files.ts";
import { rcloneLogPath } from "./files.ts";

interface RcloneLogsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** As rclone's driver has it. */
  readonly stateFolder: string;
}

export type RcloneLogs = ReturnType<typeof createRcloneLogs>;

const LOOKED_AT_MS = 10_000;
const MOST_BYTES = 1024 * 1024;
const KEPT_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;

export function createRcloneLogs({ clock, logger, stateFolder }: RcloneLogsOptions) {
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
    /** Looks at all of them soon, unless it did so within the last 10 s. Also at those of shares that are no more. */
    trigger(): void {
      const atMs = clock.monotonicMs();
      if (looking || atMs - lookedAtMs < LOOKED_AT_MS) return;
      lookedAtMs = atMs;
      looking = true;
      void (async () => {
        for (const folder of await readdir(shareMountsFolder(stateFolder)).catch(() => [])) {
          await lookAt(rcloneLogPath(join(shareMountsFolder(stateFolder), folder)));
        }
        looking = false;
      })();
    },
  };
}

/**
 * Leaves about the newest `keptBytes` of a log, from the beginning of a line on. Its writer goes on writing: rclone of
 * any version appends (O_APPEND), so that its next line follows what is left. What it writes meanwhile is kept too. Takes
 * no room on the disk, and leaves everything there until the newest lines are safe. Rejects with the system's error.
 */
export async function cutLog(path: string, keptBytes: number): Promise<void> {
  await using file = await open(path, "r+");
  const { size } = await file.stat();
  const firstKept = size - keptBytes;
  const piece = Buffer.alloc(PIECE_BYTES);
  let from = firstKept;
  let to = 0;
  // Before what is still to be copied; only a writer faster than the disk gets there.
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
