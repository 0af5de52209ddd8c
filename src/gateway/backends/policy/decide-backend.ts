// Decides the next step for one backend, from its configuration, what is seen of it and what was remembered. Pure.
import { earliest } from "../../../reconcile/decision.ts";
import type { NextRun } from "../../../reconcile/reconcile-loop.ts";
import { CONFIRM_AFTER_MS, NO_BACKOFF } from "../../../reconcile/route-health.ts";
import { lasting } from "../../../runtime/conditions/conditions.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceObservation } from "../instance/backend-instance.ts";
import { backendConditions } from "./backend-conditions.ts";
import type { BackendCondition, BackendPhase } from "./backend-pool-contract.ts";
import {
  type BackendEvent,
  type BackendMemory,
  type BackendObservation,
  BackendSituation,
  type BackendSpec,
  type BackendStep,
  NEW_BACKEND,
  type Now,
} from "./backend-situation.ts";
import { dataGate, type Gate, updateNeeds } from "./data-gate.ts";
import { checkAttempts, probeStart, updatePreference } from "./decide-preference.ts";
import { startOver, updateAttempts } from "./decide-route.ts";
import {
  isSuspect,
  updateConfig,
  updateLost,
  updateReached,
  updateRestored,
  updateSecretMissing,
  updateServing,
  updateStopFirst,
} from "./decide-serving.ts";
import { isRemembered, updateSleep } from "./decide-sleep.ts";
import { isMissing, unavailabilityOf, unavailableText } from "./required-data.ts";
import { backOffWithJitter, type DueStart, nextRoute, nextTries } from "./retries.ts";
import { firstAttempt, lastRetries } from "./route-memory.ts";

/** Time between two checks of the serving instance, ms. */
const CHECK_EVERY_MS = 30_000;
/** Time to the next check after a missed one, longer than a check may take. */
const CHECK_AGAIN_MS = 10_000;
/** Time until the next check after several calls have timed out, ms. */
const REQUESTED_CHECK_MS = 5_000;
/** Time between two checks of a backend with several routes, ms. It is longer than a check may take. */
const ROUTE_CHECK_MS = 6_000;
export const BEING_STARTED = "it is being started";

type CallRule =
  | { readonly kind: "serve"; readonly id: number }
  | { readonly kind: "wait" }
  | { readonly kind: "refuse"; readonly reason: string };

export interface BackendDecision {
  readonly memory: BackendMemory;
  readonly step: BackendStep | null;
  /** A start is due, and waits for this backend's turn. */
  readonly wantsTurn: boolean;
  /** Null: the next trigger decides. */
  readonly nextRun: NextRun | null;
  /** The backend's names are published unless its calls are refused. */
  readonly calls: CallRule;
  /** Calls run only while `gate` is open and `calls` does not refuse them. */
  readonly gate: Gate;
  readonly phase: BackendPhase;
  readonly reason: string | null;
  /** Monotonic ms. */
  readonly retryAtMs: number | null;
  /** The address refused connections. The next start follows when it accepts them again. */
  readonly isUnreachable: boolean;
  readonly conditions: readonly BackendCondition[];
  readonly events: readonly BackendEvent[];
}

/** Before the first cycle. */
export const UNDECIDED: BackendDecision = {
  memory: NEW_BACKEND,
  step: null,
  wantsTurn: false,
  nextRun: null,
  calls: { kind: "refuse", reason: "it is not running yet" },
  gate: { kind: "open" },
  phase: NEW_BACKEND.phase,
  reason: null,
  retryAtMs: null,
  isUnreachable: false,
  conditions: [],
  events: [],
};

/** After this many failed starts, an address that refuses connections is only probed. */
const STARTS_WHILE_UNREACHABLE = 3;

/** What the cycle has shown and what follows from it, in order. */
const UPDATES: readonly ((before: BackendSituation) => BackendSituation)[] = [
  updateConfig,
  updateReached,
  updateServing,
  updateAttempts,
  updateLost,
  updateStopFirst,
  updateRestored,
  updateSecretMissing,
  updateSleep,
  updatePreference,
  updateNeeds,
];

/** The functions that may take the next step, in order. A start comes after them. */
const STEPS = [closeUnused, checkServing, refreshLists, checkAttempts];

