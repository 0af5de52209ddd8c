// Cuts the logs of programs while their mounts last, because the programs never do. Keeps logs of crashes.

import { open, readdir, readFile, rename, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { type StateFolderTools, shareMountsFolder } from "./share-files.ts";

/** In the folder of a share. */
export const LOG_NAME = "mountaineer-fs.log";

const CHECK_EVERY_MS = 10_000;
const MOST_BYTES = 1024 * 1024;
const RETAINED_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;
const CRASHES_RETAINED = 3;
/** How the crash message of a Go program begins. */
const CRASH = /^(?:panic: |fatal error: |SIG[A-Z]+: )/mu;

export function createProgramLogs({ clock, logger, stateFolder }: StateFolderTools) {
  let checkedAtMs = Number.NEGATIVE_INFINITY;
  let checking = false;

  const check = async (log: string): Promise<void> => {
    try {
      if ((await stat(log)).size <= MOST_BYTES) return;
      await cutLog(log, RETAINED_BYTES);
      logger.debug("log of a program cut", { path: log });
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return;
      logger.debug("log of a program not cut", { path: log, error: errorText(error) });
    }
  };

  return {
    /**
     * Begins a check of all logs, including those of removed shares, unless one began within the last 10 s.
     */
    trigger(): void {
      const atMs = clock.monotonicMs();
      if (checking || atMs - checkedAtMs < CHECK_EVERY_MS) return;
      checkedAtMs = atMs;
      checking = true;
      void (async () => {
        for (const folder of await readdir(shareMountsFolder(stateFolder)).catch(() => [])) {
          await check(join(shareMountsFolder(stateFolder), folder, LOG_NAME));
        }
        checking = false;
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
    if ((await stat(path)).size > MOST_BYTES) await cutLog(path, RETAINED_BYTES);
    if (CRASH.test(await readFile(path, "utf8"))) {
      for (let number = CRASHES_RETAINED - 1; number > 0; number -= 1)
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
 * Shortens a log to about its newest `retainedBytes`, beginning with a whole line. The program may write during the cut and
 * loses no line: every version appends (O_APPEND). Needs no room on the disk, and removes nothing until the newest
 * lines are copied. Rejects with the system's error.
 */
export async function cutLog(path: string, retainedBytes: number): Promise<void> {
  await using file = await open(path, "r+");
  const { size } = await file.stat();
  const firstRetained = size - retainedBytes;
  const piece = Buffer.alloc(PIECE_BYTES);
  let from = firstRetained;
  let to = 0;
  // The copy ends before it would overwrite lines that are to be kept.
  while (to + piece.length <= firstRetained) {
    const { bytesRead } = await file.read(piece, 0, piece.length, from);
    if (bytesRead === 0) break;
    const read = piece.subarray(0, bytesRead);
    const retained = from === firstRetained ? read.subarray(read.indexOf("\n") + 1) : read;
    const { bytesWritten } = await file.write(retained, 0, retained.length, to);
    if (bytesWritten < retained.length) return;
    from += bytesRead;
    to += bytesWritten;
  }
  await file.truncate(to);
}
