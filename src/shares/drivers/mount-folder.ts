// The empty folder below a mount. The folder exists only while something is mounted on it. Files that programs write into
// it before the mount are set aside: the mount would hide them, and nothing would send them to the server.

import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorText, isSystemError, recoverFrom, systemErrorCode } from "../../runtime/errors.ts";
import { ensureFolder, readIfPresent } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { list, nullable, object, reader, type TypeOf, text } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { trimEnd } from "../../runtime/text/trim-end.ts";
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
const FREE_BYTES_AT_LEAST = 1_048_576;
const FILES_AT_LEAST = 100;
/** fusermount requires that every user but root may write into the folder. */
const MODE = process.getuid?.() === 0 ? 0o555 : 0o755;

export type MountFolders = ReturnType<typeof createMountFolders>;

export function createMountFolders({ clock, logger }: { clock: Clock; logger: Logger }) {
  const records = createFolderRecords();
  const aside = createAsideList(clock, logger, records);

  /**
   * Picks a folder to set files aside in, and notes it before it exists: after a crash, the note still tells
   * where the files went.
   */
  const createFolder = async (location: ShareLocation): Promise<string> => {
    const folder = await unusedPath(location.mountPath, clock.wallMs());
    const before = await records.read(location);
    await records.write(location, { aside: [...(await stillNonEmpty(before.aside)), folder] });
    return folder;
  };
  const setAsideWhole = async (location: ShareLocation): Promise<void> => {
    const folder = await createFolder(location);
    await rename(location.mountPath, folder);
    await chmod(folder, 0o700);
    aside.added(location, folder, (await readdir(folder)).length);
  };

  return {
    /**
     * Makes sure that an empty folder is at the mount path. Call it just before mounting, and only when nothing is
     * mounted there. After a failure remove nothing: Mountaineer did not make what is at the path.
     */
    async ensure(location: ShareLocation): Promise<MountFolder> {
      const { mountPath } = location;
      try {
        await ensureFolder(dirname(mountPath), 0o755);
        for (let tries = 0; tries < TRIES; tries++) {
          const blocked = await freeMountPath(records, location, setAsideWhole);
          if (blocked !== null) return blocked;
          const placed = await createAtMountPath(records, location);
          if (placed !== null) return placed;
        }
        return taken(mountPath, "recreated by another program each time");
      } catch (error) {
        return failedBy(error, null);
      }
    },
    /** Sets aside files that were written just before the mount. Call it once the share is mounted. Never rejects. */
    async uncover(location: ShareLocation, bare: FileHandle): Promise<void> {
      const below = `/proc/self/fd/${bare.fd}`;
      try {
        const names = await readdir(below);
        if (names.length === 0) return;
        const folder = await createFolder(location);
        await mkdir(folder, { mode: 0o700 });
        for (const name of names) await rename(join(below, name), join(folder, name));
        aside.added(location, folder, names.length);
      } catch (error) {
        // The files stay under the mount, and are visible again after the next unmount.
        logger.warn("cannot set aside the files under the mount point", {
          share: location.shareName,
          error: errorText(error),
        });
      }
    },
    /**
     * Removes the folder, so that no program writes into it, and sets its content aside. Touches only a folder that a
     * daemon with this home folder made, or, with `isShares`, also an empty folder of any other origin. Does nothing
     * while something is mounted on the folder, or while the disk is full. Never rejects.
     */
    async clear(location: ShareLocation, isShares: boolean): Promise<void> {
      try {
        const { path, identity } = await records.read(location);
        if (path !== location.mountPath && !isShares) return;
        if (await isFull(dirname(location.mountPath))) return;
        const failure = await rmdir(location.mountPath).then(() => null, systemErrorCode);
        if (failure === null) {
          // The next folder at this path may get the same inode number without being ours.
          if (identity !== null) await records.write(location, { identity: null });
          return;
        }
        // A mount answers EBUSY; it may hang, so it must not be read.
        const isOccupied = failure === "ENOTEMPTY" || failure === "EEXIST";
        if (isOccupied && (await records.isOurs(location))) await setAsideWhole(location);
      } catch (error) {
        logger.warn("mount folder not removed", { share: location.shareName, error: errorText(error) });
      }
    },
    /** Lists the folders that hold files which were set aside. The list is cached; the call never rejects. */
    setAside: aside.list,
  };
}

function createAsideList(clock: Clock, logger: Logger, records: FolderRecords) {
  const listed = new Map<string, { readonly atMs: number; readonly folders: readonly string[] }>();
  return {
    added({ shareName }: ShareLocation, folder: string, entries: number): void {
      listed.delete(shareName);
      logger.warn("files set aside", { share: shareName, folder, entries });
    },
    async list(location: Pick<ShareLocation, "shareName" | "files">): Promise<readonly string[]> {
      const { shareName, files } = location;
      const before = listed.get(shareName);
      const nowMs = clock.monotonicMs();
      if (before !== undefined && nowMs - before.atMs < LISTED_FOR_MS) return before.folders;
      try {
        const { aside } = await records.learn(location);
        const folders = await stillNonEmpty([...aside, files.setAside]);
        listed.set(shareName, { atMs: nowMs, folders });
        return folders;
      } catch (error) {
        logger.debug("set aside files not looked up", { share: shareName, error: errorText(error) });
        return before?.folders ?? [];
      }
    },
  };
}

