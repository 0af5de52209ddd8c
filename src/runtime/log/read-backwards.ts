// Reads lines from the end of a log backwards: the file at a path, then the rotated files `path.1`, `path.2` …
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { systemErrorCode } from "../errors.ts";

const PIECE_BYTES = 64 * 1024;
/** Longer lines are skipped. */
const MOST_LINE_BYTES = 1024 * 1024;
/** The most that one call reads. */
export const MOST_READ_BYTES = 8 * 1024 * 1024;
const NEWLINE = 0x0a;

/** A position in a file, before the byte at `offset`. It stays valid when the file is rotated. */
export interface LinePosition {
  /** Device and inode. */
  readonly file: string;
  readonly offset: number;
}

export interface LineFiles {
  readonly path: string;
  /** The highest number of a rotated file. */
  readonly keep: number;
  /** null: start with the newest line. */
  readonly before: LinePosition | null;
  readonly signal: AbortSignal;
  /** Default `MOST_READ_BYTES`; at least 2 MiB, so that each call gets beyond the longest line. */
  readonly mostBytes?: number;
}

/**
 * Calls `take` with each line, newest first, until `take` returns false or `mostBytes` are read. A last line
 * without a newline is skipped, because it is incomplete. Resolves with the position of older lines; null:
 * there are none. Missing files and files that are not regular have no lines. Rejects with the system's
 * error, and with the signal's reason.
 */
export async function readLinesBackwards(
  { path, keep, before, signal, mostBytes = MOST_READ_BYTES }: LineFiles,
  take: (line: string) => boolean,
): Promise<LinePosition | null> {
  const reading = { bytesLeft: mostBytes, signal, take };
  const visited = new Set<string>();
  let isBegun = before === null;
  let isStopped = false;
  for (let number = 0; number <= keep; number++) {
    signal.throwIfAborted();
    await using found = await openPlain(number === 0 ? path : `${path}.${number}`);
    // A file that is rotated during the read appears again under the next name.
    if (found === null || visited.has(found.id)) continue;
    visited.add(found.id);
    if (isStopped) return { file: found.id, offset: found.size };
    const isHere = before?.file === found.id && before.offset <= found.size;
    if (!isBegun && !isHere) continue;
    const end = !isBegun && isHere ? before.offset : found.size;
    isBegun = true;
    const left = await readFileBackwards(found.file, end, reading);
    if (left !== null && left > 0) return { file: found.id, offset: left };
    isStopped = left !== null;
  }
  return null;
}

/** The file with its id and size; null: there is none, or it is not regular. */
async function openPlain(path: string) {
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    const close = { [Symbol.asyncDispose]: () => file.close() };
    try {
      const found = await file.stat();
      if (found.isFile()) return { file, id: `${found.dev}-${found.ino}`, size: found.size, ...close };
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return null;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}

interface Reading {
  bytesLeft: number;
  readonly signal: AbortSignal;
  readonly take: (line: string) => boolean;
}

/** Resolves with the offset where `take` stopped; null: the beginning of the file was reached. */
async function readFileBackwards(file: FileHandle, end: number, reading: Reading): Promise<number | null> {
  const lines = new Backwards(end, reading.take);
  let at = end;
  while (at > 0) {
    if (reading.bytesLeft <= 0) return lines.resumeAt;
    reading.signal.throwIfAborted();
    const start = Math.max(0, at - PIECE_BYTES);
    const piece = await readExactly(file, start, at - start);
    reading.bytesLeft -= at - start;
    // Another program has truncated the file.
    if (piece === null) return null;
    if (!lines.takePiece(piece, start)) return lines.resumeAt;
    at = start;
  }
  return lines.takeFirst() ? null : 0;
}

async function readExactly(file: FileHandle, start: number, length: number): Promise<Buffer | null> {
  const bytes = Buffer.alloc(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await file.read(bytes, got, length - got, start + got);
    if (bytesRead === 0) return null;
    got += bytesRead;
  }
  return bytes;
}

/** Splits a file into lines. The pieces of the file are read from its end to its start. */
class Backwards {
  /** The bytes before this offset were not passed to `take` yet. */
  resumeAt: number;
  readonly #take: (line: string) => boolean;
  /** Parts of a line whose beginning was not read yet, in the order of the file. */
  #ends: Buffer[] = [];
  #endBytes = 0;
  /** True while the present line is skipped, because it has no newline at its end or is too long. */
  #isSkipping = true;

  constructor(end: number, take: (line: string) => boolean) {
    this.resumeAt = end;
    this.#take = take;
  }

  /** Passes the lines of `piece` to `take`. Returns false as soon as `take` returns false. */
  takePiece(piece: Buffer, start: number): boolean {
    let end = piece.length;
    for (;;) {
      const newline = end === 0 ? -1 : piece.lastIndexOf(NEWLINE, end - 1);
      if (newline === -1) break;
      const isWanted = this.#emit(piece.subarray(newline + 1, end));
      this.resumeAt = start + newline + 1;
      if (!isWanted) return false;
      end = newline;
    }
    this.#keep(piece.subarray(0, end), start);
    return true;
  }

  /** Passes the file's first line to `take`, and returns the result. */
  takeFirst(): boolean {
    return this.#emit(Buffer.alloc(0));
  }

  #emit(beginning: Buffer): boolean {
    const line = this.#isSkipping ? "" : Buffer.concat([beginning, ...this.#ends]).toString("utf8");
    this.#isSkipping = false;
    this.#ends = [];
    this.#endBytes = 0;
    return line === "" || this.#take(line);
  }

  #keep(end: Buffer, start: number): void {
    this.#ends.unshift(end);
    this.#endBytes += end.length;
    if (this.#endBytes > MOST_LINE_BYTES) this.#isSkipping = true;
    if (!this.#isSkipping) return;
    this.#ends = [];
    this.resumeAt = start;
  }
}
