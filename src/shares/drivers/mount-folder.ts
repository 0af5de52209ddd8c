// Owns the bare folder that a mount stands on: there only while something is mounted, and what programs wrote into it
// meanwhile is set aside, because it would be hidden below the mount and never get to the server.
import type { Stats } from "node:fs";
import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { ensureFolder, readIfPresent } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountFailure } from "./mount-driver.ts";
import { isDiskFull, type ShareFiles, writeIfChanged } from "./share-files.ts";

type MountFolder =
  /** `bare` reaches the folder itself when something is mounted over it; the caller closes it. */
  | { readonly ok: true; readonly bare: FileHandle }
  | { readonly ok: false; readonly reason: MountFailure; readonly text: string };

export interface MountFolders {
  /** An empty folder at `path`, just before something is mounted there. Call only when nothing is mounted there. */
  ensure(shareName: string, files: ShareFiles, path: string): Promise<MountFolder>;
  /** Once something is mounted: sets aside what was written just before. Never rejects. */
  uncover(shareName: string, files: ShareFiles, path: string, bare: FileHandle): Promise<void>;
  /**
   * Removes the folder, so that nobody writes into it; what is in it is set aside. Touches only a folder of ours, or
   * with `isShares` an empty one; nothing while something is mounted there, or the disk is full. Never rejects.
   */
  clear(shareName: string, files: ShareFiles, path: string, isShares: boolean): Promise<void>;
  /** Folders that hold what was set aside, as long as they do. Cached; never rejects. */
  setAside(shareName: string, files: ShareFiles): Promise<readonly string[]>;
  /** Something was set aside by others: what is cached is old. */
  changed(shareName: string): void;
}

/** A writer may fill the folder again while it is being replaced. */
const TRIES = 5;
const LISTED_FOR_MS = 10_000;
/** Bytes of a file name on any file system, less what the suffix needs. */
const NAME_AT_MOST = 180;
/** With less room, bytes and files, a disk counts as full. */
const ROOM_AT_LEAST = 1_048_576;
const FILES_AT_LEAST = 100;
/** fusermount asks of everyone but root that they may write into the folder. */
const MODE = process.getuid?.() === 0 ? 0o555 : 0o755;

export function createMountFolders({ clock, logger }: { clock: Clock; logger: Logger }): MountFolders {
  const notes = new Map<string, FolderNote>();

  const noteOf = async (shareName: string, files: ShareFiles): Promise<FolderNote> => {
    const known = notes.get(shareName);
    if (known !== undefined) return known;
    const read = parseFolderNote(await readIfPresent(files.mountFolder));
    const now = notes.get(shareName);
    if (now !== undefined) return now;
    notes.set(shareName, read);
    return read;
  };
  const note = async (shareName: string, files: ShareFiles, change: Partial<FolderNote>): Promise<void> => {
    const next = { ...(await noteOf(shareName, files)), ...change };
    notes.set(shareName, next);
    try {
      await writeIfChanged(files.mountFolder, folderNoteText(next));
    } catch (error) {
      // While this process runs it is known anyway.
      if (!isDiskFull(error)) throw error;
    }
  };
  const isOurs = async (shareName: string, files: ShareFiles, path: string): Promise<boolean> => {
    const known = await noteOf(shareName, files);
    if (known.path !== path || known.identity === null) return false;
    return known.identity === (await identityOf(path));
  };
  const places = createPlaces({ clock, logger, noteOf, note, isOurs });

  return {
    async ensure(shareName, files, path) {
      try {
        await ensureFolder(dirname(path), 0o755);
        for (let tries = 0; tries < TRIES; tries++) {
          const standing = await places.makeWay(shareName, files, path);
          if (standing !== null) return standing;
          const placed = await places.place(shareName, files, path);
          if (placed !== null) return placed;
        }
        return taken(path, "made by someone again and again");
      } catch (error) {
        return refused(path, error);
      }
    },
    async uncover(shareName, files, path, bare) {
      const below = `/proc/self/fd/${bare.fd}`;
      try {
        const names = await readdir(below);
        if (names.length === 0) return;
        const place = await places.newPlace(shareName, files, path);
        await mkdir(place, { mode: 0o700 });
        for (const name of names) await rename(join(below, name), join(place, name));
        places.tell(shareName, place, names.length);
      } catch (error) {
        // They come to light again at the next unmount.
        logger.warn("files below the mount not set aside", { share: shareName, error: errorText(error) });
      }
    },
    async clear(shareName, files, path, isShares) {
      try {
        const known = await noteOf(shareName, files);
        if (known.path !== path && !isShares) return;
        if (await isFull(dirname(path))) return;
        try {
          await rmdir(path);
          // The next folder there may get the same number, and be somebody's.
          notes.set(shareName, { ...known, identity: null });
        } catch (error) {
          const code = systemErrorCode(error);
          // A mount is EBUSY: where this is the answer, nothing is mounted.
          const holds = code === "ENOTEMPTY" || code === "EEXIST";
          if (holds && (await isOurs(shareName, files, path)))
            await places.setAsideWhole(shareName, files, path);
        }
      } catch (error) {
        logger.warn("mount folder not removed", { share: shareName, error: errorText(error) });
      }
    },
    async setAside(shareName, files) {
      const before = places.listed.get(shareName);
      const nowMs = clock.monotonicMs();
      // Where there is none, only what we do changes that, and then it is looked up anew.
      if (before?.folders.length === 0) return before.folders;
      if (before !== undefined && nowMs - before.atMs < LISTED_FOR_MS) return before.folders;
      try {
        const { aside } = await noteOf(shareName, files);
        const folders = await stillHolding([...aside, files.setAside]);
        places.listed.set(shareName, { atMs: nowMs, folders });
        return folders;
      } catch (error) {
        logger.debug("set aside files not looked up", { share: shareName, error: errorText(error) });
        return before?.folders ?? [];
      }
    },
    changed: (shareName) => void places.listed.delete(shareName),
  };
}

