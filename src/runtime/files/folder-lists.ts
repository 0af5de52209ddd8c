// What is in folders, read again only after the system has said that a folder changed: at rest, asking costs nothing.
import { type FSWatcher, watch } from "node:fs";
import { readdir } from "node:fs/promises";

/** If the system misses a change, it is seen after this long at most, ms. */
const READ_AGAIN_MS = 60_000;

interface Known {
  readonly names: Promise<readonly string[]>;
  readonly atMs: number;
  end(): void;
}

/** A list is at least as new as the last turn of the event loop. Rejects with the system's error. */
export type FolderLists = (folder: string) => Promise<readonly string[]>;

/** `nowMs`: of a clock that never goes back. */
export function createFolderLists(nowMs: () => number): FolderLists {
  const known = new Map<string, Known>();
  return (folder) => {
    const before = known.get(folder);
    const atMs = nowMs();
    if (before !== undefined && atMs - before.atMs < READ_AGAIN_MS) return before.names;
    before?.end();
    // Before it is read: what changes meanwhile is reported, too.
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

/** null: it is not there, or cannot be watched. */
function watchOrNull(folder: string): FSWatcher | null {
  try {
    return watch(folder, { persistent: false });
  } catch {
    return null;
  }
}
