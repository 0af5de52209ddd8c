// The empty folder below a mount. The folder exists only while something is mounted on it. Files that programs write into
// it before the mount are set aside: the mount would hide them, and nothing would send them to the server.
import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorText, isSystemError, recoverFrom, systemErrorCode } from "../../runtime/errors.ts";
import { ensureFolder, readIfPresent } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { list, nullable, object, reader, type TypeOf, text } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { type Failed, failed, failedBy } from "./mount-failure.ts";
import { type ShareLocation, writeUnlessFull } from "./share-files.ts";

type MountFolder =
  /**
   * `bare`: a handle of the folder itself, valid even when something is mounted over it; the caller closes
   * it.
   */
  { readonly ok: true; readonly bare: FileHandle } | Failed;

/** Maximum number of tries to replace the folder: a program may write into it between two tries. */
const TRIES = 5;
const LISTED_FOR_MS = 10_000;
/** Maximum length of a name before its suffix, bytes: with the suffix, any file system accepts it. */
const NAME_AT_MOST = 180;
/** A disk with less free space, or fewer free inodes, counts as full. */
const ROOM_AT_LEAST = 1_048_576;
const FILES_AT_LEAST = 100;
/** fusermount requires that every user but root may write into the folder. */
const MODE = process.getuid?.() === 0 ? 0o555 : 0o755;

export type MountFolders = ReturnType<typeof createMountFolders>;

export function createMountFolders({ clock, logger }: { clock: Clock; logger: Logger }) {
  const notes = createFolderNotes();
  const aside = createAsideList(clock, logger, notes);

  /**
   * Picks a folder to set files aside in, and notes it before it exists: after a crash, the note still tells
   * where the files went.
   */
  const newPlace = async (place: ShareLocation): Promise<string> => {
    const folder = await unusedPlace(place.mountPath, clock.wallMs());
    const before = await notes.read(place);
    await notes.write(place, { aside: [...(await stillHolding(before.aside)), folder] });
    return folder;
  };
  const setAsideWhole = async (place: ShareLocation): Promise<void> => {
    const folder = await newPlace(place);
    await rename(place.mountPath, folder);
    await chmod(folder, 0o700);
    aside.added(place, folder, (await readdir(folder)).length);
  };

  return {
    /**
     * Makes sure that an empty folder is at the mount path. Call it just before mounting, and only when nothing is
     * mounted there. After a failure remove nothing: Mountaineer did not make what is at the path.
     */
    async ensure(place: ShareLocation): Promise<MountFolder> {
      const { mountPath } = place;
      try {
        await ensureFolder(dirname(mountPath), 0o755);
        for (let tries = 0; tries < TRIES; tries++) {
          const blocked = await makeWay(notes, place, setAsideWhole);
          if (blocked !== null) return blocked;
          const placed = await placeNew(notes, place);
          if (placed !== null) return placed;
        }
        return taken(mountPath, "made by someone again and again");
      } catch (error) {
        return failedBy(error, null);
      }
    },
    /** Sets aside files that were written just before the mount. Call it once the share is mounted. Never rejects. */
    async uncover(place: ShareLocation, bare: FileHandle): Promise<void> {
      const below = `/proc/self/fd/${bare.fd}`;
      try {
        const names = await readdir(below);
        if (names.length === 0) return;
        const folder = await newPlace(place);
        await mkdir(folder, { mode: 0o700 });
        for (const name of names) await rename(join(below, name), join(folder, name));
        aside.added(place, folder, names.length);
      } catch (error) {
        // The files stay under the mount, and are visible again after the next unmount.
        logger.warn("cannot set aside the files under the mount point", {
          share: place.shareName,
          error: errorText(error),
        });
      }
    },
    /**
     * Removes the folder, so that no program writes into it, and sets its content aside. Touches only a folder that a
     * daemon with this home folder made, or, with `isShares`, also an empty folder of any other origin. Does nothing
     * while something is mounted on the folder, or while the disk is full. Never rejects.
     */
    async clear(place: ShareLocation, isShares: boolean): Promise<void> {
      try {
        const { path, identity } = await notes.read(place);
        if (path !== place.mountPath && !isShares) return;
        if (await isFull(dirname(place.mountPath))) return;
        const failure = await rmdir(place.mountPath).then(() => null, systemErrorCode);
        if (failure === null) {
          // The next folder at this path may get the same inode number without being ours.
          if (identity !== null) await notes.write(place, { identity: null });
          return;
        }
        // A mount answers EBUSY; it may hang, so it must not be read.
        const holds = failure === "ENOTEMPTY" || failure === "EEXIST";
        if (holds && (await notes.isOurs(place))) await setAsideWhole(place);
      } catch (error) {
        logger.warn("mount folder not removed", { share: place.shareName, error: errorText(error) });
      }
    },
    /** Lists the folders that hold files which were set aside. The list is cached; the call never rejects. */
    setAside: aside.list,
    /** Call it after other code has set files aside: the cached list is then outdated. */
    changed: aside.forget,
  };
}

