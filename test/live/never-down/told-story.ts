// Plays the story and says what came of it; fails where a promise did not hold.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { median } from "../../../bench/figures.ts";
import { requireAllDone } from "../../kit/load.ts";
import { playNeverDown } from "./never-down.ts";

const DEFAULT_SEED = 261_122;

export async function tellNeverDown(
  t: TestContext,
  counts: { readonly edits: number; readonly handovers: number; readonly kills: number },
): Promise<void> {
  const seed = Number(process.env["MOUNTAINEER_SEED"] ?? DEFAULT_SEED);
  t.diagnostic(`seed ${seed} (MOUNTAINEER_SEED)`);
  const end = await playNeverDown({ seed, ...counts });
  const kinds = Object.entries(end.byKind).map(([kind, times]) => `${times} ${kind}`);
  t.diagnostic(`${counts.edits + counts.kills} edits in ${end.seconds.toFixed(0)} s: ${kinds.join(", ")}`);
  t.diagnostic(
    `${end.calls} calls, ${end.perSecond.toFixed(0)} a second, the slowest ${end.slowestMs.toFixed(0)} ms; ${end.lost.length} lost, ${end.undone.length} answered and not made, ${end.twice.length} made twice`,
  );
  t.diagnostic(
    `${end.handovers} handovers (${end.refused.length} refused: nothing changed), longest answer around them: ${told(end.aroundMs)}`,
  );
  for (const words of end.refused) t.diagnostic(`refused: ${words}`);
  if (counts.kills > 0) {
    t.diagnostic(
      `${end.kills} kill -9: ${end.broken} calls failed for it (in flight, or made while no daemon was there); what was in flight had ended ${told(end.toErrorMs)} after it; ${end.newcomers} new sessions before them`,
    );
    t.diagnostic(
      `next answer of all sessions: ${told(end.toAnswerMs)} after the next daemon's start, ${told(end.fromListeningMs)} after it listened`,
    );
  }
  requireAllDone(end, `seed ${seed}`);
  const { wrong, gone, handovers } = end;
  assert.deepEqual(
    { wrong, gone, handovers },
    { wrong: [], gone: [], handovers: counts.handovers },
    `seed ${seed}`,
  );
  assert.ok(end.newcomers >= counts.kills && end.broken >= counts.kills, "kills that hit nobody");
}

function told(values: readonly number[]): string {
  if (values.length === 0) return "none";
  return `median ${median(values).toFixed(0)} ms, at most ${Math.max(...values).toFixed(0)} ms`;
}
