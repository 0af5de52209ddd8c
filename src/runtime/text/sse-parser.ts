// Reads an event stream (text/event-stream), as the HTML standard says: bytes in, events out one by one, so
// that the reader may stop between two events of one chunk.
import { GatheredBytes } from "./gathered-bytes.ts";

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const COLON = 58;
const SPACE = 32;
/** Data in one line of so many bytes is decoded only when it is asked for as text. */
const LONG_LINE = 64 * 1024;

export interface SseEvent {
  /** `message` unless the stream says otherwise. */
  readonly type: string;
  readonly data: string;
  /** The same as it came, where it is one long line. */
  readonly bytes?: Buffer;
}

export interface SseParser {
  push(chunk: Buffer): void;
  /** The next whole event that has data; null when there is none yet. */
  next(): SseEvent | null;
  /** The id of the last complete event, with data or without; null: there was none yet, or it was reset. */
  readonly lastEventId: string | null;
  /** What the stream asks for, ms; null: it did not. */
  readonly retryMs: number | null;
  /** An event is longer than the limit; nothing more comes. */
  readonly overlong: boolean;
}

/** `limitBytes`: of one event. Time and memory are linear in what is pushed. */
export function createSseParser(limitBytes: number): SseParser {
  let chunk: Buffer | null = null;
  let offset = 0;
  // The next line feed in this chunk, -1 for none. Kept, because a search for each line would read a chunk without any
  // again and again.
  let nextFeed = -1;
  let nextReturn = -1;
  /** Of a line whose end has not come. */
  let begun = new GatheredBytes();
  let atStart = true;
  let afterReturn = false;

  let type = "";
  let data: string | Buffer | null = null;
  let eventBytes = 0;
  let id: string | null = null;

  const grow = (bytes: number): void => {
    eventBytes += bytes;
    if (eventBytes <= limitBytes) return;
    parser.overlong = true;
    begun = new GatheredBytes();
    data = null;
    chunk = null;
  };

  const field = (bytes: Buffer, start: number, end: number): void => {
    // The name ends at the colon; a comment begins with one, and no name is longer than five letters.
    let nameEnd = start;
    while (nameEnd < end && bytes[nameEnd] !== COLON && nameEnd - start < 6) nameEnd += 1;
    if (nameEnd === start || nameEnd - start === 6) return;
    let valueStart = Math.min(nameEnd + 1, end);
    if (valueStart < end && bytes[valueStart] === SPACE) valueStart += 1;
    const name = bytes.toString("latin1", start, nameEnd);
    if (name === "data") {
      const isLong = data === null && end - valueStart >= LONG_LINE;
      const value = isLong ? bytes.subarray(valueStart, end) : bytes.toString("utf8", valueStart, end);
      data = data === null ? value : `${data}\n${value}`;
    } else if (name === "event") type = bytes.toString("utf8", valueStart, end);
    else if (name === "id") {
      const value = bytes.toString("utf8", valueStart, end);
      if (!value.includes("\0")) id = value;
    } else if (name === "retry") {
      const value = bytes.toString("latin1", valueStart, end);
      if (/^\d{1,9}$/.test(value)) parser.retryMs = Number(value);
    }
  };

  const dispatch = (): SseEvent | null => {
    parser.lastEventId = id === "" ? null : id;
    const event = data === null || data === "" ? null : eventOf(type === "" ? "message" : type, data);
    type = "";
    data = null;
    eventBytes = 0;
    return event;
  };

  /** Where the line that starts at `offset` ends; -1: not in this chunk. */
  const lineEnd = (bytes: Buffer): number => {
    if (nextReturn !== -1 && nextReturn < offset) nextReturn = bytes.indexOf(CARRIAGE_RETURN, offset);
    if (nextFeed !== -1 && nextFeed < offset) nextFeed = bytes.indexOf(LINE_FEED, offset);
    if (nextReturn === -1) return nextFeed;
    return nextFeed === -1 ? nextReturn : Math.min(nextFeed, nextReturn);
  };

  // Without accessors: V8 makes each object with one a class of its own, which keeps it in the old heap.
  const parser: { -readonly [Member in keyof SseParser]: SseParser[Member] } = {
    lastEventId: null,
    retryMs: null,
    overlong: false,
    push(more) {
      if (parser.overlong || more.length === 0) return;
      chunk = chunk === null ? more : Buffer.concat([chunk.subarray(offset), more]);
      offset = 0;
      nextFeed = chunk.indexOf(LINE_FEED);
      nextReturn = chunk.indexOf(CARRIAGE_RETURN);
    },
    next() {
      while (chunk !== null && offset < chunk.length) {
        if (afterReturn) {
          afterReturn = false;
          if (chunk[offset] === LINE_FEED) {
            offset += 1;
            continue;
          }
        }
        const end = lineEnd(chunk);
        const source = chunk;
        const start = offset;
        if (end === -1) {
          begun.push(source.subarray(start));
          chunk = null;
          grow(source.length - start);
          return null;
        }
        offset = end + 1;
        afterReturn = source[end] === CARRIAGE_RETURN;
        grow(end - start);
        if (parser.overlong) return null;
        let line = source;
        let from = start;
        let to = end;
        if (begun.length > 0) {
          begun.push(source.subarray(start, end));
          line = begun.take();
          from = 0;
          to = line.length;
        }
        if (atStart) {
          atStart = false;
          if (line[from] === 0xef && line[from + 1] === 0xbb && line[from + 2] === 0xbf) from += 3;
        }
        if (from < to) field(line, from, to);
        else {
          const event = dispatch();
          if (event !== null) return event;
        }
      }
      chunk = null;
      return null;
    },
  };
  return parser;
}

function eventOf(type: string, data: string | Buffer): SseEvent {
  return typeof data === "string" ? { type, data } : new LongEvent(type, data);
}

class LongEvent implements SseEvent {
  readonly type: string;
  readonly bytes: Buffer;

  constructor(type: string, bytes: Buffer) {
    this.type = type;
    this.bytes = bytes;
  }

  get data(): string {
    return this.bytes.toString("utf8");
  }
}
