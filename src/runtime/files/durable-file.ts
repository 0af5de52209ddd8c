// Files that a crash at any instant leaves whole, old or new, and that no other user can read.
import {
  access,
  constants,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  stat,
  unlink,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { errorText, expecting, MountaineerError, systemErrorCode } from "../errors.ts";

const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
const PERMISSION_BITS = 0o7777;
/** What Linux allows. */
const MAX_SYMLINK_HOPS = 40;

/** Temporary files that this process writes now; by path. */
const unfinished = new Set<string>();

interface DurableWriteOptions {
  /** Default: what the file has; 0600 for a new one. */
  readonly mode?: number;
  /** Aborted before the old content is replaced, the write rejects with its reason, however long the disk took. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Replaces the file's content; resolves once the new content survives a power cut. A symlink at `path` stays and
 * its target is replaced; mode and (for root) owner stay. Rejects with the system's error, the old content
 * untouched and no temporary file left behind. Concurrent writes are each whole; the last rename wins.
 */
export async function writeDurably(
  path: string,
  content: string | Uint8Array,
  options: DurableWriteOptions = {},
): Promise<void> {
  const target = await followLinks(path);
  const existing = await orNull(stat(target));
  const temporary = temporaryPath(target);
  unfinished.add(temporary);
  try {
    const file = await open(temporary, "wx", PRIVATE_FILE);
    try {
      await file.writeFile(content);
      if (existing !== null && process.getuid?.() === 0) {
        const made = await file.stat();
        const sameOwner = made.uid === existing.uid && made.gid === existing.gid;
        if (!sameOwner) await file.chown(existing.uid, existing.gid);
      }
      // After the chown, which clears bits; and explicitly, because `open` applies the umask.
      const mode = options.mode ?? (existing === null ? PRIVATE_FILE : existing.mode & PERMISSION_BITS);
      if (mode !== PRIVATE_FILE) await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    options.signal?.throwIfAborted();
    await rename(temporary, target);
  } catch (error) {
    await orNull(unlink(temporary));
    throw error;
  } finally {
    unfinished.delete(temporary);
  }
  await syncFolder(dirname(target));
}

/** Removes the temporary files that crashed writers of `path` left; those of living processes stay. */
export async function removeLeftovers(path: string): Promise<void> {
  const target = await orNull(followLinks(path));
  if (target === null) return;
  const folder = dirname(target);
  const names = await readdir(folder);
  await Promise.all(
    names.map(async (name) => {
      const writer = writerOf(name, basename(target));
      const leftover = join(folder, name);
      if (writer === null || unfinished.has(leftover)) return;
      if (writer !== process.pid && mayRun(writer)) return;
      await orNull(unlink(leftover));
    }),
  );
}

/** The file as UTF-8 text; null when there is none. Rejects with the system's error for all else. */
export async function readIfPresent(path: string): Promise<string | null> {
  return orNull(readFile(path, "utf8"));
}

/** Whether anything has the path, a link that leads nowhere included. Rejects with the system's error for all but ENOENT. */
export async function entryExists(path: string): Promise<boolean> {
  return (await orNull(lstat(path))) !== null;
}

/**
 * Makes a folder that we can write, and its parents, where they are missing (0700); an existing one keeps its mode.
 * Rejects with `home_unwritable`.
 */
export async function ensurePrivateFolder(path: string): Promise<void> {
  try {
    await ensureFolder(resolve(path), PRIVATE_FOLDER);
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new MountaineerError("home_unwritable", `cannot use the folder ${path}: ${errorText(error)}`, {
      hint: folderHint(systemErrorCode(error)),
      cause: error,
    });
  }
}

/** As `writeDurably`, but makes the folder if it is missing, and removes what crashed writers left there. */
export async function keepPrivateFile(
  path: string,
  content: string | Uint8Array,
  options: DurableWriteOptions = {},
): Promise<void> {
  await ensurePrivateFolder(dirname(path));
  await removeLeftovers(path);
  await writeDurably(path, content, options);
}

/**
 * Makes a folder and its parents, with `mode`, where they are missing. Rejects with the system's error. Not `mkdir`
 * with `recursive`: on a read-only disk that reports ENOENT, and in /proc or below an automounter it never ends.
 */
export async function ensureFolder(path: string, mode: number): Promise<void> {
  try {
    await makeFolder(path, mode);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT" || dirname(path) === path) throw error;
    await ensureFolder(dirname(path), mode);
    await makeFolder(path, mode);
  }
}

async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, mode);
  } catch (error) {
    const code = systemErrorCode(error);
    // macOS says EISDIR of "/".
    const isThere = code === "EISDIR" || (code === "EEXIST" && (await stat(path)).isDirectory());
    if (!isThere) throw error;
  }
}

