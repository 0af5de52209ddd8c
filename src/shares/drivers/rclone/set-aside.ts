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
import { containsZeros, dataOf, zeroRunsOf } from "./sparse-file.ts";
import { listFiles } from "./unsent.ts";

const byteRanges = list(list(number));
const recordShape = object({
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
   * - `raced`: another client has changed the server's file since then. Only the engine sets files aside for this.
   */
  reason: choice("torn", "unlisted", "truncated", "stuck", "asked", "raced"),
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
const storedRecord = reader(recordShape);
type StoredRecord = TypeOf<typeof recordShape>;
export type SetAsideState = StoredRecord["state"];

/** The facts about a file that was set aside, in `set-aside-notes` at the file's own relative path. */
export type SetAsideRecord = Readonly<Omit<StoredRecord, "real" | "doubtful">> &
  Readonly<Record<"real" | "doubtful", readonly ByteRange[]>>;

/** Tells the engine where to set files aside while it runs; its notes have the shape of ours. */
export function setAsideEnvironment(files: RcloneFiles): Readonly<Record<string, string>> {
  return {
    MOUNTAINEER_SET_ASIDE: files.setAside,
    MOUNTAINEER_SET_ASIDE_RECORDS: files.setAsideRecords,
    MOUNTAINEER_SERVER: files.server,
  };
}

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
    const content = await readIfPresent(metadataPath(files, path));
    if (content === null) continue;
    const metadata = parseCacheMetadata(content);
    if (metadata !== null && (!metadata.dirty || trusted)) continue;
    const verdict =
      metadata === null
        ? ({ state: "torn" } as const)
        : await withCacheFile(files, path, (file, handle) =>
            judgeMetadata(metadata, file, (range) => containsZeros(handle, range)),
          );
    if (verdict === null) continue;
    if (verdict.state !== "resumable") {
      const moved = await moveAside(files, path, metadata, verdict.state, wallMs);
      if (moved !== null) aside.push(moved);
    } else if (verdict.corrected !== null) {
      // The temporary file is elsewhere: beside the note, rclone would read it as another note.
      await writeIfChanged(metadataPath(files, path), verdict.corrected, join(files.folder, "note.new"));
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
    const metadata = parseCacheMetadata((await readIfPresent(metadataPath(files, path))) ?? "");
    const storedPath = await moveAside(files, path, metadata, reason, wallMs);
    if (storedPath !== null) aside.push(storedPath);
  }
  return aside;
}

/** Files in the set-aside folder, by their paths in it, with what is known about each. Sorted. */
export async function listSetAside(
  files: RcloneFiles,
): Promise<readonly { readonly path: string; readonly record: SetAsideRecord | null }[]> {
  const paths = [...(await listFiles(files.setAside))].sort();
  return Promise.all(paths.map(async (path) => ({ path, record: await readSetAsideRecord(files, path) })));
}

async function readSetAsideRecord(files: RcloneFiles, path: string): Promise<SetAsideRecord | null> {
  return parseSetAsideRecord((await readIfPresent(setAsideRecordPath(files, path))) ?? "");
}

export async function writeSetAsideRecord(
  files: RcloneFiles,
  path: string,
  record: SetAsideRecord,
): Promise<void> {
  const to = setAsideRecordPath(files, path);
  await ensureFolder(dirname(to), 0o700);
  await writeIfChanged(to, setAsideRecordText(record));
}

/** Removes the notes of files that a person moved away. */
export async function forgetRemoved(files: RcloneFiles): Promise<void> {
  for (const name of await listFiles(files.setAsideRecords)) {
    const path = name.slice(0, -RECORD_SUFFIX.length);
    if (!(await entryExists(join(files.setAside, path))))
      await rm(join(files.setAsideRecords, name), { force: true });
  }
}

/** Moves a cache file to the set-aside folder; null: there is no cache file, and so nothing to keep. */
async function moveAside(
  files: RcloneFiles,
  path: string,
  metadata: CacheMetadata | null,
  reason: StoredRecord["reason"],
  wallMs: number,
): Promise<string | null> {
  const known = await withCacheFile(files, path, async (file, handle): Promise<SetAsideRecord> => {
    const { real, doubtful } = await realBytes(metadata, file, {
      isZero: (range) => containsZeros(handle, range),
      zeroRuns: (range, isWanted) => zeroRunsOf(handle, range, isWanted),
    });
    const end = metadata === null ? null : Math.min(serverEnd(metadata), file.size);
    const whole = end !== null && isCovered({ start: 0, end }, real);
    return {
      cachePath: path,
      reason,
      setAsideAt: new Date(wallMs).toISOString(),
      size: file.size,
      real,
      doubtful,
      serverEnd: end,
      base: metadata?.base ?? null,
      state: whole ? "complete" : "incomplete",
      server: files.server,
    };
  });
  if (known === null) {
    // The note describes a file that no longer exists.
    await rm(metadataPath(files, path), { force: true });
    return null;
  }
  const name = await unusedName(files.setAside, path);
  const to = join(files.setAside, name);
  await ensureFolder(dirname(to), 0o700);
  // The note is written before the file is moved: after a crash in between, the file is still in the cache
  // and is reviewed again. On a full disk, the file is moved without a note, and its holes stay.
  await writeSetAsideRecord(files, name, known).catch(recoverFrom(isDiskFull));
  await rename(join(files.cache, "vfs", path), to);
  await rm(metadataPath(files, path), { force: true });
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

function metadataPath(files: RcloneFiles, path: string): string {
  return join(files.cache, "vfsMeta", path);
}

const RECORD_SUFFIX = ".json";

function setAsideRecordPath(files: RcloneFiles, path: string): string {
  return join(files.setAsideRecords, `${path}${RECORD_SUFFIX}`);
}

function setAsideRecordText(record: SetAsideRecord): string {
  const pairs = (ranges: readonly ByteRange[]) => ranges.map(({ start, end }) => [start, end]);
  return `${JSON.stringify({ ...record, real: pairs(record.real), doubtful: pairs(record.doubtful) })}\n`;
}

function parseSetAsideRecord(content: string): SetAsideRecord | null {
  // Earlier versions noted no server.
  const record = storedRecord({ server: FIRST_SERVER, ...jsonObject(content) });
  return record && { ...record, real: rangesOf(record.real), doubtful: rangesOf(record.doubtful) };
}

function rangesOf(pairs: StoredRecord["real"]): readonly ByteRange[] {
  return pairs.map(([start = 0, end = 0]) => ({ start, end }));
}
