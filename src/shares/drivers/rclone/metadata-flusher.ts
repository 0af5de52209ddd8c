// Makes rclone write complete metadata of files that are being changed. Otherwise rclone records an existing file at
// its first change and when it is closed, so a kill would lose what was written in between.
import type { BigIntStats } from "node:fs";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorText, isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { createFolderLists, type FolderLists } from "../../../runtime/files/folder-lists.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { runCommand } from "../../../runtime/process/child-process.ts";
import { type Clock, settlesWithin } from "../../../runtime/time/clock.ts";
import { type RcloneFiles, type RcloneMountPaths, REMOTE_NAME } from "./files.ts";

export interface ServedMount extends RcloneMountPaths {
  /** The pid of the rclone that serves the mount. */
  readonly pid: number;
}

export type MetadataFlusher = ReturnType<typeof createMetadataFlusher>;

interface MetadataWritten {
  due: number;
  /** How many of the `due` notes were written. */
  written: number;
}

interface OpenCacheFile {
  /** Relative to the share's root. */
  readonly path: string;
  readonly cacheFile: string;
  readonly metadataFile: string;
}

/** If a share has more files open for writing, the rest get their notes in the next round. */
const FILES_AT_MOST = 200;
const AT_ONCE = 8;
/**
 * Pause for a file after a touch that got no answer, ms: rclone may be fetching the file's missing parts before it
 * sends the file.
 */
const UNTOUCHED_MS = 5_000;
/** Maximum age of writes that a new note may lack, ns: rclone records a write only after performing it. */
const MAY_HAVE_MISSED_NS = 500_000_000n;

/** What earlier rounds have found out about the files. */
interface FlusherMemory {
  readonly clock: Clock;
  /**
   * For each file, by its path in the mount: the descriptor (`/proc/PID/fd/N`) through which it was touched
   * last.
   */
  readonly reached: Map<string, string>;
  /**
   * Size and times of each cache file when its note was written. They are compared if the file's time is in
   * the future, where a comparison with the note's time tells nothing.
   */
  readonly writtenStates: Map<string, string>;
  /** For each cache file whose last touch hangs: the time until which no other touch begins, monotonic ms. */
  readonly hanging: Map<string, number>;
}

