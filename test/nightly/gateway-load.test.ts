import assert from "node:assert/strict";
import test from "node:test";
import { playStory } from "../live/gateway-story.ts";

// By a slow machine fewer: a run has to end.
const EDITS = 200;
const ENOUGH = { edits: 100, ms: 90_000 } as const;

test("B7 hundreds of edits under load lose no call and no session, and every list and notice is as it should be", async (t) => {
  const seed = Number(process.env["MOUNTAINEER_SEED"] ?? 261_120);
  t.diagnostic(`seed ${seed} (MOUNTAINEER_SEED)`);
  const { edits, calls, overtaken, notices, seconds, ...end } = await playStory({
    edits: EDITS,
    seed,
    enough: ENOUGH,
  });
  t.diagnostic(
    `${edits} edits, ${calls} calls (${overtaken} overtaken), ${notices} notices, ${seconds.toFixed(1)} s`,
  );
  assert.deepEqual(end, { wrong: [], lost: [], dropped: 0 }, `seed ${seed}`);
  assert.ok(edits >= ENOUGH.edits);
  assert.ok(calls >= 10 * edits, `${calls} calls are no load`);
});
