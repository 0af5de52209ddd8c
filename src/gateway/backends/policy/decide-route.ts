// Decides about the instances that are tried over each route: which is ready, has failed, or takes over. Pure.
import { UNKNOWN_HEALTH, updateHealth } from "../../../reconcile/route-health.ts";
import type { InstanceObservation } from "../instance/backend-instance.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";
import type { BackendSituation, Serving } from "./backend-situation.ts";
import type { DrainReason, InstanceRef } from "./draining.ts";
import { failedTry, recordFailure } from "./retries.ts";
import type { Attempt, RouteSpec } from "./route-memory.ts";
import type { Answer } from "./rule.ts";

/** Missed checks after which a replacement is started, and an idle instance is given up. */
export const DISTRUST_CHECKS = 3;
/** Time between two checks of an instance that does not serve, ms. */
export const ATTEMPT_CHECK_MS = 5_000;
/** A longer silence counts as a gap: three checks, as for shares. */
const GAP_MS = 3 * ATTEMPT_CHECK_MS;

export const VANISHED = transportFailure("closed", "it is gone");
export const SILENT = transportFailure("unreachable", "it does not answer");

/** Checks the attempts that do not serve yet: which are ready, have failed, or are no longer wanted. */
export function updateAttempts(before: BackendSituation): BackendSituation {
  let next = forgetRemoved(before);
  for (const route of next.routeList) {
    const { attempt } = next.route(route.name);
    if (attempt === null) continue;
    const isWanted = next.isCurrent(attempt) && attempt.key === route.key;
    const isNeeded = next.healthyServing === null || isProbed(next, route);
    next = isWanted && isNeeded ? updateAttempt(next, route, attempt) : next.dropAttempt(route.name);
  }
  return takeOver(next);
}

/** Forgets the routes that are no longer configured. */
function forgetRemoved(before: BackendSituation): BackendSituation {
  const { byName } = before.memory.routes;
  const isConfigured = (name: string): boolean => before.routeList.some((route) => route.name === name);
  const removed = [...byName.keys()].filter((name) => !isConfigured(name));
  if (removed.length === 0) return before;
  const next = before.dropAttempts(removed);
  const remaining = [...next.memory.routes.byName].filter(([name]) => isConfigured(name));
  return next.rememberRoutes({ byName: new Map(remaining) });
}

function updateAttempt(before: BackendSituation, { name }: RouteSpec, attempt: Attempt): BackendSituation {
  const observed = before.observedOf(attempt.id);
  const outcome = startOutcome(before, observed);
  if (outcome === null) return before;
  if (outcome !== "ready" || observed === null)
    return giveUp(before, name, outcome === "ready" ? VANISHED : outcome, observed);
  const { now } = before;
  const { health } = before.route(name);
  const isHealthy = observed.missedChecks === 0;
  const signMs = Math.max(observed.readyAtMs ?? 0, observed.checkedAtMs ?? 0);
  if (signMs === attempt.signMs && isHealthy) return before;
  const at = isHealthy ? { monotonicMs: signMs, wallMs: now.wallMs - (now.monotonicMs - signMs) } : now;
  const updated = updateHealth(health, { at, reachable: isHealthy, healthy: isHealthy }, GAP_MS);
  const answered = before.rememberRoute(name, { health: updated.health, attempt: { ...attempt, signMs } });
  const next = updated.dropped ? clearPendingOf(answered, name, "it has not answered") : answered;
  const isLost = observed.isUnreachable === true || observed.missedChecks >= DISTRUST_CHECKS;
  return isLost ? giveUp(next, name, SILENT, observed) : next;
}

/** The outcome of a start; null: it is still starting. */
function startOutcome(
  situation: BackendSituation,
  observed: InstanceObservation | null,
): "ready" | TransportFailure | null {
  if (observed?.state.kind === "starting") return null;
  if (observed?.state.kind === "ended") return observed.state.failure;
  if (observed?.state.kind !== "ready") return VANISHED;
  const { serving } = situation.memory;
  const isListed =
    serving?.isUnhealthy === false && situation.observedOf(serving.id)?.listsStaleBecause === null;
  // A replacement must have every list that the serving instance has.
  return isListed && observed.listsStaleBecause !== null
    ? transportFailure("protocol", observed.listsStaleBecause)
    : "ready";
}

