// Makes rclone write new notes of the files that programs are changing, at each of the daemon's regular
// checks, so that a crash of rclone loses little.
import { basename, join } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import { createFolderLists } from "../../../runtime/files/folder-lists.ts";
import { type StateFolderTools, shareMountsFolder } from "../share-files.ts";
import { noteOfRunning, rcloneFilesIn } from "./files.ts";
import type { NoteWriter, ServedMount } from "./note-writer.ts";

interface NoteRefreshOptions extends StateFolderTools {
  readonly notes: NoteWriter;
}

const WRITTEN_WITHIN_MS = 1_000;

export function createNoteRefresh({ clock, logger, notes, stateFolder }: NoteRefreshOptions) {
  const underWay = new Set<string>();
  const listed = createFolderLists(clock.monotonicMs);

  const mountWithNotes = async (name: string): Promise<ServedMount | null> => {
    const folder = join(shareMountsFolder(stateFolder), name);
    // Most shares with another driver have no such note. Looking for its name in the folder's cached list is
    // cheaper than trying to read it at each check.
    if (!(await listed(folder)).includes(basename(rcloneFilesIn(folder).process))) return null;
    const note = await noteOfRunning(rcloneFilesIn(folder));
    if (note === null) return null;
    const files = rcloneFilesIn(folder, note.server);
    if (!(await notes.hasNotes(files))) return null;
    return { shareName: name, files, mountPath: note.mountPath, pid: note.pid };
  };

  const refresh = async (name: string): Promise<void> => {
    const mount = await mountWithNotes(name);
    // If a touched file does not answer, `notes` itself leaves that file alone for a while.
    if (mount !== null) await notes.writeNotes(mount, "stale", WRITTEN_WITHIN_MS);
  };

  return {
    /** Begins a refresh of each mount, unless one is under way. Touches nothing while nothing is being written. */
    trigger(): void {
      void (async () => {
        for (const name of await listed(shareMountsFolder(stateFolder)).catch(() => [])) {
          if (underWay.has(name)) continue;
          underWay.add(name);
          void refresh(name)
            .catch((error: unknown) =>
              logger.debug("notes of rclone not refreshed", { folder: name, error: errorText(error) }),
            )
            .finally(() => underWay.delete(name));
        }
      })();
    },
  };
}
