// Decides which unsent files become set-aside files: reviews rclone's write cache before a share is mounted, corrects
// metadata that a kill left outdated, and sets aside files that rclone could not continue with. Call it only while no
// rclone uses the cache.
import { type FileHandle, lstat, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { recoverFrom } from "../../../runtime/errors.ts";
import { ensureFolder, entryExists, readIfPresent } from "../../../runtime/files/durable-file.ts";
import {
  choice,
  list,
  nullable,
  number,
  object,
  reader,
  type TypeOf,
  text,
  textThat,
} from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { FIRST_SERVER, isDiskFull, isServerId, writeIfChanged } from "../share-files.ts";
import {
  type ByteRange,
  type CacheFile,
  type CacheMetadata,
  judgeMetadata,
  parseCacheMetadata,
  realBytes,
  serverEnd,
} from "./cache-metadata.ts";
import type { RcloneFiles } from "./files.ts";
import { dataOf, holdsZeros, zeroRunsOf } from "./sparse-file.ts";
import { listFiles } from "./unsent.ts";

const byteRanges = list(list(number));
const noteShape = object({
  /**
   * The file's path in rclone's cache: the remote's name, the share's name on the server, the path in the
   * share.
   */
  cachePath: text,
  /**
   * - `torn`: rclone was killed while it wrote the note.
   * - `unlisted`: the file holds data that its note does not list.
   * - `truncated`: the file was made shorter, and rclone would make it longer again.
   * - `stuck`: the note is complete, but rclone did not mount because of the file.
   * - `asked`: a person decided it.
   */
  reason: choice("torn", "unlisted", "truncated", "stuck", "asked"),
  setAsideAt: text,
  size: number,
  /** The bytes that programs wrote or rclone fetched; the rest are holes. */
  real: byteRanges,
  /** Zeros that count as holes, but that programs may have written. */
  doubtful: byteRanges,
  /** The offset up to which the server's file fills holes; null: unknown. */
  serverEnd: nullable(number),
  base: nullable(object({ size: number, time: text })),
  /**
   * - `incomplete`: holes are still to be filled with the server's bytes.
   * - `complete`: nothing is missing.
   * - `changed`, `gone`: the server's file has changed or is gone; the holes stay.
   */
  state: choice("incomplete", "complete", "changed", "gone"),
  /** The server that the file was written for. */
  server: textThat("a server's id", isServerId),
});
const storedNote = reader(noteShape);
type StoredNote = TypeOf<typeof noteShape>;
export type SetAsideState = StoredNote["state"];

/** The facts about a file that was set aside, in `set-aside-notes` at the file's own relative path. */
export type SetAsideRecord = Readonly<Omit<StoredNote, "real" | "doubtful">> &
  Readonly<Record<"real" | "doubtful", readonly ByteRange[]>>;

interface CacheReview {
  /** The new paths of files that were set aside. */
  readonly aside: readonly string[];
  /** Files whose notes were corrected, by their paths in the cache. */
  readonly corrected: readonly string[];
}

/**
 * Reviews those cached files of `paths` whose notes mark them as unsent or cannot be read. `trusted`: rclone has run
 * since the last review without mounting, so data that a note does not list came from the server, and not from a
 * program. Rejects with the system's error.
 */
export async function reviewCache(
  files: RcloneFiles,
  paths: readonly string[],
  wallMs: number,
  trusted: boolean,
): Promise<CacheReview> {
  const aside: string[] = [];
  const corrected: string[] = [];
  for (const path of paths) {
    const content = await readIfPresent(notePath(files, path));
    if (content === null) continue;
    const note = parseCacheMetadata(content);
    if (note !== null && (!note.dirty || trusted)) continue;
    const verdict =
      note === null
        ? ({ state: "torn" } as const)
        : await withCacheFile(files, path, (file, handle) =>
            judgeMetadata(note, file, (range) => holdsZeros(handle, range)),
          );
    if (verdict === null) continue;
    if (verdict.state !== "resumable") {
      const moved = await moveAside(files, path, note, verdict.state, wallMs);
      if (moved !== null) aside.push(moved);
    } else if (verdict.corrected !== null) {
      // The temporary file is elsewhere: beside the note, rclone would read it as another note.
      await writeIfChanged(notePath(files, path), verdict.corrected, join(files.folder, "note.new"));
      corrected.push(path);
    }
  }
  return { aside, corrected };
}

/** Sets aside files by their paths in the cache. Returns their new paths. */
export async function setFilesAside(
  files: RcloneFiles,
  paths: readonly string[],
  reason: "stuck" | "asked",
  wallMs: number,
): Promise<readonly string[]> {
  const aside: string[] = [];
  for (const path of paths) {
    const note = parseCacheMetadata((await readIfPresent(notePath(files, path))) ?? "");
    const kept = await moveAside(files, path, note, reason, wallMs);
    if (kept !== null) aside.push(kept);
  }
  return aside;
}

/** Files in the set-aside folder, by their paths in it, with what is known about each. Sorted. */
export async function listSetAside(
  files: RcloneFiles,
): Promise<readonly { readonly path: string; readonly note: SetAsideRecord | null }[]> {
  const paths = [...(await listFiles(files.setAside))].sort();
  return Promise.all(paths.map(async (path) => ({ path, note: await readSetAsideNote(files, path) })));
}

async function readSetAsideNote(files: RcloneFiles, path: string): Promise<SetAsideRecord | null> {
  return parseSetAsideNote((await readIfPresent(setAsideNotePath(files, path))) ?? "");
}

export async function writeSetAsideRecord(
  files: RcloneFiles,
  path: string,
  note: SetAsideRecord,
): Promise<void> {
  const to = setAsideNotePath(files, path);
  await ensureFolder(dirname(to), 0o700);
  await writeIfChanged(to, setAsideNoteText(note));
}

/** Removes the notes of files that a person moved away. */
export async function forgetTakenAway(files: RcloneFiles): Promise<void> {
  for (const name of await listFiles(files.setAsideNotes)) {
    const path = name.slice(0, -NOTE_SUFFIX.length);
    if (!(await entryExists(join(files.setAside, path))))
      await rm(join(files.setAsideNotes, name), { force: true });
  }
}

/** Moves a cache file to the set-aside folder; null: there is no cache file, and so nothing to keep. */
async function moveAside(
  files: RcloneFiles,
  path: string,
  note: CacheMetadata | null,
  reason: StoredNote["reason"],
  wallMs: number,
): Promise<string | null> {
  const known = await withCacheFile(files, path, async (file, handle): Promise<SetAsideRecord> => {
    const { real, doubtful } = await realBytes(note, file, {
      isZero: (range) => holdsZeros(handle, range),
      zeroRuns: (range, isWanted) => zeroRunsOf(handle, range, isWanted),
    });
    const end = note === null ? null : Math.min(serverEnd(note), file.size);
    const whole = end !== null && isCovered({ start: 0, end }, real);
    return {
      cachePath: path,
      reason,
      setAsideAt: new Date(wallMs).toISOString(),
      size: file.size,
      real,
      doubtful,
      serverEnd: end,
      base: note?.base ?? null,
      state: whole ? "complete" : "incomplete",
      server: files.server,
    };
  });
  if (known === null) {
    // The note describes a file that no longer exists.
    await rm(notePath(files, path), { force: true });
    return null;
  }
  const name = await unusedName(files.setAside, path);
  const to = join(files.setAside, name);
  await ensureFolder(dirname(to), 0o700);
  // The note is written before the file is moved: after a crash in between, the file is still in the cache
  // and is reviewed again. On a full disk, the file is moved without a note, and its holes stay.
  await writeSetAsideRecord(files, name, known).catch(recoverFrom(isDiskFull));
  await rename(join(files.cache, "vfs", path), to);
  await rm(notePath(files, path), { force: true });
  return to;
}

function isCovered(range: ByteRange, ranges: readonly ByteRange[]): boolean {
  return (
    range.start >= range.end || ranges.some(({ start, end }) => start <= range.start && end >= range.end)
  );
}

/** Calls a function with an open cache file; null: there is no such file. */
async function withCacheFile<Result>(
  files: RcloneFiles,
  path: string,
  use: (file: CacheFile, handle: FileHandle) => Promise<Result>,
): Promise<Result | null> {
  await using handle = await open(join(files.cache, "vfs", path), "r").catch(recoverFrom("ENOENT", null));
  if (handle === null) return null;
  const { size, mtimeNs, blksize } = await handle.stat({ bigint: true });
  const blockBytes = Math.max(4096, Number(blksize));
  const data = await dataOf(handle, blockBytes);
  return await use({ size: Number(size), mtimeNs, data, blockBytes }, handle);
}

/** Finds a free path in `folder` for `path`. A segment whose name is taken by a file gets a number. */
async function unusedName(folder: string, path: string): Promise<string> {
  const parents = path.split("/");
  const last = parents.pop() ?? path;
  let parent = "";
  for (const name of parents) parent = await firstName(folder, join(parent, name), isFolderOrNothing);
  return firstName(folder, join(parent, last), async (at) => !(await entryExists(at)));
}

async function firstName(
  folder: string,
  name: string,
  fits: (at: string) => Promise<boolean>,
): Promise<string> {
  for (let count = 0; ; count++) {
    const tried = count === 0 ? name : `${name} ${count}`;
    if (await fits(join(folder, tried))) return tried;
  }
}

async function isFolderOrNothing(at: string): Promise<boolean> {
  const found = await lstat(at).catch(recoverFrom("ENOENT", null));
  return found?.isDirectory() ?? true;
}

function notePath(files: RcloneFiles, path: string): string {
  return join(files.cache, "vfsMeta", path);
}

const NOTE_SUFFIX = ".json";

function setAsideNotePath(files: RcloneFiles, path: string): string {
  return join(files.setAsideNotes, `${path}${NOTE_SUFFIX}`);
}

function setAsideNoteText(note: SetAsideRecord): string {
  const pairs = (ranges: readonly ByteRange[]) => ranges.map(({ start, end }) => [start, end]);
  return `${JSON.stringify({ ...note, real: pairs(note.real), doubtful: pairs(note.doubtful) })}\n`;
}

function parseSetAsideNote(content: string): SetAsideRecord | null {
  // Earlier versions noted no server.
  const note = storedNote({ server: FIRST_SERVER, ...jsonObject(content) });
  return note && { ...note, real: rangesOf(note.real), doubtful: rangesOf(note.doubtful) };
}

function rangesOf(pairs: StoredNote["real"]): readonly ByteRange[] {
  return pairs.map(([start = 0, end = 0]) => ({ start, end }));
}
