// The facts on which the decision for one backend depends, and the memory that it leaves for the next decision. Pure.
import type { PassedOver } from "../../../reconcile/decision.ts";
import type { NextRun } from "../../../reconcile/reconcile-loop.ts";
import type { Backoff } from "../../../reconcile/route-health.ts";
import type { InstanceObservation } from "../instance/backend-instance.ts";
import type { TransportFailure } from "../transports/backend-transport.ts";
import type { BackendPhase } from "./backend-pool-contract.ts";
import type { BackendEvent, BackendStep, RuleName } from "./backend-step.ts";
import type { SignInNotice } from "./condition-rows.ts";
import type { Draining, DrainReason, InstanceRef } from "./draining.ts";
import type { Needs } from "./required-data.ts";
import {
  type Attempt,
  firstAttempt,
  NEW_ROUTE,
  NEW_ROUTES,
  NO_RETRIES,
  type RetryState,
  type RouteMemory,
  type RouteSpec,
  type RoutesMemory,
  type RoutesSpec,
} from "./route-memory.ts";
import type { SleepSpec, UsageObservation } from "./sleep.ts";

export interface BackendSpec {
  readonly name: string;
  /** Null: the backend is a program. */
  readonly origin: string | null;
  /** True if a program may run on this machine. */
  readonly hasPrograms: boolean;
  readonly wanted:
    | { readonly kind: "connection" }
    | { readonly kind: "secret_missing"; readonly variables: readonly string[] }
    /** `replaced`: the instances of single clients, whose backend is shared again. */
    | { readonly kind: "nothing"; readonly because: "removed" | "disabled" | "replaced" };
  /** Grows with each change of the configuration and each restart. Failures of an earlier revision are forgotten. */
  readonly revision: number;
  /** Grows with each restart. Instances of an earlier epoch are replaced. */
  readonly epoch: number;
  readonly replace: "overlap" | "stop-first";
  readonly instances: "shared" | "per-client";
  readonly drainTimeoutMs: number;
  readonly signIn: SignInNotice | null;
  readonly needs: Needs;
  /** True if the lane's instances belong to one client. */
  readonly isOwned: boolean;
  /** True if nothing may start now. A trigger follows when this changes. */
  readonly isBlocked: boolean;
  readonly routes: RoutesSpec;
  readonly sleep: SleepSpec;
}

export interface BackendObservation {
  /** The instances of one owner, in the order in which they started. */
  readonly instances: readonly InstanceObservation[];
  /** The instances that belong to one client each, for the lane of the shared one. */
  readonly clients: ClientsObservation;
  /**
   * True if it is this backend's turn to start. Backends start one by one, because starting a program blocks the
   * thread.
   */
  readonly mayStart: boolean;
  readonly nextId: number;
  /** Several calls in a row timed out. */
  readonly checkRequested: boolean;
  /** The address accepts connections again. */
  readonly isReached: boolean;
  /** Random, from 0 to 1; another one for each decision. */
  readonly jitter: number;
  readonly use: UsageObservation;
}

/** What the lanes of single clients have come to. */
export interface ClientsObservation {
  readonly instances: number;
  /** Null: all that were called run. */
  readonly down: ClientsDown | null;
}

export interface ClientsDown {
  /** Clients that have no instance; 0: their sessions have ended. */
  readonly clients: number;
  /** Failures in a row. */
  readonly failures: number;
  readonly failure: TransportFailure;
}

export const NO_CLIENTS: ClientsObservation = { instances: 0, down: null };

export interface Now {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface Serving extends InstanceRef {
  /** True if the instance missed several checks, so that a replacement is started. */
  readonly isUnhealthy: boolean;
}

export interface BackendMemory {
  readonly revision: number;
  readonly serving: Serving | null;
  readonly draining: readonly Draining[];
  readonly closing: readonly number[];
  /** Why calls wait although no instance serves; null: they are refused. */
  readonly waitReason: "crash" | "replacement" | null;
  /** After a crash there is one immediate try, and another one only after an instance has become stable. */
  readonly quickTryUsed: boolean;
  /** Backoff of reading stale lists again; null: no list is stale. */
  readonly refresh: Backoff | null;
  /** The serving instance's last check, monotonic ms. */
  readonly checkedAtMs: number | null;
  /** How often an instance exited unasked. */
  readonly crashes: number;
  readonly lastError: string | null;
  /** The last announced failure of a change. The same failure is not announced again. */
  readonly changeFailure: string | null;
  /** The server is not running, because no client needs it. Its lists are published. */
  readonly asleep: boolean;
  /** The server was started only to be asked for its lists. */
  readonly isListingOnly: boolean;
  readonly phase: BackendPhase;
  /** When each condition began, by its code. */
  readonly conditionsSince: ReadonlyMap<string, string>;
  readonly routes: RoutesMemory;
}

export const NEW_BACKEND: BackendMemory = {
  revision: -1,
  serving: null,
  draining: [],
  closing: [],
  waitReason: null,
  quickTryUsed: false,
  refresh: null,
  checkedAtMs: null,
  crashes: 0,
  lastError: null,
  changeFailure: null,
  asleep: false,
  isListingOnly: false,
  phase: "Pending",
  conditionsSince: new Map(),
  routes: NEW_ROUTES,
};

/**
 * One decision in the making: its input, and what has been concluded so far. Nothing changes a situation: each
 * conclusion returns a new one, so a question has no effect on the next.
 */
export class BackendSituation {
  readonly spec: BackendSpec;
  readonly observed: BackendObservation;
  readonly now: Now;
  readonly memory: BackendMemory;
  readonly step: BackendStep | null;
  readonly events: readonly BackendEvent[];
  readonly nextRuns: readonly NextRun[];
  readonly passedOver: readonly PassedOver<RuleName>[];

