// Decides which instance of a backend serves, has failed, or is no longer wanted. Pure.
import { BACKOFF_LIMIT_MS, type Backoff, backOff } from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceSeen } from "../instance/backend-instance.ts";
import { isSameFailure } from "../instance/failures.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import type { BackendMemory, DecisionBuilder, Serving } from "./backend-decision-builder.ts";
import type { DrainReason, InstanceRef } from "./draining.ts";
import { isMissing } from "./required-data.ts";
import type { Tries } from "./route-memory.ts";

/** An instance that was ready for this long clears earlier failures. */
const STABLE_MS = 30_000;
/** After so many failures in a row there is one try per `BACKOFF_LIMIT_MS`. */
export const CIRCUIT_FAILURES = 5;
/** Longest wait for the first try after a crash. */
const QUICK_TRY_MS = 250;
/** After so many missed checks a replacement is started. */
const DISTRUST_CHECKS = 3;
/** If a backend has routes, an unreachable server counts as gone after so many missed checks. */
const OUT_OF_REACH_CHECKS = 2;
/** After so many failed replacements a server that does not answer is given up. */
const GIVE_UP_FAILURES = 3;

const VANISHED = linkFailure("closed", "it is gone");
const OUT_OF_REACH = linkFailure("unreachable", "it cannot be reached");
export const SILENT = linkFailure("unreachable", "it does not answer");

export function foldConfig(builder: DecisionBuilder): void {
  const { spec, seen } = builder;
  if (builder.memory.revision !== spec.revision) {
    builder.forgetFailures();
    builder.remember({ revision: spec.revision });
  }
  const exists = (id: number): boolean => seen.instances.some((instance) => instance.id === id);
  const { closing, draining } = builder.memory;
  if (closing.some((id) => !exists(id)) || draining.some(({ id }) => !exists(id))) {
    builder.remember({
      closing: closing.filter(exists),
      draining: draining.filter(({ id }) => exists(id)),
    });
  }
  if (spec.wanted.kind === "nothing") {
    builder.drainServing(spec.wanted.because);
    builder.remember({ holding: null, lastError: null });
  }
}

/**
 * Lets the backend start at once after its address has become reachable. Calls wait for the start, as after a crash.
 */
export function foldReached(builder: DecisionBuilder): void {
  const { memory, seen, spec } = builder;
  if (!seen.isReached || memory.serving !== null || spec.wanted.kind !== "connection") return;
  builder.forgetFailures();
  builder.remember({ holding: "crash" });
}

export function foldServing(builder: DecisionBuilder): void {
  const { serving } = builder.memory;
  if (serving === null) return;
  const seen = builder.seenOf(serving.id);
  const isGone = seen?.state.kind === "ready" && isConfirmedGone(builder, seen);
  // The instance drains, because calls that were sent to it may still be answered.
  if (isGone) builder.drainServing("not_answering");
  if (isGone || seen?.state.kind !== "ready") {
    foldCrash(builder, serving, seen);
    return;
  }
  const distrusted = seen.missedChecks >= DISTRUST_CHECKS || (serving.distrusted && seen.missedChecks > 0);
  if (distrusted !== serving.distrusted) {
    // Earlier failures say nothing about a replacement, so they are forgotten.
    if (builder.isCurrent(serving)) builder.forgetFailures();
    if (distrusted && builder.hasRoutes) noteTry(builder, serving.key, SILENT);
    builder.remember({ serving: { ...serving, distrusted } });
  }
  if (!distrusted && builder.isCurrent(serving) && readyForMs(builder, seen) >= STABLE_MS)
    builder.forgetFailures(serving.key);
}

function foldCrash(builder: DecisionBuilder, serving: Serving, seen: InstanceSeen | null): void {
  const { now, spec } = builder;
  const isOut = seen?.state.kind === "ready" && seen.outOfReach === true;
  const failure = seen?.state.kind === "ended" ? seen.state.failure : isOut ? OUT_OF_REACH : VANISHED;
  if (builder.isCurrent(serving) && seen !== null && readyForMs(builder, seen) >= STABLE_MS) {
    builder.forgetFailures(serving.key);
  }
  const { candidate, quickTryUsed, ends } = builder.memory;
  const tries = builder.triesOf(serving.key);
  builder.remember({
    serving: null,
    refresh: null,
    checkedAtMs: null,
    ends: ends + 1,
    lastError: failure.message,
  });
  if (spec.wanted.kind !== "connection") {
    builder.events.push({ kind: "ended", reason: failure.message, retryInMs: null });
    return;
  }
  // If a candidate is starting already, it counts as the immediate try.
  const isTriedNow = candidate !== null && builder.isCurrent(candidate);
  const isElsewhere = hasOtherWay(builder, serving.key);
  if (isElsewhere || (quickTryUsed && !isTriedNow)) {
    if (isElsewhere) builder.remember({ holding: "crash" });
    noteFailure(builder, serving.key, failure);
    return;
  }
  const retryInMs = isTriedNow ? 0 : builder.seen.jitter * QUICK_TRY_MS;
  builder.rememberTries(serving.key, { ...tries, notBeforeMs: now.monotonicMs + retryInMs, failure });
  builder.remember({ holding: "crash", quickTryUsed: true });
  builder.events.push({ kind: "ended", reason: failure.message, retryInMs });
}

