// Decides which instance of a backend serves, over which route another one is tried, and what failed. Pure.
import {
  BACKOFF_LIMIT_MS,
  type Backoff,
  backOff,
  UNKNOWN_HEALTH,
  updateHealth,
} from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceObservation } from "../instance/backend-instance.ts";
import { isSameFailure } from "../instance/failures.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";
import type {
  BackendDecisionBuilder,
  BackendMemory,
  BackendStep,
  Serving,
} from "./backend-decision-builder.ts";
import type { DrainReason, InstanceRef } from "./draining.ts";
import { isMissing } from "./required-data.ts";
import { type Attempt, lastRetries, type RetryState, type RouteSpec } from "./route-memory.ts";
import { maySleep } from "./sleep.ts";

/** An instance that was ready for this long clears earlier failures. */
const STABLE_MS = 30_000;
/** Consecutive failures after which it retries once per `BACKOFF_LIMIT_MS`. */
export const CIRCUIT_FAILURES = 5;
/** Longest wait for the first try after a crash. */
const QUICK_TRY_MS = 250;
/** Missed checks after which a replacement is started, and an idle instance is given up. */
const DISTRUST_CHECKS = 3;
/** An orderly exit of an unused server is not a failure if the server may sleep. */
function isAllowedToSleep({ spec: { sleep, wanted } }: BackendDecisionBuilder): boolean {
  return wanted.kind === "connection" && maySleep(sleep) && sleep.listedAtMs !== null;
}

/** If there is another route, missed checks after which an unreachable server is treated as gone. */
const UNREACHABLE_CHECKS = 2;
/** Failed replacements after which a server that does not answer is given up. */
const GIVE_UP_FAILURES = 3;
/** Time between two checks of an instance that does not serve, ms. */
export const ATTEMPT_CHECK_MS = 5_000;
/** A longer silence counts as a gap: three checks, as for shares. */
const GAP_MS = 3 * ATTEMPT_CHECK_MS;

const VANISHED = transportFailure("closed", "it is gone");
const UNREACHABLE = transportFailure("unreachable", "it cannot be reached");
const SILENT = transportFailure("unreachable", "it does not answer");

export function updateConfig(builder: BackendDecisionBuilder): void {
  const { spec, observed } = builder;
  if (builder.memory.revision !== spec.revision) {
    builder.forgetFailures();
    builder.remember({ revision: spec.revision });
  }
  const exists = (id: number): boolean => observed.instances.some((instance) => instance.id === id);
  const { closing, draining } = builder.memory;
  if (closing.some((id) => !exists(id)) || draining.some(({ id }) => !exists(id))) {
    builder.remember({
      closing: closing.filter(exists),
      draining: draining.filter(({ id }) => exists(id)),
    });
  }
  if (spec.wanted.kind === "nothing") {
    builder.drainServing(spec.wanted.because);
    builder.remember({ waitReason: null, lastError: null });
  }
}

/**
 * Lets the backend start at once after its address has become reachable. Calls wait for the start, as after a crash.
 */
export function updateReached(builder: BackendDecisionBuilder): void {
  const { memory, observed, spec } = builder;
  if (!observed.isReached || memory.serving !== null || spec.wanted.kind !== "connection") return;
  builder.forgetFailures();
  builder.remember({ waitReason: "crash" });
}

export function updateServing(builder: BackendDecisionBuilder): void {
  const { serving } = builder.memory;
  if (serving === null) return;
  const observed = builder.observedOf(serving.id);
  const isGone = observed?.state.kind === "ready" && isConfirmedGone(builder, observed);
  // The instance drains, because calls that were sent to it may still be answered.
  if (isGone) builder.drainServing("not_answering");
  if (isGone || observed?.state.kind !== "ready") {
    updateCrash(builder, serving, observed);
    return;
  }
  const isUnhealthy =
    observed.missedChecks >= DISTRUST_CHECKS || (serving.isUnhealthy && observed.missedChecks > 0);
  if (isUnhealthy !== serving.isUnhealthy) {
    // Earlier failures say nothing about a replacement, so they are forgotten.
    if (builder.isCurrent(serving)) builder.forgetFailures();
    if (isUnhealthy && builder.hasChoice) recordTry(builder, serving.key, SILENT);
    builder.remember({ serving: { ...serving, isUnhealthy } });
  }
  if (!isUnhealthy && builder.isCurrent(serving) && readyForMs(builder, observed) >= STABLE_MS)
    builder.forgetFailures(serving.key);
}

