// What the OS tells of the folders that a file lies in (inotify, FSEvents, kqueue): its own folder, and the one that links
// lead to. Nothing else on the way is watched.
import { type FSWatcher, watch } from "node:fs";
import { readlink } from "node:fs/promises";
import { basename, dirname, join, normalize } from "node:path";
import { errorText, systemErrorCode } from "../runtime/errors.ts";
import type { WatchedFile } from "./watched-file.ts";

export interface FolderListener {
  /** A name in the folder changed; null: the OS does not say which. The folder's own end bears its own name. */
  readonly onName: (name: string | null) => void;
  /** No more events will come. */
  readonly onEnd: () => void;
}

/** The OS, as far as watching folders goes. */
export interface FolderEvents {
  /** Throws a system error: ENOENT, EMFILE, ENOSPC … Events may come from now on, never synchronously. */
  watch(folder: string, listener: FolderListener): Disposable;
}

/** The real one. Its watches do not keep the process alive. */
export const systemFolderEvents: FolderEvents = {
  watch(folder, { onName, onEnd }) {
    const watcher: FSWatcher = watch(folder, { persistent: false }, (_event, name) => onName(name));
    watcher.on("error", onEnd);
    return { [Symbol.dispose]: () => watcher.close() };
  },
};

/** Silent at first. `onRing`: the file may have changed, or what its path names. */
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
     * Watches anew the folders that the path leads through now. Resolves with why one of them is not watched (null: they
     * are, or are not there). Not to be called while it runs.
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

/** Physical folders, each with the names in it that matter. */
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
  // As Kubernetes does it: the link leads on by another link in the same folder, `..data`.
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
