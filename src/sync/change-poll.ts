// Finds changes by polling: one look at a time, compared with the one before.
import { IN_STEP, startTicker } from "../reconcile/ticker.ts";
import type { Clock } from "../runtime/time/clock.ts";

interface ChangePollOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** A text that differs where the file differs; null: no file. Must settle in bounded time; may reject. */
  readonly fingerprint: () => Promise<string | null>;
  /** Another fingerprint than the last one seen; or it stopped, or began again, to be readable. */
  readonly onChange: () => void;
  /** Whether there is a file, as far as the last look could tell; called when that is another answer than before. */
  readonly onPresence: (present: boolean) => void;
}

/**
 * Compared with what was last *seen*, not with what runs: a mistake that is taken back is a change, too. A missing
 * file is no change and does not make what was seen before it forgotten.
 */
export function startChangePoll(options: ChangePollOptions) {
  const { clock, intervalMs, fingerprint, onChange, onPresence } = options;
  let seen: string | null = null;
  let readable = true;
  let present: boolean | null = null;
  let looked = false;
  let again = false;
  let running: Promise<void> | null = null;
  let disposed = false;

  const learn = (found: string | null, isReadable: boolean): void => {
    const differs = isReadable !== readable || (found !== null && found !== seen);
    const isFirst = !looked;
    looked = true;
    readable = isReadable;
    seen = found ?? seen;
    if (isReadable && present !== (found !== null)) {
      present = found !== null;
      onPresence(present);
    }
    if (differs && !isFirst) onChange();
  };
  const lookOnce = async (): Promise<void> => {
    let found: string | null = null;
    let isReadable = true;
    try {
      found = await fingerprint();
    } catch {
      // Why it cannot be read is told by the watcher, which reads it because of this change.
      isReadable = false;
    }
    if (!disposed) learn(found, isReadable);
  };
  const run = async (): Promise<void> => {
    do {
      again = false;
      await lookOnce();
    } while (again && !disposed);
    running = null;
  };
  const look = (): Promise<void> => {
    if (disposed) return Promise.resolve();
    if (running !== null) again = true;
    running ??= run();
    return running;
  };
  const beat = (): void => {
    if (running === null) void look();
  };
  const ticker = startTicker(clock, intervalMs, beat, IN_STEP);

  return {
    /** Looks now. What it sees is reported before it resolves; the first look only learns what is there. */
    look,
    /** This fingerprint was seen by somebody else: it counts as seen here, too. */
    noteSeen(fingerprint: string): void {
      seen = fingerprint;
    },
    setInterval: (newIntervalMs: number): void => {
      if (!disposed) ticker.setInterval(newIntervalMs);
    },
    [Symbol.dispose]() {
      disposed = true;
      ticker[Symbol.dispose]();
    },
  };
}