function updateCrash(
  builder: BackendDecisionBuilder,
  serving: Serving,
  observed: InstanceObservation | null,
): void {
  const { now, spec } = builder;
  const isOut = observed?.state.kind === "ready" && observed.isUnreachable === true;
  const failure = observed?.state.kind === "ended" ? observed.state.failure : isOut ? UNREACHABLE : VANISHED;
  if (builder.isCurrent(serving) && observed !== null && readyForMs(builder, observed) >= STABLE_MS) {
    builder.forgetFailures(serving.key);
  }
  if (observed?.state.kind === "ended" && observed.state.wasIdle === true && isAllowedToSleep(builder)) {
    builder.remember({ serving: null, refresh: null, checkedAtMs: null, asleep: true, isListingOnly: false });
    return;
  }
  const { quickTryUsed, crashes } = builder.memory;
  const tries = builder.triesOf(serving.key);
  builder.remember({
    serving: null,
    refresh: null,
    checkedAtMs: null,
    crashes: crashes + 1,
    lastError: failure.message,
  });
  if (spec.wanted.kind !== "connection") {
    builder.events.push({ kind: "ended", reason: failure.message, retryInMs: null });
    return;
  }
  // If another instance is being tried already, it counts as the immediate try.
  const isTriedNow = builder.attempt !== null && builder.isCurrent(builder.attempt);
  const isElsewhere = hasOtherRoute(builder, serving.key);
  if (isElsewhere || (quickTryUsed && !isTriedNow)) {
    if (isElsewhere) builder.remember({ waitReason: "crash" });
    recordFailure(builder, serving.key, failure);
    return;
  }
  const retryInMs = isTriedNow ? 0 : builder.observed.jitter * QUICK_TRY_MS;
  builder.rememberTries(serving.key, { ...tries, notBeforeMs: now.monotonicMs + retryInMs, failure });
  builder.remember({ waitReason: "crash", quickTryUsed: true });
  builder.events.push({ kind: "ended", reason: failure.message, retryInMs });
}

/** If there is another route, an unreachable server counts as gone after a second missed check. */
function isConfirmedGone(
  builder: BackendDecisionBuilder,
  { isUnreachable, missedChecks }: InstanceObservation,
): boolean {
  const isSuspect = builder.hasChoice && isUnreachable === true && missedChecks > 0;
  const isConfirmed = isSuspect && missedChecks >= UNREACHABLE_CHECKS;
  const sinceMs = builder.memory.routes.unreachableSinceMs ?? builder.now.monotonicMs;
  builder.rememberRoutes({ unreachableSinceMs: isSuspect && !isConfirmed ? sinceMs : null });
  return isConfirmed;
}

/** Checks the attempts that do not serve yet: which are ready, have failed, or are no longer wanted. */
export function updateAttempts(builder: BackendDecisionBuilder): void {
  const { byName } = builder.memory.routes;
  const isConfigured = (name: string): boolean => builder.routeList.some((route) => route.name === name);
  if (![...byName.keys()].every(isConfigured)) {
    for (const name of byName.keys()) if (!isConfigured(name)) builder.dropAttempt(name);
    const left = [...builder.memory.routes.byName].filter(([name]) => isConfigured(name));
    builder.rememberRoutes({ byName: new Map(left) });
  }
  for (const route of builder.routeList) {
    const { attempt } = builder.route(route.name);
    if (attempt === null) continue;
    const isWanted = builder.isCurrent(attempt) && attempt.key === route.key;
    if (isWanted && (builder.healthyServing === null || isProbed(builder, route))) {
      updateAttempt(builder, route, attempt);
    } else builder.dropAttempt(route.name);
  }
  takeOver(builder);
}

function updateAttempt(builder: BackendDecisionBuilder, { name }: RouteSpec, attempt: Attempt): void {
  const observed = builder.observedOf(attempt.id);
  const outcome = startOutcome(builder, observed);
  if (outcome === null) return;
  if (outcome !== "ready" || observed === null) {
    giveUp(builder, name, outcome === "ready" ? VANISHED : outcome, observed);
    return;
  }
  const { now } = builder;
  const { health } = builder.route(name);
  const isHealthy = observed.missedChecks === 0;
  const signMs = Math.max(observed.readyAtMs ?? 0, observed.checkedAtMs ?? 0);
  if (signMs === attempt.signMs && isHealthy) return;
  const at = isHealthy ? { monotonicMs: signMs, wallMs: now.wallMs - (now.monotonicMs - signMs) } : now;
  const folded = updateHealth(health, { at, reachable: isHealthy, healthy: isHealthy }, GAP_MS);
  builder.rememberRoute(name, { health: folded.health, attempt: { ...attempt, signMs } });
  if (folded.dropped) clearPendingOf(builder, name, "it has not answered");
  if (observed.isUnreachable === true || observed.missedChecks >= DISTRUST_CHECKS)
    giveUp(builder, name, SILENT, observed);
}

