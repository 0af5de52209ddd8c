// Writes to a reader that may be slow: in pieces, with a count of unread bytes, so that a stalled reader is noticed.

import { ShortLivedSet } from "../../../runtime/short-lived.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";

/** Bytes that are passed to the target at a time; the target reports when each piece is written. */
const PIECE_BYTES = 256 * 1024;
/** A reader with more unread bytes than this is congested, until at most half of this limit is unread. */
const CONGESTED_BYTES = 1024 * 1024;

/** The common part of ServerResponse and Duplex. */
interface WriteTarget {
  readonly destroyed: boolean;
  write(chunk: string | Uint8Array, callback: (error?: Error | null) => void): boolean;
  end(): unknown;
  destroy(): unknown;
}

export class PacedWriter {
  readonly #target: WriteTarget;
  readonly #clock: Clock;
  readonly #count: (backlog: number) => void;
  #queue: (string | Uint8Array)[] = [];
  #next = 0;
  #queuedBytes = 0;
  // Counted here: the target's own count includes what others write to its socket.
  #writtenBytes = 0;
  #ending = false;
  #isDestroyed = false;
  /** When the reader last took something, monotonic ms. */
  #takenMs = 0;
  #congestion: PromiseWithResolvers<void> | null = null;

  /** `count` is called with the backlog after each change. */
  constructor(target: WriteTarget, clock: Clock, count: (backlog: number) => void = () => {}) {
    this.#target = target;
    this.#clock = clock;
    this.#count = count;
  }

  /** Number of bytes that the reader has not taken yet; for short texts, the number of characters. */
  get backlog(): number {
    return this.#writtenBytes + this.#queuedBytes;
  }

  get congested(): Promise<void> | null {
    if (this.#congestion === null) {
      if (this.backlog <= CONGESTED_BYTES || this.#target.destroyed) return null;
      this.#congestion = Promise.withResolvers<void>();
    }
    return this.#congestion.promise;
  }

  /** The content of a Buffer must not change later. */
  write(chunk: string | Buffer): void {
    if (this.backlog === 0) this.#takenMs = this.#clock.monotonicMs();
    this.#take(chunk);
    if (!this.#isDestroyed) this.#count(this.backlog);
  }

  #take(chunk: string | Buffer): void {
    if (chunk.length <= PIECE_BYTES) {
      if (this.#queuedBytes === 0 && this.#writtenBytes < PIECE_BYTES) {
        this.#pass(chunk);
        return;
      }
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
      return;
    }
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      this.#queue.push(bytes.subarray(start, start + PIECE_BYTES));
    }
    this.#queuedBytes += bytes.length;
    this.#pump();
  }

  /** Ends the target once everything is written. */
  end(): void {
    this.#ending = true;
    if (this.#queuedBytes === 0) this.#target.end();
  }

  /** True if bytes are unread and the reader has taken none for `limitMs`. */
  stalled(limitMs: number): boolean {
    return this.backlog > 0 && this.#clock.monotonicMs() - this.#takenMs >= limitMs;
  }

  destroy(): void {
    this.#queue = [];
    this.#next = 0;
    this.#queuedBytes = 0;
    this.#congestion?.resolve();
    this.#congestion = null;
    this.#isDestroyed = true;
    this.#count(0);
    if (!this.#target.destroyed) this.#target.destroy();
  }

  #pass(piece: string | Uint8Array): void {
    const size = piece.length;
    this.#writtenBytes += size;
    this.#target.write(piece, (error) => {
      // The owner handles the target's error event.
      if (error) return;
      this.#writtenBytes -= size;
      this.#takenMs = this.#clock.monotonicMs();
      this.#pump();
      if (!this.#isDestroyed) this.#count(this.backlog);
      if (this.#congestion !== null && this.backlog <= CONGESTED_BYTES / 2) {
        this.#congestion.resolve();
        this.#congestion = null;
      }
    });
  }

  #pump(): void {
    if (this.#queuedBytes === 0) return;
    while (this.#queuedBytes > 0 && this.#writtenBytes < PIECE_BYTES) {
      const piece = this.#queue[this.#next];
      if (piece === undefined) return;
      this.#next += 1;
      this.#queuedBytes -= piece.length;
      this.#pass(piece);
    }
    if (this.#queuedBytes > 0) return;
    this.#queue = [];
    this.#next = 0;
    if (this.#ending) this.#target.end();
  }
}

// Keep-alive of open streams: regular writes, so that proxies keep the connection and dead peers are found. A stream whose
// reader has stalled is closed.

const KEEP_ALIVE_MS = 15_000;
/** A reader that takes nothing for this time is considered gone. */
export const STALL_LIMIT_MS = 60_000;

export interface PacedStream {
  stalled: PacedWriter["stalled"];
  /** Writes a comment, if the format has comments. */
  keepAlive(): void;
  destroy(): void;
}

/** One timer for all streams. It ends at the first check without a stream. */
export class KeepAlive implements Disposable {
  readonly #clock: Clock;
  readonly #streams = new ShortLivedSet<PacedStream>();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(stream: PacedStream): void {
    this.#streams.add(stream);
    this.#timer ??= this.#clock.setTimer(KEEP_ALIVE_MS, this.#check);
  }

  delete(stream: PacedStream): void {
    this.#streams.delete(stream);
  }

  [Symbol.dispose](): void {
    this.#streams.clear();
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  readonly #check = (): void => {
    this.#timer = null;
    for (const stream of this.#streams) {
      if (stream.stalled(STALL_LIMIT_MS)) stream.destroy();
      else stream.keepAlive();
    }
    if (this.#streams.size > 0) this.#timer ??= this.#clock.setTimer(KEEP_ALIVE_MS, this.#check);
  };
}
