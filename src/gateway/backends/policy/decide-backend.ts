// Decides the next step for one backend, from its configuration, what is seen of it and what was remembered. Pure.
import { type Explanation, earliest } from "../../../reconcile/decision.ts";
import type { NextRun } from "../../../reconcile/reconcile-loop.ts";
import { lasting } from "../../../runtime/conditions/conditions.ts";
import { missingText } from "../../../secrets/reference.ts";
import { backendConditions } from "./backend-conditions.ts";
import type { BackendCondition, BackendPhase } from "./backend-pool-contract.ts";
import {
  type BackendMemory,
  type BackendObservation,
  BackendSituation,
  type BackendSpec,
  NEW_BACKEND,
  type Now,
} from "./backend-situation.ts";
import type { BackendEvent, BackendStep } from "./backend-step.ts";
import { ABSENCE_RULES, dataGate, type Gate, updateNeeds } from "./data-gate.ts";
import { checkAttempts, updatePreference } from "./decide-preference.ts";
import { updateAttempts } from "./decide-route.ts";
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
import { unavailabilityOf, unavailableText } from "./required-data.ts";
import { nextTries } from "./retries.ts";
import { firstAttempt, lastRetries } from "./route-memory.ts";
import { applyRules, type Rule } from "./rule.ts";
import {
  checkServing,
  endUnused,
  isOnlyProbed,
  isUnreachable,
  needsStart,
  refreshLists,
  startBetter,
  startNeeded,
} from "./step-rules.ts";

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
  readonly explanation: Explanation;
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
  explanation: { rule: "wait", why: "nothing was decided yet", passedOver: [] },
};

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

/** The rules for the next step, in the order in which they are asked until one takes a step. */
export const STEP_RULES: readonly Rule[] = [
  endUnused,
  checkServing,
  refreshLists,
  checkAttempts,
  startNeeded,
  startBetter,
];

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
  const { next, wantsTurn } = applyRules(known, STEP_RULES);
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
    explanation: { ...ruleInForce(decided, gate, reason), passedOver: decided.passedOver },
  };
}

function retryAtMs(situation: BackendSituation): number | null {
  if (isOnlyProbed(situation)) return null;
  const { notBeforeMs, failures } = nextTries(situation);
  const isWaiting = needsStart(situation) && (failures > 0 || situation.memory.waitReason === "crash");
  return isWaiting && Number.isFinite(notBeforeMs) ? Math.max(notBeforeMs, situation.now.monotonicMs) : null;
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

const RULES: Readonly<Record<BackendPhase, string>> = {
  Pending: "wait",
  Initializing: "start",
  Ready: "serve calls",
  Asleep: "sleep",
  Degraded: "serve what works",
  Failed: "wait for the next try",
  ShuttingDown: "stop",
};

function ruleInForce({ spec, memory, attempt }: BackendSituation, gate: Gate, reason: string | null) {
  if (gate.kind === "refuse") return { rule: ABSENCE_RULES[gate.mode], why: gate.reason };
  if (gate.kind === "wait") {
    const { data } = spec.needs ?? {};
    const why =
      data === undefined || data.kind === "there" ? "its route is being checked" : unavailableText(data);
    return { rule: "let calls wait", why };
  }
  if (memory.serving === null && attempt !== null) return { rule: "start", why: reason ?? BEING_STARTED };
  const usual = memory.phase === "Ready" ? "the server answers" : "it was not tried yet";
  const isOff = spec.wanted.kind === "nothing" && memory.phase === "Pending";
  return { rule: isOff ? "stay off" : RULES[memory.phase], why: reason ?? usual };
}
