// A small private file that holds the newest of something: many changes share one durable write, and a write that failed is
// tried again, later each time.
import { errorText, MountaineerError } from "../errors.ts";
import { backoffMs } from "../time/backoff.ts";
import { type Clock, settledWithin, type Timer } from "../time/clock.ts";
import { writeDurably } from "./durable-file.ts";

const RETRY_MS = { first: 1_000, most: 60_000 };
/** A disk that hangs must not hold back whoever saves. */
const SAVE_DEADLINE_MS = 2_000;

interface DurableValueOptions {
  readonly path: string;
  readonly clock: Clock;
  /** What the file is to hold now. */
  readonly content: () => string;
  /** Called at the first failure in a row. */
  readonly onUnsaved: (error: Error) => void;
  /** Called at the success that ends a row of failures. */
  readonly onSavedAgain: (failures: number) => void;
}

export type DurableValue = ReturnType<typeof createDurableValue>;

/**
 * Writes nothing before `save`. Disposed, it has tried once more to write what is not saved, and writes nothing later: the
 * file may be another process's by then.
 */
export function createDurableValue(options: DurableValueOptions) {
  const { path, clock, content, onUnsaved, onSavedAgain } = options;
  const over = new AbortController();
  let unsavedBecause: Error | null = null;
  let failures = 0;
  let retry: Timer | null = null;
  let ending: Promise<void> | null = null;

  const failed = (error: Error): Error => {
    if (unsavedBecause === null) onUnsaved(error);
    unsavedBecause = error;
    return error;
  };
  const writes = shareWrites(async (): Promise<Error | null> => {
    retry?.[Symbol.dispose]();
    retry = null;
    try {
      over.signal.throwIfAborted();
      await writeDurably(path, content(), { mode: 0o600, signal: over.signal });
      if (unsavedBecause !== null) onSavedAgain(failures);
      unsavedBecause = null;
      failures = 0;
      return null;
    } catch (error) {
      failures += 1;
      if (ending === null) retry = clock.setTimer(backoffMs(RETRY_MS, failures), () => void writes.write());
      return failed(error instanceof Error ? error : new Error(errorText(error)));
    }
  });
  const end = async (): Promise<void> => {
    const last = unsavedBecause === null ? writes.settled : writes.write();
    const isOver = await settledWithin(clock, SAVE_DEADLINE_MS, last);
    if (!isOver) over.abort(new Error("the disk gives no answer"));
    retry?.[Symbol.dispose]();
  };

  return {
    /** Why the newest content is not on disk; null: it is, or was not asked to be. */
    get unsavedBecause() {
      return unsavedBecause;
    },
    /** Resolves when all that is so now is durable (null), or with why it is not yet. Never rejects. */
    async save(): Promise<Error | null> {
      if (ending !== null) return new Error("it is closed");
      const written = writes.write();
      if (await settledWithin(clock, SAVE_DEADLINE_MS, written)) return written;
      const late = `${path} is not written yet: the disk gives no answer`;
      return unsavedBecause ?? failed(new MountaineerError("timed_out", late));
    },
    [Symbol.asyncDispose](): Promise<void> {
      ending ??= end();
      return ending;
    },
  };
}

interface SharedWrites<T> {
  /** The outcome of a write that begins after this call, once the one under way has ended. */
  write(): Promise<T>;
  /** Resolves when everything asked for until now is written, or has failed. Never rejects. */
  readonly settled: Promise<unknown>;
}

/** `write` writes the state at the moment when it is called. */
export function shareWrites<T>(write: () => Promise<T>): SharedWrites<T> {
  let next: Promise<T> | null = null;
  let settled: Promise<unknown> = Promise.resolve();
  return {
    write() {
      if (next !== null) return next;
      next = settled.then(() => {
        next = null;
        return write();
      });
      settled = next.catch(() => {});
      return next;
    },
    get settled() {
      return settled;
    },
  };
}
