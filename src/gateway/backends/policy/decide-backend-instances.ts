// Owns what is concluded from the instances of one backend: which serves, which failed, which is not wanted. Pure.
import { BACKOFF_LIMIT_MS, type Backoff, backOff } from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceSeen } from "../instance/backend-instance.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import {
  type Draft,
  drainServing,
  forgetFailures,
  isCurrent,
  type Kept,
  type Serving,
  seenOf,
} from "./decide-backend-draft.ts";
import type { DrainReason } from "./draining.ts";

/** So long an instance must have been ready before its failures are forgotten. */
const STABLE_MS = 30_000;
/** Failures in a row after which it is tried once per `BACKOFF_LIMIT_MS` only. */
export const CIRCUIT_FAILURES = 5;
/** At most so long after a crash the first try is made. */
const QUICK_TRY_MS = 250;
/** Checks without an answer after which another instance is to take the place. */
const DISTRUST_CHECKS = 3;
/** Failed tries to put another in the place of one that does not answer, after which nothing is published any more. */
const GIVE_UP_FAILURES = 3;

const VANISHED = linkFailure("closed", "it is gone");

export function foldConfig(draft: Draft): void {
  const { spec, seen } = draft;
  if (draft.memory.revision !== spec.revision) {
    forgetFailures(draft);
    draft.memory = { ...draft.memory, revision: spec.revision };
  }
  const exists = (id: number): boolean => seen.instances.some((instance) => instance.id === id);
  const { closing, draining } = draft.memory;
  if (closing.some((id) => !exists(id)) || draining.some(({ id }) => !exists(id))) {
    draft.memory = {
      ...draft.memory,
      closing: closing.filter(exists),
      draining: draining.filter(({ id }) => exists(id)),
    };
  }
  if (spec.wanted.kind === "nothing") {
    drainServing(draft, spec.wanted.because);
    forgetFailures(draft);
    draft.memory = { ...draft.memory, holding: null, lastError: null };
  }
}

export function foldServing(draft: Draft): void {
  const { serving } = draft.memory;
  if (serving === null) return;
  const seen = seenOf(draft, serving.id);
  if (seen?.state.kind !== "ready") {
    foldCrash(draft, serving, seen);
    return;
  }
  const distrusted = seen.missedChecks >= DISTRUST_CHECKS || (serving.distrusted && seen.missedChecks > 0);
  if (distrusted !== serving.distrusted) {
    // What failed before it was ready says nothing about another one now.
    if (isCurrent(draft, serving)) forgetFailures(draft);
    draft.memory = { ...draft.memory, serving: { ...serving, distrusted } };
  }
  if (!distrusted && isCurrent(draft, serving) && readyForMs(draft, seen) >= STABLE_MS) forgetFailures(draft);
}

function foldCrash(draft: Draft, serving: Serving, seen: InstanceSeen | null): void {
  const { now, spec } = draft;
  const failure = seen?.state.kind === "ended" ? seen.state.failure : VANISHED;
  if (isCurrent(draft, serving) && seen !== null && readyForMs(draft, seen) >= STABLE_MS) {
    forgetFailures(draft);
  }
  const { candidate, quickTryUsed, tries, ends } = draft.memory;
  draft.memory = {
    ...draft.memory,
    serving: null,
    refresh: null,
    checkedAtMs: null,
    ends: ends + 1,
    lastError: failure.message,
  };
  if (spec.wanted.kind !== "connection") {
    draft.events.push({ kind: "ended", reason: failure.message, retryInMs: null });
    return;
  }
  // What is being started already is the try at once.
  const isTriedNow = candidate !== null && isCurrent(draft, candidate);
  if (isTriedNow || !quickTryUsed) {
    const notBeforeMs = now.monotonicMs + (isTriedNow ? 0 : draft.seen.jitter * QUICK_TRY_MS);
    draft.memory = {
      ...draft.memory,
      holding: "crash",
      quickTryUsed: true,
      tries: { ...tries, notBeforeMs, failure },
    };
    draft.events.push({
      kind: "ended",
      reason: failure.message,
      retryInMs: notBeforeMs - now.monotonicMs,
    });
    return;
  }
  noteFailure(draft, failure);
}

export function foldCandidate(draft: Draft): void {
  const { candidate, serving } = draft.memory;
  if (candidate === null) return;
  const isNeeded = serving === null || !isCurrent(draft, serving) || serving.distrusted;
  if (!isNeeded || !isCurrent(draft, candidate)) {
    draft.memory = { ...draft.memory, candidate: null };
    return;
  }
  const seen = seenOf(draft, candidate.id);
  if (seen?.state.kind === "starting") return;
  draft.memory = { ...draft.memory, candidate: null };
  if (seen?.state.kind === "ready") promote(draft, candidate);
  else noteFailure(draft, seen?.state.kind === "ended" ? seen.state.failure : VANISHED);
}

