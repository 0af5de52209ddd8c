// Decides about the instance that serves: whether it is gone, unhealthy, given up, or taken back. Pure.
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceObservation } from "../instance/backend-instance.ts";
import { transportFailure } from "../transports/backend-transport.ts";
import type { BackendSituation, Serving } from "./backend-situation.ts";
import { DISTRUST_CHECKS, SILENT, VANISHED, whyReplaced } from "./decide-route.ts";
import { isMissing } from "./required-data.ts";
import { failedTry, hasOtherRoute, recordFailure } from "./retries.ts";
import { lastRetries } from "./route-memory.ts";
import { maySleep } from "./sleep.ts";

/** An instance that was ready for this long clears earlier failures. */
const STABLE_MS = 30_000;
/** Longest wait for the first try after a crash. */
const QUICK_TRY_MS = 250;
/** If there is another route, missed checks after which an unreachable server is treated as gone. */
const UNREACHABLE_CHECKS = 2;
/** Failed replacements after which a server that does not answer is given up. */
const GIVE_UP_FAILURES = 3;

const UNREACHABLE = transportFailure("unreachable", "it cannot be reached");

export function updateConfig(before: BackendSituation): BackendSituation {
  const { spec, observed } = before;
  const { revision, wanted } = spec;
  const isEdited = before.memory.revision !== revision;
  const next = isEdited ? before.forgetFailures().remember({ revision }) : before;
  const exists = (id: number): boolean => observed.instances.some((instance) => instance.id === id);
  const { closing, draining } = next.memory;
  const left = next.remember({
    closing: closing.filter(exists),
    draining: draining.filter(({ id }) => exists(id)),
  });
  return wanted.kind === "nothing"
    ? left.drainServing(wanted.because).remember({ waitReason: null, lastError: null })
    : left;
}

/**
 * Lets the backend start at once after its address has become reachable. Calls wait for the start, as after a crash.
 */
export function updateReached(before: BackendSituation): BackendSituation {
  const { memory, observed, spec } = before;
  if (!observed.isReached || memory.serving !== null || spec.wanted.kind !== "connection") return before;
  return before.forgetFailures().remember({ waitReason: "crash" });
}

export function updateServing(before: BackendSituation): BackendSituation {
  const { serving } = before.memory;
  if (serving === null) return before;
  const observed = before.observedOf(serving.id);
  if (observed?.state.kind !== "ready") return updateCrash(before, serving, observed);
  const loss = lossOf(before, observed);
  const judged = before.rememberRoutes({ unreachableSinceMs: loss.unreachableSinceMs });
  // The instance drains, because calls that were sent to it may still be answered.
  if (loss.isGone) return updateCrash(judged.drainServing("not_answering"), serving, observed);
  const { missedChecks } = observed;
  const isUnhealthy = missedChecks >= DISTRUST_CHECKS || (serving.isUnhealthy && missedChecks > 0);
  const next = isUnhealthy === serving.isUnhealthy ? judged : updateHealthOf(judged, serving, isUnhealthy);
  const isStable = !isUnhealthy && next.isCurrent(serving) && isLongReady(next, observed);
  return isStable ? next.forgetFailures(serving.key) : next;
}

function updateHealthOf(before: BackendSituation, serving: Serving, isUnhealthy: boolean): BackendSituation {
  const { key } = serving;
  // Earlier failures say nothing about a replacement, so they are forgotten.
  const next = before.isCurrent(serving) ? before.forgetFailures() : before;
  const isTry = isUnhealthy && next.hasChoice;
  return (isTry ? next.rememberTries(key, failedTry(next, next.triesOf(key), SILENT)) : next).remember({
    serving: { ...serving, isUnhealthy },
  });
}

/** If there is another route, an unreachable server counts as gone after a second missed check. */
function lossOf(
  { hasChoice, memory, now }: BackendSituation,
  { isUnreachable, missedChecks }: InstanceObservation,
) {
  const isSuspected = hasChoice && isUnreachable === true && missedChecks > 0;
  const isGone = isSuspected && missedChecks >= UNREACHABLE_CHECKS;
  const sinceMs = memory.routes.unreachableSinceMs ?? now.monotonicMs;
  return { isGone, unreachableSinceMs: isSuspected && !isGone ? sinceMs : null };
}

function isLongReady({ now }: BackendSituation, { readyAtMs }: InstanceObservation): boolean {
  return readyAtMs !== null && now.monotonicMs - readyAtMs >= STABLE_MS;
}