/** With routes, an unreachable server counts as gone after a second missed check. */
function isConfirmedGone(builder: DecisionBuilder, { outOfReach, missedChecks }: InstanceSeen): boolean {
  const isSuspect = builder.hasRoutes && outOfReach === true && missedChecks > 0;
  const isConfirmed = isSuspect && missedChecks >= OUT_OF_REACH_CHECKS;
  const sinceMs = builder.memory.routes.suspectSinceMs ?? builder.now.monotonicMs;
  builder.rememberRoutes({ suspectSinceMs: isSuspect && !isConfirmed ? sinceMs : null });
  return isConfirmed;
}

export function foldCandidate(builder: DecisionBuilder): void {
  const { candidate } = builder.memory;
  if (candidate === null) return;
  if (builder.healthyServing !== null || !builder.isCurrent(candidate)) {
    builder.dropCandidate();
    return;
  }
  const outcome = startOutcome(builder, candidate.id);
  if (outcome === null) return;
  builder.remember({ candidate: null });
  if (outcome === "ready") promote(builder, candidate);
  else noteFailure(builder, candidate.key, outcome, builder.seenOf(candidate.id)?.startedAtMs);
}

/** The outcome of the start of instance `id`; null: it is still starting. */
export function startOutcome(builder: DecisionBuilder, id: number): "ready" | LinkFailure | null {
  const seen = builder.seenOf(id);
  if (seen?.state.kind === "starting") return null;
  if (seen?.state.kind === "ended") return seen.state.failure;
  if (seen?.state.kind !== "ready") return VANISHED;
  const { serving } = builder.memory;
  const isListed = serving?.distrusted === false && builder.seenOf(serving.id)?.listsStaleBecause === null;
  // A replacement must have every list that the serving instance has.
  return isListed && seen.listsStaleBecause !== null
    ? linkFailure("protocol", seen.listsStaleBecause)
    : "ready";
}

/** From this decision on the instance gets the calls, and the previous one drains. */
export function promote(builder: DecisionBuilder, { id, key, epoch }: InstanceRef): void {
  const replaced = builder.memory.serving;
  builder.drainServing(replaced === null ? "replaced" : whyReplaced(builder, replaced));
  builder.remember({
    serving: { id, key, epoch, distrusted: false },
    holding: null,
    changeFailure: null,
  });
  builder.events.push({ kind: "promoted", id });
  if (replaced !== null) builder.events.push({ kind: "replaced", id: replaced.id });
}

function whyReplaced(builder: DecisionBuilder, { key, epoch, distrusted }: Serving): DrainReason {
  const { spec } = builder;
  if (builder.routeOf(key) !== null) {
    if (spec.epoch !== epoch) return "restarted";
    return distrusted ? "not_answering" : "route";
  }
  if (spec.wanted.kind === "connection" && spec.wanted.key !== key) return "replaced";
  return spec.epoch === epoch ? "not_answering" : "restarted";
}

function noteTry(builder: DecisionBuilder, key: string, failure: LinkFailure, startedAtMs?: number): Tries {
  const before = builder.triesOf(key);
  // Starts of several clients that were under way together are one failure.
  const isSame = startedAtMs !== undefined && startedAtMs < before.notBeforeMs;
  const tries = isSame ? { ...before, failure } : failedTry(builder, before, failure);
  builder.rememberTries(key, tries);
  return tries;
}

export function failedTry(builder: DecisionBuilder, before: Tries, failure: LinkFailure): Tries {
  return { ...backOffWithJitter(builder, before), failure };
}