export function createMetadataFlusher({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
  const listed = createFolderLists(clock.monotonicMs);
  const memory: FlusherMemory = { clock, reached: new Map(), writtenStates: new Map(), hanging: new Map() };
  return {
    /**
     * Whether the cache has any notes. It has none at rest: rclone removes the note of a file that was sent
     * and not used for a while.
     */
    hasMetadata: ({ cache }: RcloneFiles): Promise<boolean> => hasMetadata(listed, cache),
    /**
     * Makes rclone write the notes of the files that it holds open in its cache: of all, or with `stale` only the
     * notes that may be outdated. Resolves within `limitMs` even if something hangs, and never rejects.
     */
    async writeMetadata(
      mount: ServedMount,
      which: "stale" | "all",
      limitMs: number,
    ): Promise<MetadataWritten> {
      const counts: MetadataWritten = { due: 1, written: 0 };
      try {
        const written = writeDue(memory, mount, which, clock.monotonicMs() + limitMs, counts);
        // Handles a rejection that comes after the limit, when nothing else waits for it.
        written.catch(() => {});
        await settlesWithin(clock, limitMs, written);
      } catch (error) {
        logger.debug("notes of rclone not written", { share: mount.shareName, error: errorText(error) });
      }
      return { ...counts };
    },
  };
}

async function writeDue(
  memory: FlusherMemory,
  mount: ServedMount,
  which: "stale" | "all",
  untilMs: number,
  counts: MetadataWritten,
): Promise<void> {
  const { clock, reached, hanging } = memory;
  const open = await openCacheFiles(mount);
  const due: OpenCacheFile[] = [];
  for (const file of open) {
    if ((hanging.get(file.cacheFile) ?? 0) > clock.monotonicMs()) continue;
    if (which === "all" || (await unlessGone(isStale(memory, file), false))) due.push(file);
  }
  counts.due = due.length;
  if (due.length === 0) return;
  const writers = await writersOf(memory, mount, due, untilMs);
  const queue = [...due];
  const one = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const inMount = join(mount.mountPath, file.path);
      const writer = writers.get(file.path);
      // A file that is only mapped, or closed and not sent yet, has no visible descriptor, so it is touched through
      // the mount.
      const done =
        (writer !== undefined && (await unlessGone(touch(memory, file, writer, untilMs), true))) ||
        (await unlessGone(touch(memory, file, inMount, untilMs), true));
      if (!done) continue;
      counts.written++;
      if (writer === undefined) reached.delete(inMount);
      else reached.set(inMount, writer);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  forgetOthers(memory, mount, open);
}

async function isStale(
  { clock, writtenStates }: FlusherMemory,
  { cacheFile, metadataFile }: OpenCacheFile,
): Promise<boolean> {
  const [file, metadata] = await Promise.all([
    stat(cacheFile, { bigint: true }),
    stat(metadataFile, { bigint: true }),
  ]);
  if (file.mtimeNs > BigInt(Math.ceil(clock.wallMs())) * 1_000_000n)
    return writtenStates.get(cacheFile) !== stampOf(file);
  return file.mtimeNs + MAY_HAVE_MISSED_NS >= metadata.mtimeNs;
}

function stampOf({ size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${size} ${mtimeNs} ${ctimeNs}`;
}

/**
 * Makes rclone write a note about the file, by setting the file's time to the value that it already has. Resolves
 * with false if rclone wrote no note.
 */
async function touch(
  { clock, writtenStates, hanging }: FlusherMemory,
  file: OpenCacheFile,
  target: string,
  untilMs: number,
): Promise<boolean> {
  const deadlineMs = untilMs - clock.monotonicMs();
  if (deadlineMs <= 0) return false;
  const before = await stat(file.metadataFile, { bigint: true });
  // A separate program, because the mount may hang. `-c`: opens and makes nothing.
  const { exitCode, exitSignal } = await runCommand("touch", ["-c", "-m", "-r", file.cacheFile, target], {
    clock,
    deadlineMs,
    killGraceMs: 0,
  });
  if (exitCode === null && exitSignal === null)
    hanging.set(file.cacheFile, clock.monotonicMs() + UNTOUCHED_MS);
  if (exitCode !== 0) return false;
  const after = await stat(file.metadataFile, { bigint: true });
  // rclone writes a changed note into the same file, so the file's time changes.
  if (after.mtimeNs === before.mtimeNs && after.ctimeNs === before.ctimeNs) return false;
  writtenStates.set(file.cacheFile, stampOf(await stat(file.cacheFile, { bigint: true })));
  return true;
}

/**
 * Finds the descriptors in /proc through which processes write to `files`, by each file's path in the share. This kind
 * of descriptor leads to the open file without a look-up in the mount, which may hang.
 */
async function writersOf(
  { clock, reached }: FlusherMemory,
  { mountPath }: ServedMount,
  files: readonly OpenCacheFile[],
  untilMs: number,
): Promise<ReadonlyMap<string, string>> {
  const writers = new Map<string, string>();
  for (const { path } of files) {
    const known = reached.get(join(mountPath, path));
    if (known !== undefined && (await leadsTo(known, join(mountPath, path)))) writers.set(path, known);
  }
  const wanted = new Set(files.map(({ path }) => path).filter((path) => !writers.has(path)));
  if (wanted.size === 0) return writers;
  const limitMs = Math.max(0, untilMs - clock.monotonicMs());
  for (const { target, link } of await descriptorsBelow(clock, mountPath, limitMs)) {
    const path = target.slice(mountPath.length + 1);
    if (wanted.has(path) && !writers.has(path) && (await isWritable(link))) writers.set(path, link);
  }
  return writers;
}

/**
 * Open files below a mount, of all processes whose files can be seen. The program `find` reads the links in `/proc`,
 * so that this process waits neither for a process nor for a file system.
 */
async function descriptorsBelow(
  clock: Clock,
  mountPath: string,
  deadlineMs: number,
): Promise<readonly { readonly link: string; readonly target: string }[]> {
  const folders = (await readdir("/proc"))
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `/proc/${pid}/fd`);
  const pattern = `${mountPath.replace(/[\\*?[\]]/g, "\\$&")}/*`;
  const { stdout } = await runCommand(
    "find",
    [...folders, "-maxdepth", "1", "-lname", pattern, "-printf", "%p\\0%l\\0"],
    { clock, deadlineMs, killGraceMs: 0 },
  );
  const parts = stdout.split("\0");
  return parts.flatMap((link, index) => {
    const target = parts[index + 1];
    return index % 2 === 0 && target !== undefined ? [{ link, target }] : [];
  });
}

function forgetOthers(
  { reached, writtenStates, hanging }: FlusherMemory,
  { files, mountPath }: ServedMount,
  open: readonly OpenCacheFile[],
): void {
  const inMount = new Set(open.map(({ path }) => join(mountPath, path)));
  for (const path of reached.keys())
    if (path.startsWith(`${mountPath}/`) && !inMount.has(path)) reached.delete(path);
  const inCache = new Set(open.map(({ cacheFile }) => cacheFile));
  for (const known of [writtenStates, hanging]) {
    for (const path of known.keys())
      if (path.startsWith(`${files.cache}/`) && !inCache.has(path)) known.delete(path);
  }
}

/** Files in the cache that rclone has open and has not sent: it may still be changing them. */
async function openCacheFiles({ pid, files }: ServedMount): Promise<readonly OpenCacheFile[]> {
  const found: OpenCacheFile[] = [];
  // The folder is read directly, not through `listed`: a file that is missed before a kill is lost.
  if (!(await hasMetadata(readdir, files.cache))) return found;
  for (const cachePath of await cachePathsOpenIn(files, pid)) {
    const path = cachePath.split("/").slice(2).join("/");
    const metadataFile = join(files.cache, "vfsMeta", cachePath);
    if (path === "" || !(await unlessGone(isMarkedDirty(metadataFile), false))) continue;
    found.push({ path, cacheFile: join(files.cache, "vfs", cachePath), metadataFile });
    if (found.length >= FILES_AT_MOST) break;
  }
  return found;
}

async function hasMetadata(listed: FolderLists, cache: string): Promise<boolean> {
  const root = join(cache, "vfsMeta", REMOTE_NAME);
  for (const share of await unlessGone(listed(root), [])) {
    if ((await unlessGone(listed(join(root, share)), [])).length > 0) return true;
  }
  return false;
}

/** Returns the cached files that the process `pid` has open, as paths within the cache. */
export async function cachePathsOpenIn({ cache }: RcloneFiles, pid: number): Promise<ReadonlySet<string>> {
  const root = join(cache, "vfs");
  const paths = new Set<string>();
  for (const descriptor of await unlessGone(readdir(`/proc/${pid}/fd`), [])) {
    const target = await unlessGone(readlink(`/proc/${pid}/fd/${descriptor}`), "");
    if (target.startsWith(`${root}/${REMOTE_NAME}/`)) paths.add(target.slice(root.length + 1));
  }
  return paths;
}

/**
 * True if the note marks the file as changed. Only changed files are touched; after a touch of another file, rclone
 * would set that file's time on the server.
 */
async function isMarkedDirty(metadataFile: string): Promise<boolean> {
  return /"Dirty":\s*true/.test(await readFile(metadataFile, "utf8"));
}

async function leadsTo(descriptor: string, path: string): Promise<boolean> {
  return (await unlessGone(readlink(descriptor), "")) === path;
}

/**
 * Whether a descriptor is open for writing. The lowest two bits of its flags are the access mode; 0 means
 * read-only.
 */
async function isWritable(link: string): Promise<boolean> {
  const info = await unlessGone(readFile(link.replace("/fd/", "/fdinfo/"), "utf8"), "");
  const flags = /^flags:\s*([0-7]+)/m.exec(info)?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) !== 0;
}

/**
 * Resolves with `otherwise` at an error of the system: files and processes disappear while they are read, and some
 * processes cannot be read.
 */
async function unlessGone<Value>(reading: Promise<Value>, otherwise: Value): Promise<Value> {
  return reading.catch(recoverFrom(isSystemError, otherwise));
}