function updateCrash(
  given: BackendSituation,
  serving: Serving,
  observed: InstanceObservation | null,
): BackendSituation {
  const { key } = serving;
  const { now, spec } = given;
  const state = observed?.state;
  const isOut = state?.kind === "ready" && observed?.isUnreachable === true;
  const failure = state?.kind === "ended" ? state.failure : isOut ? UNREACHABLE : VANISHED;
  const reason = failure.message;
  const wasStable = given.isCurrent(serving) && observed !== null && isLongReady(given, observed);
  const before = wasStable ? given.forgetFailures(key) : given;
  const none = { serving: null, refresh: null, checkedAtMs: null };
  if (state?.kind === "ended" && state.wasIdle === true && isAllowedToSleep(before))
    return before.remember({ ...none, asleep: true, isListingOnly: false });
  const next = before.remember({ ...none, crashes: before.memory.crashes + 1, lastError: reason });
  if (spec.wanted.kind !== "connection") return next.announce({ kind: "ended", reason, retryInMs: null });
  // If another instance is being tried already, it counts as the immediate try.
  const isTriedNow = next.attempt !== null && next.isCurrent(next.attempt);
  if (hasOtherRoute(next, key)) return recordFailure(next.remember({ waitReason: "crash" }), key, failure);
  if (before.memory.quickTryUsed && !isTriedNow) return recordFailure(next, key, failure);
  const retryInMs = isTriedNow ? 0 : next.observed.jitter * QUICK_TRY_MS;
  return next
    .rememberTries(key, { ...before.triesOf(key), notBeforeMs: now.monotonicMs + retryInMs, failure })
    .remember({ waitReason: "crash", quickTryUsed: true })
    .announce({ kind: "ended", reason, retryInMs });
}

/** An orderly exit of an unused server is not a failure if the server may sleep. */
function isAllowedToSleep({ spec: { sleep, wanted } }: BackendSituation): boolean {
  return wanted.kind === "connection" && maySleep(sleep) && sleep.listedAtMs !== null;
}

/** Gives up a serving instance that does not answer, if no other instance starts. Calls to it would only time out. */
export function updateLost(before: BackendSituation): BackendSituation {
  const { serving, routes, crashes } = before.memory;
  const tries = lastRetries(routes);
  if (serving === null || !serving.isUnhealthy || tries.failures < GIVE_UP_FAILURES) return before;
  const reason = `it does not answer, and no other instance starts: ${tries.failure?.message ?? "no reason given"}`;
  const retryInMs = Math.max(0, tries.notBeforeMs - before.now.monotonicMs);
  return before
    .drainServing("not_answering")
    .remember({ crashes: crashes + 1, lastError: reason, waitReason: null })
    .announce({ kind: "ended", reason, retryInMs });
}

/**
 * The old instance ends before the new one starts. A client instance also ends at once, because the lists are already
 * those of the new shared one.
 */
export function updateStopFirst(before: BackendSituation): BackendSituation {
  const { spec, memory, healthyServing } = before;
  const isFirst = (spec.replace === "stop-first" || spec.isOwned) && spec.wanted.kind === "connection";
  if (!isFirst || memory.serving === null || healthyServing !== null) return before;
  return before.drainServing(whyReplaced(before, memory.serving)).remember({ waitReason: "replacement" });
}

/**
 * Takes a draining instance back into service if the change was undone, or the data that the backend requires is
 * available again.
 */
export function updateRestored(before: BackendSituation): BackendSituation {
  const { memory, spec } = before;
  if (memory.serving !== null || before.attempt !== null || memory.waitReason !== "replacement")
    return before;
  if (isMissing(spec)) return before;
  const restored = memory.draining.find((drained) => {
    const observed = before.observedOf(drained.id);
    const isWell = observed?.state.kind === "ready" && observed.missedChecks < DISTRUST_CHECKS;
    const mayContinue = drained.why === "replaced" || drained.why === "data_moves";
    return isWell && mayContinue && before.isCurrent(drained);
  });
  if (restored === undefined) return before;
  const { id, key, epoch } = restored;
  return before.remember({
    serving: { id, key, epoch, isUnhealthy: false },
    draining: memory.draining.filter((drained) => drained !== restored),
    waitReason: null,
  });
}

/** The backend cannot start without its secret. If no instance serves, calls fail at once instead of waiting. */
export function updateSecretMissing(before: BackendSituation): BackendSituation {
  const { spec, memory } = before;
  if (spec.wanted.kind !== "secret_missing") return before;
  const reason = missingText(spec.wanted.variables);
  if (memory.serving === null) return before.remember({ waitReason: null, lastError: reason });
  if (memory.changeFailure === reason) return before;
  return before
    .remember({ changeFailure: reason, lastError: reason })
    .announce({ kind: "change_failed", reason });
}

/** The serving instance may be out of reach, so calls wait for the next check or another route. */
export function isSuspect(situation: BackendSituation): boolean {
  const { serving, routes } = situation.memory;
  if (!situation.hasChoice || serving === null) return false;
  if (routes.unreachableSinceMs !== null) return true;
  return serving.isUnhealthy && (situation.attempt !== null || hasOtherRoute(situation, serving.key));
}
