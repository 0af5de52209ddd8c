// The reconcile loop of one resource: idle → running → running again if a trigger came during the cycle, then idle
// until the next run. Cycles of one loop never overlap, triggers do not pile up, and a slow or failing loop delays no
// other loop.
import type { Clock, Timer } from "../runtime/time/clock.ts";
import { type Backoff, backOff, NO_BACKOFF } from "./route-health.ts";
import type { Trigger } from "./trigger.ts";

interface ReconcileLoopOptions {
  readonly clock: Clock;
  /**
   * Runs one cycle for `triggers`; a user's triggers come first. Resolves with when and why to run again, or with
   * null to wait for a trigger.
   */
  readonly run: (triggers: readonly Trigger[], signal: AbortSignal) => Promise<NextRun | null>;
  /** Called when a cycle threw, which is an error in the program. The cycle is retried with backoff. */
  readonly onFailure: (error: unknown) => void;
}

export interface NextRun {
  /** Monotonic ms. */
  readonly atMs: number;
  readonly reason: Trigger["reason"];
}

export type ReconcileLoop = ReturnType<typeof createReconcileLoop>;

/** Disposing aborts the signal, waits for the running cycle and starts no other. */
export function createReconcileLoop({ clock, run, onFailure }: ReconcileLoopOptions) {
  const stopping = new AbortController();
  const waiting = new Map<Trigger["reason"], Trigger>();
  let running: Promise<void> | null = null;
  let timer: Timer | null = null;
  let nextRun: NextRun | null = null;
  let backoff: Backoff = NO_BACKOFF;

  const cycle = async (): Promise<void> => {
    while (waiting.size > 0 && !stopping.signal.aborted) {
      const triggers = [...waiting.values()].sort(userFirst);
      waiting.clear();
      clearTimer();
      try {
        const next = await run(triggers, stopping.signal);
        backoff = NO_BACKOFF;
        if (next !== null) runAt(next);
      } catch (error) {
        waiting.delete("tick");
        backoff = backOff(backoff, clock.monotonicMs());
        runAt({ atMs: backoff.notBeforeMs, reason: "retry" });
        report(error);
      }
    }
    running = null;
  };

  const report = (error: unknown): void => {
    try {
      onFailure(error);
    } catch {
      // A listener that throws must not end the loop.
    }
  };

  /** After a failure, ticks are ignored until the retry. */
  const isBackingOff = ({ reason }: Trigger): boolean =>
    reason === "tick" && clock.monotonicMs() < backoff.notBeforeMs;

  const clearTimer = (): void => {
    timer?.[Symbol.dispose]();
    nextRun = null;
  };

  const runAt = (next: NextRun): void => {
    if (stopping.signal.aborted) return;
    const { atMs, reason } = next;
    nextRun = next;
    timer = clock.setTimer(Math.max(0, atMs - clock.monotonicMs()), () => {
      // A timer may fire a fraction of a millisecond early, when there is nothing to do yet.
      if (clock.monotonicMs() < atMs) {
        runAt(next);
        return;
      }
      // The trigger has the planned time, so that loops that run at the same moment share their
      // observations.
      loop.trigger({ reason, atMs, details: [] });
    });
  };

  const loop = {
    /** When and why the next cycle runs if no trigger comes before; null: none is planned. */
    get nextRun() {
      return nextRun;
    },
    /** Begins a cycle if none runs. All triggers that come during a cycle cause one more cycle after it. */
    trigger(trigger: Trigger): void {
      if (stopping.signal.aborted || isBackingOff(trigger)) return;
      const same = waiting.get(trigger.reason);
      waiting.set(
        trigger.reason,
        same === undefined
          ? trigger
          : { ...trigger, details: [...same.details, ...trigger.details].slice(0, 50) },
      );
      // The cycle starts in a later microtask, so that triggers of one turn of the event loop share a cycle,
      // and a cycle may trigger its own loop.
      running ??= Promise.resolve().then(cycle);
    },
    /** Resolves when no cycle runs and none is due at once. */
    async idle(): Promise<void> {
      while (running !== null) await running;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      clearTimer();
      await loop.idle();
    },
  };
  return loop;
}

function userFirst(a: Trigger, b: Trigger): number {
  return Number(b.reason === "user") - Number(a.reason === "user");
}
