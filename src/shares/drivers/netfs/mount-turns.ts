// Limits each server to one mount at a time: work with the same key runs one after another, and waits for a
// limited time.
import { whenAborted } from "../../../runtime/abort.ts";
import { type Clock, settlesWithin } from "../../../runtime/time/clock.ts";

export type MountTurns = ReturnType<typeof createMountTurns>;

export function createMountTurns(clock: Clock) {
  /**
   * For each key a promise that resolves when all work with the key has ended. A key without an entry is
   * free.
   */
  const ends = new Map<string, Promise<void>>();
  return {
    /**
     * Runs `work` when no other work with that key runs, in order of arrival, and returns its result. null:
     * `work` was not begun, because `waitMs` passed or the signal aborted while it waited. If `work` fails,
     * the next one begins all the same.
     */
    async take<T>(
      key: string,
      { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
      work: () => Promise<T>,
    ): Promise<T | null> {
      if (signal.aborted) return null;
      const before = ends.get(key);
      const own = Promise.withResolvers<void>();
      const end = Promise.all([before, own.promise]).then(() => {
        if (ends.get(key) === end) ends.delete(key);
      });
      ends.set(key, end);
      try {
        if (before !== undefined) {
          const isFree = await settlesWithin(clock, waitMs, Promise.race([before, whenAborted(signal)]));
          if (!isFree || signal.aborted) return null;
        }
        return await work();
      } finally {
        own.resolve();
      }
    },
  };
}
