// Turns at a server: work with the same key runs one after another, and waits for a limited time.
import type { Clock } from "../../../runtime/time/clock.ts";

export type MountTurns = ReturnType<typeof createMountTurns>;

export function createMountTurns(clock: Clock) {
  /** What waits behind the running work; a key without an entry is free. */
  const waiting = new Map<string, Set<() => void>>();

  const turnCame = (key: string, waitMs: number, signal: AbortSignal): Promise<boolean> => {
    const line = waiting.get(key);
    if (signal.aborted) return Promise.resolve(false);
    if (line === undefined) {
      waiting.set(key, new Set());
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const end = (came: boolean): void => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", giveUp);
        line.delete(come);
        resolve(came);
      };
      const come = (): void => end(true);
      const giveUp = (): void => end(false);
      const timer = clock.setTimer(waitMs, giveUp);
      signal.addEventListener("abort", giveUp, { once: true });
      line.add(come);
    });
  };
  const pass = (key: string): void => {
    const [next] = waiting.get(key) ?? [];
    if (next === undefined) waiting.delete(key);
    else next();
  };

  return {
    /**
     * Runs `work` when no other work with that key runs, in order of arrival, and returns its result. null: the turn
     * did not come within `waitMs`, or before the signal, and the work was not begun. Work that fails ends its turn.
     */
    async take<T>(
      key: string,
      { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
      work: () => Promise<T>,
    ): Promise<T | null> {
      if (!(await turnCame(key, waitMs, signal))) return null;
      try {
        return await work();
      } finally {
        pass(key);
      }
    },
  };
}
