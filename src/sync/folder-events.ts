// Events of the OS (inotify, FSEvents, kqueue) for the folder of a file and, if its path leads through
// symlinks, for the real file's folder. Other folders on the way are not watched.
import { type FSWatcher, watch } from "node:fs";
import { readlink } from "node:fs/promises";
import { basename, dirname, join, normalize } from "node:path";
import { errorText, systemErrorCode } from "../runtime/errors.ts";
import type { WatchedFile } from "./watched-file.ts";

export interface FolderListener {
  /**
   * Called when a name in the folder changed; null: the name is unknown. If the folder itself is removed,
   * `name` is the folder's own. `isMove`: it was created, moved or removed. Otherwise, or where the system does not
   * tell one from the other, it may have been written to.
   */
  readonly onName: (name: string | null, isMove?: boolean) => void;
  /** Called when no further events will come. */
  readonly onEnd: () => void;
}

export interface FolderEvents {
  /** Throws a system error: ENOENT, EMFILE, ENOSPC … Events come asynchronously. */
  watch(folder: string, listener: FolderListener): Disposable;
}

/** Watches of `node:fs`, which do not keep the process alive. */
export const systemFolderEvents: FolderEvents = {
  watch(folder, { onName, onEnd }) {
    const watcher: FSWatcher = watch(folder, { persistent: false }, (event, name) =>
      onName(name, process.platform === "linux" && event === "rename"),
    );
    watcher.on("error", onEnd);
    return { [Symbol.dispose]: () => watcher.close() };
  },
};

/**
 * Watches the folders of the file from `arm` on. Calls `onRing` when the file may have changed, or its path
 * may lead to another file.
 */
export function createFolderBell(file: WatchedFile, events: FolderEvents, onRing: () => void) {
  const armed = new Set<Disposable>();

  const silence = (): void => {
    for (const one of armed) one[Symbol.dispose]();
    armed.clear();
  };
  const armFolder = (folder: string, names: ReadonlySet<string>): void => {
    const watching = events.watch(folder, {
      onName(name) {
        const isOurs = name === null || name === basename(folder) || names.has(name);
        if (isOurs && armed.has(watching)) onRing();
      },
      onEnd() {
        if (armed.has(watching)) onRing();
      },
    });
    armed.add(watching);
  };

  return {
    /**
     * Watches the present folders of the file instead of the previous ones. Resolves with the reason why a
     * folder cannot be watched; null: all existing folders are watched. Calls must not overlap.
     */
    async arm(): Promise<string | null> {
      const folders = await foldersOf(file);
      silence();
      let unwatched: string | null = null;
      for (const [folder, names] of folders) {
        try {
          if (file.isHere(folder)) armFolder(folder, names);
          else unwatched = `${folder} lies on a network file system`;
        } catch (error) {
          if (systemErrorCode(error) === null) throw error;
          if (systemErrorCode(error) !== "ENOENT") unwatched = unwatchedText(folder, error);
        }
      }
      return unwatched;
    },
    [Symbol.dispose]: silence,
  };
}

/**
 * Watches whether the file is moved to its real path, and written to after that. Unlike the bell, it is never renewed
 * while the path leads to the same file, so that it misses no write.
 */
export function createMoveWatch(file: WatchedFile, events: FolderEvents) {
  let watching: Disposable | null = null;
  let watched: string | null = null;
  let isMovedIn = false;
  const end = (): void => {
    watching?.[Symbol.dispose]();
    watching = null;
    isMovedIn = false;
  };
  return {
    /** True: no write was seen since the file came. A file that was just created has no content yet. */
    get isMovedIn() {
      return isMovedIn;
    },
    /** Watches where the path leads now. A folder that cannot be watched gives no evidence. */
    async arm(): Promise<void> {
      const real = await file.realPath(file.path);
      if (real === null || (watching !== null && real === watched)) return;
      end();
      watched = real;
      const folder = dirname(real);
      if (!file.isHere(folder)) return;
      try {
        const own = events.watch(folder, {
          onName(name, isMove = false) {
            if (watching !== own) return;
            if (name === null || name === basename(folder)) end();
            else if (name === basename(real)) isMovedIn = isMove;
          },
          onEnd: () => watching === own && end(),
        });
        watching = own;
      } catch (error) {
        if (systemErrorCode(error) === null) throw error;
      }
    },
    [Symbol.dispose]: end,
  };
}

/** The real paths of the file's folders, each with the names to watch in it. */
async function foldersOf(file: WatchedFile): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const folders = new Map<string, Set<string>>();
  const add = (folder: string, name: string): void => {
    folders.set(folder, (folders.get(folder) ?? new Set()).add(name));
  };
  const name = basename(file.path);
  const [folder, real] = await Promise.all([file.realPath(dirname(file.path)), file.realPath(file.path)]);
  if (real !== null) add(dirname(real), basename(real));
  if (folder === null) return folders;
  add(folder, name);
  if (real === join(folder, name) || !file.isHere(folder)) return folders;
  // In a Kubernetes volume the file's symlink leads through another symlink in the same folder, `..data`.
  const [next = ""] = normalize(await readlink(join(folder, name)).catch(() => "")).split("/");
  if (next !== "" && next !== "." && next !== "..") add(folder, next);
  return folders;
}

function unwatchedText(path: string, error: unknown): string {
  switch (systemErrorCode(error)) {
    case "ENOSPC":
      return "the system's limit of file watches is reached (fs.inotify.max_user_watches)";
    case "EMFILE":
    case "ENFILE":
      return "the system's limit of file watchers is reached (fs.inotify.max_user_instances)";
    default:
      return `${path} cannot be watched: ${errorText(error)}`;
  }
}
