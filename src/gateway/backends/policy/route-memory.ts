// The routes of one backend: as configured, and as the decision remembers them.
import {
  type Backoff,
  NO_BACKOFF,
  type RouteHealth,
  UNKNOWN_HEALTH,
} from "../../../reconcile/route-health.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import type { InstanceRef } from "./draining.ts";

/** When a backend goes back to a better route. */
export interface FailbackPolicy {
  /** False: only a person switches back. */
  readonly byItself: boolean;
  /** Stability window: how long the better route must have answered without a gap. */
  readonly stableMs: number;
}

export interface RouteSpec {
  readonly name: string;
  /** The `connectionKey`; null: the route cannot be used, because a reference has no value. */
  readonly key: string | null;
}

export interface RoutesSpec {
  /** In order of preference. */
  readonly list: readonly RouteSpec[];
  readonly failback: FailbackPolicy;
  /** The route that a person asks for; null: none. */
  readonly asked: string | null;
}

export type Tries = Backoff & { readonly failure: LinkFailure | null };

export const NO_TRIES: Tries = { ...NO_BACKOFF, failure: null };

/** An idle instance over another route: it proves that the route works, and takes over later. */
export interface Standby extends InstanceRef {
  /** When the last check was sent, monotonic ms. */
  readonly checkedAtMs: number | null;
  /** The newest sign of life that is counted in the route's `health`, monotonic ms; null: none yet. */
  readonly signMs: number | null;
}

export interface RouteMemory {
  readonly health: RouteHealth;
  readonly tries: Tries;
  readonly standby: Standby | null;
}

export const NEW_ROUTE: RouteMemory = { health: UNKNOWN_HEALTH, tries: NO_TRIES, standby: null };

/** A better route is ready, but the switch has to wait. */
interface PendingRecovery {
  readonly route: string;
  readonly reason: string;
  /** Monotonic ms. */
  readonly sinceMs: number;
}

export interface RoutesMemory {
  readonly byName: ReadonlyMap<string, RouteMemory>;
  /** The route that served last. */
  readonly used: string | null;
  /** The route that a person has fixed the backend to (a "hold"); null: none. */
  readonly held: string | null;
  readonly pending: PendingRecovery | null;
  /** Since when the serving instance may be out of reach, monotonic ms; null: not suspected. */
  readonly suspectSinceMs: number | null;
}

export const NEW_ROUTES: RoutesMemory = {
  byName: new Map(),
  used: null,
  held: null,
  pending: null,
  suspectSinceMs: null,
};

/** Why the route in use changed. */
export type RouteChange = "failover" | "recovered" | "switched";
