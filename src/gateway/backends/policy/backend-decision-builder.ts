// What the decision for one backend reads, and what it remembers from one look to the next. Pure.
import type { Wake } from "../../../reconcile/lane.ts";
import type { Backoff } from "../../../reconcile/route-health.ts";
import type { InstanceSeen } from "../instance/backend-instance.ts";
import type { SignInNotice } from "../links/link-authorization.ts";
import type { BackendPhase } from "./backend-pool-contract.ts";
import type { Draining, DrainReason, Kept } from "./draining.ts";
import type { Needs } from "./required-data.ts";
import {
  NEW_ROUTE,
  NEW_ROUTES,
  NO_TRIES,
  type RouteChange,
  type RouteMemory,
  type RouteSpec,
  type RoutesMemory,
  type RoutesSpec,
  type Tries,
} from "./route-memory.ts";

/** What the configuration wants of one backend. */
export interface BackendSpec {
  readonly name: string;
  /** Where its HTTP server is, without the path; null: it is a program. */
  readonly origin: string | null;
  readonly wanted:
    | { readonly kind: "connection"; readonly key: string }
    | { readonly kind: "secret_missing"; readonly variables: readonly string[] }
    | { readonly kind: "nothing"; readonly because: "removed" | "disabled" };
  /** Counts its changes and the restarts that were asked for: another one forgets failures. */
  readonly revision: number;
  /** Counts the restarts that were asked for: an instance of an older one is not wanted any more. */
  readonly epoch: number;
  readonly replace: "overlap" | "stop-first";
  readonly instances: "shared" | "per-client";
  readonly drainTimeoutMs: number;
  /** What is wrong with its sign-in; null, or absent: nothing. */
  readonly signIn?: SignInNotice | null;
  readonly needs: Needs;
  /** Of `stop-first`: an instance of another process may still be there. */
  readonly runsElsewhere?: boolean;
  /** Null, or absent: there is one alone, and `wanted` has its key. */
  readonly routes?: RoutesSpec | null;
}

export interface BackendSeen {
  /** Those that all clients share, in the order in which they were started, until nothing is left of them. */
  readonly instances: readonly InstanceSeen[];
  /** Those of one client each; they end by themselves. */
  readonly clientInstances: number;
  /** It is this backend's turn: starting a program holds up the thread, so they are started one by one. */
  readonly mayStart: boolean;
  /** Of the instance that is started next. */
  readonly nextId: number;
  /** Calls have gone unanswered in a row: the serving instance is to be checked now. */
  readonly checkAsked: boolean;
  /** Its address took no connections, and does now. */
  readonly isReached?: boolean;
  /** 0 to 1, drawn anew for each look. */
  readonly jitter: number;
}