/** Equal input gives an equal decision. A decision has no step and no event if nothing is left to do. */
export function decideBackend(
  spec: BackendSpec,
  observed: BackendObservation,
  memory: BackendMemory,
  now: Now,
): BackendDecision {
  const before = new BackendSituation({ spec, observed, memory, now });
  const known = UPDATES.reduce((next, update) => update(next), before);
  const closed = dataGate(known);
  const gate: Gate = closed.kind === "open" && isSuspect(known) ? { kind: "wait" } : closed;
  const { next, wantsTurn } = chooseStep(known);
  const found = backendConditions(next, gate);
  const { conditions, known: conditionsSince } = lasting(found, memory.conditionsSince, now.wallMs);
  const { phase, reason } = phaseOf(next, conditions);
  const decided = next.remember({ phase, conditionsSince });
  return {
    memory: decided.memory,
    step: decided.step,
    wantsTurn,
    nextRun: earliest(decided.nextRuns),
    calls: callRule(decided, reason, wantsTurn),
    gate,
    phase,
    reason,
    retryAtMs: retryAtMs(decided),
    isUnreachable: isUnreachable(decided),
    conditions,
    events: decided.events,
  };
}

function chooseStep(before: BackendSituation): {
  readonly next: BackendSituation;
  readonly wantsTurn: boolean;
} {
  let next = before;
  for (const step of STEPS) {
    next = step(next);
    if (next.step !== null) return { next, wantsTurn: false };
  }
  for (const due of [neededStart, probeStart]) {
    const { route, retriesAtMs } = due(next);
    for (const atMs of retriesAtMs) next = next.runAt(atMs, "retry");
    if (route === null) continue;
    const { mayStart } = next.observed;
    return { next: mayStart ? startOver(next, route) : next, wantsTurn: !mayStart };
  }
  return { next, wantsTurn: false };
}

/**
 * Closes the instances that neither serve nor will serve. A draining instance first ends its calls, within
 * `drain_timeout`.
 */
function closeUnused(before: BackendSituation): BackendSituation {
  const { observed, memory, spec, now } = before;
  let next = before;
  for (const { id, state, inFlight } of observed.instances) {
    if (memory.closing.includes(id) || id === memory.serving?.id) continue;
    if ([...memory.routes.byName.values()].some(({ attempt }) => attempt?.id === id)) continue;
    const drained = memory.draining.find((one) => one.id === id);
    const untilMs = drained === undefined ? now.monotonicMs : drained.sinceMs + spec.drainTimeoutMs;
    const mayAnswer = state.kind === "ready" || state.kind === "starting";
    const mustWait = now.monotonicMs < untilMs && mayAnswer && inFlight > 0;
    if (!mustWait) {
      const draining = memory.draining.filter((one) => one !== drained);
      return next
        .remember({ closing: [...memory.closing, id], draining })
        .take({ kind: "close", id, drained: drained ?? null });
    }
    next = next.runAt(untilMs, "drain");
  }
  return next;
}

function servingInstance({ memory, observed }: BackendSituation): InstanceObservation | null {
  return observed.instances.find(({ id }) => id === memory.serving?.id) ?? null;
}

/** Checks the health of the serving instance, if that is due. */
function checkServing(before: BackendSituation): BackendSituation {
  const { now, memory } = before;
  const instance = servingInstance(before);
  if (instance === null) return before;
  const dueMs = checkDueMs(before, instance);
  if (now.monotonicMs < dueMs) return before.runAt(dueMs, "check");
  // The confirming check is under way.
  const isInProgress = memory.routes.unreachableSinceMs !== null && (memory.checkedAtMs ?? 0) >= dueMs;
  return isInProgress
    ? before
    : before.remember({ checkedAtMs: now.monotonicMs }).take({ kind: "check", id: instance.id });
}

function checkDueMs(
  { memory, observed: { checkRequested }, hasChoice, now }: BackendSituation,
  { readyAtMs, checkedAtMs, missedChecks }: InstanceObservation,
): number {
  const { unreachableSinceMs } = memory.routes;
  if (unreachableSinceMs !== null) return unreachableSinceMs + CONFIRM_AFTER_MS;
  if (checkRequested && memory.checkedAtMs === null) return now.monotonicMs;
  const lastMs = Math.max(readyAtMs ?? 0, checkedAtMs ?? 0, memory.checkedAtMs ?? 0);
  const usualMs = missedChecks > 0 ? CHECK_AGAIN_MS : CHECK_EVERY_MS;
  if (checkRequested) return lastMs + REQUESTED_CHECK_MS;
  return lastMs + (hasChoice ? Math.min(usualMs, ROUTE_CHECK_MS) : usualMs);
}

/** Reads stale lists of the serving instance again, if that is due. */
function refreshLists(before: BackendSituation): BackendSituation {
  const { now, memory } = before;
  const instance = servingInstance(before);
  if (instance === null) return before;
  if (instance.listsStaleBecause === null)
    return memory.refresh === null ? before : before.remember({ refresh: null });
  const refresh = memory.refresh ?? backOffWithJitter(before, NO_BACKOFF);
  if (now.monotonicMs < refresh.notBeforeMs)
    return before.remember({ refresh }).runAt(refresh.notBeforeMs, "retry");
  return before
    .remember({ refresh: backOffWithJitter(before, refresh) })
    .take({ kind: "refresh", id: instance.id });
}

