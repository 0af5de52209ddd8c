// Detects sleep, and a wall clock that was set.
import { uptime } from "node:os";
import { performance } from "node:perf_hooks";
import type { Clock } from "../../runtime/time/clock.ts";

interface ClockJump {
  /** `woke`: the machine slept, or this process was stopped. `clock_set`: only the wall clock moved. */
  readonly kind: "woke" | "clock_set";
  /** `woke from sleep after 2 h 10 min`, `clock jumped by -3.5 s`. */
  readonly text: string;
}

/**
 * Smaller differences between the clocks do not count: they come from drift, a busy machine, or a slewed
 * clock.
 */
const THRESHOLD_MS = 2_000;

interface ClockWatchOptions {
  clock: Clock;
  /** Time since boot, sleep included; the system's by default. */
  uptimeMs?: () => number;
  /**
   * For how long this process has been busy since its start. A call that is late for that reason is not a sign of
   * sleep.
   */
  busyMs?: () => number;
}

export function createClockWatch(options: ClockWatchOptions) {
  const { clock, uptimeMs = () => uptime() * 1_000 } = options;
  const { busyMs = () => performance.eventLoopUtilization().active } = options;
  let beforeMs = busyMs();
  let monotonicMs = clock.monotonicMs();
  let wallMs = clock.wallMs();
  // The time asleep since boot, ms. Computed again only after a jump, because on Linux `uptime` reads a file
  // of /proc.
  let sleptMs = uptimeMs() - monotonicMs;

  return {
    /**
     * Compares how far the clocks have gone since the last call, or since the start. `expectedMs`: the
     * intended time between two calls. Where the monotonic clock runs on during sleep (macOS), a late call is
     * the only sign of sleep.
     */
    observe(expectedMs?: number): ClockJump | null {
      const passedMs = clock.monotonicMs() - monotonicMs;
      const differenceMs = clock.wallMs() - wallMs - passedMs;
      monotonicMs += passedMs;
      wallMs += passedMs + differenceMs;
      const workedMs = busyMs() - beforeMs;
      beforeMs += workedMs;
      const lateMs = expectedMs === undefined ? 0 : passedMs - expectedMs - workedMs;
      if (Math.abs(differenceMs) <= THRESHOLD_MS && lateMs <= THRESHOLD_MS) return null;
      const nowSleptMs = uptimeMs() - monotonicMs;
      const asleepMs = nowSleptMs - sleptMs;
      sleptMs = nowSleptMs;
      if (asleepMs > THRESHOLD_MS) return woke(asleepMs);
      if (lateMs > THRESHOLD_MS) return woke(passedMs);
      return {
        kind: "clock_set",
        text: `clock jumped by ${differenceMs < 0 ? "-" : ""}${spokenDuration(Math.abs(differenceMs))}`,
      };
    },
  };
}

function woke(afterMs: number): ClockJump {
  return { kind: "woke", text: `woke from sleep after ${spokenDuration(afterMs)}` };
}

function spokenDuration(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}
