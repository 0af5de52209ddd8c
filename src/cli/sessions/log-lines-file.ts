// Reads a log file while it is written and rotated: its last lines, then new ones.

import { constants } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { whenAborted } from "../../runtime/abort.ts";
import {
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../../runtime/errors.ts";
import { entryExists } from "../../runtime/files/durable-file.ts";
import { fileId, type LinePosition, readLinesBackwards } from "../../runtime/log/read-backwards.ts";
import { createLineSplitter } from "../../runtime/text/line-splitter.ts";
import type { Clock } from "../../runtime/time/clock.ts";

const CHUNK_BYTES = 64 * 1024;
/** The search for matching lines ends after this many bytes; more would take seconds. */
const SEARCH_LIMIT_BYTES = 256 * 1024 * 1024;
/** Polling interval, ms; short enough to seem immediate. */
const POLL_MS = 150;
const NEWLINE = 0x0a;
/** Suffixes that the newest rotated file may have. */
const ROTATED_SUFFIXES = [".1", ".0"];

interface LogFileOptions {
  /** The log file's absolute path. */
  readonly path: string;
  /** How many of the last matching lines are wanted. */
  readonly count: number;
  readonly matches: (line: string) => boolean;
  readonly clock: Clock;
}

/** Reads the last lines. Rejects with `permission_denied` for a file that may not be read. */
export async function openLogFile(options: LogFileOptions) {
  const { path, clock } = options;
  const first = await openPresent(path);
  let file = first;
  // If the last line is unfinished, `follow` begins with that line, so that it yields the line once it is complete.
  let offset = first === null ? 0 : await lineStart(first, (await first.stat()).size);
  const last = await lastLines(options, first === null ? null : { file: await fileId(first), offset });
  return {
    /**
     * The last matching lines, oldest first; includes lines of the rotated file if the current file has too
     * few.
     */
    last,
    exists: first !== null,
    /**
     * Yields every later line, even if the file is rotated, truncated or missing for a time. Ends when the
     * signal aborts.
     */
    async *follow(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
      const aborted = whenAborted(signal);
      const lines = createLineSplitter(Number.POSITIVE_INFINITY);
      while (!signal.aborted) {
        file ??= await openPresent(path);
        if (file !== null) {
          // Checked before reading, so that a rotated file is read to its end.
          const isMoved = await isReplaced(path, file);
          const { size: length } = await file.stat();
          if (length < offset) {
            offset = 0;
            lines.rest();
          }
          while (offset < length && !signal.aborted) {
            const chunk = await readAt(file, offset, Math.min(CHUNK_BYTES, length - offset));
            if (chunk.length === 0) break;
            offset += chunk.length;
            for (const line of lines.take(chunk)) if (line !== "") yield line;
          }
          if (isMoved) {
            await file.close();
            file = null;
            offset = 0;
            const last = lines.rest();
            if (last !== null) yield last;
            continue;
          }
        }
        await Promise.race([clock.sleep(POLL_MS), aborted]);
      }
    },
    async [Symbol.asyncDispose]() {
      await file?.close();
    },
  };
}

async function openPresent(path: string): Promise<FileHandle | null> {
  try {
    // Without O_NONBLOCK, opening a named pipe would block until it has a writer.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") return null;
    if (code !== "EACCES") throw error;
    throw new MountaineerError("permission_denied", `${path} may not be read: ${errorText(error)}`, {
      cause: error,
      hint: "run this as the user whose daemon it is",
    });
  }
  throw new MountaineerError("path_taken", `${path} is not a file`, {
    hint: "the daemon's log belongs there; move away what is there now",
  });
}

/** The daemon writes on into a file that was moved until it notices, so the next file counts once it has a line. */
async function isReplaced(path: string, file: FileHandle): Promise<boolean> {
  const [there, ours] = await Promise.all([stat(path).catch(() => null), file.stat()]);
  return there !== null && there.size > 0 && (there.dev !== ours.dev || there.ino !== ours.ino);
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

/** Offset of the unfinished last line; `size` if the last line is complete. */
async function lineStart(file: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const newline = (await readAt(file, start, end - start)).lastIndexOf(NEWLINE);
    if (newline !== -1) return start + newline + 1;
    end = start;
  }
  return 0;
}

/**
 * Returns the last matching lines, oldest first: from the current file up to `before` and, if these are too few, also
 * from the newest rotated file.
 */
async function lastLines(
  { path, count, matches }: LogFileOptions,
  before: LinePosition | null,
): Promise<string[]> {
  const found: string[] = [];
  const read = (from: string, position: LinePosition | null): Promise<unknown> =>
    readLinesBackwards(
      {
        path: from,
        keep: 0,
        before: position,
        signal: new AbortController().signal,
        mostBytes: SEARCH_LIMIT_BYTES,
      },
      (line) => {
        if (found.length < count && matches(line)) found.push(line);
        return found.length < count;
      },
    );
  if (before !== null) await read(path, before);
  // The daemon rotates the target of a symbolic link; other rotators may rename the link.
  const real = await realpath(path).catch(() => path);
  for (const file of [real, path].flatMap((one) => ROTATED_SUFFIXES.map((end) => `${one}${end}`))) {
    if (found.length >= count) break;
    if (!(await entryExists(file).catch(() => false))) continue;
    await read(file, null).catch(recoverFrom(isSystemError));
    break;
  }
  return found.reverse();
}
