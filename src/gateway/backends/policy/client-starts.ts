// Whose failed starts count: those of all clients together until one client's instance was ready, then each client's own. Pure.
import type { BackendMemory, Now } from "./backend-situation.ts";
import { firstAttempt, NEW_ROUTE, NO_RETRIES, type RetryState } from "./route-memory.ts";

/** The one route of a client's lane: what the shared instance runs. */
export const OWN_ROUTE = "1";

/**
 * After one was ready, failures of this many clients in a row apply to all of them again: some clients open a session
 * for each call.
 */
const SUSPECT_CLIENTS = 3;

/** Of all clients, for one configuration. */
export interface ClientStarts {
  /** An instance of a client was ready. */
  readonly isProven: boolean;
  /** Failures in a row. Once proven, only the first failure of each client. */
  readonly tries: RetryState;
}

export const NO_STARTS: ClientStarts = { isProven: false, tries: NO_RETRIES };

export interface OwnStarts {
  /** Its failures are its own from then on. */
  readonly wasReady: boolean;
  readonly hasFailed: boolean;
  /** Monotonic ms. */
  readonly triedAtMs: number;
  /** The last decision went by the failures of all. */
  readonly wentByAll: boolean;
}

export const NEVER_STARTED: OwnStarts = {
  wasReady: false,
  hasFailed: false,
  triedAtMs: Number.NEGATIVE_INFINITY,
  wentByAll: false,
};

/** For instances that start in their clients' folders: a failure in one says nothing about the others. */
export const SEPARATE_STARTS: { readonly all: ClientStarts; readonly own: OwnStarts } = {
  all: { isProven: true, tries: NO_RETRIES },
  own: { ...NEVER_STARTED, hasFailed: true },
};

export function sharesFailures({ isProven, tries }: ClientStarts, own: OwnStarts): boolean {
  return !own.wasReady && (!isProven || tries.failures >= SUSPECT_CLIENTS);
}

/** What the next decision of a client's lane begins with. */
export function restoreStarts(
  all: ClientStarts,
  own: OwnStarts,
  memory: BackendMemory,
  revision: number,
): BackendMemory {
  // The revision is noted here, because a new lane must not forget what failed for all.
  if (sharesFailures(all, own)) return withTries(memory, revision, all.tries);
  return own.wentByAll ? withTries(memory, revision, NO_RETRIES) : memory;
}

function ownTries({ routes }: BackendMemory): RetryState {
  return routes.byName.get(OWN_ROUTE)?.tries ?? NO_RETRIES;
}

function withTries(memory: BackendMemory, revision: number, tries: RetryState): BackendMemory {
  const route = memory.routes.byName.get(OWN_ROUTE) ?? NEW_ROUTE;
  const byName = new Map([[OWN_ROUTE, { ...route, tries }]]);
  return { ...memory, revision, routes: { ...memory.routes, byName, failed: OWN_ROUTE } };
}

/** What a decision of a client's lane changes in both counts. */
export function updateStarts(
  all: ClientStarts,
  own: OwnStarts,
  before: BackendMemory,
  after: BackendMemory,
  now: Now,
): { readonly all: ClientStarts; readonly own: OwnStarts } {
  const wentByAll = sharesFailures(all, own);
  const attempt = firstAttempt(after.routes);
  const isStart = attempt !== null && attempt.id !== firstAttempt(before.routes)?.id;
  const isReady = after.serving !== null && after.serving.id !== before.serving?.id;
  const tries = ownTries(after);
  const isFailure = tries.failures > ownTries(before).failures;
  const next = {
    wentByAll,
    wasReady: own.wasReady || isReady,
    hasFailed: own.hasFailed || isFailure,
    triedAtMs: isStart ? now.monotonicMs : own.triedAtMs,
  };
  if (isReady) return { all: { isProven: true, tries: NO_RETRIES }, own: next };
  if (wentByAll) return { all: tries === all.tries ? all : { ...all, tries }, own: next };
  if (own.wasReady || own.hasFailed || !isFailure) return { all, own: next };
  const failures = all.tries.failures + 1;
  return { all: { ...all, tries: { ...tries, failures } }, own: next };
}

/** Of the clients that go by the failures of all, one starts after each wait: the one whose last start is longest ago. */
export function isTurnOf(own: OwnStarts, others: readonly OtherStarts[]): boolean {
  return others.every(({ isStarting, isEarlier, starts: { triedAtMs } }) => {
    if (isStarting) return false;
    return triedAtMs > own.triedAtMs || (triedAtMs === own.triedAtMs && !isEarlier);
  });
}

/** Another client that has no instance. */
export interface OtherStarts {
  readonly starts: OwnStarts;
  readonly isStarting: boolean;
  /** Its session is older. */
  readonly isEarlier: boolean;
}
