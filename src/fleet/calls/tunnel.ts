// One stream of bytes between two machines, in numbered frames: in order, each once, and no more under way than the other
// side has room for. What is missing ends it: nothing is ever sent a second time.
import { type Duplex, duplexPair } from "node:stream";
import type { FrameKind } from "./frames.ts";

/** Under way, or not read yet, at most: bytes. */
export const WINDOW_BYTES = 1024 * 1024;
const CREDIT_EACH = WINDOW_BYTES / 4;
/** Frames that are not read yet, at most: many small ones cost more than their bytes. No message is as small on average. */
const MOST_UNREAD = WINDOW_BYTES / 32;

/** What a frame takes beside its bytes, about. */
const FRAME_COST = 512;
/** Held by any tunnel without a word of it. */
const FREE_BYTES = 64 * 1024;
/** A shorter part of what came in one piece is copied, as it would keep all of that piece. */
const SHORT_PART = 32 * 1024;
const LINE_FEED = 10;

const NOTHING = Buffer.alloc(0);

export interface TunnelEnd {
  readonly message: string;
  readonly hint: string | null;
  /** The other machine had been heard in this tunnel. */
  readonly wasReached: boolean;
}

interface TunnelOptions {
  /** Of one frame's bytes. */
  readonly chunkBytes: number;
  /** Whoever reads it keeps each line until that is whole. */
  readonly isOfLines: boolean;
  readonly send: (kind: FrameKind, number: number, payload: Buffer) => void;
  /** What came and is kept here, as lines are read whole: bytes, 0 for few. It may end the tunnel. */
  readonly onHeld: (bytes: number) => void;
  /** The other machine has taken it. */
  readonly onOpen?: () => void;
  /** Once, whichever way it ends. */
  readonly onOver: () => void;
  /** Once, before the stream is closed; not when both sides ended it in order, nor when the stream was closed here. */
  readonly onEnd: (end: TunnelEnd) => void;
}

export class Tunnel {
  /** For whoever uses it. */
  readonly stream: Duplex;
  readonly #options: TunnelOptions;
  readonly #inner: Duplex;
  #isOver = false;
  #wasReached = false;
  /** Read from the stream, and not sent yet. */
  #rest: Buffer = NOTHING;
  #nextOut = 0;
  #sentBytes = 0;
  #allowedBytes = WINDOW_BYTES;
  #hasEndedHere = false;
  #nextIn = 0;
  #receivedBytes = 0;
  #takenBytes = 0;
  #unread = 0;
  #toldBytes = 0;
  /** Of a line whose end has not come. */
  #halfLine = 0;
  #heldBytes = 0;
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

  /** Something of the other machine came in this tunnel. */
  get wasReached(): boolean {
    return this.#wasReached;
  }

  take(kind: FrameKind, number: number, payload: Buffer): void {
    if (this.#isOver) return;
    if (!this.#wasReached && kind === "credit") this.#options.onOpen?.();
    this.#wasReached = true;
    switch (kind) {
      case "data":
        this.#takeData(number, payload);
        return;
      case "credit":
        this.#takeCredit(number);
        return;
      case "end":
        if (number !== this.#nextIn || this.#hasEndedThere) this.fail("what it sent did not come whole");
        else {
          this.#hasEndedThere = true;
          this.#inner.end();
          this.#overWhenBothEnded();
        }
        return;
      case "abort":
        this.#tell(plain(payload));
        this.#over(null);
        return;
      default:
        this.fail("it sent what does not belong there");
    }
  }

  /** Ends it both ways. The other machine hears of it, unless nothing can reach it any more. */
  fail(message: string, hint: string | null = null, isReachable = true): void {
    if (this.#isOver) return;
    this.#tell(message, hint);
    this.#over(isReachable ? message : null);
  }

  /** Says that it is open. */
  welcome(): void {
    this.#options.send("credit", 0, NOTHING);
  }

  #pump(): void {
    const { chunkBytes, send } = this.#options;
    while (this.#rest.length > 0 && !this.#isOver) {
      const room = Math.min(chunkBytes, this.#allowedBytes - this.#sentBytes, this.#rest.length);
      if (room <= 0) break;
      const payload = this.#rest.subarray(0, room);
      this.#rest = this.#rest.subarray(room);
      this.#sentBytes += room;
      send("data", this.#nextOut++, payload);
    }
    if (this.#rest.length > 0) this.#inner.pause();
    else if (this.#inner.isPaused()) this.#inner.resume();
  }

  #takeData(number: number, payload: Buffer): void {
    if (number !== this.#nextIn || this.#hasEndedThere) {
      this.fail("what it sent did not come whole");
      return;
    }
    const unreadBytes = this.#receivedBytes + payload.length - this.#takenBytes;
    if (payload.length === 0 || unreadBytes > WINDOW_BYTES || this.#unread >= MOST_UNREAD) {
      this.fail("it sent more than there was room for");
      return;
    }
    this.#nextIn += 1;
    this.#unread += 1;
    const { length } = payload;
    this.#receivedBytes += length;
    if (this.#options.isOfLines) {
      const lineEnd = payload.lastIndexOf(LINE_FEED);
      this.#halfLine = lineEnd === -1 ? this.#halfLine + length + FRAME_COST : length - 1 - lineEnd;
    }
    this.#noteHeld();
    if (this.#isOver) return;
    const isPart = length < SHORT_PART && payload.buffer.byteLength > 2 * length;
    this.#inner.write(isPart ? Buffer.from(payload) : payload, () => {
      this.#takenBytes += length;
      this.#unread -= 1;
      this.#noteHeld();
      if (this.#isOver || this.#takenBytes - this.#toldBytes < CREDIT_EACH) return;
      this.#toldBytes = this.#takenBytes;
      this.#options.send("credit", this.#takenBytes, NOTHING);
    });
  }

  #noteHeld(): void {
    const unread = this.#receivedBytes - this.#takenBytes + this.#unread * FRAME_COST;
    const held = this.#halfLine + unread;
    const counted = held > FREE_BYTES ? held : 0;
    if (counted === this.#heldBytes || this.#isOver) return;
    this.#heldBytes = counted;
    this.#options.onHeld(counted);
  }

  #takeCredit(takenBytes: number): void {
    if (takenBytes > this.#sentBytes) {
      this.fail("it took more than it was sent");
      return;
    }
    this.#allowedBytes = Math.max(this.#allowedBytes, takenBytes + WINDOW_BYTES);
    this.#pump();
  }

  #tell(message: string, hint: string | null = null): void {
    this.#options.onEnd({ message, hint, wasReached: this.#wasReached });
  }

  #overWhenBothEnded(): void {
    if (!this.#hasEndedHere || !this.#hasEndedThere || this.#isOver) return;
    this.#isOver = true;
    this.#options.onOver();
  }

  /** `said` is told to the other machine; null: nothing is. */
  #over(said: string | null): void {
    this.#isOver = true;
    if (said !== null) this.#options.send("abort", 0, Buffer.from(said).subarray(0, LONGEST_REASON));
    this.#rest = NOTHING;
    this.#inner.destroy();
    this.stream.destroy();
    this.#options.onOver();
  }
}

const LONGEST_REASON = 240;

/** Another machine's words. */
function plain(payload: Buffer): string {
  const words = payload.subarray(0, LONGEST_REASON).toString("utf8");
  return words === "" ? "it closed the connection" : words.replace(/[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029]/gu, " ");
}
