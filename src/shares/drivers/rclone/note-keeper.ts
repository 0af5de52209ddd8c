// Keeps rclone's notes of files that are being changed no older than a beat or two, so that a crash of rclone costs little.

import { basename, join } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import { createFolderLists } from "../../../runtime/files/folder-lists.ts";
import { type StateFolderTools, shareMountsFolder } from "../share-files.ts";
import { noteOfRunning, rcloneFilesIn } from "./files.ts";
import type { NoteWriter, ServedMount } from "./note-writer.ts";

interface NoteKeeperOptions extends StateFolderTools {
  readonly notes: NoteWriter;
}

const WRITTEN_WITHIN_MS = 1_000;
/** A mount that did not answer in time is left alone for a while, and longer each time. */
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 300_000;

export function createNoteKeeper({ clock, logger, notes, stateFolder }: NoteKeeperOptions) {
  /** By the share's folder. */
  const pauses = new Map<
    string,
    { readonly pid: number; readonly untilMs: number; readonly lengthMs: number }
  >();
  const underWay = new Set<string>();
  const listed = createFolderLists(clock.monotonicMs);

  const lookAfter = async (name: string): Promise<void> => {
    const folder = join(shareMountsFolder(stateFolder), name);
    // Most shares with another driver have no process here, so this is not read at each beat.
    if (!(await listed(folder)).includes(basename(rcloneFilesIn(folder).process))) return;
    const served = await servedMount(name, folder);
    const mount = served !== null && (await notes.hasNotes(served.files)) ? served : null;
    const pause = pauses.get(name);
    if (mount === null || pause?.pid !== mount.pid) pauses.delete(name);
    else if (clock.monotonicMs() < pause.untilMs) return;
    if (mount === null) return;
    const startedAtMs = clock.monotonicMs();
    const { due, written } = await notes.writeNotes(mount, "stale", WRITTEN_WITHIN_MS);
    const atMs = clock.monotonicMs();
    if (due === 0 || written > 0) pauses.delete(name);
    else if (atMs - startedAtMs >= WRITTEN_WITHIN_MS) {
      const lengthMs = Math.min(LONGEST_PAUSE_MS, (pauses.get(name)?.lengthMs ?? FIRST_PAUSE_MS / 2) * 2);
      pauses.set(name, { pid: mount.pid, untilMs: atMs + lengthMs, lengthMs });
      logger.debug("notes of rclone not written in time", { folder: name, files: due });
    }
  };

  const servedMount = async (name: string, folder: string): Promise<ServedMount | null> => {
    const note = await noteOfRunning(rcloneFilesIn(folder));
    if (note === null) return null;
    const files = rcloneFilesIn(folder, note.server);
    return { shareName: name, files, mountPath: note.mountPath, pid: note.identity.pid };
  };

  return {
    /** Looks after all mounts soon, unless it is doing so. Touches nothing while nothing is being written. */
    trigger(): void {
      void (async () => {
        for (const name of await listed(shareMountsFolder(stateFolder)).catch(() => [])) {
          if (underWay.has(name)) continue;
          underWay.add(name);
          void lookAfter(name)
            .catch((error: unknown) =>
              logger.debug("notes of rclone not looked after", { folder: name, error: errorText(error) }),
            )
            .finally(() => underWay.delete(name));
        }
      })();
    },
  };
}
