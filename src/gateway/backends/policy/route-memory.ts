// What the decision reads and remembers of a backend's routes. Pure.
import {
  type Backoff,
  NO_BACKOFF,
  type RouteHealth,
  UNKNOWN_HEALTH,
} from "../../../reconcile/route-health.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import type { Kept } from "./draining.ts";

/** When a backend goes back to a better route. */
export interface FailbackPolicy {
  /** False: a person switches. */
  readonly byItself: boolean;
  /** How long the better route must have answered without a gap. */
  readonly stableMs: number;
}

export interface RouteSpec {
  readonly name: string;
  /** null: references of it have no value, so that it cannot be used. */
  readonly key: string | null;
}

export interface RoutesSpec {
  /** In order of preference. */
  readonly list: readonly RouteSpec[];
  readonly failback: FailbackPolicy;
  /** The route that a person asks for now; null: nobody does. */
  readonly asked: string | null;
}

export type Tries = Backoff & { readonly failure: LinkFailure | null };

export const NO_TRIES: Tries = { ...NO_BACKOFF, failure: null };

/** An instance over a route that is not in use: it shows that the route works, and takes over when it is time. */
export interface Standby extends Kept {
  /** Monotonic ms of the last check that was sent to it. */
  readonly checkedAtMs: number | null;
  /** Monotonic ms of the last sign of life that was counted. */
  readonly signMs: number | null;
}

export interface RouteMemory {
  readonly health: RouteHealth;
  readonly tries: Tries;
  readonly standby: Standby | null;
}

export const NEW_ROUTE: RouteMemory = { health: UNKNOWN_HEALTH, tries: NO_TRIES, standby: null };

/** A better route is ready, and going back to it waits. */
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
  /** The route that a person holds it on. */
  readonly held: string | null;
  readonly pending: PendingRecovery | null;
  /** Monotonic ms since when what serves may be out of reach; null: it is not. */
  readonly suspectSinceMs: number | null;
}

export const NEW_ROUTES: RoutesMemory = {
  byName: new Map(),
  used: null,
  held: null,
  pending: null,
  suspectSinceMs: null,
};

/** Why another route serves. */
export type RouteChange = "failover" | "recovered" | "switched";