/** Beside a healthy serving instance or another attempt, a failed one concerns only its route. */
function giveUp(
  before: BackendSituation,
  name: string,
  failure: TransportFailure,
  observed: InstanceObservation | null,
): BackendSituation {
  const { tries, health, attempt } = before.route(name);
  const lost = updateHealth(health, { at: before.now, reachable: false, healthy: false }, GAP_MS);
  let next = before.rememberRoute(name, { health: lost.health }).dropAttempt(name);
  const isBeside = next.healthyServing !== null || next.attempt !== null;
  if (isBeside) next = next.rememberRoute(name, { tries: failedTry(next, tries, failure) });
  else if (attempt !== null) next = recordFailure(next, attempt.key, failure, observed?.startedAtMs);
  next = clearPendingOf(next, name, failure.message);
  return next.requested === name ? failRequested(next, failure.message) : next;
}

/** If no healthy instance serves, lets the first ready attempt serve; if none is ready, one continues. */
function takeOver(before: BackendSituation): BackendSituation {
  if (before.healthyServing !== null || before.attempt === null) return before;
  for (const { name } of before.routeList) {
    const switched = switchTo(before, name);
    if (switched !== null) return switched;
  }
  const isTried = ({ name }: RouteSpec): boolean => before.route(name).attempt !== null;
  const tried = before.routeList.filter((route) => isTried(route) && route.name !== before.requested);
  return before.dropAttempts(tried.slice(1).map(({ name }) => name));
}

/** null if the route's instance is not ready. */
export function switchTo(before: BackendSituation, name: string): BackendSituation | null {
  const { attempt } = before.route(name);
  if (attempt === null || !isReady(before, attempt)) return null;
  const left = before.healthyServing === null ? null : before.routeOf(before.healthyServing.key);
  // The route works, so its earlier failure is not a reason to leave it.
  const next =
    left === null
      ? before
      : before.rememberRoute(left.name, { tries: { ...before.route(left.name).tries, failure: null } });
  return promote(next.rememberRoute(name, { attempt: null, health: UNKNOWN_HEALTH }), attempt);
}

export function isReady(situation: BackendSituation, { id }: Attempt): boolean {
  const observed = situation.observedOf(id);
  return observed?.state.kind === "ready" && observed.missedChecks === 0;
}

/** From this decision on the instance gets the calls, and the previous one drains. */
function promote(before: BackendSituation, { id, key, epoch }: InstanceRef): BackendSituation {
  const { serving: replaced } = before.memory;
  const next = before
    .drainServing(replaced === null ? "replaced" : whyReplaced(before, replaced))
    .remember({ serving: { id, key, epoch, isUnhealthy: false }, waitReason: null, changeFailure: null })
    .rememberRoutes({ failed: null })
    .announce({ kind: "promoted", id });
  return replaced === null ? next : next.announce({ kind: "replaced", id: replaced.id });
}

export function whyReplaced(situation: BackendSituation, { key, epoch, isUnhealthy }: Serving): DrainReason {
  if (situation.routeOf(key) === null) return "replaced";
  if (situation.spec.epoch !== epoch) return "restarted";
  return isUnhealthy ? "not_answering" : "route";
}

/** The answer of a rule that starts an instance over this route. */
export function startOver(situation: BackendSituation, { name, key }: RouteSpec): Answer | null {
  if (key === null) return null;
  const { observed, spec } = situation;
  const attempt: Attempt = { id: observed.nextId, key, epoch: spec.epoch, checkedAtMs: null, signMs: null };
  const { routes } = situation.rememberRoute(name, { attempt }).memory;
  return { learned: { routes }, step: { kind: "start", id: attempt.id, key } };
}

function clearPendingOf(situation: BackendSituation, route: string, reason: string): BackendSituation {
  const isPending = situation.memory.routes.pending?.route === route;
  return isPending ? clearPending(situation, reason) : situation;
}

export function clearPending(situation: BackendSituation, reason: string): BackendSituation {
  const { pending } = situation.memory.routes;
  if (pending === null) return situation;
  const { route } = pending;
  return situation.rememberRoutes({ pending: null }).announce({ kind: "route_ready_cleared", route, reason });
}

export function failRequested(situation: BackendSituation, reason: string): BackendSituation {
  const { requested } = situation;
  return requested === null
    ? situation
    : situation.announce({ kind: "asked_failed", route: requested, reason });
}

export function betterRoutes(situation: BackendSituation, serving: InstanceRef): readonly RouteSpec[] {
  const at = situation.routeList.findIndex(({ key }) => key === serving.key);
  return situation.routeList.slice(0, Math.max(0, at));
}

/** True if an instance over this route is wanted beside the healthy serving one. */
export function isProbed(situation: BackendSituation, route: RouteSpec): boolean {
  const { healthyServing, memory } = situation;
  if (route.key === null || route.key === memory.serving?.key) return false;
  if (situation.requested === route.name) return true;
  if (healthyServing === null || memory.routes.override !== null) return false;
  return betterRoutes(situation, healthyServing).includes(route);
}