/** The outcome of a start; null: it is still starting. */
function startOutcome(
  builder: BackendDecisionBuilder,
  observed: InstanceObservation | null,
): "ready" | TransportFailure | null {
  if (observed?.state.kind === "starting") return null;
  if (observed?.state.kind === "ended") return observed.state.failure;
  if (observed?.state.kind !== "ready") return VANISHED;
  const { serving } = builder.memory;
  const isListed =
    serving?.isUnhealthy === false && builder.observedOf(serving.id)?.listsStaleBecause === null;
  // A replacement must have every list that the serving instance has.
  return isListed && observed.listsStaleBecause !== null
    ? transportFailure("protocol", observed.listsStaleBecause)
    : "ready";
}

/** Beside a healthy serving instance or another attempt, a failed one concerns only its route. */
function giveUp(
  builder: BackendDecisionBuilder,
  name: string,
  failure: TransportFailure,
  observed: InstanceObservation | null,
): void {
  const { tries, health, attempt } = builder.route(name);
  const lost = updateHealth(health, { at: builder.now, reachable: false, healthy: false }, GAP_MS);
  builder.rememberRoute(name, { health: lost.health });
  builder.dropAttempt(name);
  const isBeside = builder.healthyServing !== null || builder.attempt !== null;
  if (isBeside) builder.rememberRoute(name, { tries: failedTry(builder, tries, failure) });
  else if (attempt !== null) recordFailure(builder, attempt.key, failure, observed?.startedAtMs);
  clearPendingOf(builder, name, failure.message);
  if (builder.requested === name) failRequested(builder, failure.message);
}

/** If no healthy instance serves, lets the first ready attempt serve; if none is ready, one continues. */
function takeOver(builder: BackendDecisionBuilder): void {
  if (builder.healthyServing !== null || builder.attempt === null) return;
  if (builder.routeList.some(({ name }) => switchTo(builder, name))) return;
  const isTried = ({ name }: RouteSpec): boolean => builder.route(name).attempt !== null;
  const tried = builder.routeList.filter((route) => isTried(route) && route.name !== builder.requested);
  for (const { name } of tried.slice(1)) builder.dropAttempt(name);
}

/** Returns false if the route's instance is not ready. */
export function switchTo(builder: BackendDecisionBuilder, name: string): boolean {
  const { attempt } = builder.route(name);
  if (attempt === null || !isReady(builder, attempt)) return false;
  const left = builder.healthyServing === null ? null : builder.routeOf(builder.healthyServing.key);
  if (left !== null) {
    // The route works, so its earlier failure is not a reason to leave it.
    const { tries } = builder.route(left.name);
    builder.rememberRoute(left.name, { tries: { ...tries, failure: null } });
  }
  builder.rememberRoute(name, { attempt: null, health: UNKNOWN_HEALTH });
  promote(builder, attempt);
  return true;
}

export function isReady(builder: BackendDecisionBuilder, { id }: Attempt): boolean {
  const observed = builder.observedOf(id);
  return observed?.state.kind === "ready" && observed.missedChecks === 0;
}

/** From this decision on the instance gets the calls, and the previous one drains. */
function promote(builder: BackendDecisionBuilder, { id, key, epoch }: InstanceRef): void {
  const replaced = builder.memory.serving;
  builder.drainServing(replaced === null ? "replaced" : whyReplaced(builder, replaced));
  builder.remember({
    serving: { id, key, epoch, isUnhealthy: false },
    waitReason: null,
    changeFailure: null,
  });
  builder.rememberRoutes({ failed: null });
  builder.events.push({ kind: "promoted", id });
  if (replaced !== null) builder.events.push({ kind: "replaced", id: replaced.id });
}

function whyReplaced(builder: BackendDecisionBuilder, { key, epoch, isUnhealthy }: Serving): DrainReason {
  if (builder.routeOf(key) === null) return "replaced";
  if (builder.spec.epoch !== epoch) return "restarted";
  return isUnhealthy ? "not_answering" : "route";
}