/** The start that the backend needs to serve. */
function neededStart(situation: BackendSituation): DueStart {
  const { spec, observed, now } = situation;
  const notDue = { route: null, retriesAtMs: [] };
  if (!needsStart(situation) || isOnlyProbed(situation)) return notDue;
  const { notBeforeMs } = nextTries(situation);
  if (now.monotonicMs < notBeforeMs) return { route: null, retriesAtMs: [notBeforeMs] };
  if (spec.isBlocked || (spec.replace === "stop-first" && observed.instances.length > 0)) return notDue;
  return { route: nextRoute(situation), retriesAtMs: [] };
}

function needsStart(situation: BackendSituation): boolean {
  const { spec, memory } = situation;
  if (spec.wanted.kind !== "connection" || situation.attempt !== null || memory.asleep) return false;
  // A server whose folder is missing would end at once, or serve an empty folder.
  return !isMissing(spec) && situation.healthyServing === null;
}

function retryAtMs(situation: BackendSituation): number | null {
  if (isOnlyProbed(situation)) return null;
  const { notBeforeMs, failures } = nextTries(situation);
  const isWaiting = needsStart(situation) && (failures > 0 || situation.memory.waitReason === "crash");
  return isWaiting && Number.isFinite(notBeforeMs) ? Math.max(notBeforeMs, situation.now.monotonicMs) : null;
}

/**
 * True if the address refuses connections. Always false if there are several routes, because another one is tried
 * instead.
 */
function isUnreachable(situation: BackendSituation): boolean {
  const { serving, routes } = situation.memory;
  const isWanted = situation.spec.wanted.kind === "connection" && serving === null;
  return (
    isWanted &&
    !situation.hasChoice &&
    !isMissing(situation.spec) &&
    lastRetries(routes).failure?.isUnreachable === true
  );
}

function isOnlyProbed(situation: BackendSituation): boolean {
  return (
    isUnreachable(situation) && lastRetries(situation.memory.routes).failures >= STARTS_WHILE_UNREACHABLE
  );
}

function callRule(situation: BackendSituation, reason: string | null, wantsTurn: boolean): CallRule {
  const { spec, memory } = situation;
  if (memory.serving !== null) return { kind: "serve", id: memory.serving.id };
  const isStarting = wantsTurn || firstAttempt(memory.routes) !== null;
  const isComing = memory.waitReason !== null || (spec.isOwned && isStarting) || isRemembered(situation);
  if (isComing && spec.wanted.kind === "connection") return { kind: "wait" };
  return { kind: "refuse", reason: reason ?? "it is not running yet" };
}

function phaseOf(
  { spec, observed, memory }: BackendSituation,
  conditions: readonly BackendCondition[],
): { readonly phase: BackendPhase; readonly reason: string | null } {
  const { wanted } = spec;
  const { serving, waitReason, routes } = memory;
  const tries = lastRetries(routes);
  if (wanted.kind === "nothing") {
    const reason = `it is ${wanted.because}`;
    const left = observed.instances.length + observed.clients.instances;
    return { phase: left > 0 ? "ShuttingDown" : "Pending", reason };
  }
  const problem = conditions.find(({ severity }) => severity !== "info")?.title ?? null;
  if (serving !== null) return { phase: problem === null ? "Ready" : "Degraded", reason: problem };
  if (wanted.kind === "secret_missing") {
    return { phase: "Failed", reason: missingText(wanted.variables) };
  }
  const unavailable = unavailabilityOf(spec);
  if (unavailable !== null)
    return { phase: "Pending", reason: `it waits for its data: ${unavailableText(unavailable)}` };
  if (memory.asleep) return { phase: "Asleep", reason: "it starts when it is needed" };
  if (waitReason === "replacement") {
    const moving = spec.needs?.data.kind === "moving" ? unavailableText(spec.needs.data) : null;
    return { phase: "Degraded", reason: problem ?? `${moving ?? "it is being replaced"}; calls wait` };
  }
  if (waitReason === "crash") {
    return { phase: "Degraded", reason: `${memory.lastError ?? "it ended"}; it is tried again, calls wait` };
  }
  if (tries.failures > 0) return { phase: "Failed", reason: tries.failure?.message ?? "it failed" };
  return firstAttempt(routes) === null
    ? { phase: "Pending", reason: null }
    : { phase: "Initializing", reason: BEING_STARTED };
}