interface PlacesParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly noteOf: (shareName: string, files: ShareFiles) => Promise<FolderNote>;
  readonly note: (shareName: string, files: ShareFiles, change: Partial<FolderNote>) => Promise<void>;
  readonly isOurs: (shareName: string, files: ShareFiles, path: string) => Promise<boolean>;
}

/** Makes an empty folder to mount on, and sets aside what stands in its way. */
function createPlaces({ clock, logger, noteOf, note, isOurs }: PlacesParts) {
  const listed = new Map<string, { readonly atMs: number; readonly folders: readonly string[] }>();
  /** Noted before it is there: a crash in between must not hide where the files went. */
  const newPlace = async (shareName: string, files: ShareFiles, path: string): Promise<string> => {
    const place = await unusedPlace(path, clock.wallMs());
    const { aside } = await noteOf(shareName, files);
    await note(shareName, files, { aside: [...(await stillHolding(aside)), place] });
    return place;
  };
  const tell = (shareName: string, place: string, entries: number): void => {
    listed.delete(shareName);
    logger.warn("files set aside", { share: shareName, folder: place, entries });
  };
  const setAsideWhole = async (shareName: string, files: ShareFiles, path: string): Promise<void> => {
    const place = await newPlace(shareName, files, path);
    await rename(path, place);
    await chmod(place, 0o700);
    tell(shareName, place, (await readdir(place)).length);
  };
  const made = async (
    shareName: string,
    files: ShareFiles,
    path: string,
    at = path,
  ): Promise<MountFolder> => {
    const bare = await open(at, "r");
    try {
      await note(shareName, files, { path, identity: identityIn(await bare.stat({ bigint: true })) });
      return { ok: true, bare };
    } catch (error) {
      await bare.close();
      throw error;
    }
  };
  /** Noted before it stands at its path, where others write into it. null: someone else was there first. */
  const place = async (shareName: string, files: ShareFiles, path: string): Promise<MountFolder | null> => {
    // Hidden, and ours by its name: one that a crash left behind is replaced by the next.
    const hidden = join(dirname(path), `.${shortened(basename(path))}.mountaineer-new`);
    await rmdir(hidden).catch(() => {});
    await mkdir(hidden, { mode: MODE });
    const placed = await made(shareName, files, path, hidden);
    try {
      await rename(hidden, path);
      return placed;
    } catch (error) {
      if (placed.ok) await placed.bare.close();
      await rmdir(hidden);
      const code = systemErrorCode(error);
      if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR") return null;
      throw error;
    }
  };
  /** Whether the way is free now; else what is in it. */
  const makeWay = async (shareName: string, files: ShareFiles, path: string): Promise<MountFolder | null> => {
    // On a full disk there may be no room for a new one.
    if ((await isOurs(shareName, files, path)) && (await readdir(path)).length === 0) {
      return made(shareName, files, path);
    }
    try {
      await rmdir(path);
      return null;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === "ENOENT") return null;
      if (code === "ENOTDIR") return taken(path, kindOf(await lstat(path)));
      if (code === "EBUSY" || code === null) throw error;
    }
    const inside = await readdir(path);
    // Nobody lets us remove it; empty it does as well.
    if (inside.length === 0) return made(shareName, files, path);
    if (!(await isOurs(shareName, files, path))) {
      return taken(path, `a folder with ${inside.length} ${inside.length === 1 ? "entry" : "entries"}`);
    }
    await setAsideWhole(shareName, files, path);
    return null;
  };

  return { makeWay, place, newPlace, tell, setAsideWhole, listed };
}

