import assert from "node:assert/strict";
import test from "node:test";
import { playStory } from "./gateway-story.ts";

// 200 of them play by night; a machine that is busy with other tests plays fewer here.
const EDITS = 25;
const ENOUGH = { edits: 10, ms: 20_000 } as const;

test("B7 edits under load lose no call and no session, and every list and notice is as it should be", async (t) => {
  const seed = Number(process.env["MOUNTAINEER_SEED"] ?? 261_120);
  t.diagnostic(`seed ${seed} (MOUNTAINEER_SEED)`);
  const played = await playStory({ edits: EDITS, seed, enough: ENOUGH });
  const { edits, calls, overtaken, notices, seconds, ...end } = played;
  t.diagnostic(
    `${edits} edits, ${calls} calls (${overtaken} overtaken), ${notices} notices, ${seconds.toFixed(1)} s`,
  );
  assert.deepEqual(end, { wrong: [], lost: [], dropped: 0 }, `seed ${seed}`);
  assert.ok(edits >= 10 && calls >= 10 * edits, `${edits} edits and ${calls} calls are no load`);
});
