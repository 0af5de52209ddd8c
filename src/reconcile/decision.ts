// Parts that the decisions about shares and about backends have in common. Pure.
import type { NextRun } from "./reconcile-loop.ts";

export function earliest(runs: readonly NextRun[]): NextRun | null {
  return runs.reduce<NextRun | null>(
    (first, run) => (first === null || run.atMs < first.atMs ? run : first),
    null,
  );
}

/**
 * Since when each condition has been true, wall ms by the condition's code: the time in `before`, else now.
 */
export function standingSince(
  conditions: readonly { readonly code: string }[],
  before: ReadonlyMap<string, number>,
  wallMs: number,
): ReadonlyMap<string, number> {
  return new Map(conditions.map(({ code }) => [code, before.get(code) ?? wallMs]));
}
