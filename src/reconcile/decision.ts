// Parts that the decisions about shares and about backends have in common. Pure.
import type { NextRun } from "./reconcile-loop.ts";

export function earliest(runs: readonly NextRun[]): NextRun | null {
  return runs.reduce<NextRun | null>(
    (first, run) => (first === null || run.atMs < first.atMs ? run : first),
    null,
  );
}

/** A rule that takes no step now, and why. `untilMs`: when it is due, monotonic ms; null: not known. */
export interface PassedOver<Name extends string = string> {
  readonly rule: Name;
  readonly why: string;
  readonly untilMs: number | null;
}

/** The rule that applies now and the rules that were passed over, as people see them. */
export interface Explanation {
  readonly rule: string;
  readonly why: string;
  readonly passedOver: readonly PassedOver[];
}

/** `aheadMs`: wall time minus monotonic time. Whole seconds, as the clocks drift, and drift would pass for news. */
export function inWallTime(explanation: Explanation, aheadMs: number): Explanation {
  const passedOver = explanation.passedOver.map(({ untilMs, ...one }) => ({
    ...one,
    untilMs: untilMs === null ? null : Math.round((untilMs + aheadMs) / 1000) * 1000,
  }));
  return { ...explanation, passedOver };
}
