// Parts that the decisions about shares and about backends have in common. Pure.
import type { NextRun } from "./reconcile-loop.ts";

export function earliest(runs: readonly NextRun[]): NextRun | null {
  return runs.reduce<NextRun | null>(
    (first, run) => (first === null || run.atMs < first.atMs ? run : first),
    null,
  );
}
