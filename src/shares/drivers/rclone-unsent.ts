// Owns finding what was written to a share and is not yet on its server: rclone notes it on the local disk.
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureFolder, entryExists } from "../../runtime/durable-file.ts";
import { systemErrorCode } from "../../runtime/errors.ts";
import { REMOTE_NAME } from "./rclone-files.ts";

/** A share with more files in its write cache is not looked through further. */
const NOTES_AT_MOST = 20_000;
const AT_ONCE = 16;

interface Note {
  readonly mtimeMs: number;
  readonly size: number;
  /** `torn`: rclone is writing it just now, or was killed while it did. */
  readonly state: "sent" | "unsent" | "torn";
}

export interface UnsentWrites {
  /** Paths inside the share, sorted. A missing cache has none. */
  of(cacheFolder: string, shareName: string): Promise<readonly string[]>;
  /** Whether rclone, killed now, would leave a note that it cannot read again, and so lose what it is about. */
  unsettled(cacheFolder: string): Promise<boolean>;
  /**
   * Moves what rclone would throw away, files whose notes it cannot read (it crashed while it wrote them), to
   * `toFolder`. Call while no rclone uses the cache. Gives the paths they have there.
   */
  setAsideTorn(cacheFolder: string, toFolder: string): Promise<readonly string[]>;
}

/** Notes are read again only when they changed. */
export function createUnsentWrites(): UnsentWrites {
  const byFolder = new Map<string, Map<string, Note>>();
  const notesIn = async (root: string): Promise<ReadonlyMap<string, Note>> => {
    const known = byFolder.get(root) ?? new Map<string, Note>();
    const next = new Map<string, Note>();
    const paths = await listFiles(root);
    for (let index = 0; index < paths.length; index += AT_ONCE) {
      const some = paths.slice(index, index + AT_ONCE);
      const notes = await Promise.all(some.map((path) => readNote(join(root, path), known.get(path))));
      notes.forEach((note, offset) => {
        const path = some[offset];
        if (note !== null && path !== undefined) next.set(path, note);
      });
    }
    byFolder.set(root, next);
    return next;
  };
  return {
    async of(cacheFolder, shareName) {
      const notes = await notesIn(join(cacheFolder, "vfsMeta", REMOTE_NAME, shareName));
      return [...notes]
        .filter(([, { state }]) => state !== "sent")
        .map(([path]) => path)
        .sort();
    },
    async unsettled(cacheFolder) {
      const notes = await notesIn(join(cacheFolder, "vfsMeta"));
      return notes.values().some(({ state }) => state === "torn");
    },
    async setAsideTorn(cacheFolder, toFolder) {
      const aside: string[] = [];
      for (const [path, { state }] of await notesIn(join(cacheFolder, "vfsMeta"))) {
        if (state !== "torn") continue;
        const to = join(toFolder, path);
        await ensureFolder(dirname(to), 0o700);
        const kept = await unusedName(to);
        if (await moved(join(cacheFolder, "vfs", path), kept)) aside.push(kept);
        await rm(join(cacheFolder, "vfsMeta", path), { force: true });
      }
      return aside;
    },
  };
}

async function unusedName(path: string): Promise<string> {
  for (let count = 0; ; count++) {
    const name = count === 0 ? path : `${path} ${count}`;
    if (!(await entryExists(name))) return name;
  }
}

async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function listFiles(root: string): Promise<readonly string[]> {
  const files: string[] = [];
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await entriesOf(join(root, folder))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else files.push(path);
      if (files.length + folders.length >= NOTES_AT_MOST) return files;
    }
  }
  return files;
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

async function readNote(path: string, known: Note | undefined): Promise<Note | null> {
  try {
    const { mtimeMs, size } = await stat(path);
    if (known?.mtimeMs === mtimeMs && known.size === size && known.state !== "torn") return known;
    return { mtimeMs, size, state: stateOf(await readFile(path, "utf8")) };
  } catch (error) {
    // Sent and expired meanwhile.
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}

function stateOf(text: string): Note["state"] {
  try {
    const note: unknown = JSON.parse(text);
    return typeof note === "object" && note !== null && "Dirty" in note && note.Dirty === true
      ? "unsent"
      : "sent";
  } catch {
    return "torn";
  }
}
