// The folders that a path's meaning depends on: a change in one of them may make the path name another file.
import { lstat, readlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { saysMissing } from "./watched-file.ts";

export interface PathFolders {
  /** Physical folders, each with the names in it that matter. */
  readonly folders: ReadonlyMap<string, ReadonlySet<string>>;
  /** Where the walk had to end, because what lies there is not to be touched from here; null: nowhere. */
  readonly notHere: string | null;
}

/** As many symlinks as Linux itself follows. */
const MAX_LINKS = 40;

/**
 * Walks an absolute path as the kernel does. For the file, for each symlink on the way and for the first name that is
 * missing: the folder that holds it, and that folder's own parent. Rejects when a step cannot be looked at.
 */
export async function findPathFolders(path: string, isHere: (path: string) => boolean): Promise<PathFolders> {
  const folders = new Map<string, Set<string>>();
  const add = (folder: string, name: string): void => {
    const names = folders.get(folder) ?? new Set();
    folders.set(folder, names.add(name));
  };
  const addWithParent = (folder: string, name: string): void => {
    add(folder, name);
    if (folder !== "/") add(dirname(folder), basename(folder));
  };

  let folder = "/";
  let rest = namesOf(path);
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === "..") {
      folder = dirname(folder);
      continue;
    }
    const at = join(folder, name);
    if (!isHere(at)) {
      addWithParent(folder, name);
      return { folders, notHere: at };
    }
    const found = await kindOf(at);
    if (found === "folder" && rest.length > 0) {
      folder = at;
      continue;
    }
    addWithParent(folder, name);
    if (found !== "link") break;
    links += 1;
    if (links > MAX_LINKS) break;
    const target = await readlink(at);
    if (target.startsWith("/")) folder = "/";
    rest = [...namesOf(target), ...rest];
  }
  return { folders, notHere: null };
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

async function kindOf(path: string): Promise<"folder" | "link" | "other"> {
  try {
    const found = await lstat(path);
    if (found.isSymbolicLink()) return "link";
    return found.isDirectory() ? "folder" : "other";
  } catch (error) {
    if (saysMissing(error)) return "other";
    throw error;
  }
}
