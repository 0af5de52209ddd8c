// The form of a rule, and how rules are asked. A rule only answers; what follows from its answer is done here.
import type { NextRun } from "../../reconcile/reconcile-loop.ts";
import type { ShareMemory } from "../../reconcile/state-store.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import type { ConditionDraft } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import type { Facts } from "./facts.ts";
import { type OperationStart, startObstacle, startOperation } from "./operation.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { RequestOutcome } from "./share-request.ts";
import type { NewTransition } from "./share-transitions.ts";
import {
  announce,
  clearError,
  deferRecovery,
  type RuleName,
  type Situation,
  setError,
  setOverride,
  setState,
} from "./situation.ts";
import type { Step } from "./step.ts";

export interface Answer {
  /** The step to take, or the operation to start. Without either, the rule does nothing now. */
  readonly step?: Step;
  readonly start?: OperationStart;
  /** Why the rule does nothing now, and when it is due, monotonic ms. */
  readonly why?: string;
  readonly untilMs?: number;
  /** True: the next rule is asked, unless there is a step. Otherwise no rule is asked after this one. */
  readonly passes?: boolean;
  /** The share's last error from now on. */
  readonly error?: string;
  /** Why the last error is over. */
  readonly clearsError?: string;
  /** Why the return to Thunderbolt waits although it is ready; this is announced. */
  readonly defers?: string;
  /** The answer to the person's request. */
  readonly outcome?: RequestOutcome;
  readonly override?: ShareMemory["override"];
  /** True: this daemon's programs on the share have to end. */
  readonly stopPrograms?: boolean;
  readonly learned?: Partial<ReconcileState>;
  readonly conditions?: readonly ConditionDraft[];
  readonly transitions?: readonly NewTransition[];
  readonly nextRuns?: readonly NextRun[];
}

/** `answer` returns null if the rule does not apply; the next rule is then asked. */
export interface Rule {
  readonly name: RuleName;
  readonly answer: (now: Situation, facts: Facts) => Answer | null;
}

/** Asks the rules in order, until one takes a step or does not pass. */
export function applyRules(
  before: Situation,
  rules: readonly Rule[],
  facts: Facts,
): { readonly now: Situation; readonly isDecided: boolean } {
  let now = before;
  for (const { name, answer } of rules) {
    const given = answer(now, facts);
    if (given === null) continue;
    now = follow(now, name, given);
    if (now.step !== null || given.passes !== true) return { now, isDecided: true };
  }
  return { now, isDecided: false };
}

/** What follows from a rule's answer. */
export function follow(before: Situation, rule: RuleName, given: Answer): Situation {
  const { start, why, untilMs = null } = given;
  let now: Situation = {
    ...before,
    step: given.step ?? null,
    outcome: given.outcome ?? before.outcome,
    stopPrograms: before.stopPrograms || given.stopPrograms === true,
    conditions: [...before.conditions, ...(given.conditions ?? [])],
    nextRuns: [...before.nextRuns, ...(given.nextRuns ?? [])],
    passedOver: why === undefined ? before.passedOver : [...before.passedOver, { rule, why, untilMs }],
  };
  if (given.learned !== undefined) now = setState(now, given.learned);
  if (given.override !== undefined) now = setOverride(now, given.override);
  if (given.error !== undefined) now = setError(now, given.error);
  if (given.clearsError !== undefined) now = clearError(now, given.clearsError);
  now = announce(now, ...(given.transitions ?? []));
  if (given.defers !== undefined) now = deferRecovery(now, given.defers);
  if (start === undefined) return now;
  const obstacle = startObstacle(now, start);
  return obstacle === null ? startOperation(now, start) : follow(now, rule, failing(obstacle));
}

/** The rule does nothing, and the reason is also the share's last error. */
export function failing(why: string): Answer {
  return { why, error: why };
}

/** Why the rule does nothing during a pause after failed mounts or unmounts; null: there is no pause. */
export function pauseOf({ state, observed }: DecideInput): Answer | null {
  const { notBeforeMs, failures } = state.mountBackoff;
  if (notBeforeMs <= observed.atMs) return null;
  const why = `it failed ${pluralize(failures, "time")}, and is tried again after a pause`;
  return { why, untilMs: notBeforeMs, nextRuns: [{ atMs: notBeforeMs, reason: "retry" }] };
}

/** A cycle at `atMs` (monotonic), for an answer. */
export function recheck(atMs: number, reason: NextRun["reason"] = "confirm"): Pick<Answer, "nextRuns"> {
  return { nextRuns: [{ atMs, reason }] };
}