/** The one swap: in this very decision calls go to it, and what served before gets no more. */
function promote(draft: Draft, candidate: Kept): void {
  const replaced = draft.memory.serving;
  drainServing(draft, replaced === null ? "replaced" : whyReplaced(draft, replaced));
  draft.memory = {
    ...draft.memory,
    serving: { ...candidate, distrusted: false },
    holding: null,
    changeFailure: null,
  };
  draft.events.push({ kind: "promoted", id: candidate.id });
  if (replaced !== null) draft.events.push({ kind: "replaced", id: replaced.id });
}

function whyReplaced({ spec }: Draft, { key, epoch }: Serving): DrainReason {
  if (spec.wanted.kind === "connection" && spec.wanted.key !== key) return "replaced";
  return spec.epoch === epoch ? "not_answering" : "restarted";
}

/** A try to start came to nothing, or one instance too many has ended. */
function noteFailure(draft: Draft, failure: LinkFailure): void {
  const { now, seen, memory } = draft;
  const tries = { ...backOffWithJitter(memory.tries, now.monotonicMs, seen.jitter), failure };
  const { serving } = memory;
  const isChange = serving !== null && !isCurrent(draft, serving);
  draft.memory = {
    ...memory,
    tries,
    holding: null,
    lastError: failure.message,
    changeFailure: isChange ? failure.message : null,
  };
  if (serving === null) {
    const retryInMs = tries.notBeforeMs - now.monotonicMs;
    draft.events.push({ kind: "ended", reason: failure.message, retryInMs });
  } else if (isChange && memory.changeFailure !== failure.message) {
    draft.events.push({ kind: "change_failed", reason: failure.message });
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
export function foldLost(draft: Draft): void {
  const { serving, tries, ends } = draft.memory;
  if (serving === null || !serving.distrusted || tries.failures < GIVE_UP_FAILURES) return;
  const reason = `it does not answer, and no other instance comes up: ${tries.failure?.message ?? "no reason given"}`;
  drainServing(draft, "not_answering");
  draft.memory = { ...draft.memory, ends: ends + 1, lastError: reason, holding: null };
  draft.events.push({
    kind: "ended",
    reason,
    retryInMs: Math.max(0, tries.notBeforeMs - draft.now.monotonicMs),
  });
}

/** Of two that cannot live beside one another the old one makes room first. */
export function foldStopFirst(draft: Draft): void {
  const { spec } = draft;
  if (spec.replace !== "stop-first" || spec.wanted.kind !== "connection") return;
  const { serving } = draft.memory;
  if (serving !== null && (serving.distrusted || !isCurrent(draft, serving))) {
    drainServing(draft, whyReplaced(draft, serving));
    draft.memory = { ...draft.memory, holding: "replacement" };
  }
  const { memory } = draft;
  if (memory.serving !== null || memory.candidate !== null || memory.holding !== "replacement") return;
  // Changed back before it was closed: it goes on.
  const kept = memory.draining.find((leaving) => {
    const seen = seenOf(draft, leaving.id);
    const isWell = seen?.state.kind === "ready" && seen.missedChecks < DISTRUST_CHECKS;
    return isWell && leaving.why === "replaced" && isCurrent(draft, leaving);
  });
  if (kept === undefined) return;
  const { id, key, epoch } = kept;
  draft.memory = {
    ...memory,
    serving: { id, key, epoch, distrusted: false },
    draining: memory.draining.filter((leaving) => leaving !== kept),
    holding: null,
  };
}

/** A secret that is gone while nothing serves: there is nothing to wait for. */
export function foldSecretMissing(draft: Draft): void {
  const { spec, memory } = draft;
  if (spec.wanted.kind !== "secret_missing") return;
  const reason = missingText(spec.wanted.variables);
  if (memory.serving === null) {
    draft.memory = { ...memory, holding: null, lastError: reason };
  } else if (memory.changeFailure !== reason) {
    draft.memory = { ...memory, changeFailure: reason, lastError: reason };
    draft.events.push({ kind: "change_failed", reason });
  }
}

function readyForMs({ now }: Draft, { readyAtMs }: InstanceSeen): number {
  return readyAtMs === null ? 0 : now.monotonicMs - readyAtMs;
}