function createAsideList(clock: Clock, logger: Logger, notes: FolderNotes) {
  const listed = new Map<string, { readonly atMs: number; readonly folders: readonly string[] }>();
  const forget = (shareName: string): void => void listed.delete(shareName);
  return {
    forget,
    added({ shareName }: ShareLocation, folder: string, entries: number): void {
      forget(shareName);
      logger.warn("files set aside", { share: shareName, folder, entries });
    },
    async list(place: Pick<ShareLocation, "shareName" | "files">): Promise<readonly string[]> {
      const { shareName, files } = place;
      const before = listed.get(shareName);
      const nowMs = clock.monotonicMs();
      if (before !== undefined && nowMs - before.atMs < LISTED_FOR_MS) return before.folders;
      try {
        const { aside } = await notes.learn(place);
        const folders = await stillHolding([...aside, files.setAside]);
        listed.set(shareName, { atMs: nowMs, folders });
        return folders;
      } catch (error) {
        logger.debug("set aside files not looked up", { share: shareName, error: errorText(error) });
        return before?.folders ?? [];
      }
    },
  };
}

type FolderNotes = ReturnType<typeof createFolderNotes>;

/**
 * Notes about the shares' folders: read once, written at each change. At a handover, the old daemon may still
 * finish a step and set a folder aside while the new one runs: neither may overwrite what the other has
 * noted.
 */
function createFolderNotes() {
  type Noted = Pick<ShareLocation, "shareName" | "files">;
  const known = new Map<string, FolderNote>();
  const learn = async ({ shareName, files }: Noted): Promise<FolderNote> => {
    const found = parseFolderNote(await readIfPresent(files.mountFolder));
    const before = known.get(shareName);
    const now =
      before === undefined ? found : { ...before, aside: [...new Set([...found.aside, ...before.aside])] };
    known.set(shareName, now);
    return now;
  };
  const read = async (place: Noted): Promise<FolderNote> => known.get(place.shareName) ?? learn(place);
  return {
    read,
    /** Reads the notes again, because another daemon or module may have added to them. */
    learn,
    async write(place: ShareLocation, change: Partial<FolderNote>): Promise<void> {
      const before = await read(place);
      const now = await learn(place);
      const ofOthers = now.aside.filter((folder) => !before.aside.includes(folder));
      const next = { ...now, ...change, aside: [...ofOthers, ...(change.aside ?? before.aside)] };
      known.set(place.shareName, next);
      // On a full disk the note stays in this process's memory.
      await writeUnlessFull(place.files.mountFolder, `${JSON.stringify(next)}\n`);
    },
    async isOurs(place: ShareLocation): Promise<boolean> {
      const { identity } = await read(place);
      return identity !== null && identity === (await identityOf(place.mountPath));
    },
  };
}

async function reuse(notes: FolderNotes, place: ShareLocation): Promise<MountFolder> {
  const { mountPath } = place;
  await notes.write(place, { path: mountPath, identity: await identityOf(mountPath) });
  return { ok: true, bare: await open(mountPath, "r") };
}

/**
 * Makes the folder under a hidden name, notes it, and moves it to the mount path; null: the path is taken. Programs
 * can write into the folder only at the mount path, so its note is always older than its content.
 */
