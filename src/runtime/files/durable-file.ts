// Writes private files. After a crash at any moment, a file holds either the whole old content or the whole new
// content.
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
import { errorText, MountaineerError, recoverFrom, systemErrorCode } from "../errors.ts";

const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
const PERMISSION_BITS = 0o7777;
/** The number of symlinks that Linux follows in one path. */
const MAX_SYMLINK_HOPS = 40;

const unfinished = new Set<string>();

interface DurableWriteOptions {
  /** Default: the file's present mode; 0600 for a new file. */
  readonly mode?: number;
  /** If aborted before the old content is replaced, the write rejects with the signal's reason and changes nothing. */
  readonly signal?: AbortSignal | undefined;
  /** False for content that means nothing after a restart of the machine. Default: true. */
  readonly survivesPowerCut?: boolean;
}

/**
 * Replaces the file's content; resolves once the new content survives a power cut. Keeps a symlink at `path` and replaces
 * its target; keeps the mode and (for root) the owner. Rejects with the system's error, and then leaves the old content and
 * no temporary file. Of concurrent writes, the last rename wins.
 */
export async function writeDurably(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
  options: DurableWriteOptions = {},
): Promise<void> {
  const { survivesPowerCut = true } = options;
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
      // The mode is set after the chown, which clears mode bits. `open` cannot set it, because `open` applies
      // the umask.
      const mode = options.mode ?? (existing === null ? PRIVATE_FILE : existing.mode & PERMISSION_BITS);
      if (mode !== PRIVATE_FILE) await file.chmod(mode);
      if (survivesPowerCut) await file.sync();
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
  if (survivesPowerCut) await syncFolder(dirname(target));
}

/** Removes temporary files that crashed writers of `path` left. Keeps those of running processes. */
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

/** The file as UTF-8 text; null: no such file. Rejects with the system's other errors. */
export async function readIfPresent(path: string): Promise<string | null> {
  return orNull(readFile(path, "utf8"));
}

/** Whether the path exists, also as a dangling symlink. Rejects with the system's errors except ENOENT. */
export async function entryExists(path: string): Promise<boolean> {
  return (await orNull(lstat(path))) !== null;
}

/**
 * Makes the folder and its missing parents (0700). An existing folder keeps its mode. Rejects with `home_unwritable`, also
 * if this process cannot write in the folder.
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

/** Calls `writeDurably` after making a missing folder and removing leftovers of crashed writers. */
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
 * Makes the folder and its missing parents with `mode`. Rejects with the system's error. Does not use `mkdir` with
 * `recursive`, which reports ENOENT on a read-only disk and never ends in /proc or below an automounter.
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
    // On macOS, making "/" fails with EISDIR.
    const exists = code === "EISDIR" || (code === "EEXIST" && (await stat(path)).isDirectory());
    if (!exists) throw error;
  }
}

function folderHint(code: string | null): string {
  switch (code) {
    case "EEXIST":
    case "ENOTDIR":
      return "It is not a folder: move it away, or set MOUNTAINEER_HOME to another folder.";
    case "EROFS":
      return "The disk is mounted read-only: set MOUNTAINEER_HOME to a folder on one that can be written.";
    case "ENOSPC":
    case "EDQUOT":
      return "The disk is full: free some space.";
    default:
      return "Make it yours and writable (chown, chmod u+rwx), or set MOUNTAINEER_HOME to another folder.";
  }
}

/** The path after resolving all symlinks. The file itself need not exist. */
async function followLinks(path: string): Promise<string> {
  let current = resolve(path);
  for (let hop = 0; hop <= MAX_SYMLINK_HOPS; hop++) {
    // The folder's symlinks are resolved first, because ".." in a symlink's target is relative to the real
    // folder.
    current = join(await realpath(dirname(current)), basename(current));
    const found = await orNull(lstat(current));
    if (found === null || !found.isSymbolicLink()) return current;
    current = resolve(dirname(current), await readlink(current));
  }
  throw Object.assign(new Error(`ELOOP: too many symbolic links, '${path}'`), { code: "ELOOP", path });
}

function temporaryPath(target: string): string {
  // The module is loaded here, because loading takes 7 ms, and a command that only reads does not need it.
  const random = process.getBuiltinModule("node:crypto").randomBytes(6).toString("hex");
  return join(dirname(target), `.${basename(target)}.${process.pid}-${random}.tmp`);
}

/** The pid of the process that made the temporary file `name` for `fileName`; null for other files. */
function writerOf(name: string, fileName: string): number | null {
  const prefix = `.${fileName}.`;
  if (!name.startsWith(prefix)) return null;
  const match = /^(\d{1,10})-[0-9a-f]{12}\.tmp$/u.exec(name.slice(prefix.length));
  return match?.[1] === undefined ? null : Number(match[1]);
}

/** False only if there certainly is no such process. */
export function mayRun(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== "ESRCH";
  }
}

/** Makes the folder's entries durable: new, renamed and removed names survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems have no fsync for folders; there the fsync of the file must suffice.
    const code = systemErrorCode(error);
    if (code !== "EINVAL" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
  } finally {
    await handle?.close();
  }
}

async function orNull<T>(operation: Promise<T>): Promise<T | null> {
  return operation.catch(recoverFrom("ENOENT", null));
}

/**
 * The file's text; null: no such file. Rejects with the system's error, for a file that is not regular (reading a pipe would
 * wait for its writer), and for a file of more than `largestBytes`.
 */
export async function readRegularFile(path: string, largestBytes: number): Promise<string | null> {
  const found = await orNull(lstat(path));
  if (found === null) return null;
  if (!found.isFile()) throw new Error("it is not a regular file");
  if (found.size > largestBytes) throw new Error(`it has ${found.size} bytes`);
  return readIfPresent(path);
}

/**
 * Renames a corrupt file to `PATH.corrupt-TIME`, and resolves with that path. Rejects with the system's error. Callers hold
 * the home's lock, so that no other process takes the same name.
 */
export async function moveAside(path: string, wallMs: number): Promise<string> {
  const time = new Date(wallMs).toISOString().replaceAll(":", "-");
  for (let attempt = 1; ; attempt++) {
    const aside = `${path}.corrupt-${time}${attempt === 1 ? "" : `-${attempt}`}`;
    if (await entryExists(aside)) continue;
    await rename(path, aside);
    return aside;
  }
}

/** Removes a symbolic link that has this target. Anything else at the path stays. */
export async function removeLinkTo(path: string, target: string): Promise<void> {
  const found = await readlink(path).catch(recoverFrom(["ENOENT", "ENOTDIR", "EINVAL", "EACCES"], null));
  if (found === target) await unlink(path).catch(recoverFrom("ENOENT", undefined));
}