function recordTry(
  builder: BackendDecisionBuilder,
  key: string,
  failure: TransportFailure,
  startedAtMs?: number,
): RetryState {
  const before = builder.triesOf(key);
  // Starts of several clients that were under way together are one failure.
  const isSame = startedAtMs !== undefined && startedAtMs < before.notBeforeMs;
  const tries = isSame ? { ...before, failure } : failedTry(builder, before, failure);
  builder.rememberTries(key, tries);
  return tries;
}

function failedTry(
  builder: BackendDecisionBuilder,
  before: RetryState,
  failure: TransportFailure,
): RetryState {
  return { ...backOffWithJitter(builder, before), failure };
}

/** True if another route has an instance, or may be tried now. */
export function hasOtherRoute(builder: BackendDecisionBuilder, key: string): boolean {
  if (!builder.hasChoice) return false;
  return builder.routeList.some((route) => {
    if (route.key === null || route.key === key) return false;
    const { attempt, tries } = builder.route(route.name);
    return attempt !== null || tries.notBeforeMs <= builder.now.monotonicMs;
  });
}

/** Handles a start that failed, or a serving instance that ended and gets no immediate try. */
function recordFailure(
  builder: BackendDecisionBuilder,
  key: string,
  failure: TransportFailure,
  startedAtMs?: number,
): void {
  const { now, memory } = builder;
  const tries = recordTry(builder, key, failure, startedAtMs);
  const { serving } = memory;
  const isChange = serving !== null && !builder.isCurrent(serving);
  const isOpen = hasOtherRoute(builder, key);
  builder.remember({
    waitReason: isOpen ? memory.waitReason : null,
    lastError: failure.message,
    changeFailure: isChange ? failure.message : null,
  });
  if (serving === null) {
    const retryInMs = isOpen ? 0 : tries.notBeforeMs - now.monotonicMs;
    builder.events.push({ kind: "ended", reason: failure.message, retryInMs });
  } else if (isChange && !isAnnounced(memory, failure.message)) {
    builder.events.push({ kind: "change_failed", reason: failure.message });
  }
}

/**
 * Waits half to one and a half times the usual wait, so that backends that failed together are not tried at the same
 * time.
 */
export function backOffWithJitter({ now, observed }: BackendDecisionBuilder, before: Backoff): Backoff {
  const nowMs = now.monotonicMs;
  const { failures, notBeforeMs } = backOff(before, nowMs);
  const waitMs =
    failures >= CIRCUIT_FAILURES
      ? BACKOFF_LIMIT_MS
      : Math.min(BACKOFF_LIMIT_MS, (notBeforeMs - nowMs) * (0.5 + observed.jitter));
  return { failures, notBeforeMs: nowMs + waitMs };
}

/** Gives up a serving instance that does not answer, if no other instance starts. Calls to it would only time out. */
export function updateLost(builder: BackendDecisionBuilder): void {
  const { serving, routes, crashes } = builder.memory;
  const tries = lastRetries(routes);
  if (serving === null || !serving.isUnhealthy || tries.failures < GIVE_UP_FAILURES) return;
  const reason = `it does not answer, and no other instance starts: ${tries.failure?.message ?? "no reason given"}`;
  builder.drainServing("not_answering");
  builder.remember({ crashes: crashes + 1, lastError: reason, waitReason: null });
  builder.events.push({
    kind: "ended",
    reason,
    retryInMs: Math.max(0, tries.notBeforeMs - builder.now.monotonicMs),
  });
}

/**
 * The old instance ends before the new one starts. A client instance also ends at once, because the lists are already
 * those of the new shared one.
 */
export function updateStopFirst(builder: BackendDecisionBuilder): void {
  const { spec } = builder;
  if ((spec.replace !== "stop-first" && !spec.isOwned) || spec.wanted.kind !== "connection") return;
  const { serving } = builder.memory;
  if (serving !== null && builder.healthyServing === null) {
    builder.drainServing(whyReplaced(builder, serving));
    builder.remember({ waitReason: "replacement" });
  }
}

/**
 * Takes a draining instance back into service if the change was undone, or the data that the backend requires is
 * available again.
 */
export function updateRestored(builder: BackendDecisionBuilder): void {
  const { memory, spec } = builder;
  if (memory.serving !== null || builder.attempt !== null || memory.waitReason !== "replacement") return;
  if (isMissing(spec)) return;
  const restored = memory.draining.find((drained) => {
    const observed = builder.observedOf(drained.id);
    const isWell = observed?.state.kind === "ready" && observed.missedChecks < DISTRUST_CHECKS;
    const mayGoOn = drained.why === "replaced" || drained.why === "data_moves";
    return isWell && mayGoOn && builder.isCurrent(drained);
  });
  if (restored === undefined) return;
  const { id, key, epoch } = restored;
  builder.remember({
    serving: { id, key, epoch, isUnhealthy: false },
    draining: memory.draining.filter((drained) => drained !== restored),
    waitReason: null,
  });
}

