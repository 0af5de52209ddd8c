import assert from "node:assert/strict";
import test from "node:test";
import { peersInstalled } from "../../bench/gateways.ts";
import { playOnHub } from "../live/never-down/hub-story.ts";
import { storySeed, tellNeverDown } from "../live/never-down/told-story.ts";

/** Fewer to try it out: MOUNTAINEER_EDITS. */
const EDITS = Number(process.env["MOUNTAINEER_EDITS"] ?? 1_000);

test("B11 1,000 edits, 20 handovers and 20 kill -9 at 300 calls a second lose no session, and make no call twice", (t) =>
  tellNeverDown(t, { edits: EDITS, handovers: 20, kills: 20 }));

// Nothing is promised of it: its counts stand beside ours.
test("B7 the same edits at mcp-hub, beside it", async (t) => {
  if (!(await peersInstalled(true))) {
    t.skip("mcp-hub cannot be installed (bench/peers)");
    return;
  }
  const end = await playOnHub({ seed: storySeed(), edits: EDITS });
  t.diagnostic(
    `${end.name}: ${end.edits} edits in ${end.seconds.toFixed(0)} s, ${end.calls} calls (${end.perSecond.toFixed(0)} a second): ${end.lost.length} lost, ${end.undone.length} answered and not made, ${end.twice.length} made twice, ${end.wrong} edits not in the list after 5 s, ${end.gone} sessions gone`,
  );
  for (const words of end.lost.slice(0, 5)) t.diagnostic(`lost, for example: ${words}`);
  assert.ok(end.calls > 0);
});
