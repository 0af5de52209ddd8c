// Finds out which parts of a file on a local disk hold data, and which are holes.
import type { FileHandle } from "node:fs/promises";
import { type ForeignLibrary, loadForeignLibrary } from "../../../network/native/foreign-library.ts";
import type { ByteRange } from "./cache-metadata.ts";

/** The `whence` of lseek(2) that asks for the next data, on Linux. */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const PIECE_BYTES = 256 * 1024;

type SparseFile = Pick<FileHandle, "fd" | "read" | "stat">;
type Seek = (fd: number, from: number, whence: number) => Promise<number>;

/**
 * Resolves with the function lseek, or with null where koffi is missing; undefined: loading has not begun.
 */
let loading: Promise<Seek | null> | undefined;

/**
 * Returns the parts of the file that hold data, in whole blocks and sorted. If the system cannot say, blocks of zeros
 * count as holes; rejects with the system's error.
 */
export async function dataOf(file: SparseFile, blockBytes: number): Promise<readonly ByteRange[]> {
  const { size } = await file.stat();
  loading ??= loadSeek();
  const seek = await loading;
  const data = seek === null ? null : await sought(file, size, seek);
  return data ?? scanned(file, size, blockBytes);
}

async function loadSeek(): Promise<Seek | null> {
  try {
    const library: ForeignLibrary = await loadForeignLibrary(null);
    const lseek = library.declareInPool("lseek", "int64", ["int", "int64", "int"]);
    return (fd, from, whence) => lseek(fd, from, whence);
  } catch {
    return null;
  }
}

/** null: the system cannot say. */
async function sought({ fd }: SparseFile, size: number, seek: Seek): Promise<readonly ByteRange[] | null> {
  const data: ByteRange[] = [];
  for (let from = 0; from < size; ) {
    const start = await seek(fd, from, SEEK_DATA);
    // On a failing disk, lseek finds no data either. Only a hole that begins here proves that there is no data.
    if (start < from) return (await seek(fd, from, SEEK_HOLE)) === from ? data : null;
    if (start >= size) break;
    const end = await seek(fd, start, SEEK_HOLE);
    if (end <= start) return null;
    data.push({ start, end: Math.min(end, size) });
    from = end;
  }
  return data;
}

async function scanned(file: SparseFile, size: number, blockBytes: number): Promise<readonly ByteRange[]> {
  const data: ByteRange[] = [];
  const piece = Buffer.alloc(Math.ceil(PIECE_BYTES / blockBytes) * blockBytes);
  for (let from = 0; from < size; from += piece.length) {
    const bytes = await readWhole(file, piece, from);
    for (let at = 0; at < bytes; at += blockBytes) {
      const block = piece.subarray(at, Math.min(at + blockBytes, bytes));
      if (isZero(block)) continue;
      const [start, end] = [from + at, from + at + block.length];
      const last = data.at(-1);
      if (last?.end === start) data[data.length - 1] = { start: last.start, end };
      else data.push({ start, end });
    }
  }
  return data;
}

/**
 * Fills `piece`, or reads up to the file's end. Several reads may be needed, because a single read ends early and
 * without an error before a bad sector of a disk.
 */
async function readWhole(file: SparseFile, piece: Buffer, from: number): Promise<number> {
  for (let at = 0; at < piece.length; ) {
    const { bytesRead } = await file.read(piece, at, piece.length - at, from + at);
    if (bytesRead === 0) return at;
    at += bytesRead;
  }
  return piece.length;
}

export async function containsZeros(file: FileHandle, { start, end }: ByteRange): Promise<boolean> {
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, end - start));
  for (let from = start; from < end; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, end - from), from);
    if (bytesRead === 0) return true;
    if (!isZero(piece.subarray(0, bytesRead))) return false;
    from += bytesRead;
  }
  return true;
}

export async function zeroRunsOf(
  file: FileHandle,
  { start, end }: ByteRange,
  isWanted: (run: ByteRange) => boolean,
): Promise<readonly ByteRange[]> {
  const runs: ByteRange[] = [];
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, end - start));
  let from: number | null = null;
  const close = (at: number): void => {
    if (from !== null && isWanted({ start: from, end: at })) runs.push({ start: from, end: at });
    from = null;
  };
  for (let at = start; at < end; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, end - at), at);
    if (bytesRead === 0) break;
    for (let index = 0; index < bytesRead; index++) {
      if (piece[index] === 0) from ??= at + index;
      else close(at + index);
    }
    at += bytesRead;
  }
  close(end);
  return runs;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
