// A small private file with the newest state of a value: many changes share one durable write, and failed writes are
// retried with backoff.
import { errorText, MountaineerError } from "../errors.ts";
import { backoffMs } from "../time/backoff.ts";
import { type Clock, settlesWithin, type Timer } from "../time/clock.ts";
import { writeDurably } from "./durable-file.ts";

const RETRY_MS = { first: 1_000, most: 60_000 };
const SAVE_DEADLINE_MS = 2_000;

interface DurableValueOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly content: () => string;
  /** Called at the first of consecutive failures. */
  readonly onUnsaved: (error: Error) => void;
  /** Called at the first success after failures. */
  readonly onSavedAgain: (failures: number) => void;
}

/**
 * Writes nothing before `save`. Disposing tries again to write unsaved content; after that nothing is written, because
 * the file may belong to another process by then.
 */
export function createDurableValue(options: DurableValueOptions) {
  const { path, clock, content, onUnsaved, onSavedAgain } = options;
  const stopping = new AbortController();
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
      stopping.signal.throwIfAborted();
      await writeDurably(path, content(), { mode: 0o600, signal: stopping.signal });
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
  /** One wait for all who asked for the same write. */
  let awaited: { readonly written: Promise<Error | null>; readonly saved: Promise<Error | null> } | null =
    null;
  const savedBy = async (written: Promise<Error | null>): Promise<Error | null> => {
    if (await settlesWithin(clock, SAVE_DEADLINE_MS, written)) return written;
    const late = `${path} is not written yet: the disk gives no answer`;
    return unsavedBecause ?? failed(new MountaineerError("timed_out", late));
  };
  const end = async (): Promise<void> => {
    const last = unsavedBecause === null ? writes.whenIdle : writes.write();
    const isWritten = await settlesWithin(clock, SAVE_DEADLINE_MS, last);
    if (!isWritten) stopping.abort(new Error("the disk gives no answer"));
  };

  return {
    get unsavedBecause() {
      return unsavedBecause;
    },
    /** Resolves with null when the present content is durable, else with the reason. Never rejects. */
    save(): Promise<Error | null> {
      if (ending !== null) return Promise.resolve(new Error("it is closed"));
      const written = writes.write();
      if (awaited?.written !== written) awaited = { written, saved: savedBy(written) };
      return awaited.saved;
    },
    [Symbol.asyncDispose](): Promise<void> {
      ending ??= end();
      return ending;
    },
  };
}

/** Runs one `write` at a time; all calls made during a write share the next one. */
export function shareWrites<T>(write: () => Promise<T>) {
  let next: Promise<T> | null = null;
  let whenIdle: Promise<unknown> = Promise.resolve();
  return {
    /**
     * Requests a write that begins once the write in progress has ended. Resolves with the outcome of the requested
     * write.
     */
    write(): Promise<T> {
      if (next !== null) return next;
      next = whenIdle.then(() => {
        next = null;
        return write();
      });
      whenIdle = next.catch(() => {});
      return next;
    },
    /** Resolves when all writes requested until now have succeeded or failed. Never rejects. */
    get whenIdle() {
      return whenIdle;
    },
  };
}