function folderHint(code: string | null): string {
  switch (code) {
    case "EEXIST":
    case "ENOTDIR":
      return "Something that is no folder stands there: move it away, or set MOUNTAINEER_HOME to another folder.";
    case "EROFS":
      return "The disk is mounted read-only: set MOUNTAINEER_HOME to a folder on one that can be written.";
    case "ENOSPC":
    case "EDQUOT":
      return "The disk is full: free some space.";
    default:
      return "Make it yours and writable (chown, chmod u+rwx), or set MOUNTAINEER_HOME to another folder.";
  }
}

/** The file that a write to `path` replaces: behind all symlinks, whether it exists or not. */
async function followLinks(path: string): Promise<string> {
  let current = resolve(path);
  for (let hop = 0; hop <= MAX_SYMLINK_HOPS; hop++) {
    // The real folder first: ".." in a link's text counts from there.
    current = join(await realpath(dirname(current)), basename(current));
    const found = await orNull(lstat(current));
    if (found === null || !found.isSymbolicLink()) return current;
    current = resolve(dirname(current), await readlink(current));
  }
  throw Object.assign(new Error(`ELOOP: too many symbolic links, '${path}'`), { code: "ELOOP", path });
}

function temporaryPath(target: string): string {
  // Not imported: loading it takes 7 ms, and a command that only reads does without.
  const random = process.getBuiltinModule("node:crypto").randomBytes(6).toString("hex");
  return join(dirname(target), `.${basename(target)}.${process.pid}-${random}.tmp`);
}

/** The pid of the process that made a temporary file for `fileName`; null for any other file. */
function writerOf(name: string, fileName: string): number | null {
  const prefix = `.${fileName}.`;
  if (!name.startsWith(prefix)) return null;
  const match = /^(\d{1,10})-[0-9a-f]{12}\.tmp$/u.exec(name.slice(prefix.length));
  return match?.[1] === undefined ? null : Number(match[1]);
}

function mayRun(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== "ESRCH";
  }
}

async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems have no fsync for folders; the file's own was all there is to have.
    const code = systemErrorCode(error);
    if (code !== "EINVAL" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
  } finally {
    await handle?.close();
  }
}

/** null in place of ENOENT. */
async function orNull<T>(operation: Promise<T>): Promise<T | null> {
  return operation.catch(expecting("ENOENT", null));
}

/**
 * The file's text; null: there is none. Rejects for anything but a plain file (reading a pipe would wait for its
 * writer), for more than `largestBytes`, and with the system's error.
 */
export async function readRegularFile(path: string, largestBytes: number): Promise<string | null> {
  try {
    const found = await lstat(path);
    if (!found.isFile()) throw new Error("it is not a regular file");
    if (found.size > largestBytes) throw new Error(`it has ${found.size} bytes`);
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}

/**
 * Resolves with its new path. The home lock keeps others from taking that name meanwhile. Rejects with the system's
 * error.
 */
export async function setAside(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replaceAll(":", "-");
  for (let attempt = 1; ; attempt++) {
    const aside = `${path}.corrupt-${time}${attempt === 1 ? "" : `-${attempt}`}`;
    if (await entryExists(aside)) continue;
    await rename(path, aside);
    return aside;
  }
}
