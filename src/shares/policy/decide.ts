// The decision for one share: from configuration, observation and memory to one step, or none. Pure.
import { type Explanation, earliest } from "../../reconcile/decision.ts";
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import { lasting } from "../../runtime/conditions/conditions.ts";
import { type ConditionDraft, managedBy } from "./condition-rows.ts";
import { failOver, leaveLocalDisk } from "./decide-failover.ts";
import type { DecideInput } from "./decide-input.ts";
import { followHost, movingConditions, replaceSilent, waitForRoute } from "./decide-moving.ts";
import { recovery } from "./decide-recovery.ts";
import { keep, leaveToOthers, remountMismatched, remountOutdated, replaceDead } from "./decide-remount.ts";
import { answerTo, finalOutcome } from "./decide-request.ts";
import { answerUnmounted } from "./decide-unmounted.ts";
import { explain } from "./explain.ts";
import { type Facts, factsOf, learnFrom } from "./facts.ts";
import { updateLastStep } from "./last-step.ts";
import type { MountFact } from "./mount-fact.ts";
import { updateMountIdentity } from "./mount-memory.ts";
import { updateMoves } from "./moving-mount.ts";
import { updateNetworks } from "./networks.ts";
import { observedConditions } from "./observed-conditions.ts";
import { continueOperation } from "./operation.ts";
import { updateRoutes } from "./probed-routes.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import { applyRules, follow, type Rule } from "./rule.ts";
import { checkConditions } from "./server-check.ts";
import { outcome, type RequestOutcome } from "./share-request.ts";
import type { NewTransition } from "./share-transitions.ts";
import { type Situation, undecided } from "./situation.ts";
import type { Step } from "./step.ts";
import { updateWake, updateWakeAddresses, wakeConditions, wakeStep } from "./wake.ts";

export interface Decision {
  readonly memory: ShareMemory;
  readonly state: ReconcileState;
  readonly transitions: readonly NewTransition[];
  readonly conditions: readonly ShareCondition[];
  /** null: no mount was observed. */
  readonly mount: MountJudgement | null;
  readonly explanation: Explanation;
  /** The answer to the person's request; null: the request still waits, or there is none. */
  readonly outcome: RequestOutcome | null;
  readonly step: Step | null;
  /** When the loop runs again without another trigger; null: never. */
  readonly nextRun: NextRun | null;
  readonly programs: ProgramAccess;
}

/**
 * Whether programs that this daemon runs on the mount may use it. `asked`: they have to end before a remount.
 * `taken`: the remount is in progress.
 */
export type ProgramAccess = "free" | "asked" | "taken";

/** Whether the engine may replace the mount, and whether programs can use it now. */
export type MountJudgement = Pick<MountFact, "verdict" | "use">;

export type ShareCondition = ConditionDraft & { readonly since: string };

/** What the cycle has shown, in the order in which it is remembered. */
const UPDATES: readonly ((now: Situation) => Situation)[] = [
  updateRoutes,
  updateLastStep,
  updateMountIdentity,
  updateMoves,
  updateWakeAddresses,
  updateNetworks,
  updateWake,
];

/** The rules for a mount, in the order in which they are asked until one takes a step or does not pass. */
export const MOUNT_RULES: Readonly<Record<"first" | "always" | "answering", readonly Rule[]>> = {
  /** Asked before the checks of the mount count. */
  first: [leaveLocalDisk],
  always: [remountMismatched, leaveToOthers, replaceDead, replaceSilent, waitForRoute, failOver],
  /** Asked only while the mount answers. */
  answering: [keep, followHost, remountOutdated, recovery],
};

/**
 * Equal input gives an equal decision. When nothing is left to do, the decision has no step and no
 * transition.
 */
export function decide(input: DecideInput): Decision {
  const known = UPDATES.reduce((now, update) => update(now), undecided(input));
  const { mount: observed } = known.observed;
  const facts = observed && factsOf(known, observed);
  const chosen = choose(known, facts);
  const now = chosen.step === null ? wakeStep(chosen) : chosen;
  const found: ConditionDraft[] = [
    ...now.conditions,
    ...observedConditions(now),
    ...checkConditions(now),
    ...movingConditions(now),
    ...wakeConditions(now),
  ];
  const { wallMs } = now.observed;
  const { conditions, known: conditionsSince } = lasting(found, now.state.conditionsSince, wallMs);
  const { operation } = now.state;
  const isReplacing = operation !== null && !operation.moves && operation.from !== "none";
  return {
    memory: now.memory,
    state: { ...now.state, conditionsSince },
    transitions: now.transitions,
    conditions,
    mount: facts?.mountFact ?? null,
    explanation: explain(now, facts),
    outcome: now.outcome ?? (now.step === null ? finalOutcome(now) : null),
    step: now.step,
    nextRun: earliest(now.nextRuns),
    programs: isReplacing ? "taken" : now.stopPrograms ? "asked" : "free",
  };
}

function choose(before: Situation, facts: Facts | null): Situation {
  const { otherHome = null } = before.observed;
  const { request } = before;
  if (otherHome !== null) {
    const refused = request && outcome("failed", managedBy(before.spec, otherHome));
    return { ...before, outcome: before.outcome ?? refused };
  }
  let now = continueOperation(before);
  if (now.step !== null) return now;
  if (request !== null && now.outcome === null && now.state.operation === null)
    now = follow(now, "do as you asked", answerTo(now, request));
  if (now.step !== null) return now;
  if (facts !== null) return chooseForMount(now, facts);
  return now.state.operation === null ? follow(now, "mount", answerUnmounted(now)) : now;
}

function chooseForMount(before: Situation, facts: Facts): Situation {
  const first = applyRules(before, MOUNT_RULES.first, facts);
  if (first.isDecided) return first.now;
  const learned = learnFrom(first.now, facts);
  const always = applyRules(learned, MOUNT_RULES.always, facts);
  const isAnswering = facts.mountFact.verdict.state === "alive";
  return always.isDecided || !isAnswering
    ? always.now
    : applyRules(always.now, MOUNT_RULES.answering, facts).now;
}
