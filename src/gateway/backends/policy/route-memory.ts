// A backend's routes, as configured and as remembered between decisions.
import {
  type Backoff,
  NO_BACKOFF,
  type RouteHealth,
  UNKNOWN_HEALTH,
} from "../../../reconcile/route-health.ts";
import type { TransportFailure } from "../transports/backend-transport.ts";
import type { InstanceRef } from "./draining.ts";

export interface FailbackPolicy {
  /** False: only a person switches back. */
  readonly isAutomatic: boolean;
  /** Stability window, ms: how long a better route must have answered without a gap. */
  readonly stableMs: number;
}

export interface RouteSpec {
  readonly name: string;
  /** The `connectionKey`; null: a reference has no value, so the route cannot be used. */
  readonly key: string | null;
}

export interface RoutesSpec {
  /** In order of preference; at least one. */
  readonly list: readonly RouteSpec[];
  readonly failback: FailbackPolicy;
  /** The route to which a person wants to switch. */
  readonly requested: string | null;
}

export type RetryState = Backoff & { readonly failure: TransportFailure | null };

export const NO_RETRIES: RetryState = { ...NO_BACKOFF, failure: null };

/**
 * An instance that was started over a route and does not serve yet. While a healthy one serves, it shows that its route
 * works; else it serves as soon as it is ready.
 */
export interface Attempt extends InstanceRef {
  /** When the instance was last asked, monotonic ms. */
  readonly checkedAtMs: number | null;
  /** When the instance last gave an answer that counts in `health`, monotonic ms. */
  readonly signMs: number | null;
}

export interface RouteMemory {
  readonly health: RouteHealth;
  readonly tries: RetryState;
  readonly attempt: Attempt | null;
}

export const NEW_ROUTE: RouteMemory = { health: UNKNOWN_HEALTH, tries: NO_RETRIES, attempt: null };

/** A better route is ready, but the switch has to wait. */
interface PendingRecovery {
  readonly route: string;
  readonly reason: string;
  /** Monotonic ms. */
  readonly sinceMs: number;
}

export interface RoutesMemory {
  readonly byName: ReadonlyMap<string, RouteMemory>;
  /** The route that failed last, until one serves or its failures are forgotten. */
  readonly failed: string | null;
  readonly used: string | null;
  /** The route to which a person has fixed the backend (a "hold"). */
  readonly override: string | null;
  readonly pending: PendingRecovery | null;
  /** Since when the serving instance may be out of reach, monotonic ms. */
  readonly unreachableSinceMs: number | null;
}

export const NEW_ROUTES: RoutesMemory = {
  byName: new Map(),
  failed: null,
  used: null,
  override: null,
  pending: null,
  unreachableSinceMs: null,
};

export type RouteChange = "failover" | "recovered" | "switched";

/** The failures of the route that failed last. */
export function lastRetries({ byName, failed }: RoutesMemory): RetryState {
  return (failed === null ? undefined : byName.get(failed)?.tries) ?? NO_RETRIES;
}

/** The first attempt. While no healthy instance serves, there is at most one. */
export function firstAttempt({ byName }: RoutesMemory): Attempt | null {
  for (const { attempt } of byName.values()) if (attempt !== null) return attempt;
  return null;
}
