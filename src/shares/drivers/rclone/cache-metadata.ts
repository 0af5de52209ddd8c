// Rclone's notes about the files in its write cache (`vfsMeta`): reading them, and judging how far the note of a killed
// rclone is still true. No file is touched here.
import { isDeepStrictEqual } from "node:util";
import { isObject, jsonObject } from "../../../runtime/text/json-object.ts";

/** Bytes of a file from `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface CacheMetadata {
  /** The file's size when the note was written. It may be older than `ranges`. */
  readonly size: number;
  /** The bytes that the cache file really holds; the rest comes from the server. Sorted, without overlaps. */
  readonly ranges: readonly ByteRange[];
  /** Size and time of the server's file that the changes are based on. null: the file was new. */
  readonly base: { readonly size: number; readonly time: string } | null;
  /** The changes are not on the server yet. */
  readonly dirty: boolean;
  /** The engine noted each write before it returned, so what is not listed came from the server. */
  readonly exact: boolean;
  /** All ranges are in the JSON, and none in lines below it, which only the engine reads. */
  readonly inOnePiece: boolean;
  /** All members of the note's JSON, so that they can be written back unchanged. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** What the file system knows about a cache file. */
export interface CacheFile {
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Ranges for which the file system stores data, in whole blocks; everything else is holes. Sorted. */
  readonly data: readonly ByteRange[];
  readonly blockBytes: number;
}

type MetadataVerdict =
  /**
   * rclone can continue with the file. `corrected`: the corrected note; null: the note needs no correction.
   */
  | { readonly state: "resumable"; readonly corrected: string | null }
  /**
   * `unlisted`: the cache file may hold data that the note does not list. `truncated`: a program made the
   * file shorter than the server's file, and rclone (1.60 at least) would add bytes from beyond the new end.
   */
  | { readonly state: "unlisted" | "truncated" };

/**
 * The JSON of a note, and the lines below it: the engine adds one for each range that a program writes. A last line
 * without an end is torn, and its write never returned.
 */
export function splitMetadata(text: string): { readonly json: string; readonly lines: readonly string[] } {
  const end = text.indexOf("\n}\n");
  if (end === -1) return { json: text, lines: [] };
  const below = end + "\n}\n".length;
  return { json: text.slice(0, below), lines: text.slice(below).split("\n").slice(0, -1) };
}

/** Parses a metadata file; null: the text is torn, or is not metadata. */
export function parseCacheMetadata(text: string): CacheMetadata | null {
  const { json, lines } = splitMetadata(text);
  const members = jsonObject(json);
  const size = members?.["Size"];
  if (members === null || !isSize(size)) return null;
  const listed = members["Rs"] ?? [];
  if (!Array.isArray(listed)) return null;
  const ranges: ByteRange[] = [];
  for (const each of [...listed, ...lines.map(jsonObject)]) {
    if (!isObject(each) || !isSize(each["Pos"]) || !isSize(each["Size"])) return null;
    ranges.push({ start: each["Pos"], end: each["Pos"] + each["Size"] });
  }
  const fingerprint = /^(\d+),(.*)$/.exec(String(members["Fingerprint"] ?? ""));
  const base = fingerprint === null ? null : { size: Number(fingerprint[1]), time: fingerprint[2] ?? "" };
  return {
    ...{ size, ranges: union(ranges), base, members },
    dirty: members["Dirty"] === true,
    exact: members["Exact"] === true,
    inOnePiece: lines.length === 0,
  };
}

/** The offset up to which the server's file fills holes of the cache file. From there on, holes are zeros. */
export function serverEnd(metadata: CacheMetadata): number {
  return metadata.base === null ? 0 : Math.min(metadata.size, metadata.base.size);
}

/**
 * Judges the note of a file that was not sent; `isZero` reads the cache file. Data that the note does not list makes
 * the verdict `unlisted`, except zeros that only pad a block of the file system.
 */
export async function judgeMetadata(
  metadata: CacheMetadata,
  file: CacheFile,
  isZero: (range: ByteRange) => Promise<boolean>,
): Promise<MetadataVerdict> {
  const end = Math.min(serverEnd(metadata), file.size);
  const listed = clip(metadata.ranges, file.size);
  // From `end` on, the server's file has nothing to add, so all data there counts as listed.
  const known = union([...listed, { start: end, end: file.size }]);
  if (!metadata.exact) {
    for (const data of file.data) {
      for (const gap of subtract(data, known)) {
        if (!isPadding(gap, data, file.blockBytes) || !(await isZero(gap))) return { state: "unlisted" };
      }
    }
    const isShorter = metadata.base !== null && end < metadata.base.size;
    if (isShorter && subtract({ start: 0, end }, known).length > 0) return { state: "truncated" };
  }
  const modified = rfc3339(file.mtimeNs);
  const same =
    metadata.inOnePiece &&
    metadata.size === file.size &&
    isDeepStrictEqual(metadata.ranges, known) &&
    isAbout(String(metadata.members["ModTime"]), modified);
  if (same) return { state: "resumable", corrected: null };
  const Rs = known.map(({ start, end }) => ({ Pos: start, Size: end - start }));
  // The corrected note gets the cache file's time, because the mount has shown that time.
  const corrected = JSON.stringify({ ...metadata.members, ModTime: modified, Size: file.size, Rs });
  return { state: "resumable", corrected };
}

