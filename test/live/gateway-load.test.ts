import assert from "node:assert/strict";
import test from "node:test";
import { playStory } from "./gateway-story.ts";

// 200 of them play in the lab.
const EDITS = 60;

test(`B7 ${EDITS} edits under load lose no call and no session, and every list and notice is as it should be`, async (t) => {
  const seed = Number(process.env["MOUNTAINEER_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed} (MOUNTAINEER_SEED)`);
  const { calls, notices, seconds, ...end } = await playStory({ edits: EDITS, seed });
  t.diagnostic(`${calls} calls, ${notices} notices, ${seconds.toFixed(1)} s`);
  assert.deepEqual(end, { wrong: [], lost: [], dropped: 0 }, `seed ${seed}`);
  assert.ok(calls > 500, `${calls} calls are no load`);
});
