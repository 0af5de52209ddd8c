// Owns looking after open streams: a word now and then, so that proxies keep them and dead peers are found, and an
// end to those whose reader takes nothing.
import type { Clock, Timer } from "../../../runtime/time/clock.ts";

const KEEP_ALIVE_MS = 15_000;
/** A reader that takes nothing of what waits for it for so long is gone. */
export const STALL_LIMIT_MS = 60_000;

export interface WatchedStream {
  /** Whether something waits and the reader has taken nothing for `limitMs`. */
  stalled(limitMs: number): boolean;
  /** Writes something without meaning, where the format allows it, so that the connection is not idle. */
  keepAlive(): void;
  destroy(): void;
}

export interface StreamWatch extends Disposable {
  add(stream: WatchedStream): void;
  delete(stream: WatchedStream): void;
}

/** One timer for all streams, and none while there are none. */
export function createStreamWatch(clock: Clock): StreamWatch {
  const streams = new Set<WatchedStream>();
  let timer: Timer | null = null;
  const look = (): void => {
    timer = null;
    for (const stream of streams) {
      if (stream.stalled(STALL_LIMIT_MS)) stream.destroy();
      else stream.keepAlive();
    }
    if (streams.size > 0) timer = clock.setTimer(KEEP_ALIVE_MS, look);
  };
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };
  return {
    add(stream) {
      streams.add(stream);
      timer ??= clock.setTimer(KEEP_ALIVE_MS, look);
    },
    delete(stream) {
      streams.delete(stream);
      if (streams.size === 0) rest();
    },
    [Symbol.dispose]() {
      streams.clear();
      rest();
    },
  };
}
