import assert from "node:assert/strict";
import { test } from "node:test";
import { restartAgainAndAgain } from "./restarts.ts";

// 1,000 of them are in the lab.
test("B7 200 restarts under calls lose none, leave no process, and memory stays flat", async (t) => {
  const { restarts, calls, grownMb, processes, lost } = await restartAgainAndAgain(200);
  t.diagnostic(`${restarts} restarts, ${calls} calls, ${grownMb.toFixed(1)} MB more in the second half`);
  assert.deepEqual({ processes, lost }, { processes: 0, lost: [] });
  // After so few the heap still grows to its size.
  assert.ok(grownMb < 60, `${grownMb} MB`);
});
