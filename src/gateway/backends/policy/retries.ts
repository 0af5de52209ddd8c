// When a backend that failed is tried again, and over which of its routes. Pure.
import { BACKOFF_LIMIT_MS, type Backoff, backOff } from "../../../reconcile/route-health.ts";
import { isSameFailure } from "../instance/failures.ts";
import type { TransportFailure } from "../transports/backend-transport.ts";
import type { BackendSituation } from "./backend-situation.ts";
import { lastRetries, type RetryState, type RouteSpec } from "./route-memory.ts";

/** Consecutive failures after which it retries once per `BACKOFF_LIMIT_MS`. */
export const CIRCUIT_FAILURES = 5;

/**
 * Waits half to one and a half times the usual wait, so that backends that failed together are not tried at the same
 * time.
 */
export function backOffWithJitter({ now, observed }: BackendSituation, before: Backoff): Backoff {
  const nowMs = now.monotonicMs;
  const { failures, notBeforeMs } = backOff(before, nowMs);
  const waitMs =
    failures >= CIRCUIT_FAILURES
      ? BACKOFF_LIMIT_MS
      : Math.min(BACKOFF_LIMIT_MS, (notBeforeMs - nowMs) * (0.5 + observed.jitter));
  return { failures, notBeforeMs: nowMs + waitMs };
}

export function failedTry(
  situation: BackendSituation,
  before: RetryState,
  failure: TransportFailure,
): RetryState {
  return { ...backOffWithJitter(situation, before), failure };
}

/** Records that a start failed, or that a serving instance ended and is not restarted at once. */
export function recordFailure(
  before: BackendSituation,
  key: string,
  failure: TransportFailure,
  startedAtMs?: number,
): BackendSituation {
  const { now, memory } = before;
  const known = before.triesOf(key);
  // Starts of several clients that were under way together are one failure.
  const isSame = startedAtMs !== undefined && startedAtMs < known.notBeforeMs;
  const tries = isSame ? { ...known, failure } : failedTry(before, known, failure);
  const { message } = failure;
  const { serving, changeFailure } = memory;
  const isChange = serving !== null && !before.isCurrent(serving);
  const mayUseOther = hasOtherRoute(before, key);
  const next = before.rememberTries(key, tries).remember({
    waitReason: mayUseOther ? memory.waitReason : null,
    lastError: message,
    changeFailure: isChange ? message : null,
  });
  const retryInMs = mayUseOther ? 0 : tries.notBeforeMs - now.monotonicMs;
  if (serving === null) return next.announce({ kind: "ended", reason: message, retryInMs });
  const isAnnounced = changeFailure !== null && isSameFailure(changeFailure, message);
  return isChange && !isAnnounced ? next.announce({ kind: "change_failed", reason: message }) : next;
}

/** True if another route has an instance, or may be tried now. */
export function hasOtherRoute(situation: BackendSituation, key: string): boolean {
  if (!situation.hasChoice) return false;
  return situation.routeList.some((route) => {
    if (route.key === null || route.key === key) return false;
    const { attempt, tries } = situation.route(route.name);
    return attempt !== null || tries.notBeforeMs <= situation.now.monotonicMs;
  });
}

/** The route for the next start; null: none has a key. */
export function nextRoute(situation: BackendSituation): RouteSpec | null {
  const { serving, routes } = situation.memory;
  const usable = situation.routeList.filter(({ key }) => key !== null);
  const dueMs = ({ name }: RouteSpec): number => situation.route(name).tries.notBeforeMs;
  const due = usable.filter((route) => dueMs(route) <= situation.now.monotonicMs);
  const own = serving === null ? undefined : due.find(({ key }) => key === serving.key);
  // As long as the serving instance answers its checks, its replacement uses the same route.
  if (own !== undefined && serving?.isUnhealthy === false) return own;
  const overridden = due.find(({ name }) => name === routes.override);
  const soonest = usable.toSorted((one, other) => dueMs(one) - dueMs(other))[0];
  return overridden ?? due.find((route) => route !== own) ?? own ?? soonest ?? null;
}

/** The failures over the next route. */
export function nextTries(situation: BackendSituation): RetryState {
  const route = nextRoute(situation);
  return route === null ? lastRetries(situation.memory.routes) : situation.route(route.name).tries;
}
