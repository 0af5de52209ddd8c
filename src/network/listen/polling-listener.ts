// Finds network changes by comparing the interfaces again and again: the slow fallback.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { type InterfaceSnapshot, readInterfaces } from "../interfaces.ts";
import { compareInterfaces, type NetworkDelta } from "./events/network-delta.ts";

interface InterfacePollOptions {
  clock: Clock;
  intervalMs: number;
  onChange: (deltas: readonly NetworkDelta[]) => void;
  /** The interfaces now; the system's by default. */
  read?: (nowMs: number) => InterfaceSnapshot;
}

/** Runs from the start. `onChange` is called from a timer, or from `pause` and `resume`, never with an empty list. */
export function startInterfacePoll(options: InterfacePollOptions) {
  const { clock, intervalMs, onChange, read = readInterfaces } = options;
  let last = read(clock.monotonicMs());
  let timer: Timer | null = null;
  let disposed = false;

  const compare = (): void => {
    const now = read(clock.monotonicMs());
    const deltas = compareInterfaces(last, now);
    last = now;
    if (deltas.length > 0) onChange(deltas);
  };
  const schedule = (): void => {
    timer = clock.setTimer(intervalMs, () => {
      schedule();
      compare();
    });
  };
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };

  schedule();
  return {
    /** Compares once more, then rests. */
    pause(): void {
      if (timer === null) return;
      rest();
      compare();
    },
    /** Compares with the last reading at once, and goes on. */
    resume(): void {
      if (timer !== null || disposed) return;
      schedule();
      // What changed while the event source ran was reported by it, or was lost with it: better reported twice than never.
      compare();
    },
    [Symbol.dispose]() {
      disposed = true;
      rest();
    },
  };
}