interface ZeroChecks {
  isZero(range: ByteRange): Promise<boolean>;
  /** Returns the runs of zeros within `range` that `isWanted` accepts. */
  zeroRuns(range: ByteRange, isWanted: (run: ByteRange) => boolean): Promise<readonly ByteRange[]>;
}

interface RealBytes {
  /** Bytes that programs wrote, or rclone fetched; the rest comes from the server. */
  readonly real: readonly ByteRange[];
  /** Ranges of zeros in unlisted blocks. It is not known whether a program has written these zeros. */
  readonly doubtful: readonly ByteRange[];
}

/**
 * Finds the real bytes of a cache file: the ranges that its note lists, and other data in the file. Zeros in other
 * data are `doubtful`, because they may be gaps between writes, unless all listed ranges and the file's sizes are
 * multiples of a sector. Zeros that pad a block never count.
 */
export async function realBytes(
  metadata: CacheMetadata | null,
  file: CacheFile,
  zeroChecks: ZeroChecks,
): Promise<RealBytes> {
  if (metadata === null) return { real: clip(file.data, file.size), doubtful: [] };
  const end = Math.min(serverEnd(metadata), file.size);
  const known = union([...clip(metadata.ranges, file.size), { start: end, end: file.size }]);
  // The sizes must also be aligned: rclone fetches aligned ranges, whatever the program writes.
  const isAligned =
    [metadata.base?.size ?? 0, file.size].every((size) => size % SECTOR_BYTES === 0) &&
    metadata.ranges.every(({ start, end }) => start % SECTOR_BYTES === 0 && end % SECTOR_BYTES === 0);
  const real = [...known];
  const doubtful: ByteRange[] = [];
  for (const data of file.data) {
    for (const gap of subtract(data, known)) {
      if (isPadding(gap, data, file.blockBytes) && (await zeroChecks.isZero(gap))) continue;
      const runs = isAligned
        ? []
        : await zeroChecks.zeroRuns(gap, (run) => isBetweenWrites(run, file.blockBytes));
      doubtful.push(...runs);
      real.push(...subtract(gap, runs));
    }
  }
  return { real: union(real), doubtful };
}

const SECTOR_BYTES = 512;
/** Up to this many zero bytes in a row were written by the program itself, unless they touch a block's edge. */
const OWN_ZEROS_AT_MOST = 64;

function isBetweenWrites({ start, end }: ByteRange, blockBytes: number): boolean {
  return (
    end - start > OWN_ZEROS_AT_MOST ||
    Math.floor(start / blockBytes) * blockBytes === start ||
    end % blockBytes === 0
  );
}

/**
 * True if the gap can be the padding of blocks that the note lists only in part. If the gap is in one block, bytes
 * must be listed before or after it; if it touches two blocks, on both sides.
 */
function isPadding(gap: ByteRange, data: ByteRange, blockBytes: number): boolean {
  const firstWholeBlock = Math.ceil(gap.start / blockBytes) * blockBytes;
  if (firstWholeBlock + blockBytes <= gap.end) return false;
  const listedBefore = gap.start > data.start;
  const listedAfter = gap.end < data.end;
  const inOneBlock = gap.end <= firstWholeBlock || gap.start === firstWholeBlock;
  return inOneBlock ? listedBefore || listedAfter : listedBefore && listedAfter;
}

/**
 * Times that differ by at most this count as equal, ms: rclone takes the time of a first change from its own
 * clock, which differs a little from the file's.
 */
const SAME_TIME_MS = 100;

function isAbout(time: string, other: string): boolean {
  return Math.abs(Date.parse(time) - Date.parse(other)) <= SAME_TIME_MS;
}

export function rfc3339(wallNs: bigint): string {
  const fraction = ((wallNs % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND;
  const seconds = (wallNs - fraction) / NS_PER_SECOND;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, "2000-01-01T00:00:00".length);
  return `${whole}.${String(fraction).padStart(9, "0")}Z`;
}

const NS_PER_SECOND = 1_000_000_000n;

/** Sorted, without overlaps or neighbours. */
export function union(ranges: readonly ByteRange[]): readonly ByteRange[] {
  const merged: ByteRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    if (range.end <= range.start) continue;
    const last = merged.at(-1);
    if (last !== undefined && range.start <= last.end) {
      merged[merged.length - 1] = { start: last.start, end: Math.max(last.end, range.end) };
    } else merged.push(range);
  }
  return merged;
}

/** Ends the ranges at `end`; one that begins after it is empty then. */
function clip(ranges: readonly ByteRange[], end: number): readonly ByteRange[] {
  return ranges.map((range) => ({ start: range.start, end: Math.min(range.end, end) }));
}

/** The parts of `range` that are in none of `others`, which are sorted and do not overlap. */
export function subtract(range: ByteRange, others: readonly ByteRange[]): readonly ByteRange[] {
  const left: ByteRange[] = [];
  let from = range.start;
  for (const other of others) {
    if (other.end <= from) continue;
    if (other.start >= range.end) break;
    if (other.start > from) left.push({ start: from, end: other.start });
    from = other.end;
  }
  if (from < range.end) left.push({ start: from, end: range.end });
  return left;
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
