// Writes to a reader that may be slow: in pieces, counting what is unread, and noticing a reader that takes nothing.

import { FleetingSet } from "../../../runtime/fleeting.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";

/** Written at once; beyond it the next piece waits, so that a reader's progress shows. */
const PIECE_BYTES = 256 * 1024;
/** Unread beyond this, the reader is congested; it has caught up at half of it. */
const CONGESTED_BYTES = 1024 * 1024;

/** What a ServerResponse and a Duplex have in common. */
interface WritableEnd {
  readonly destroyed: boolean;
  write(chunk: string | Uint8Array, callback: (error?: Error | null) => void): boolean;
  end(): unknown;
  destroy(): unknown;
}

export class PacedWriter {
  readonly #target: WritableEnd;
  readonly #clock: Clock;
  #queue: (string | Uint8Array)[] = [];
  #next = 0;
  #queuedBytes = 0;
  // Counted here: a target's own figure covers what others wrote to the same socket, too.
  #writtenBytes = 0;
  #ending = false;
  #takenMs = 0;
  #congestion: PromiseWithResolvers<void> | null = null;

  constructor(target: WritableEnd, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  /** Bytes (of short texts: characters) that the reader has not taken yet. */
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

  /** Bytes must not change. */
  write(chunk: string | Buffer): void {
    if (this.backlog === 0) this.#takenMs = this.#clock.monotonicMs();
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

  /** Whether something waits and the reader has taken nothing for `limitMs`. */
  stalled(limitMs: number): boolean {
    return this.backlog > 0 && this.#clock.monotonicMs() - this.#takenMs >= limitMs;
  }

  /** Drops what is queued and cuts the target; once it is gone by itself, tells so. */
  destroy(): void {
    this.#queue = [];
    this.#next = 0;
    this.#queuedBytes = 0;
    this.#congestion?.resolve();
    this.#congestion = null;
    if (!this.#target.destroyed) this.#target.destroy();
  }

  #pass(piece: string | Uint8Array): void {
    const size = piece.length;
    this.#writtenBytes += size;
    this.#target.write(piece, (error) => {
      // The target is gone; its owner gets that event, too.
      if (error) return;
      this.#writtenBytes -= size;
      this.#takenMs = this.#clock.monotonicMs();
      this.#pump();
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

// Keeps open streams alive: something is written now and then, so that proxies keep them and dead peers are found, and
// a stream whose reader takes nothing is ended.

const KEEP_ALIVE_MS = 15_000;
/** A reader that takes nothing of what waits for it for so long is gone. */
export const STALL_LIMIT_MS = 60_000;

export interface KeptStream {
  /** Whether something waits and the reader has taken nothing for `limitMs`. */
  stalled(limitMs: number): boolean;
  /** Writes something without meaning, where the format allows it, so that the connection is not idle. */
  keepAlive(): void;
  destroy(): void;
}

/** One timer for all streams. It outlasts the last of them until its next look: mostly there is another one by then. */
export class KeepAlive implements Disposable {
  readonly #clock: Clock;
  readonly #streams = new FleetingSet<KeptStream>();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(stream: KeptStream): void {
    this.#streams.add(stream);
    this.#timer ??= this.#clock.setTimer(KEEP_ALIVE_MS, this.#look);
  }

  delete(stream: KeptStream): void {
    this.#streams.delete(stream);
  }

  [Symbol.dispose](): void {
    this.#streams.clear();
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  readonly #look = (): void => {
    this.#timer = null;
    for (const stream of this.#streams) {
      if (stream.stalled(STALL_LIMIT_MS)) stream.destroy();
      else stream.keepAlive();
    }
    if (this.#streams.size > 0) this.#timer ??= this.#clock.setTimer(KEEP_ALIVE_MS, this.#look);
  };
}
