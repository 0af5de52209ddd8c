import assert from "node:assert/strict";
import test from "node:test";
import { handOverUnderLoad } from "./handover-load.ts";

test("B11 five handovers under calls of eight sessions lose no session and no call, and none is done twice", async (t) => {
  const end = await handOverUnderLoad({ handovers: 5, http: 5, stdio: 3, pauseMs: 10 });
  const { calls, seconds, slowestMs, lost, undone, twice, daemons } = end;
  t.diagnostic(
    `${calls} calls in ${seconds.toFixed(1)} s, the slowest ${slowestMs.toFixed(0)} ms; ${daemons} daemons in turn`,
  );
  assert.deepEqual({ lost, undone, twice, daemons }, { lost: [], undone: [], twice: [], daemons: 6 });
  assert.ok(calls > 200, `${calls} calls are no load`);
});