async function stillHolding(folders: readonly string[]): Promise<readonly string[]> {
  const held = await Promise.all(folders.map(holdsAnything));
  return folders.filter((_, index) => held[index]);
}

async function holdsAnything(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length > 0;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    // What cannot be read may hold something.
    if (systemErrorCode(error) !== null) return true;
    throw error;
  }
}

/** Whether a folder that is removed might not be made again. */
async function isFull(folder: string): Promise<boolean> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(folder);
  return (blocks > 0 && bavail * bsize < ROOM_AT_LEAST) || (files > 0 && ffree < FILES_AT_LEAST);
}

async function unusedPlace(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replace(/[-:]|\.\d+/g, "");
  const name = Buffer.from(basename(path))
    .subarray(0, NAME_AT_MOST)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
  const place = join(dirname(path), `${name}.set-aside-${time}`);
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? place : `${place}-${count}`;
    if ((await identityOf(candidate)) === null) return candidate;
  }
}

/** No longer than leaves room for a suffix. */
function shortened(name: string): string {
  if (Buffer.byteLength(name) <= NAME_AT_MOST) return name;
  return Buffer.from(name)
    .subarray(0, NAME_AT_MOST)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
}

/** null: nothing is there. */
async function identityOf(path: string): Promise<string | null> {
  try {
    return identityIn(await lstat(path, { bigint: true }));
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}

/** Numbers of files are used again, and of some devices differ after each start of the machine; birth times stay. */
function identityIn(stats: { dev: bigint; ino: bigint; birthtimeNs: bigint }): string {
  const { dev, ino, birthtimeNs } = stats;
  return birthtimeNs > 0n ? `${ino}@${birthtimeNs}` : `${dev}:${ino}`;
}

function kindOf(stats: Stats): string {
  return stats.isSymbolicLink() ? "a link" : "a file";
}

function taken(path: string, by: string): MountFolder {
  return { ok: false, reason: "path_taken", text: `${path} is ${by}; nothing is mounted over it` };
}

function refused(path: string, error: unknown): MountFolder {
  const code = systemErrorCode(error);
  if (code === null) throw error;
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  return { ok: false, reason: denied ? "permission_denied" : "other", text: `${path}: ${errorText(error)}` };
}

/** The bare folder that a share's mount stands on. */
interface FolderNote {
  readonly path: string | null;
  /** null: there is none that is ours. */
  readonly identity: string | null;
  /** Where content of such folders was set aside; may be gone by now. */
  readonly aside: readonly string[];
}

/** What cannot be read is as good as none. */
function parseFolderNote(text: string | null): FolderNote {
  const { path, identity, aside } = jsonObject(text ?? "") ?? {};
  return {
    path: typeof path === "string" ? path : null,
    identity: typeof identity === "string" ? identity : null,
    aside: Array.isArray(aside) ? aside.filter((one) => typeof one === "string") : [],
  };
}

function folderNoteText(note: FolderNote): string {
  return `${JSON.stringify(note)}\n`;
}
