// Splits a stream of bytes into lines. Bytes are split before they are decoded, so a character may span two chunks. Lines are
// returned one by one, so the reader may stop within a chunk.
import { GatheredBytes } from "./gathered-bytes.ts";

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export type LineSplitter = ReturnType<typeof createLineSplitter>;

/**
 * `limitBytes`: the longest line. A longer line is skipped and reported to `onTooLong`; without `onTooLong` the
 * splitting ends (`overlong`). Time and memory are linear in the pushed bytes.
 */
export function createLineSplitter(limitBytes: number | (() => number), onTooLong?: () => void) {
  const limit = typeof limitBytes === "number" ? () => limitBytes : limitBytes;
  let chunk: Buffer | null = null;
  let offset = 0;
  /** The beginning of an incomplete line. */
  const begun = new GatheredBytes();
  let skipping = false;
  let overlong = false;

  const refuse = (): void => {
    begun.clear();
    if (onTooLong === undefined) {
      overlong = true;
      chunk = null;
      return;
    }
    skipping = true;
    onTooLong();
  };
  const buffer = (part: Buffer): void => {
    if (skipping || part.length === 0) return;
    begun.push(part);
    if (begun.length > limit()) refuse();
  };
  const nextBytes = (): Buffer | null => {
    while (chunk !== null) {
      const source: Buffer = chunk;
      const start = offset;
      const end = source.indexOf(LINE_FEED, start);
      offset = end + 1;
      if (end === -1 || offset === source.length) chunk = null;
      if (end === -1) {
        buffer(source.subarray(start));
        return null;
      }
      const isWhole = begun.length === 0 && !skipping && end - start <= limit();
      if (isWhole) return withoutReturn(source.subarray(start, end));
      buffer(source.subarray(start, end));
      if (overlong) return null;
      if (!skipping) return withoutReturn(begun.take());
      skipping = false;
    }
    return null;
  };
  const restBytes = (): Buffer | null => {
    if (chunk !== null) buffer(chunk.subarray(offset));
    chunk = null;
    skipping = false;
    return begun.length === 0 ? null : withoutReturn(begun.take());
  };
  const push = (more: Buffer | string): void => {
    if (overlong || more.length === 0) return;
    const bytes = typeof more === "string" ? Buffer.from(more) : more;
    chunk = chunk === null ? bytes : Buffer.concat([chunk.subarray(offset), bytes]);
    offset = 0;
  };
  /** Fast path: a line within one chunk, as nearly all are, is decoded without a copy. */
  const nextEither = (): string | Buffer | null => {
    const end = chunk === null || begun.length > 0 || skipping ? -1 : chunk.indexOf(LINE_FEED, offset);
    if (chunk === null || end === -1 || end - offset > limit()) return nextBytes();
    const isReturned = end > offset && chunk[end - 1] === CARRIAGE_RETURN;
    const line = chunk.toString("utf8", offset, isReturned ? end - 1 : end);
    offset = end + 1;
    if (offset === chunk.length) chunk = null;
    return line;
  };
  const nextExactly = (count: number): Buffer | null => {
    if (chunk === null) return null;
    const end = Math.min(chunk.length, offset + count - begun.length);
    begun.push(chunk.subarray(offset, end));
    offset = end;
    if (offset === chunk.length) chunk = null;
    return begun.length < count ? null : begun.take();
  };
  const next = (): string | null => nextEither()?.toString() ?? null;

  return {
    /**
     * True after a line that was longer than the limit, if there is no `onTooLong`. No further lines are returned then.
     */
    get overlong() {
      return overlong;
    },
    push,
    /** The next complete line, without LF or CRLF; null: none yet, or `overlong`. */
    next,
    /** Like `next`, as bytes, which need not be UTF-8. */
    nextBytes,
    /** Like `next`, but returns bytes if the line spans several chunks. */
    nextEither,
    /** After a whole line: the next `count` bytes, whatever their lines; null: they are not all there yet. */
    nextExactly,
    *take(more: Buffer | string): Iterable<string> {
      push(more);
      for (let line = next(); line !== null; line = next()) yield line;
    },
    /** Removes and returns the last line, which has no line end; null if it is empty. */
    rest: (): string | null => restBytes()?.toString("utf8") ?? null,
    restBytes,
  };
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
