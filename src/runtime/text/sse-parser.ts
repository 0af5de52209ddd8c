// Parses an event stream (text/event-stream) by the HTML standard. Events are returned one by one, so the reader may stop
// within a chunk.
import { GatheredBytes } from "./gathered-bytes.ts";

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const COLON = 58;
const SPACE = 32;
/** Data in one line of at least this many bytes is decoded lazily. */
const LONG_LINE = 64 * 1024;

export interface SseEvent {
  /** Default `message`. */
  readonly type: string;
  readonly data: string;
  /** `data` as received, if it is one long line. */
  readonly bytes?: Buffer;
}

export interface SseParser {
  push(chunk: Buffer): void;
  /** The next complete event with data; null: none yet, or `overlong`. */
  next(): SseEvent | null;
  /** The id of the last complete event, also of one without data; null: none yet, or the stream reset it. */
  readonly lastEventId: string | null;
  /** The reconnection time that the stream requested, ms; null: none. */
  readonly retryMs: number | null;
  /** An event was longer than the limit: no further events are returned. */
  readonly overlong: boolean;
}

/** `limitBytes`: the longest event. Time and memory are linear in the pushed bytes. */
export function createSseParser(limitBytes: number): SseParser {
  let chunk: Buffer | null = null;
  let offset = 0;
  // Positions of the next line feed and carriage return in this chunk; -1: there is none. They are kept, because a
  // chunk with many of one kind and none of the other would otherwise be searched to its end for each line.
  let nextFeed = -1;
  let nextReturn = -1;
  /** The beginning of an incomplete line. */
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
    // The name ends at the colon. A comment begins with a colon, and no known name is longer than five letters.
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

  /** The end of the line that starts at `offset`; -1: not in this chunk. */
  const lineEnd = (bytes: Buffer): number => {
    if (nextReturn !== -1 && nextReturn < offset) nextReturn = bytes.indexOf(CARRIAGE_RETURN, offset);
    if (nextFeed !== -1 && nextFeed < offset) nextFeed = bytes.indexOf(LINE_FEED, offset);
    if (nextReturn === -1) return nextFeed;
    return nextFeed === -1 ? nextReturn : Math.min(nextFeed, nextReturn);
  };

  // Properties instead of accessors: V8 gives each object with accessors its own hidden class, which stays in the old heap.
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