async function placeNew(notes: FolderNotes, place: ShareLocation): Promise<MountFolder | null> {
  const { mountPath } = place;
  // The name is always the same, so that the next attempt finds and removes a folder that a crash has left.
  const hidden = join(dirname(mountPath), `.${shortened(basename(mountPath))}.mountaineer-new`);
  await rmdir(hidden).catch(() => {});
  await mkdir(hidden, { mode: MODE });
  await notes.write(place, { path: mountPath, identity: await identityOf(hidden) });
  const isTaken = recoverFrom(["ENOTEMPTY", "EEXIST", "ENOTDIR"], false);
  const isPlaced = await rename(hidden, mountPath).then(() => true, isTaken);
  return isPlaced ? { ok: true, bare: await open(mountPath, "r") } : null;
}

/**
 * Frees the mount path. Resolves with null if the path is free now, otherwise with an empty folder to use, or with
 * the failure.
 */
async function makeWay(
  notes: FolderNotes,
  place: ShareLocation,
  setAsideWhole: (place: ShareLocation) => Promise<void>,
): Promise<MountFolder | null> {
  const { mountPath } = place;
  // An empty folder of ours is reused: a full disk may have no room for a new one.
  if ((await notes.isOurs(place)) && (await readdir(mountPath)).length === 0) return reuse(notes, place);
  try {
    await rmdir(mountPath);
    return null;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") return null;
    if (code === "ENOTDIR")
      return taken(mountPath, (await lstat(mountPath)).isSymbolicLink() ? "a link" : "a file");
    if (code === "EBUSY") throw error;
  }
  const inside = await readdir(mountPath);
  // This user may not remove the folder, but it is empty and can be used.
  if (inside.length === 0) return reuse(notes, place);
  if (!(await notes.isOurs(place)))
    return taken(mountPath, `a folder with ${inside.length} ${inside.length === 1 ? "entry" : "entries"}`);
  await setAsideWhole(place);
  return null;
}

async function stillHolding(folders: readonly string[]): Promise<readonly string[]> {
  const hasEntries = await Promise.all(
    folders.map(async (folder) => {
      // A folder that cannot be read may hold something.
      const names = await readdir(folder)
        .catch(recoverFrom("ENOENT", []))
        .catch(recoverFrom(isSystemError, null));
      return names?.length !== 0;
    }),
  );
  return folders.filter((_, index) => hasEntries[index]);
}

/** Whether the disk may be too full to make the folder again once it is removed. */
async function isFull(folder: string): Promise<boolean> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(folder);
  return (blocks > 0 && bavail * bsize < ROOM_AT_LEAST) || (files > 0 && ffree < FILES_AT_LEAST);
}

async function unusedPlace(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replace(/[-:]|\.\d+/g, "");
  const place = join(dirname(path), `${shortened(basename(path))}.set-aside-${time}`);
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? place : `${place}-${count}`;
    if ((await identityOf(candidate)) === null) return candidate;
  }
}

/** Cuts a long name, so that there is room for a suffix. */
function shortened(name: string): string {
  if (Buffer.byteLength(name) <= NAME_AT_MOST) return name;
  return Buffer.from(name)
    .subarray(0, NAME_AT_MOST)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
}

async function identityOf(path: string): Promise<string | null> {
  const found = await lstat(path, { bigint: true }).catch(recoverFrom("ENOENT", null));
  if (found === null) return null;
  const { dev, ino, birthtimeNs } = found;
  // Inode numbers are reused, and some devices get another number at each start of the machine; birth times stay.
  return birthtimeNs > 0n ? `${ino}@${birthtimeNs}` : `${dev}:${ino}`;
}

function taken(path: string, by: string): MountFolder {
  return failed("path_taken", `${path} is ${by}; nothing is mounted over it`);
}

/** The note about the folder below a share's mount. */
const noteShape = object({
  path: nullable(text),
  /** The folder's identity; null: there is no folder of ours. */
  identity: nullable(text),
  /** Folders to which content was moved; they may be gone by now. */
  aside: list(text),
});
type FolderNote = Readonly<TypeOf<typeof noteShape>>;
const storedNote = reader(noteShape);
const NO_NOTE: FolderNote = { path: null, identity: null, aside: [] };

/** A note that cannot be read counts as missing. */
function parseFolderNote(content: string | null): FolderNote {
  return storedNote({ ...NO_NOTE, ...jsonObject(content ?? "") }) ?? NO_NOTE;
}
