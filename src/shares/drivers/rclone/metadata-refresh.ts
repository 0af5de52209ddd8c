// Makes rclone write new notes of the files that programs are changing, at each of the daemon's regular
// checks, so that a crash of rclone loses little.
import { basename, join } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import { createFolderLists } from "../../../runtime/files/folder-lists.ts";
import { backoffMs } from "../../../runtime/time/backoff.ts";
import { recordOfRunning } from "../serving-processes.ts";
import { type StateFolderTools, shareMountsFolder } from "../share-files.ts";
import { rcloneFilesIn } from "./files.ts";
import type { MetadataFlusher, ServedMount } from "./metadata-flusher.ts";

interface MetadataRefreshOptions extends StateFolderTools {
  readonly flusher: MetadataFlusher;
}

interface Pause {
  readonly pid: number;
  readonly failures: number;
  readonly untilMs: number;
}

const WRITTEN_WITHIN_MS = 1_000;
/**
 * How long a mount is not refreshed after failed refreshes, ms; the time grows with each failure in a row. A refresh
 * of a mount that hangs may leave programs that cannot be killed.
 */
const PAUSE_MS = { first: 10_000, most: 300_000 };

export function createMetadataRefresh({ clock, logger, flusher, stateFolder }: MetadataRefreshOptions) {
  /** Pauses by the name of the share's folder. */
  const pauses = new Map<string, Pause>();
  const refreshing = new Set<string>();
  const listed = createFolderLists(clock.monotonicMs);

  const mountWithMetadata = async (name: string): Promise<ServedMount | null> => {
    const folder = join(shareMountsFolder(stateFolder), name);
    // Shares that rclone never mounted have no note of a process. Looking for the note's name in the folder's cached
    // list is cheaper than trying to read the note at each check.
    if (!(await listed(folder)).includes(basename(rcloneFilesIn(folder).process))) return null;
    const record = await recordOfRunning(rcloneFilesIn(folder));
    if (record === null) return null;
    const files = rcloneFilesIn(folder, record.server);
    if (!(await flusher.hasMetadata(files))) return null;
    return { shareName: name, files, mountPath: record.mountPath, pid: record.pid };
  };

  const refresh = async (name: string): Promise<void> => {
    const mount = await mountWithMetadata(name);
    const before = pauses.get(name);
    const pause = before?.pid === mount?.pid ? before : undefined;
    const startedAtMs = clock.monotonicMs();
    if (pause !== undefined && startedAtMs < pause.untilMs) return;
    if (pause === undefined) pauses.delete(name);
    if (mount === null) return;
    const { due, written } = await flusher.writeMetadata(mount, "stale", WRITTEN_WITHIN_MS);
    const atMs = clock.monotonicMs();
    if (due === 0 || written > 0) pauses.delete(name);
    else if (atMs - startedAtMs >= WRITTEN_WITHIN_MS) {
      const failures = (pause?.failures ?? 0) + 1;
      pauses.set(name, { pid: mount.pid, failures, untilMs: atMs + backoffMs(PAUSE_MS, failures) });
      logger.debug("notes of rclone not written in time", { folder: name, files: due });
    }
  };

  return {
    /**
     * Begins a refresh for each mount, unless one is under way. A mount is touched only while files on it are being
     * written.
     */
    trigger(): void {
      void (async () => {
        for (const name of await listed(shareMountsFolder(stateFolder)).catch(() => [])) {
          if (refreshing.has(name)) continue;
          refreshing.add(name);
          void refresh(name)
            .catch((error: unknown) =>
              logger.debug("notes of rclone not refreshed", { folder: name, error: errorText(error) }),
            )
            .finally(() => refreshing.delete(name));
        }
      })();
    },
  };
}
