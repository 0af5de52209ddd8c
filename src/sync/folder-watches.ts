// The folder watches that a path needs now; each is renewed when its folder is replaced.
import { errorText, systemErrorCode } from "../runtime/errors.ts";
import type { FolderEvents } from "./folder-events.ts";

/** More folders than any sane path passes through; each costs a kernel watch of a limited number. */
export const MAX_FOLDER_WATCHES = 64;

interface FolderWatchesOptions {
  readonly events: FolderEvents;
  readonly path: string;
  readonly isHere: (path: string) => boolean;
  /** Something that the path depends on may have changed. */
  readonly onEvent: () => void;
}

interface Armed {
  /** null: to be armed anew, whatever stands there. */
  identity: string | null;
  readonly watch: Disposable;
  names: ReadonlySet<string>;
}

/** None is armed at first. */
export function createFolderWatches({ events, path, isHere, onEvent }: FolderWatchesOptions) {
  const armed = new Map<string, Armed>();
  let disposed = false;

  const disarm = (folder: string): void => {
    armed.get(folder)?.watch[Symbol.dispose]();
    armed.delete(folder);
  };
  const armFolder = (folder: string, identity: string, names: ReadonlySet<string>): void => {
    const ownName = folder.slice(folder.lastIndexOf("/") + 1);
    const watch = events.watch(folder, {
      onName(name) {
        const current = armed.get(folder);
        if (disposed || current?.watch !== watch) return;
        // The folder's own end: the next one at its path may well get the same inode number.
        if (name === ownName) current.identity = null;
        if (name === null || name === ownName || current.names.has(name)) onEvent();
      },
      onEnd() {
        if (disposed || armed.get(folder)?.watch !== watch) return;
        disarm(folder);
        onEvent();
      },
    });
    armed.set(folder, { identity, watch, names });
  };
  const ensure = async (folder: string, names: ReadonlySet<string>): Promise<boolean> => {
    const identity = await events.identityOf(folder);
    if (disposed) return false;
    const current = armed.get(folder);
    if (current !== undefined && current.identity === identity) {
      current.names = names;
      return false;
    }
    disarm(folder);
    // Gone since the walk: the watch on its parent tells when it is back.
    if (identity === null) return current !== undefined;
    armFolder(folder, identity, names);
    return true;
  };

  return {
    /**
     * Makes the watches those that the path needs now. Resolves with whether any was made new, and why some part of the
     * path is not watched (null: all of it is). System errors are part of the answer. Not to be called while it runs.
     */
    async arm(): Promise<{ readonly renewed: boolean; readonly unwatched: string | null }> {
      let renewed = false;
      let unwatched: string | null = null;
      try {
        const { folders, notHere } = await events.findFolders(path, isHere);
        if (notHere !== null) unwatched = `${notHere} lies on a network file system`;
        const wanted = [...folders].slice(0, MAX_FOLDER_WATCHES);
        if (folders.size > wanted.length) unwatched = `${path} passes through ${folders.size} folders`;
        const names = new Set(wanted.map(([folder]) => folder));
        for (const folder of [...armed.keys()]) if (!names.has(folder)) disarm(folder);
        for (const [folder, namesInIt] of wanted) {
          try {
            renewed = (await ensure(folder, namesInIt)) || renewed;
          } catch (error) {
            if (systemErrorCode(error) === null) throw error;
            if (systemErrorCode(error) !== "ENOENT") unwatched = unwatchedText(folder, error);
          }
        }
      } catch (error) {
        if (systemErrorCode(error) === null) throw error;
        unwatched = unwatchedText(path, error);
      }
      return { renewed, unwatched };
    },
    [Symbol.dispose]() {
      disposed = true;
      for (const folder of [...armed.keys()]) disarm(folder);
    },
  };
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
