// Decides the idle stop and the on-demand start of a server: when an unused one is asleep, and what starts it. Pure.
import type { BackendDecisionBuilder, Serving } from "./backend-decision-builder.ts";
import { isMissing } from "./required-data.ts";
import { lastRetries } from "./route-memory.ts";
import { maySleep } from "./sleep.ts";

/** A sleeping server is asked for its lists again after this time. */
const LIST_AGAIN_MS = 86_400_000;
/** A server that was started only to read its lists, and that no client used, stops after this time. */
const ONLY_LISTED_MS = 5_000;

export function updateSleep(builder: BackendDecisionBuilder): void {
  const { spec, observed, memory } = builder;
  if (spec.wanted.kind !== "connection" || !maySleep(spec.sleep)) {
    if (memory.asleep || memory.isListingOnly) builder.remember({ asleep: false, isListingOnly: false });
    return;
  }
  const isUsed = observed.use.isNeeded || (memory.serving !== null && observed.use.isUsed);
  if (isUsed && memory.isListingOnly) builder.remember({ isListingOnly: false });
  const { serving } = builder.memory;
  if (serving === null && builder.attempt === null) {
    updateStopped(builder);
    return;
  }
  if (memory.asleep) builder.remember({ asleep: false });
  if (serving !== null) updateIdle(builder, serving);
}

/** Nothing runs: it sleeps unless a client needs it, or its lists must be read. */
function updateStopped(builder: BackendDecisionBuilder): void {
  const { spec, observed, memory, now } = builder;
  const { listedAtMs, startsOnDemand } = spec.sleep;
  const isDue = listedAtMs === null || now.wallMs - listedAtMs >= LIST_AGAIN_MS;
  if (memory.asleep || (startsOnDemand && isUntroubled(builder))) {
    const mayStart = observed.use.isNeeded || isDue;
    // Another program is to be asked: the lists of the earlier one stay until then, and calls wait.
    const waitReason = memory.asleep && listedAtMs === null ? "replacement" : memory.waitReason;
    builder.remember({ asleep: !mayStart, isListingOnly: mayStart && !observed.use.isNeeded, waitReason });
  }
  if (!builder.memory.asleep || listedAtMs === null) return;
  const remainingMs = listedAtMs + LIST_AGAIN_MS - now.wallMs;
  builder.runAt(now.monotonicMs + Math.min(remainingMs, LIST_AGAIN_MS), "retry");
}

/** Nothing failed, and no call waits for a replacement. */
function isUntroubled({ memory }: BackendDecisionBuilder): boolean {
  return memory.waitReason === null && lastRetries(memory.routes).failures === 0;
}

function updateIdle(builder: BackendDecisionBuilder, serving: Serving): void {
  const { spec, observed, memory, now } = builder;
  const { startsOnDemand, stopWhenIdleMs } = spec.sleep;
  const stopMs =
    memory.isListingOnly && startsOnDemand
      ? Math.min(ONLY_LISTED_MS, stopWhenIdleMs ?? ONLY_LISTED_MS)
      : stopWhenIdleMs;
  const instance = builder.observedOf(serving.id);
  const isWell = builder.isCurrent(serving) && !serving.isUnhealthy && instance?.listsStaleBecause === null;
  if (stopMs === null || !isWell) return;
  const sinceMs = (observed.use.isNeeded ? null : observed.use.idleSinceMs) ?? now.monotonicMs;
  const dueMs = sinceMs + stopMs;
  if (now.monotonicMs < dueMs) {
    builder.runAt(dueMs, "idle");
    return;
  }
  builder.drainServing("idle");
  fallAsleep(builder);
}

function fallAsleep(builder: BackendDecisionBuilder): void {
  builder.dropAttempts();
  builder.remember({ asleep: true, isListingOnly: false, waitReason: null });
}

/** The lists are known and nothing has failed, so calls wait: it sleeps, or is about to start. */
export function isRemembered({ spec, memory }: BackendDecisionBuilder): boolean {
  return (
    !spec.isOwned &&
    spec.sleep.listedAtMs !== null &&
    lastRetries(memory.routes).failures === 0 &&
    !isMissing(spec)
  );
}
