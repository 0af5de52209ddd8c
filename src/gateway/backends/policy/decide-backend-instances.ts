// What follows from the instances of one backend: which serves, which failed, which is not wanted. Pure.
import { BACKOFF_LIMIT_MS, type Backoff, backOff } from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceSeen } from "../instance/backend-instance.ts";
import { isSameFailure } from "../instance/failures.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import type { BackendMemory, DecisionBuilder, Serving } from "./backend-decision-builder.ts";
import type { DrainReason, Kept } from "./draining.ts";
import { isMissing } from "./required-data.ts";
import type { Tries } from "./route-memory.ts";

/** So long an instance must have been ready before its failures are forgotten. */
const STABLE_MS = 30_000;
/** Failures in a row after which it is tried once per `BACKOFF_LIMIT_MS` only. */
export const CIRCUIT_FAILURES = 5;
/** At most so long after a crash the first try is made. */
const QUICK_TRY_MS = 250;
/** Checks without an answer after which another instance is to take the place. */
const DISTRUST_CHECKS = 3;
/** The same where the server cannot be reached at all, and there is another route. */
const OUT_OF_REACH_CHECKS = 2;
/** Failed tries to put another in the place of one that does not answer, after which nothing is published any more. */
const GIVE_UP_FAILURES = 3;

const VANISHED = linkFailure("closed", "it is gone");
const OUT_OF_REACH = linkFailure("unreachable", "it cannot be reached");
const SILENT = linkFailure("unreachable", "it does not answer");

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
    builder.forgetFailures();
    builder.remember({ holding: null, lastError: null });
  }
}

/** It is tried at once, and calls wait for it as after a crash. */
export function foldReached(builder: DecisionBuilder): void {
  const { memory, seen, spec } = builder;
  if (seen.isReached !== true || memory.serving !== null || spec.wanted.kind !== "connection") return;
  builder.forgetFailures();
  builder.remember({ holding: "crash" });
}

