// Events of folders from the OS (inotify, FSEvents, kqueue): a name in a folder changed.
import { type FSWatcher, watch } from "node:fs";
import { lstat } from "node:fs/promises";
import { findPathFolders, type PathFolders } from "./path-folders.ts";
import { saysMissing } from "./watched-file.ts";

export interface FolderListener {
  /** A name in the folder changed; null: the OS does not say which. The folder's own end bears its own name. */
  readonly onName: (name: string | null) => void;
  /** No more events will come. */
  readonly onEnd: () => void;
}

/** The OS, as far as watching folders goes. */
export interface FolderEvents {
  findFolders(path: string, isHere: (path: string) => boolean): Promise<PathFolders>;
  /** Differs when another folder stands at the path; null: none does. */
  identityOf(folder: string): Promise<string | null>;
  /** Throws a system error: ENOENT, EMFILE, ENOSPC … Events may come from now on, never synchronously. */
  watch(folder: string, listener: FolderListener): Disposable;
}

/** The real one. Its watches do not keep the process alive. */
export const systemFolderEvents: FolderEvents = {
  findFolders: findPathFolders,
  async identityOf(folder) {
    try {
      const found = await lstat(folder, { bigint: true });
      return found.isDirectory() ? `${found.dev}:${found.ino}:${found.birthtimeNs}` : null;
    } catch (error) {
      if (saysMissing(error)) return null;
      throw error;
    }
  },
  watch(folder, { onName, onEnd }) {
    const watcher: FSWatcher = watch(folder, { persistent: false }, (_event, name) => onName(name));
    watcher.on("error", onEnd);
    return { [Symbol.dispose]: () => watcher.close() };
  },
};