  constructor(
    input: Pick<BackendSituation, "spec" | "observed" | "now" | "memory"> &
      Partial<Pick<BackendSituation, "step" | "events" | "nextRuns" | "passedOver">>,
  ) {
    this.spec = input.spec;
    this.observed = input.observed;
    this.now = input.now;
    this.memory = input.memory;
    this.step = input.step ?? null;
    this.events = input.events ?? [];
    this.nextRuns = input.nextRuns ?? [];
    this.passedOver = input.passedOver ?? [];
  }

  isCurrent({ key, epoch }: InstanceRef): boolean {
    const { wanted, epoch: wantedEpoch } = this.spec;
    return wanted.kind === "connection" && wantedEpoch === epoch && this.routeOf(key) !== null;
  }

  /** null if no instance serves, or if the serving one must be replaced. */
  get healthyServing(): Serving | null {
    const { serving } = this.memory;
    return serving !== null && this.isCurrent(serving) && !serving.isUnhealthy ? serving : null;
  }

  /**
   * The route to which a person asked to switch; null: no request, or this decision has already answered the request.
   */
  get requested(): string | null {
    const isAnswered = this.events.some(({ kind }) => kind === "asked_done" || kind === "asked_failed");
    return isAnswered ? null : this.spec.routes.requested;
  }

  /** True if there is a route beside the one in use. */
  get hasChoice(): boolean {
    return this.routeList.length > 1;
  }

  get routeList(): readonly RouteSpec[] {
    return this.spec.routes.list;
  }

  routeOf(key: string): RouteSpec | null {
    return this.routeList.find((route) => route.key === key) ?? null;
  }

  route(name: string): RouteMemory {
    return this.memory.routes.byName.get(name) ?? NEW_ROUTE;
  }

  triesOf(key: string): RetryState {
    const name = this.#failing(key);
    return name === null ? NO_RETRIES : this.route(name).tries;
  }

  /** The route to which a failure of an instance with this key belongs. */
  #failing(key: string): string | null {
    const route = this.routeOf(key) ?? (this.hasChoice ? undefined : this.routeList[0]);
    return route?.name ?? null;
  }

  /** The first attempt; null: nothing is being tried. */
  get attempt(): Attempt | null {
    return firstAttempt(this.memory.routes);
  }

  observedOf(id: number): InstanceObservation | null {
    return this.observed.instances.find((instance) => instance.id === id) ?? null;
  }

  remember(change: Partial<BackendMemory>): BackendSituation {
    return new BackendSituation({ ...this, memory: { ...this.memory, ...change } });
  }

  rememberRoutes(change: Partial<RoutesMemory>): BackendSituation {
    return this.remember({ routes: { ...this.memory.routes, ...change } });
  }

  rememberRoute(name: string, change: Partial<RouteMemory>): BackendSituation {
    const byName = new Map(this.memory.routes.byName);
    byName.set(name, { ...this.route(name), ...change });
    return this.rememberRoutes({ byName });
  }

  rememberTries(key: string, tries: RetryState): BackendSituation {
    const name = this.#failing(key);
    return name === null ? this : this.rememberRoute(name, { tries }).rememberRoutes({ failed: name });
  }

  /** Forgets the failures of the route with the key `only`; null: of all routes. */
  forgetFailures(only: string | null = null): BackendSituation {
    return this.routeList
      .filter(({ key }) => only === null || key === only)
      .reduce<BackendSituation>((next, { name }) => next.rememberRoute(name, { tries: NO_RETRIES }), this)
      .rememberRoutes({ failed: null })
      .remember({ quickTryUsed: false, changeFailure: null });
  }

  drainServing(why: DrainReason): BackendSituation {
    const { serving } = this.memory;
    if (serving === null) return this;
    return this.#drain(serving, why).remember({ serving: null, refresh: null, checkedAtMs: null });
  }

  /** If it got calls already, it answers them. */
  dropAttempt(name: string): BackendSituation {
    const { attempt } = this.route(name);
    const { wanted } = this.spec;
    if (attempt === null) return this;
    const next = this.rememberRoute(name, { attempt: null });
    if ((this.observedOf(attempt.id)?.inFlight ?? 0) === 0) return next;
    return next.#drain(attempt, wanted.kind === "nothing" ? wanted.because : "replaced");
  }

  dropAttempts(names: Iterable<string> = this.memory.routes.byName.keys()): BackendSituation {
    return [...names].reduce<BackendSituation>((next, name) => next.dropAttempt(name), this);
  }

  #drain({ id, key, epoch }: InstanceRef, why: DrainReason): BackendSituation {
    const drained: Draining = { id, key, epoch, why, sinceMs: this.now.monotonicMs };
    return this.remember({ draining: [...this.memory.draining, drained] });
  }

  take(step: BackendStep): BackendSituation {
    return new BackendSituation({ ...this, step });
  }

  announce(...events: readonly BackendEvent[]): BackendSituation {
    return new BackendSituation({ ...this, events: [...this.events, ...events] });
  }

  runAt(atMs: number, reason: NextRun["reason"]): BackendSituation {
    return new BackendSituation({ ...this, nextRuns: [...this.nextRuns, { atMs, reason }] });
  }
  passOver(rule: RuleName, why: string, untilMs: number | null = null): BackendSituation {
    return new BackendSituation({ ...this, passedOver: [...this.passedOver, { rule, why, untilMs }] });
  }
}