export function foldServing(builder: DecisionBuilder): void {
  const { serving } = builder.memory;
  if (serving === null) return;
  const seen = builder.seenOf(serving.id);
  if (seen?.state.kind !== "ready") {
    foldCrash(builder, serving, seen);
    return;
  }
  if (foldSuspicion(builder, seen) === "confirmed") {
    // Calls that it has taken may still be answered.
    builder.drainServing("not_answering");
    foldCrash(builder, serving, seen);
    return;
  }
  const distrusted = seen.missedChecks >= DISTRUST_CHECKS || (serving.distrusted && seen.missedChecks > 0);
  if (distrusted !== serving.distrusted) {
    // What failed before it was ready says nothing about another one now.
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
  if (builder.hasRoutes && hasOtherWay(builder, serving.key)) {
    // The next route, at once; this one is looked at again when it has had time.
    noteTry(builder, serving.key, failure);
    builder.remember({ holding: "crash" });
    builder.events.push({ kind: "ended", reason: failure.message, retryInMs: 0 });
    return;
  }
  // What is being started already is the try at once.
  const isTriedNow = candidate !== null && builder.isCurrent(candidate);
  if (isTriedNow || !quickTryUsed) {
    const notBeforeMs = now.monotonicMs + (isTriedNow ? 0 : builder.seen.jitter * QUICK_TRY_MS);
    builder.rememberTries(serving.key, { ...tries, notBeforeMs, failure });
    builder.remember({ holding: "crash", quickTryUsed: true });
    builder.events.push({
      kind: "ended",
      reason: failure.message,
      retryInMs: notBeforeMs - now.monotonicMs,
    });
    return;
  }
  noteFailure(builder, serving.key, failure);
}

/** With routes, one that cannot be reached is gone when a second look finds the same. */
function foldSuspicion(builder: DecisionBuilder, seen: InstanceSeen): "none" | "suspect" | "confirmed" {
  const isSuspect = builder.hasRoutes && seen.outOfReach === true && seen.missedChecks > 0;
  const { suspectSinceMs } = builder.memory.routes;
  if (!isSuspect) {
    if (suspectSinceMs !== null) builder.rememberRoutes({ suspectSinceMs: null });
    return "none";
  }
  if (suspectSinceMs === null) builder.rememberRoutes({ suspectSinceMs: builder.now.monotonicMs });
  if (seen.missedChecks < OUT_OF_REACH_CHECKS) return "suspect";
  builder.rememberRoutes({ suspectSinceMs: null });
  return "confirmed";
}

export function foldCandidate(builder: DecisionBuilder): void {
  const { candidate, serving } = builder.memory;
  if (candidate === null) return;
  const isNeeded = serving === null || !builder.isCurrent(serving) || serving.distrusted;
  if (!isNeeded || !builder.isCurrent(candidate)) {
    builder.remember({ candidate: null });
    return;
  }
  const seen = builder.seenOf(candidate.id);
  if (seen?.state.kind === "starting") return;
  builder.remember({ candidate: null });
  if (seen?.state.kind === "ready") {
    const missing = takesAway(builder, seen);
    if (missing === null) promote(builder, candidate);
    else noteFailure(builder, candidate.key, linkFailure("protocol", missing));
  } else noteFailure(builder, candidate.key, seen?.state.kind === "ended" ? seen.state.failure : VANISHED);
}

/** Why it lacks a list that what serves has; null: it does not. */
export function takesAway(builder: DecisionBuilder, { listsStaleBecause }: InstanceSeen): string | null {
  const { serving } = builder.memory;
  if (serving === null || serving.distrusted) return null;
  return builder.seenOf(serving.id)?.listsStaleBecause === null ? listsStaleBecause : null;
}

/** The one swap: in this very decision calls go to it, and what served before gets no more. */
export function promote(builder: DecisionBuilder, { id, key, epoch }: Kept): void {
  const candidate = { id, key, epoch };
  const replaced = builder.memory.serving;
  builder.drainServing(replaced === null ? "replaced" : whyReplaced(builder, replaced));
  builder.remember({
    serving: { ...candidate, distrusted: false },
    holding: null,
    changeFailure: null,
  });
  builder.events.push({ kind: "promoted", id: candidate.id });
  if (replaced !== null) builder.events.push({ kind: "replaced", id: replaced.id });
}

function whyReplaced(builder: DecisionBuilder, { key, epoch, distrusted }: Serving): DrainReason {
  const { spec } = builder;
  if (builder.hasRoutes && builder.routeOf(key) !== null) {
    if (spec.epoch !== epoch) return "restarted";
    return distrusted ? "not_answering" : "route";
  }
  if (spec.wanted.kind === "connection" && spec.wanted.key !== key) return "replaced";
  return spec.epoch === epoch ? "not_answering" : "restarted";
}

/** One more failure of what has that key. */
function noteTry(builder: DecisionBuilder, key: string, failure: LinkFailure): Tries {
  const { now, seen } = builder;
  const tries = { ...backOffWithJitter(builder.triesOf(key), now.monotonicMs, seen.jitter), failure };
  builder.rememberTries(key, tries);
  return tries;
}

/** Another route than this one may be tried now, or is ready or on its way. */
export function hasOtherWay(builder: DecisionBuilder, key: string): boolean {
  const { candidate } = builder.memory;
  if (candidate !== null && candidate.key !== key && builder.isCurrent(candidate)) return true;
  return builder.routeList.some((route) => {
    if (route.key === null || route.key === key) return false;
    const { standby, tries } = builder.route(route.name);
    return standby !== null || tries.notBeforeMs <= builder.now.monotonicMs;
  });
}

/** A try to start came to nothing, or one instance too many has ended. */
function noteFailure(builder: DecisionBuilder, key: string, failure: LinkFailure): void {
  const { now, memory } = builder;
  const tries = noteTry(builder, key, failure);
  const { serving } = memory;
  const isChange = serving !== null && !builder.isCurrent(serving);
  const isOpen = builder.hasRoutes && hasOtherWay(builder, key);
  builder.remember({
    holding: isOpen ? memory.holding : null,
    lastError: failure.message,
    changeFailure: isChange ? failure.message : null,
  });
  if (serving === null) {
    const retryInMs = isOpen ? 0 : tries.notBeforeMs - now.monotonicMs;
    builder.events.push({ kind: "ended", reason: failure.message, retryInMs });
  } else if (isChange && !isToldAlready(memory, failure.message)) {
    builder.events.push({ kind: "change_failed", reason: failure.message });
  }
}

/** Half to one and a half of the wait, so that backends that fell together are not tried together. */
export function backOffWithJitter(before: Backoff, nowMs: number, jitter: number): Backoff {
  const { failures, notBeforeMs } = backOff(before, nowMs);
  const waitMs =
    failures >= CIRCUIT_FAILURES
      ? BACKOFF_LIMIT_MS
      : Math.min(BACKOFF_LIMIT_MS, (notBeforeMs - nowMs) * (0.5 + jitter));
  return { failures, notBeforeMs: nowMs + waitMs };
}

/** What does not answer and cannot be replaced is as good as gone: calls to it would only run into their deadlines. */
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

/** Of two that cannot live beside one another the old one makes room first. */
export function foldStopFirst(builder: DecisionBuilder): void {
  const { spec } = builder;
  if (spec.replace !== "stop-first" || spec.wanted.kind !== "connection") return;
  const { serving } = builder.memory;
  if (serving !== null && (serving.distrusted || !builder.isCurrent(serving))) {
    builder.drainServing(whyReplaced(builder, serving));
    builder.remember({ holding: "replacement" });
  }
}

/** Changed back before it was closed, or the room was not needed after all: it goes on. */
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

/** A secret that is gone while nothing serves: there is nothing to wait for. */
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

function isToldAlready({ changeFailure }: BackendMemory, reason: string): boolean {
  return changeFailure !== null && isSameFailure(changeFailure, reason);
}
