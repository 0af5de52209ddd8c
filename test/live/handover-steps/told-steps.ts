// Plays a handover that ends at each of many steps, and says what came of it; fails where not one daemon is in charge.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type Fault, type FaultEnd, openHandoverSteps } from "./steps.ts";

const HOWS = ["is killed", "fails"] as const;

/** `pick`: of all that could be played, in the handover's order. */
export async function tellSteps(
  t: TestContext,
  pick: (faults: readonly Fault[]) => readonly Fault[],
): Promise<void> {
  await using scene = await openHandoverSteps();
  const steps = await scene.record();
  const faults = pick(steps.flatMap((step) => HOWS.map((how): Fault => ({ step, how }))));
  t.diagnostic(`${steps.length} steps, ${faults.length} faults`);
  const ends: FaultEnd[] = [];
  for (const fault of faults) {
    const end = await scene.play(fault);
    ends.push(end);
    const what = end.wrong ?? (end.startedAnew ? "started anew" : "one in charge");
    // At once: the whole takes long.
    process.stderr.write(`${fault.step} ${fault.how}: ${what}${end.reached ? "" : " (not reached)"}\n`);
  }
  const wrong = ends.filter(
    ({ wrong, startedAnew, isBeyondLine }) => wrong !== null || (startedAnew && !isBeyondLine),
  );
  assert.deepEqual(wrong, []);
  const reached = ends.filter((end) => end.reached).length;
  assert.ok(reached >= 0.8 * faults.length, `${reached} of ${faults.length} faults came to pass`);
}
