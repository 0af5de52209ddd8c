// Lists of folders' names, cached until the system reports a change of the folder.
import { type FSWatcher, watch } from "node:fs";
import { readdir } from "node:fs/promises";

/** Maximum age of a cached list, in case the system misses a change, ms. */
const READ_AGAIN_MS = 60_000;

interface Known {
  readonly names: Promise<readonly string[]>;
  readonly atMs: number;
  end(): void;
}

/**
 * Lists the names in a folder. A change of the folder is included once the event loop has delivered it.
 * Rejects with the system's error.
 */
export type FolderLists = (folder: string) => Promise<readonly string[]>;

/** `nowMs`: monotonic time. */
export function createFolderLists(nowMs: () => number): FolderLists {
  const known = new Map<string, Known>();
  return (folder) => {
    const before = known.get(folder);
    const atMs = nowMs();
    if (before !== undefined && atMs - before.atMs < READ_AGAIN_MS) return before.names;
    before?.end();
    // The folder is watched before it is read, so that changes during the read are reported.
    const watcher = watchOrNull(folder);
    const names = readdir(folder);
    if (watcher === null) return names;
    const one: Known = {
      names,
      atMs,
      end() {
        watcher.close();
        if (known.get(folder) === one) known.delete(folder);
      },
    };
    known.set(folder, one);
    watcher.on("change", one.end);
    watcher.on("error", one.end);
    names.catch(one.end);
    return names;
  };
}

function watchOrNull(folder: string): FSWatcher | null {
  try {
    return watch(folder, { persistent: false });
  } catch {
    return null;
  }
}
