// Owns bytes that become lines: split on line feeds before decoding, so that a character may straddle two chunks, and
// asked for one by one, so that the reader may stop between two lines of one chunk.

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

export interface LineSplitter {
  push(chunk: Buffer): void;
  /** The next whole line, without its end (LF or CRLF); null when there is none yet, or a line is too long. */
  next(): string | null;
  /** What is left without an end, and forgets it; null when that is nothing. */
  rest(): string | null;
  /** A line is longer than the limit; nothing more comes. */
  readonly overlong: boolean;
}

/** `limitBytes`: of one line. Time and memory are linear in what is pushed. */
export function createLineSplitter(limitBytes: number): LineSplitter {
  let chunk: Buffer | null = null;
  let offset = 0;
  let parts: Buffer[] = [];
  let partBytes = 0;
  let overlong = false;

  const hold = (part: Buffer): void => {
    if (part.length > 0) parts.push(part);
    partBytes += part.length;
    if (partBytes > limitBytes) {
      overlong = true;
      parts = [];
      chunk = null;
    }
  };
  const joined = (): string => {
    const line = Buffer.concat(parts, partBytes);
    parts = [];
    partBytes = 0;
    return decoded(line, 0, line.length);
  };

  return {
    get overlong() {
      return overlong;
    },
    push(more) {
      if (overlong || more.length === 0) return;
      chunk = chunk === null ? more : Buffer.concat([chunk.subarray(offset), more]);
      offset = 0;
    },
    next() {
      if (chunk === null) return null;
      const end = chunk.indexOf(LINE_FEED, offset);
      if (end === -1) {
        hold(chunk.subarray(offset));
        chunk = null;
        return null;
      }
      const start = offset;
      const source = chunk;
      offset = end + 1;
      if (offset === source.length) chunk = null;
      if (partBytes === 0 && end - start <= limitBytes) return decoded(source, start, end);
      hold(source.subarray(start, end));
      return overlong ? null : joined();
    },
    rest() {
      if (chunk !== null) hold(chunk.subarray(offset));
      chunk = null;
      return partBytes === 0 || overlong ? null : joined();
    },
  };
}

function decoded(bytes: Buffer, start: number, end: number): string {
  const last = end > start && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
  return bytes.toString("utf8", start, last);
}
