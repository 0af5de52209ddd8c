// One stream of bytes between two machines, in numbered frames: in order, each once, and limited by the receiver's credit.
// A missing frame ends the tunnel: nothing is ever sent a second time.
import { type Duplex, duplexPair } from "node:stream";
import type { FrameKind } from "./frames.ts";

/** The most bytes that are sent but not read yet. */
export const WINDOW_BYTES = 1024 * 1024;
const CREDIT_EACH = WINDOW_BYTES / 4;
/**
 * Maximum number of unread frames, because small frames cost more memory than their bytes. Real messages have
 * more than 32 bytes on average.
 */
const MOST_UNREAD = WINDOW_BYTES / 32;

/** Approximate memory that a frame costs in addition to its payload, bytes. */
const FRAME_COST = 512;
/** Up to this many bytes in memory, a tunnel does not count towards the limits of switchboard.ts. */
const FREE_BYTES = 64 * 1024;
/**
 * A part of a larger buffer is copied if it is shorter than this, bytes. Without the copy, the part would keep the
 * whole buffer in memory.
 */
const SHORT_PART = 32 * 1024;
const LINE_FEED = 10;

const NOTHING = Buffer.alloc(0);

export interface TunnelEnd {
  readonly message: string;
  readonly hint: string | null;
  /** True: the other machine had sent something in this tunnel before the tunnel ended. */
  readonly wasReached: boolean;
}

interface TunnelOptions {
  /** The most data in one frame. */
  readonly chunkBytes: number;
  readonly send: (kind: FrameKind, number: number, payload: Buffer) => void;
  /**
   * Called with the number of bytes that the tunnel holds in memory; a small number is reported as 0. The callee may
   * end the tunnel.
   */
  readonly onBuffered: (bytes: number) => void;
  /** Called once, however the tunnel ends. */
  readonly onOver: () => void;
  /**
   * Called once, before the stream closes. Not called if both sides ended in order, or if the stream was
   * closed here.
   */
  readonly onEnd: (end: TunnelEnd) => void;
}

export class Tunnel {
  /** This machine's side of the tunnel. */
  readonly stream: Duplex;
  readonly #options: TunnelOptions;
  readonly #inner: Duplex;
  #isOver = false;
  #wasReached = false;
  /** Bytes from the stream that are not sent yet. */
  #rest: Buffer = NOTHING;
  #nextOut = 0;
  #sentBytes = 0;
  #allowedBytes = WINDOW_BYTES;
  #hasEndedHere = false;
  #nextIn = 0;
  #receivedBytes = 0;
  #takenBytes = 0;
  #unread = 0;
  #creditedBytes = 0;
  /** Bytes of an incomplete last line that the stream's reader keeps in memory. */
  #halfLine = 0;
  #bufferedBytes = 0;
  #hasEndedThere = false;

