// The health of a route, for shares and backends: gaps, stability windows, the confirmation of a loss, and backoff. Pure.
import { backoffMs } from "../runtime/time/backoff.ts";

/** Minimum time between the reading that shows a loss and the one that confirms it, ms. */
export const CONFIRM_AFTER_MS = 250;

/** Since when a route has answered without a gap. Wall times are for people and files; decisions use monotonic times. */
export interface RouteHealth {
  readonly reachableSince: Since | null;
  readonly healthySince: Since | null;
  readonly observedAt: Since | null;
}

export interface Since {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export const UNKNOWN_HEALTH: RouteHealth = { reachableSince: null, healthySince: null, observedAt: null };

interface HealthReading {
  readonly at: Since;
  /** A connection was accepted. */
  readonly reachable: boolean;
  /** The service itself answered. */
  readonly healthy: boolean;
}

/**
 * Updates a route's health with one reading. A stretch of more than `gapMs` without a reading, by either clock (the
 * monotonic one stops while the machine sleeps), is a gap, and a gap is treated as a drop. `dropped` is true if the
 * route was healthy before, and is unhealthy now or may have been unhealthy in between.
 */
export function updateHealth(before: RouteHealth, reading: HealthReading, gapMs: number) {
  const gap = before.observedAt !== null && hasGap(before.observedAt, reading.at, gapMs);
  const reachableBefore = gap ? null : before.reachableSince;
  const healthyBefore = gap ? null : before.healthySince;
  const health: RouteHealth = {
    reachableSince: reading.reachable ? (reachableBefore ?? reading.at) : null,
    healthySince: reading.healthy ? (healthyBefore ?? reading.at) : null,
    observedAt: reading.at,
  };
  return { health, dropped: before.healthySince !== null && (gap || !reading.healthy) };
}

function hasGap(before: Since, now: Since, gapMs: number): boolean {
  return now.monotonicMs - before.monotonicMs > gapMs || now.wallMs - before.wallMs > gapMs;
}

/** Converts recorded wall times to the monotonic time of this process. */
export function restoredHealth(
  recalled: { reachableSince: number | null; healthySince: number | null; observedAt: number | null },
  now: Since,
): RouteHealth {
  const map = (wallMs: number | null): Since | null =>
    wallMs === null || wallMs > now.wallMs
      ? null
      : { wallMs, monotonicMs: now.monotonicMs - (now.wallMs - wallMs) };
  const observedAt = map(recalled.observedAt);
  if (observedAt === null) return UNKNOWN_HEALTH;
  return {
    reachableSince: map(recalled.reachableSince),
    healthySince: map(recalled.healthySince),
    observedAt,
  };
}

/** The monotonic time at which the stability window ends, or null while the route is not healthy. */
export function stableFrom(health: RouteHealth, stableMs: number): number | null {
  return health.healthySince === null ? null : health.healthySince.monotonicMs + stableMs;
}

/** A loss that one reading has shown, and a later one must confirm. */
export interface SuspectedLoss {
  readonly key: string;
  readonly firstAtMs: number;
  /** True if every reading so far was certain. */
  readonly certain: boolean;
}

type LossVerdict =
  | { readonly state: "waiting"; readonly suspectedLoss: SuspectedLoss; readonly confirmAtMs: number }
  | { readonly state: "confirmed"; readonly suspectedLoss: SuspectedLoss };

/**
 * Adds a bad reading, taken at `atMs`, to the suspicion `before`; a reading with another `key` begins a new
 * suspicion. After a good reading, pass null as `before`.
 */
export function suspect(
  before: SuspectedLoss | null,
  key: string,
  atMs: number,
  certain: boolean,
): LossVerdict {
  if (before === null || before.key !== key) {
    return {
      state: "waiting",
      suspectedLoss: { key, firstAtMs: atMs, certain },
      confirmAtMs: atMs + CONFIRM_AFTER_MS,
    };
  }
  // An earlier reading was not certain. Two certain readings are needed, so the suspicion begins again.
  if (certain && !before.certain) return suspect(null, key, atMs, certain);
  const suspectedLoss = certain === before.certain ? before : { ...before, certain };
  const confirmAtMs = suspectedLoss.firstAtMs + CONFIRM_AFTER_MS;
  return atMs >= confirmAtMs
    ? { state: "confirmed", suspectedLoss }
    : { state: "waiting", suspectedLoss, confirmAtMs };
}

export interface Backoff {
  readonly failures: number;
  /** Monotonic ms. */
  readonly notBeforeMs: number;
}

export const NO_BACKOFF: Backoff = { failures: 0, notBeforeMs: Number.NEGATIVE_INFINITY };

export const BACKOFF_LIMIT_MS = 60_000;

/** Counts one more failure at `nowMs`. The pause grows from 1 s over 2 s and 4 s to at most 60 s. */
export function backOff(before: Backoff, nowMs: number): Backoff {
  const failures = before.failures + 1;
  return {
    failures,
    notBeforeMs: nowMs + backoffMs({ first: 1_000, most: BACKOFF_LIMIT_MS }, failures),
  };
}
