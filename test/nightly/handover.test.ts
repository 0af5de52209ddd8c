import assert from "node:assert/strict";
import test from "node:test";
import { handOverUnderLoad } from "../mcp/handover-load.ts";

/** Fewer to try it out: MOUNTAINEER_EDITS. */
const EDITS = Number(process.env["MOUNTAINEER_EDITS"] ?? 1_000);

// Some 300 calls a second on two cores.
test("B11 1,000 edits and 20 handovers under calls of eight sessions lose none, and none is done twice", async (t) => {
  const end = await handOverUnderLoad({ handovers: 20, http: 5, stdio: 3, pauseMs: 20, edits: EDITS });
  const { calls, edits, seconds, slowestMs, lost, undone, twice, daemons } = end;
  t.diagnostic(
    `${edits} edits, ${calls} calls, ${(calls / seconds).toFixed(0)} a second for ${seconds.toFixed(0)} s, the slowest ${slowestMs.toFixed(0)} ms`,
  );
  assert.deepEqual({ lost, undone, twice, daemons }, { lost: [], undone: [], twice: [], daemons: 21 });
  assert.equal(edits, EDITS);
});