type FolderRecords = ReturnType<typeof createFolderRecords>;

/**
 * Notes about the shares' folders: read once, written at each change. At a handover, the old daemon may still
 * finish a step and set a folder aside while the new one runs: neither may overwrite what the other has
 * noted.
 */
function createFolderRecords() {
  type RecordLocation = Pick<ShareLocation, "shareName" | "files">;
  const known = new Map<string, FolderRecord>();
  const learn = async ({ shareName, files }: RecordLocation): Promise<FolderRecord> => {
    const found = parseFolderRecord(await readIfPresent(files.mountFolder));
    const before = known.get(shareName);
    const now =
      before === undefined ? found : { ...before, aside: [...new Set([...found.aside, ...before.aside])] };
    known.set(shareName, now);
    return now;
  };
  const read = async (location: RecordLocation): Promise<FolderRecord> =>
    known.get(location.shareName) ?? learn(location);
  return {
    read,
    /** Reads the notes again, because another daemon or module may have added to them. */
    learn,
    async write(location: ShareLocation, change: Partial<FolderRecord>): Promise<void> {
      const before = await read(location);
      const now = await learn(location);
      const ofOthers = now.aside.filter((folder) => !before.aside.includes(folder));
      const next = { ...now, ...change, aside: [...ofOthers, ...(change.aside ?? before.aside)] };
      known.set(location.shareName, next);
      // On a full disk the note stays in this process's memory.
      await writeUnlessFull(location.files.mountFolder, `${JSON.stringify(next)}\n`);
    },
    async isOurs(location: ShareLocation): Promise<boolean> {
      const { identity } = await read(location);
      return identity !== null && identity === (await identityOf(location.mountPath));
    },
  };
}

async function reuse(records: FolderRecords, location: ShareLocation): Promise<MountFolder> {
  const { mountPath } = location;
  await records.write(location, { path: mountPath, identity: await identityOf(mountPath) });
  return { ok: true, bare: await open(mountPath, "r") };
}

/**
 * Makes the folder under a hidden name, notes it, and moves it to the mount path; null: the path is taken. Programs
 * can write into the folder only at the mount path, so its note is always older than its content.
 */
async function createAtMountPath(
  records: FolderRecords,
  location: ShareLocation,
): Promise<MountFolder | null> {
  const { mountPath } = location;
  // The name is always the same, so that the next attempt finds and removes a folder that a crash has left.
  const hidden = join(dirname(mountPath), `.${shortened(basename(mountPath))}.mountaineer-new`);
  await rmdir(hidden).catch(() => {});
  await mkdir(hidden, { mode: MODE });
  await records.write(location, { path: mountPath, identity: await identityOf(hidden) });
  const isTaken = recoverFrom(["ENOTEMPTY", "EEXIST", "ENOTDIR"], false);
  const isPlaced = await rename(hidden, mountPath).then(() => true, isTaken);
  return isPlaced ? { ok: true, bare: await open(mountPath, "r") } : null;
}

/**
 * Frees the mount path. Resolves with null if the path is free now, otherwise with an empty folder to use, or with
 * the failure.
 */
async function freeMountPath(
  records: FolderRecords,
  location: ShareLocation,
  setAsideWhole: (location: ShareLocation) => Promise<void>,
): Promise<MountFolder | null> {
  const { mountPath } = location;
  // An empty folder of ours is reused: a full disk may have no room for a new one.
  if ((await records.isOurs(location)) && (await readdir(mountPath)).length === 0)
    return reuse(records, location);
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
  if (inside.length === 0) return reuse(records, location);
  if (!(await records.isOurs(location)))
    return taken(mountPath, `a folder with ${inside.length} ${inside.length === 1 ? "entry" : "entries"}`);
  await setAsideWhole(location);
  return null;
}

async function stillNonEmpty(folders: readonly string[]): Promise<readonly string[]> {
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
  return (blocks > 0 && bavail * bsize < FREE_BYTES_AT_LEAST) || (files > 0 && ffree < FILES_AT_LEAST);
}

async function unusedPath(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replace(/[-:]|\.\d+/g, "");
  const unused = join(dirname(path), `${shortened(basename(path))}.set-aside-${time}`);
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? unused : `${unused}-${count}`;
    if ((await identityOf(candidate)) === null) return candidate;
  }
}

/** Cuts a long name, so that there is room for a suffix. */
function shortened(name: string): string {
  if (Buffer.byteLength(name) <= NAME_AT_MOST) return name;
  return trimEnd(Buffer.from(name).subarray(0, NAME_AT_MOST).toString("utf8"), "\uFFFD");
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
const recordShape = object({
  path: nullable(text),
  /** The folder's identity; null: there is no folder of ours. */
  identity: nullable(text),
  /** Folders to which content was moved; they may be gone by now. */
  aside: list(text),
});
type FolderRecord = Readonly<TypeOf<typeof recordShape>>;
const storedRecord = reader(recordShape);
const NO_RECORD: FolderRecord = { path: null, identity: null, aside: [] };

/** A note that cannot be read counts as missing. */
function parseFolderRecord(content: string | null): FolderRecord {
  return storedRecord({ ...NO_RECORD, ...jsonObject(content ?? "") }) ?? NO_RECORD;
}
