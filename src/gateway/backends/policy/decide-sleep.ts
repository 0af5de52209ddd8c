// Decides when a server that nobody needs sleeps, and what wakes it. Pure.
import type { DecisionBuilder, Serving } from "./backend-decision-builder.ts";
import { isMissing } from "./required-data.ts";
import { lastTries } from "./route-memory.ts";
import { maySleep } from "./sleep.ts";

/** A sleeping server is asked for its lists again after this time. */
const ASK_AGAIN_MS = 86_400_000;
/** A server that was started only to be asked, and that nobody used, stops after this time. */
const ONLY_ASKED_MS = 5_000;

export function foldSleep(builder: DecisionBuilder): void {
  const { spec, seen, memory } = builder;
  if (spec.wanted.kind !== "connection" || !maySleep(spec.sleep)) {
    if (memory.asleep || memory.onlyAsked) builder.remember({ asleep: false, onlyAsked: false });
    return;
  }
  const isUsed = seen.use.isNeeded || (memory.serving !== null && seen.use.isUsed);
  if (isUsed && memory.onlyAsked) builder.remember({ onlyAsked: false });
  const { serving } = builder.memory;
  if (serving === null && builder.attempt === null) {
    foldStopped(builder);
    return;
  }
  if (memory.asleep) builder.remember({ asleep: false });
  if (serving !== null) foldIdle(builder, serving);
}

/** Nothing runs: it sleeps unless somebody needs it, or its lists are to be read. */
function foldStopped(builder: DecisionBuilder): void {
  const { spec, seen, memory, now } = builder;
  const { listedAtMs, startsOnDemand } = spec.sleep;
  const isDue = listedAtMs === null || now.wallMs - listedAtMs >= ASK_AGAIN_MS;
  if (memory.asleep || (startsOnDemand && isUntroubled(builder))) {
    const wakes = seen.use.isNeeded || isDue;
    // Another program is to be asked: the lists of the earlier one stay until then, and calls wait.
    const holding = memory.asleep && listedAtMs === null ? "replacement" : memory.holding;
    builder.remember({ asleep: !wakes, onlyAsked: wakes && !seen.use.isNeeded, holding });
  }
  if (!builder.memory.asleep || listedAtMs === null) return;
  const leftMs = listedAtMs + ASK_AGAIN_MS - now.wallMs;
  builder.wakeAt(now.monotonicMs + Math.min(leftMs, ASK_AGAIN_MS), "retry");
}

/** Nothing failed, and no call waits for a replacement. */
function isUntroubled({ memory }: DecisionBuilder): boolean {
  return memory.holding === null && lastTries(memory.routes).failures === 0;
}

function foldIdle(builder: DecisionBuilder, serving: Serving): void {
  const { spec, seen, memory, now } = builder;
  const { startsOnDemand, stopWhenIdleMs } = spec.sleep;
  const stopMs =
    memory.onlyAsked && startsOnDemand
      ? Math.min(ONLY_ASKED_MS, stopWhenIdleMs ?? ONLY_ASKED_MS)
      : stopWhenIdleMs;
  const instance = builder.seenOf(serving.id);
  const isWell = builder.isCurrent(serving) && !serving.distrusted && instance?.listsStaleBecause === null;
  if (stopMs === null || !isWell) return;
  const sinceMs = (seen.use.isNeeded ? null : seen.use.idleSinceMs) ?? now.monotonicMs;
  const dueMs = sinceMs + stopMs;
  if (now.monotonicMs < dueMs) {
    builder.wakeAt(dueMs, "idle");
    return;
  }
  builder.drainServing("idle");
  fallAsleep(builder);
}

function fallAsleep(builder: DecisionBuilder): void {
  builder.dropAttempts();
  builder.remember({ asleep: true, onlyAsked: false, holding: null });
}

/** The lists are known and nothing has failed, so calls wait: it sleeps, or is about to start. */
export function isRemembered({ spec, memory }: DecisionBuilder): boolean {
  return (
    !spec.isOwned &&
    spec.sleep.listedAtMs !== null &&
    lastTries(memory.routes).failures === 0 &&
    !isMissing(spec)
  );
}
