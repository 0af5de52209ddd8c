// Decides the idle stop and the on-demand start of a server: when an unused one is asleep, and what starts it. Pure.
import type { BackendSituation, Serving } from "./backend-situation.ts";
import { isMissing } from "./required-data.ts";
import { lastRetries } from "./route-memory.ts";
import { maySleep } from "./sleep.ts";

/** A sleeping server is asked for its lists again after this time. */
const LIST_AGAIN_MS = 86_400_000;
/** A server that was started only to read its lists, and that no client used, stops after this time. */
const ONLY_LISTED_MS = 5_000;

export function updateSleep(before: BackendSituation): BackendSituation {
  const { spec, observed, memory } = before;
  const { asleep, isListingOnly, serving } = memory;
  if (spec.wanted.kind !== "connection" || !maySleep(spec.sleep))
    return asleep || isListingOnly ? before.remember({ asleep: false, isListingOnly: false }) : before;
  const isUsed = observed.use.isNeeded || (serving !== null && observed.use.isUsed);
  const next = isUsed && isListingOnly ? before.remember({ isListingOnly: false }) : before;
  if (serving === null && next.attempt === null) return updateStopped(next);
  const running = asleep ? next.remember({ asleep: false }) : next;
  return serving === null ? running : updateIdle(running, serving);
}

/** Nothing runs: it sleeps unless a client needs it, or its lists must be read. */
function updateStopped(before: BackendSituation): BackendSituation {
  const { spec, observed, memory, now } = before;
  const { listedAtMs, startsOnDemand } = spec.sleep;
  const isDue = listedAtMs === null || now.wallMs - listedAtMs >= LIST_AGAIN_MS;
  let next = before;
  if (memory.asleep || (startsOnDemand && isUntroubled(before))) {
    const mayStart = observed.use.isNeeded || isDue;
    // Another program is to be asked: the lists of the earlier one stay until then, and calls wait.
    const waitReason = memory.asleep && listedAtMs === null ? "replacement" : memory.waitReason;
    next = next.remember({
      asleep: !mayStart,
      isListingOnly: mayStart && !observed.use.isNeeded,
      waitReason,
    });
  }
  if (!next.memory.asleep || listedAtMs === null) return next;
  const remainingMs = listedAtMs + LIST_AGAIN_MS - now.wallMs;
  return next.runAt(now.monotonicMs + Math.min(remainingMs, LIST_AGAIN_MS), "retry");
}

/** Nothing failed, and no call waits for a replacement. */
function isUntroubled({ memory }: BackendSituation): boolean {
  return memory.waitReason === null && lastRetries(memory.routes).failures === 0;
}

function updateIdle(situation: BackendSituation, serving: Serving): BackendSituation {
  const { spec, observed, memory, now } = situation;
  const { startsOnDemand, stopWhenIdleMs } = spec.sleep;
  const stopMs =
    memory.isListingOnly && startsOnDemand
      ? Math.min(ONLY_LISTED_MS, stopWhenIdleMs ?? ONLY_LISTED_MS)
      : stopWhenIdleMs;
  const instance = situation.observedOf(serving.id);
  const isWell = situation.isCurrent(serving) && !serving.isUnhealthy && instance?.listsStaleBecause === null;
  if (stopMs === null || !isWell) return situation;
  const idleSinceMs = observed.use.isNeeded ? null : observed.use.idleSinceMs;
  const sinceMs = idleSinceMs ?? now.monotonicMs;
  const dueMs = sinceMs + stopMs;
  if (now.monotonicMs < dueMs) {
    const why = idleSinceMs === null ? "it is in use" : "it may be needed again soon";
    return situation.runAt(dueMs, "idle").passOver("sleep", why, idleSinceMs === null ? null : dueMs);
  }
  return situation
    .drainServing("idle")
    .dropAttempts()
    .remember({ asleep: true, isListingOnly: false, waitReason: null });
}

/** The lists are known and nothing has failed, so calls wait: it sleeps, or is about to start. */
export function isRemembered({ spec, memory }: BackendSituation): boolean {
  return (
    !spec.isOwned &&
    spec.sleep.listedAtMs !== null &&
    lastRetries(memory.routes).failures === 0 &&
    !isMissing(spec)
  );
}
