// Decides the next step for one backend, from its configuration, what is seen of it and what was remembered. Pure.
import { earliest, standingSince } from "../../../reconcile/decision.ts";
import type { NextRun } from "../../../reconcile/reconcile-loop.ts";
import { CONFIRM_AFTER_MS, NO_BACKOFF } from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { InstanceObservation } from "../instance/backend-instance.ts";
import { backendConditions } from "./backend-conditions.ts";
import {
  BackendDecisionBuilder,
  type BackendEvent,
  type BackendMemory,
  type BackendObservation,
  type BackendSpec,
  type BackendStep,
  NEW_BACKEND,
  type Now,
} from "./backend-decision-builder.ts";
import type { BackendCondition, BackendPhase } from "./backend-pool-contract.ts";
import { type Gate, updateNeeds } from "./data-gate.ts";
import { probeCheck, probeStart, updatePreference } from "./decide-preference.ts";
import {
  backOffWithJitter,
  isSuspect,
  nextRoute,
  nextTries,
  startOver,
  updateAttempts,
  updateConfig,
  updateLost,
  updateReached,
  updateRestored,
  updateSecretMissing,
  updateServing,
  updateStopFirst,
} from "./decide-route.ts";
import { isRemembered, updateSleep } from "./decide-sleep.ts";
import { isMissing, unavailabilityOf, unavailableText } from "./required-data.ts";
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

/** Equal input gives an equal decision. A decision has no step and no event if nothing is left to do. */
export function decideBackend(
  spec: BackendSpec,
  observed: BackendObservation,
  memory: BackendMemory,
  now: Now,
): BackendDecision {
  const builder = new BackendDecisionBuilder(spec, observed, memory, now);
  updateConfig(builder);
  updateReached(builder);
  updateServing(builder);
  updateAttempts(builder);
  updateLost(builder);
  updateStopFirst(builder);
  updateRestored(builder);
  updateSecretMissing(builder);
  updateSleep(builder);
  updatePreference(builder);
  const dataGate = updateNeeds(builder);
  const gate: Gate = dataGate.kind === "open" && isSuspect(builder) ? { kind: "wait" } : dataGate;
  const urgent = closeStep(builder) ?? careStep(builder) ?? probeCheck(builder);
  const start = urgent === null ? (neededStart(builder) ?? probeStart(builder)) : null;
  const step = start !== null && observed.mayStart ? start() : urgent;
  const conditions = conditionsSince(builder, gate);
  const { phase, reason } = phaseOf(builder, conditions);
  const wantsTurn = start !== null && !observed.mayStart;
  builder.remember({ phase });
  return {
    memory: builder.memory,
    step,
    wantsTurn,
    nextRun: earliest(builder.nextRuns),
    calls: callRule(builder, reason, wantsTurn),
    gate,
    phase,
    reason,
    retryAtMs: retryAtMs(builder),
    isUnreachable: isUnreachable(builder),
    conditions,
    events: builder.events,
  };
}

/**
 * Closes the instances that neither serve nor will serve. A draining instance first ends its calls, within
 * `drain_timeout`.
 */
function closeStep(builder: BackendDecisionBuilder): BackendStep | null {
  const { observed, memory, spec, now } = builder;
  for (const instance of observed.instances) {
    const { id, state } = instance;
    if (memory.closing.includes(id) || id === memory.serving?.id) continue;
    if ([...memory.routes.byName.values()].some(({ attempt }) => attempt?.id === id)) continue;
    const drained = memory.draining.find((one) => one.id === id);
    const untilMs = drained === undefined ? now.monotonicMs : drained.sinceMs + spec.drainTimeoutMs;
    const mayAnswer = state.kind === "ready" || state.kind === "starting";
    if (now.monotonicMs < untilMs && mayAnswer && instance.inFlight > 0) {
      builder.runAt(untilMs, "drain");
      continue;
    }
    builder.remember({
      closing: [...memory.closing, id],
      draining: memory.draining.filter((one) => one !== drained),
    });
    return { kind: "close", id, drained: drained ?? null };
  }
  return null;
}

/**
 * Returns a health check of the serving instance, or a step that reads its stale lists again; null if neither is due.
 */
function careStep(builder: BackendDecisionBuilder): BackendStep | null {
  const { serving } = builder.memory;
  const observed = serving === null ? null : builder.observedOf(serving.id);
  if (observed === null) return null;
  return checkStep(builder, observed) ?? refreshStep(builder, observed);
}