export interface Now {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface Serving extends Kept {
  /** It let three checks pass: another one is to take its place. */
  readonly distrusted: boolean;
}

export interface BackendMemory {
  readonly revision: number;
  readonly serving: Serving | null;
  /** Being started; serves when it is ready. */
  readonly candidate: Kept | null;
  readonly draining: readonly Draining[];
  /** Told to close, and not gone yet. */
  readonly closing: readonly number[];
  /** Nothing serves, but soon something will: names stay published, and calls wait. */
  readonly holding: "crash" | "replacement" | null;
  /** Of starting; with routes, over the one that is tried next. */
  readonly tries: Tries;
  /** The try at once that follows a crash is used up until it has been stable again. */
  readonly quickTryUsed: boolean;
  /** Of reading stale lists again; null: they are not stale. */
  readonly refresh: Backoff | null;
  /** Monotonic ms of the last check that was sent to the serving instance. */
  readonly checkedAtMs: number | null;
  /** Unwanted ends so far. */
  readonly ends: number;
  readonly lastError: string | null;
  /** Said already; a change that fails for the same reason again is no news. */
  readonly changeFailure: string | null;
  readonly phase: BackendPhase;
  /** Wall ms, by code. */
  readonly conditionsSince: ReadonlyMap<string, number>;
  readonly routes: RoutesMemory;
}

export const NEW_BACKEND: BackendMemory = {
  revision: -1,
  serving: null,
  candidate: null,
  draining: [],
  closing: [],
  holding: null,
  tries: NO_TRIES,
  quickTryUsed: false,
  refresh: null,
  checkedAtMs: null,
  ends: 0,
  lastError: null,
  changeFailure: null,
  phase: "Pending",
  conditionsSince: new Map(),
  routes: NEW_ROUTES,
};

/** What is worth announcing. */
export type BackendEvent =
  | { readonly kind: "ended"; readonly reason: string; readonly retryInMs: number | null }
  /** It serves from now on. */
  | { readonly kind: "promoted"; readonly id: number }
  /** Another one serves; this one finishes its calls. */
  | { readonly kind: "replaced"; readonly id: number }
  | { readonly kind: "change_failed"; readonly reason: string }
  /** Another route than before serves. */
  | {
      readonly kind: "route";
      readonly change: RouteChange;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  /** A better route is ready, and going back waits. */
  | { readonly kind: "route_ready"; readonly route: string; readonly reason: string }
  | { readonly kind: "route_ready_cleared"; readonly route: string; readonly reason: string }
  /** What a person asked for is done, or cannot be. */
  | { readonly kind: "asked_done"; readonly route: string; readonly changed: boolean }
  | { readonly kind: "asked_failed"; readonly route: string; readonly reason: string };

export type BackendStep =
  | { readonly kind: "start"; readonly id: number; readonly key: string }
  /** `drained`: it served; null: it never did, or its end is known. */
  | {
      readonly kind: "close";
      readonly id: number;
      readonly drained: {
        readonly why: DrainReason;
        readonly sinceMs: number;
        readonly isLate: boolean;
      } | null;
    }
  | { readonly kind: "check"; readonly id: number }
  | { readonly kind: "refresh"; readonly id: number };

/** One decision in the making: what it reads, and what it remembers, announces and waits for so far. */
export class DecisionBuilder {
  readonly spec: BackendSpec;
  readonly seen: BackendSeen;
  readonly now: Now;
  memory: BackendMemory;
  readonly events: BackendEvent[] = [];
  readonly wakes: Wake[] = [];

  constructor(spec: BackendSpec, seen: BackendSeen, memory: BackendMemory, now: Now) {
    this.spec = spec;
    this.seen = seen;
    this.memory = memory;
    this.now = now;
  }

  remember(change: Partial<BackendMemory>): void {
    this.memory = { ...this.memory, ...change };
  }

  /** `only`: of the route with that key. */
  forgetFailures(only: string | null = null): void {
    for (const route of this.routeList) {
      if (only === null || route.key === only) this.rememberRoute(route.name, { tries: NO_TRIES });
    }
    this.remember({ tries: NO_TRIES, quickTryUsed: false, changeFailure: null });
  }

  /** Of the configuration as it is now, and of the last restart that was asked for. */
  isCurrent({ key, epoch }: Kept): boolean {
    const { wanted, epoch: wantedEpoch } = this.spec;
    if (wanted.kind !== "connection" || wantedEpoch !== epoch) return false;
    return this.hasRoutes ? this.routeOf(key) !== null : wanted.key === key;
  }

  get hasRoutes(): boolean {
    return this.routeList.length > 0;
  }

  /** Empty: there is one alone. */
  get routeList(): readonly RouteSpec[] {
    return this.spec.routes?.list ?? [];
  }

  /** Null: no route leads there now. */
  routeOf(key: string): RouteSpec | null {
    return this.routeList.find((route) => route.key === key) ?? null;
  }

  route(name: string): RouteMemory {
    return this.memory.routes.byName.get(name) ?? NEW_ROUTE;
  }

  rememberRoutes(change: Partial<RoutesMemory>): void {
    this.remember({ routes: { ...this.memory.routes, ...change } });
  }

  rememberRoute(name: string, change: Partial<RouteMemory>): void {
    const byName = new Map(this.memory.routes.byName);
    byName.set(name, { ...this.route(name), ...change });
    this.rememberRoutes({ byName });
  }

  /** Of starting what has that key. */
  triesOf(key: string): Tries {
    const route = this.routeOf(key);
    return route === null ? this.memory.tries : this.route(route.name).tries;
  }

  rememberTries(key: string, tries: Tries): void {
    const route = this.routeOf(key);
    if (route !== null) this.rememberRoute(route.name, { tries });
    this.remember({ tries });
  }

  /** Null: nothing is left of it. */
  seenOf(id: number): InstanceSeen | null {
    return this.seen.instances.find((instance) => instance.id === id) ?? null;
  }

  /** What serves gets no more calls from now on. */
  drainServing(why: DrainReason): void {
    const { serving, draining } = this.memory;
    if (serving === null) return;
    const { id, key, epoch } = serving;
    const leaving: Draining = { id, key, epoch, why, sinceMs: this.now.monotonicMs };
    this.remember({ serving: null, draining: [...draining, leaving], refresh: null, checkedAtMs: null });
  }

  wakeAt(atMs: number, reason: Wake["reason"]): void {
    this.wakes.push({ atMs, reason });
  }
}
