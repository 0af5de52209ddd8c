// Keeps open streams alive: something is written now and then, so that proxies keep them and dead peers are found, and
// a stream whose reader takes nothing is ended.
import { FleetingSet } from "../../../runtime/fleeting.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";

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