function checkStep(builder: BackendDecisionBuilder, observed: InstanceObservation): BackendStep | null {
  const { now, memory } = builder;
  const lastMs = Math.max(observed.readyAtMs ?? 0, observed.checkedAtMs ?? 0, memory.checkedAtMs ?? 0);
  const usualMs = observed.missedChecks > 0 ? CHECK_AGAIN_MS : CHECK_EVERY_MS;
  const everyMs = builder.observed.checkRequested
    ? REQUESTED_CHECK_MS
    : builder.hasChoice
      ? Math.min(usualMs, ROUTE_CHECK_MS)
      : usualMs;
  const isFirst = builder.observed.checkRequested && memory.checkedAtMs === null;
  const { unreachableSinceMs } = memory.routes;
  const dueMs =
    unreachableSinceMs !== null
      ? unreachableSinceMs + CONFIRM_AFTER_MS
      : isFirst
        ? now.monotonicMs
        : lastMs + everyMs;
  if (now.monotonicMs < dueMs) {
    builder.runAt(dueMs, "check");
    return null;
  }
  // The confirming check is under way.
  if (unreachableSinceMs !== null && (memory.checkedAtMs ?? 0) >= dueMs) return null;
  builder.remember({ checkedAtMs: now.monotonicMs });
  return { kind: "check", id: observed.id };
}

function refreshStep(builder: BackendDecisionBuilder, instance: InstanceObservation): BackendStep | null {
  const { now, memory } = builder;
  if (instance.listsStaleBecause === null) {
    if (memory.refresh !== null) builder.remember({ refresh: null });
    return null;
  }
  const refresh = memory.refresh ?? backOffWithJitter(builder, NO_BACKOFF);
  const isDue = now.monotonicMs >= refresh.notBeforeMs;
  const next = isDue ? backOffWithJitter(builder, refresh) : refresh;
  builder.remember({ refresh: next });
  if (isDue) return { kind: "refresh", id: instance.id };
  builder.runAt(next.notBeforeMs, "retry");
  return null;
}

/** Null: no start is due. */
function neededStart(builder: BackendDecisionBuilder): (() => BackendStep | null) | null {
  const { spec, observed, now } = builder;
  if (spec.wanted.kind !== "connection" || !needsStart(builder) || isOnlyProbed(builder)) return null;
  const { notBeforeMs } = nextTries(builder);
  if (now.monotonicMs < notBeforeMs) {
    builder.runAt(notBeforeMs, "retry");
    return null;
  }
  if (spec.isBlocked || (spec.replace === "stop-first" && observed.instances.length > 0)) return null;
  const route = nextRoute(builder);
  return route === null ? null : () => startOver(builder, route);
}

function needsStart(builder: BackendDecisionBuilder): boolean {
  const { spec, memory } = builder;
  if (spec.wanted.kind !== "connection" || builder.attempt !== null || memory.asleep) return false;
  // A server whose folder is missing would end at once, or serve an empty folder.
  return !isMissing(spec) && builder.healthyServing === null;
}

function retryAtMs(builder: BackendDecisionBuilder): number | null {
  if (isOnlyProbed(builder)) return null;
  const { notBeforeMs, failures } = nextTries(builder);
  const isWaiting = needsStart(builder) && (failures > 0 || builder.memory.waitReason === "crash");
  return isWaiting && Number.isFinite(notBeforeMs) ? Math.max(notBeforeMs, builder.now.monotonicMs) : null;
}

/**
 * True if the address refuses connections. Always false if there are several routes, because another one is tried
 * instead.
 */
function isUnreachable(builder: BackendDecisionBuilder): boolean {
  const { serving, routes } = builder.memory;
  const isWanted = builder.spec.wanted.kind === "connection" && serving === null;
  return (
    isWanted &&
    !builder.hasChoice &&
    !isMissing(builder.spec) &&
    lastRetries(routes).failure?.isUnreachable === true
  );
}

function isOnlyProbed(builder: BackendDecisionBuilder): boolean {
  return isUnreachable(builder) && lastRetries(builder.memory.routes).failures >= STARTS_WHILE_UNREACHABLE;
}

function callRule(builder: BackendDecisionBuilder, reason: string | null, wantsTurn: boolean): CallRule {
  const { spec, memory } = builder;
  if (memory.serving !== null) return { kind: "serve", id: memory.serving.id };
  const isStarting = wantsTurn || firstAttempt(memory.routes) !== null;
  const isComing = memory.waitReason !== null || (spec.isOwned && isStarting) || isRemembered(builder);
  if (isComing && spec.wanted.kind === "connection") return { kind: "wait" };
  return { kind: "refuse", reason: reason ?? "it is not running yet" };
}

function phaseOf(
  { spec, observed, memory }: BackendDecisionBuilder,
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

function conditionsSince(builder: BackendDecisionBuilder, gate: Gate): readonly BackendCondition[] {
  const found = backendConditions(builder, gate);
  const before = builder.memory.conditionsSince;
  if (before.size === 0 && found.length === 0) return [];
  const since = standingSince(found, before, builder.now.wallMs);
  builder.remember({ conditionsSince: since });
  return found.map((condition) => ({
    ...condition,
    sinceMs: since.get(condition.code) ?? builder.now.wallMs,
  }));
}