/** True if another route has an instance, or may be tried now. */
export function hasOtherWay(builder: DecisionBuilder, key: string): boolean {
  const { candidate } = builder.memory;
  if (!builder.hasRoutes) return false;
  if (candidate !== null && candidate.key !== key && builder.isCurrent(candidate)) return true;
  return builder.routeList.some((route) => {
    if (route.key === null || route.key === key) return false;
    const { standby, tries } = builder.route(route.name);
    return standby !== null || tries.notBeforeMs <= builder.now.monotonicMs;
  });
}

/** Handles a start that failed, or a serving instance that ended and gets no immediate try. */
function noteFailure(
  builder: DecisionBuilder,
  key: string,
  failure: LinkFailure,
  startedAtMs?: number,
): void {
  const { now, memory } = builder;
  const tries = noteTry(builder, key, failure, startedAtMs);
  const { serving } = memory;
  const isChange = serving !== null && !builder.isCurrent(serving);
  const isOpen = hasOtherWay(builder, key);
  builder.remember({
    holding: isOpen ? memory.holding : null,
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
export function backOffWithJitter({ now, seen }: DecisionBuilder, before: Backoff): Backoff {
  const nowMs = now.monotonicMs;
  const { failures, notBeforeMs } = backOff(before, nowMs);
  const waitMs =
    failures >= CIRCUIT_FAILURES
      ? BACKOFF_LIMIT_MS
      : Math.min(BACKOFF_LIMIT_MS, (notBeforeMs - nowMs) * (0.5 + seen.jitter));
  return { failures, notBeforeMs: nowMs + waitMs };
}

/** Gives up a serving instance that does not answer, if no other instance comes up. Calls to it would only time out. */
export function foldLost(builder: DecisionBuilder): void {
  const { serving, tries, ends } = builder.memory;
  if (serving === null || !serving.distrusted || tries.failures < GIVE_UP_FAILURES) return;
  const reason = `it does not answer, and no other instance comes up: ${tries.failure?.message ?? "no reason given"}`;
  builder.drainServing("not_answering");
  builder.remember({ ends: ends + 1, lastError: reason, holding: null });
  builder.events.push({
    kind: "ended",
    reason,
    retryInMs: Math.max(0, tries.notBeforeMs - builder.now.monotonicMs),
  });
}

/**
 * The old instance ends before the new one starts. A client's own leaves at once, too, because the lists are those of
 * the new shared one already.
 */
export function foldStopFirst(builder: DecisionBuilder): void {
  const { spec } = builder;
  if ((spec.replace !== "stop-first" && !spec.isOwned) || spec.wanted.kind !== "connection") return;
  const { serving } = builder.memory;
  if (serving !== null && builder.healthyServing === null) {
    builder.drainServing(whyReplaced(builder, serving));
    builder.remember({ holding: "replacement" });
  }
}

/**
 * Takes a draining instance back into service if the change was undone, or the data that the backend requires is
 * available again.
 */
export function foldKept(builder: DecisionBuilder): void {
  const { memory, spec } = builder;
  if (memory.serving !== null || memory.candidate !== null || memory.holding !== "replacement") return;
  if (isMissing(spec)) return;
  const kept = memory.draining.find((leaving) => {
    const seen = builder.seenOf(leaving.id);
    const isWell = seen?.state.kind === "ready" && seen.missedChecks < DISTRUST_CHECKS;
    const mayGoOn = leaving.why === "replaced" || leaving.why === "data_moves";
    return isWell && mayGoOn && builder.isCurrent(leaving);
  });
  if (kept === undefined) return;
  const { id, key, epoch } = kept;
  builder.remember({
    serving: { id, key, epoch, distrusted: false },
    draining: memory.draining.filter((leaving) => leaving !== kept),
    holding: null,
  });
}

/** The backend cannot start without its secret. If no instance serves, calls fail at once instead of waiting. */
export function foldSecretMissing(builder: DecisionBuilder): void {
  const { spec, memory } = builder;
  if (spec.wanted.kind !== "secret_missing") return;
  const reason = missingText(spec.wanted.variables);
  if (memory.serving === null) {
    builder.remember({ holding: null, lastError: reason });
  } else if (memory.changeFailure !== reason) {
    builder.remember({ changeFailure: reason, lastError: reason });
    builder.events.push({ kind: "change_failed", reason });
  }
}

function readyForMs({ now }: DecisionBuilder, { readyAtMs }: InstanceSeen): number {
  return readyAtMs === null ? 0 : now.monotonicMs - readyAtMs;
}

function isAnnounced({ changeFailure }: BackendMemory, reason: string): boolean {
  return changeFailure !== null && isSameFailure(changeFailure, reason);
}