  constructor(options: TunnelOptions) {
    this.#options = options;
    const [inner, outer] = duplexPair();
    this.#inner = inner;
    this.stream = outer;
    inner.on("data", (chunk: Buffer) => {
      this.#rest = chunk;
      this.#pump();
    });
    inner.once("end", () => {
      this.#hasEndedHere = true;
      this.#options.send("end", this.#nextOut, NOTHING);
      this.#overWhenBothEnded();
    });
    inner.on("error", () => {});
    outer.on("error", () => {});
    outer.once("close", () => {
      if (!this.#isOver) this.#over("the other side closed it");
    });
  }

  take(kind: FrameKind, number: number, payload: Buffer): void {
    if (this.#isOver) return;
    this.#wasReached = true;
    const isInOrder = number === this.#nextIn && !this.#hasEndedThere;
    if ((kind === "data" || kind === "end") && !isInOrder) this.fail("its data arrived incomplete");
    else if (kind === "data") this.#takeData(payload);
    else if (kind === "credit") this.#takeCredit(number);
    else if (kind === "end") {
      this.#hasEndedThere = true;
      this.#inner.end();
      this.#overWhenBothEnded();
    } else if (kind === "abort") this.fail(plain(payload), null, false);
    else this.fail("it sent unexpected data");
  }

  /** Ends both directions, and sends the reason to the other machine if it is reachable. */
  fail(message: string, hint: string | null = null, isReachable = true): void {
    if (this.#isOver) return;
    this.#options.onEnd({ message, hint, wasReached: this.#wasReached });
    this.#over(isReachable ? message : null);
  }

  /** Tells the opener that the tunnel is accepted. */
  accept(): void {
    this.#options.send("credit", 0, NOTHING);
  }

  #pump(): void {
    const { chunkBytes, send } = this.#options;
    while (this.#rest.length > 0 && !this.#isOver) {
      const space = Math.min(chunkBytes, this.#allowedBytes - this.#sentBytes, this.#rest.length);
      if (space <= 0) break;
      const payload = this.#rest.subarray(0, space);
      this.#rest = this.#rest.subarray(space);
      this.#sentBytes += space;
      send("data", this.#nextOut++, payload);
    }
    if (this.#rest.length > 0) this.#inner.pause();
    else if (this.#inner.isPaused()) this.#inner.resume();
  }

  #takeData(payload: Buffer): void {
    const unreadBytes = this.#receivedBytes + payload.length - this.#takenBytes;
    if (payload.length === 0 || unreadBytes > WINDOW_BYTES || this.#unread >= MOST_UNREAD) {
      this.fail("it sent more than the window allows");
      return;
    }
    this.#nextIn += 1;
    this.#unread += 1;
    const { length } = payload;
    this.#receivedBytes += length;
    // The reader keeps an incomplete line in memory.
    const lineEnd = payload.lastIndexOf(LINE_FEED);
    this.#halfLine = lineEnd === -1 ? this.#halfLine + length + FRAME_COST : length - 1 - lineEnd;
    this.#recordBuffered();
    if (this.#isOver) return;
    const isPart = length < SHORT_PART && payload.buffer.byteLength > 2 * length;
    this.#inner.write(isPart ? Buffer.from(payload) : payload, () => {
      this.#takenBytes += length;
      this.#unread -= 1;
      this.#recordBuffered();
      if (this.#isOver || this.#takenBytes - this.#creditedBytes < CREDIT_EACH) return;
      this.#creditedBytes = this.#takenBytes;
      this.#options.send("credit", this.#takenBytes, NOTHING);
    });
  }

  #recordBuffered(): void {
    const unread = this.#receivedBytes - this.#takenBytes + this.#unread * FRAME_COST;
    const buffered = this.#halfLine + unread;
    const charged = buffered > FREE_BYTES ? buffered : 0;
    if (charged === this.#bufferedBytes || this.#isOver) return;
    this.#bufferedBytes = charged;
    this.#options.onBuffered(charged);
  }

  #takeCredit(takenBytes: number): void {
    if (takenBytes > this.#sentBytes) {
      this.fail("it acknowledged more than it was sent");
      return;
    }
    this.#allowedBytes = takenBytes + WINDOW_BYTES;
    this.#pump();
  }

  #overWhenBothEnded(): void {
    if (!this.#hasEndedHere || !this.#hasEndedThere || this.#isOver) return;
    this.#isOver = true;
    this.#options.onOver();
  }

  /** Sends `reason` to the other machine; null: sends nothing. */
  #over(reason: string | null): void {
    this.#isOver = true;
    if (reason !== null) this.#options.send("abort", 0, Buffer.from(reason).subarray(0, LONGEST_REASON));
    this.#inner.destroy();
    this.stream.destroy();
    this.#options.onOver();
  }
}

const LONGEST_REASON = 240;

/** The reason that another machine gave, without control characters. */
function plain(payload: Buffer): string {
  const reason = payload.subarray(0, LONGEST_REASON).toString("utf8");
  return reason === ""
    ? "it closed the connection"
    : reason.replace(/[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029]/gu, " ");
}
