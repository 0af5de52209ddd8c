// The lane of one resource: idle → running → running again if a trigger came in meanwhile. Cycles of one lane never
// overlap, triggers do not pile up, and a slow or failing lane holds back no other.
import type { Clock, Timer } from "../runtime/time/clock.ts";
import { type Backoff, backOff, NO_BACKOFF } from "./route-health.ts";
import type { Trigger } from "./trigger.ts";

interface LaneOptions {
  readonly clock: Clock;
  /** One cycle; resolves with the monotonic time (ms) at which to run again, and why, or null to rest. */
  readonly run: (triggers: readonly Trigger[], signal: AbortSignal) => Promise<Wake | null>;
  /** A cycle that threw: a mistake in the program, reported and retried with backoff. */
  readonly onFailure: (error: unknown) => void;
}

export interface Wake {
  readonly atMs: number;
  readonly reason: Trigger["reason"];
}

export type Lane = ReturnType<typeof createLane>;

/** Disposing aborts the signal, lets the running cycle end and starts no other. */
export function createLane({ clock, run, onFailure }: LaneOptions) {
  const stopping = new AbortController();
  const waiting = new Map<Trigger["reason"], Trigger>();
  let running: Promise<void> | null = null;
  let timer: Timer | null = null;
  let nextWake: Wake | null = null;
  let backoff: Backoff = NO_BACKOFF;

  const cycle = async (): Promise<void> => {
    while (waiting.size > 0 && !stopping.signal.aborted) {
      const triggers = [...waiting.values()].sort(userFirst);
      waiting.clear();
      clearWake();
      try {
        const wake = await run(triggers, stopping.signal);
        backoff = NO_BACKOFF;
        if (wake !== null) wakeAt(wake);
      } catch (error) {
        waiting.delete("tick");
        backoff = backOff(backoff, clock.monotonicMs());
        wakeAt({ atMs: backoff.notBeforeMs, reason: "retry" });
        report(error);
      }
    }
    running = null;
  };

  const report = (error: unknown): void => {
    try {
      onFailure(error);
    } catch {
      // A listener that throws must not end the lane.
    }
  };

  /** A lane that failed waits for its retry; ticks would run it sooner. */
  const isBackingOff = ({ reason }: Trigger): boolean =>
    reason === "tick" && running === null && clock.monotonicMs() < backoff.notBeforeMs;

  const clearWake = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
    nextWake = null;
  };

  const wakeAt = (wake: Wake): void => {
    clearWake();
    if (stopping.signal.aborted) return;
    const { atMs, reason } = wake;
    nextWake = wake;
    timer = clock.setTimer(Math.max(0, atMs - clock.monotonicMs()), () => {
      // A timer may fire a fraction of a millisecond early, and that cycle would be wasted.
      if (clock.monotonicMs() < atMs) {
        wakeAt(wake);
        return;
      }
      clearWake();
      // Lanes that wake at one moment observe as of that moment, so that they share what is observed.
      lane.trigger({ reason, atMs, details: [] });
    });
  };

  const lane = {
    /** When it will run again without a trigger. */
    get wake() {
      return nextWake;
    },
    /** Runs a cycle for it: now when idle, else once right after the running one, a person's trigger first. */
    trigger(trigger: Trigger): void {
      if (stopping.signal.aborted || isBackingOff(trigger)) return;
      const same = waiting.get(trigger.reason);
      waiting.set(
        trigger.reason,
        same === undefined || same.details.length + trigger.details.length === 0
          ? trigger
          : { ...trigger, details: [...same.details, ...trigger.details].slice(0, 50) },
      );
      // Not within this call: triggers of the same turn run together, and a run may trigger its own lane.
      running ??= Promise.resolve().then(cycle);
    },
    /** Resolves when no cycle runs and none is due at once. */
    async idle(): Promise<void> {
      while (running !== null) await running;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      waiting.clear();
      clearWake();
      await lane.idle();
    },
  };
  return lane;
}

function userFirst(a: Trigger, b: Trigger): number {
  return Number(b.reason === "user") - Number(a.reason === "user");
}
