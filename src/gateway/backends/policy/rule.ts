// The form of a rule for a backend's next step, and how rules are asked. A rule only answers; what follows from its answer
// is done here.
import type { NextRun } from "../../../reconcile/reconcile-loop.ts";
import type { BackendMemory, BackendSituation } from "./backend-situation.ts";
import type { BackendStep, RuleName } from "./backend-step.ts";

export interface Answer {
  /** Without a step, the next rule is asked. */
  readonly step?: BackendStep;
  /** Why the rule does nothing now, if no time is known at which it is due. */
  readonly why?: string;
  readonly waits?: readonly Wait[];
  readonly learned?: Partial<BackendMemory>;
  /** True: a start is due, and waits for this backend's turn. No rule is asked after this one. */
  readonly awaitsTurn?: boolean;
}

/** The rule is due at `atMs`, monotonic. Without `why`, it is not listed among those passed over. */
export interface Wait extends NextRun {
  readonly why?: string;
}

/** `answer` returns null if the rule does not apply. */
export interface Rule {
  readonly name: RuleName;
  readonly answer: (situation: BackendSituation) => Answer | null;
}

/** Asks the rules in order, until one takes a step or waits for its turn. */
export function applyRules(
  before: BackendSituation,
  rules: readonly Rule[],
): { readonly next: BackendSituation; readonly wantsTurn: boolean } {
  let next = before;
  for (const { name, answer } of rules) {
    const given = answer(next);
    if (given === null) continue;
    next = follow(next, name, given);
    if (next.step !== null || given.awaitsTurn === true) return { next, wantsTurn: next.step === null };
  }
  return { next, wantsTurn: false };
}

function follow(before: BackendSituation, rule: RuleName, given: Answer): BackendSituation {
  let next = before.remember(given.learned ?? {});
  if (given.why !== undefined) next = next.passOver(rule, given.why);
  for (const { atMs, reason, why } of given.waits ?? []) {
    next = next.runAt(atMs, reason);
    if (why !== undefined) next = next.passOver(rule, why, atMs);
  }
  return given.step === undefined ? next : next.take(given.step);
}
