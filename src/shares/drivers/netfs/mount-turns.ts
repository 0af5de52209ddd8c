// Turns at a server: work of one key runs one after another, each waiting no longer than it may.
import type { Clock } from "../../../runtime/time/clock.ts";

export type MountTurns = ReturnType<typeof createMountTurns>;

export function createMountTurns(clock: Clock) {
  /** Who waits behind the work that runs; a key without an entry is free. */
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
     * Runs `work` when no other work of that key runs, in order of coming, and gives what it gives. null: the turn did not
     * come within `waitMs`, or before the signal; the work was not begun then. Work that fails ends its turn.
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