/** The backend cannot start without its secret. If no instance serves, calls fail at once instead of waiting. */
export function updateSecretMissing(builder: BackendDecisionBuilder): void {
  const { spec, memory } = builder;
  if (spec.wanted.kind !== "secret_missing") return;
  const reason = missingText(spec.wanted.variables);
  if (memory.serving === null) {
    builder.remember({ waitReason: null, lastError: reason });
  } else if (memory.changeFailure !== reason) {
    builder.remember({ changeFailure: reason, lastError: reason });
    builder.events.push({ kind: "change_failed", reason });
  }
}

/** The serving instance may be out of reach, so calls wait for the next check or another route. */
export function isSuspect(builder: BackendDecisionBuilder): boolean {
  const { serving, routes } = builder.memory;
  if (!builder.hasChoice || serving === null) return false;
  if (routes.unreachableSinceMs !== null) return true;
  return serving.isUnhealthy && (builder.attempt !== null || hasOtherRoute(builder, serving.key));
}

/** The route for the next start; null: none has a key. */
export function nextRoute(builder: BackendDecisionBuilder): RouteSpec | null {
  const { serving, routes } = builder.memory;
  const usable = builder.routeList.filter(({ key }) => key !== null);
  const dueMs = ({ name }: RouteSpec): number => builder.route(name).tries.notBeforeMs;
  const due = usable.filter((route) => dueMs(route) <= builder.now.monotonicMs);
  const own = serving === null ? undefined : due.find(({ key }) => key === serving.key);
  // As long as the serving instance answers its checks, its replacement uses the same route.
  if (own !== undefined && serving?.isUnhealthy === false) return own;
  const overridden = due.find(({ name }) => name === routes.override);
  const soonest = usable.toSorted((one, other) => dueMs(one) - dueMs(other))[0];
  return overridden ?? due.find((route) => route !== own) ?? own ?? soonest ?? null;
}

/** The failures over the next route. */
export function nextTries(builder: BackendDecisionBuilder): RetryState {
  const route = nextRoute(builder);
  return route === null ? lastRetries(builder.memory.routes) : builder.route(route.name).tries;
}

/** Starts an instance over this route. */
export function startOver(builder: BackendDecisionBuilder, { name, key }: RouteSpec): BackendStep | null {
  const { observed, spec } = builder;
  if (key === null) return null;
  const attempt: Attempt = { id: observed.nextId, key, epoch: spec.epoch, checkedAtMs: null, signMs: null };
  builder.rememberRoute(name, { attempt });
  return { kind: "start", id: attempt.id, key };
}

function readyForMs({ now }: BackendDecisionBuilder, { readyAtMs }: InstanceObservation): number {
  return readyAtMs === null ? 0 : now.monotonicMs - readyAtMs;
}

function isAnnounced({ changeFailure }: BackendMemory, reason: string): boolean {
  return changeFailure !== null && isSameFailure(changeFailure, reason);
}

function clearPendingOf(builder: BackendDecisionBuilder, route: string, reason: string): void {
  if (builder.memory.routes.pending?.route === route) clearPending(builder, reason);
}

export function clearPending(builder: BackendDecisionBuilder, reason: string): void {
  const { pending } = builder.memory.routes;
  if (pending === null) return;
  builder.rememberRoutes({ pending: null });
  builder.events.push({ kind: "route_ready_cleared", route: pending.route, reason });
}

export function failRequested(builder: BackendDecisionBuilder, reason: string): null {
  const { requested } = builder;
  if (requested !== null) builder.events.push({ kind: "asked_failed", route: requested, reason });
  return null;
}

export function betterRoutes(builder: BackendDecisionBuilder, serving: InstanceRef): readonly RouteSpec[] {
  const at = builder.routeList.findIndex(({ key }) => key === serving.key);
  return builder.routeList.slice(0, Math.max(0, at));
}

/** True if an instance over this route is wanted beside the healthy serving one. */
export function isProbed(builder: BackendDecisionBuilder, route: RouteSpec): boolean {
  const { healthyServing, memory } = builder;
  if (route.key === null || route.key === memory.serving?.key) return false;
  if (builder.requested === route.name) return true;
  if (healthyServing === null || memory.routes.override !== null) return false;
  return betterRoutes(builder, healthyServing).includes(route);
}
