// Parses HTTP/1.1 responses from the bytes of one connection: a head of bounded size, and the body piece by piece.
// Refuses responses that HTTP implementations interpret differently. Pure.

/** Limit of a head, of a chunk's first line, and of the trailers; the same as Node's. */
const HEAD_BYTES = 16 * 1024;
const LINE_END = "\r\n";
const HEAD_END = "\r\n\r\n";
const BEGINNING = "HTTP/1.";
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const CHUNK_SIZE = /^([\da-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/i;
const CLOSES = /(?:^|[\t ,])close(?:$|[\t ,])/i;
const KEEPS = /(?:^|[\t ,])keep-alive(?:$|[\t ,])/i;

export interface ResponseHead {
  /** Never 1xx: these responses are skipped. */
  readonly status: number;
  /** Names are in lower case; the values of a repeated header are joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
  /** The connection can carry another request. */
  readonly isReusable: boolean;
}

export interface ResponseParts {
  onHead(head: ResponseHead): void;
  onData(piece: Buffer): void;
  onEnd(): void;
}

export class ResponseReader {
  readonly #parts: ResponseParts;
  #state: "idle" | "head" | "sized" | "open" | "chunk" | "chunk size" | "chunk end" | "trailer" | "wrong" =
    "idle";
  /** Bytes that are still to come: of the current chunk if the body is chunked, otherwise of the body. */
  #remainingBytes = 0;
  #trailerBytes = 0;
  #rest: Buffer | null = null;
  #isPaused = false;

  constructor(parts: ResponseParts) {
    this.#parts = parts;
  }

  /** Call when a request was sent, because a response may begin from then on. */
  expect(): void {
    this.#state = "head";
  }

  /** Buffers received bytes until `release`. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Parses the buffered bytes; returns as `push` does. */
  release(): boolean {
    this.#isPaused = false;
    const rest = this.#rest;
    this.#rest = null;
    return rest === null || this.push(rest);
  }

  /**
   * False: the bytes are not HTTP/1.1, or no response was expected; the connection is unusable. The caller must not
   * change `bytes` afterwards.
   */
  push(bytes: Buffer): boolean {
    let all = bytes;
    if (this.#rest !== null) {
      all = Buffer.concat([this.#rest, bytes]);
      this.#rest = null;
    }
    let at = 0;
    while (at < all.length) {
      const next = this.#isPaused ? null : this.#take(all, at);
      if (next === null) {
        this.#rest = all.subarray(at);
        return true;
      }
      if (next < 0) {
        this.#state = "wrong";
        return false;
      }
      at = next;
    }
    return true;
  }

  /** The server has ended the connection, which completes a body without a length. */
  finish(): void {
    if (this.#state === "open") this.#end();
  }

  /** Offset after the parsed part; null: more bytes are needed; -1: the part is invalid. */
  #take(all: Buffer, at: number): number | null {
    switch (this.#state) {
      case "head":
        return this.#takeHead(all, at);
      case "sized":
      case "chunk":
        return this.#takeSized(all, at);
      case "open":
        this.#parts.onData(at === 0 ? all : all.subarray(at));
        return all.length;
      case "chunk size":
        return this.#takeChunkSize(all, at);
      case "chunk end":
        if (all.length - at < LINE_END.length) return null;
        this.#state = "chunk size";
        return all.indexOf(LINE_END, at, "latin1") === at ? at + LINE_END.length : -1;
      case "trailer":
        return this.#takeTrailer(all, at);
      default:
        return -1;
    }
  }

  #takeHead(all: Buffer, at: number): number | null {
    const end = all.indexOf(HEAD_END, at, "latin1");
    if (end === -1) {
      const begun = all.toString("latin1", at, at + BEGINNING.length);
      return all.length - at > HEAD_BYTES || !BEGINNING.startsWith(begun) ? -1 : null;
    }
    if (end - at > HEAD_BYTES) return -1;
    const next = end + HEAD_END.length;
    const head = parseHead(all.toString("latin1", at, end));
    if (head === null || head.status === 101) return -1;
    if (head.status < 200) return next;
    const { status, headers, isReusable, length } = head;
    const hasNone = status === 204 || status === 304 || length === 0;
    const isOpen = length === null && !hasNone;
    this.#remainingBytes = typeof length === "number" ? length : 0;
    this.#state = length === "chunked" ? "chunk size" : isOpen ? "open" : "sized";
    this.#parts.onHead({ status, headers, isReusable: isReusable && !isOpen });
    if (hasNone) this.#end();
    return next;
  }

  #takeSized(all: Buffer, at: number): number {
    const next = Math.min(all.length, at + this.#remainingBytes);
    this.#remainingBytes -= next - at;
    this.#parts.onData(all.subarray(at, next));
    if (this.#remainingBytes === 0) {
      if (this.#state === "sized") this.#end();
      else this.#state = "chunk end";
    }
    return next;
  }

  #takeChunkSize(all: Buffer, at: number): number | null {
    const end = lineEnd(all, at);
    if (end === null || end < 0) return end;
    const [, digits] = CHUNK_SIZE.exec(all.toString("latin1", at, end)) ?? [];
    if (digits === undefined) return -1;
    this.#remainingBytes = Number.parseInt(digits, 16);
    this.#trailerBytes = 0;
    this.#state = this.#remainingBytes === 0 ? "trailer" : "chunk";
    return end + LINE_END.length;
  }

  #takeTrailer(all: Buffer, at: number): number | null {
    const end = lineEnd(all, at);
    if (end === null || end < 0) return end;
    this.#trailerBytes += end - at;
    if (end === at) this.#end();
    else if (headerOf(all.toString("latin1", at, end)) === null) return -1;
    return this.#trailerBytes > HEAD_BYTES ? -1 : end + LINE_END.length;
  }

  #end(): void {
    this.#state = "idle";
    this.#parts.onEnd();
  }
}

/** Offset of the line's end; null: more bytes are needed; -1: the line is too long. */
function lineEnd(all: Buffer, at: number): number | null {
  const end = all.indexOf(LINE_END, at, "latin1");
  if ((end === -1 ? all.length : end) - at > HEAD_BYTES) return -1;
  return end === -1 ? null : end;
}

interface ParsedHead extends ResponseHead {
  /** Length of the body; null: the body ends with the connection. */
  readonly length: number | "chunked" | null;
}

function parseHead(text: string): ParsedHead | null {
  const [first = "", ...lines] = text.split(LINE_END);
  const [, minor, status] = STATUS_LINE.exec(first) ?? [];
  if (status === undefined) return null;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const header = headerOf(line);
    if (header === null) return null;
    const [name, value] = header;
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const length = bodyLength(headers);
  if (length === undefined) return null;
  const connection = headers.get("connection") ?? "";
  // HTTP/1.0 has no chunks, so a proxy that forwards them may not know where the body ends.
  const isReusable =
    minor === "1" ? !CLOSES.test(connection) : KEEPS.test(connection) && length !== "chunked";
  return { status: Number(status), headers, isReusable, length };
}

function headerOf(line: string): readonly [name: string, value: string] | null {
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(0, colon)).toLowerCase();
  const value = line.slice(colon + 1);
  return NAME.test(name) && VALUE.test(value) ? [name, value.trim()] : null;
}

/** Undefined: the headers are ambiguous. */
function bodyLength(headers: ReadonlyMap<string, string>): number | "chunked" | null | undefined {
  const length = headers.get("content-length");
  const encoding = headers.get("transfer-encoding");
  if (encoding !== undefined)
    return length === undefined && encoding.toLowerCase() === "chunked" ? "chunked" : undefined;
  if (length === undefined) return null;
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}
