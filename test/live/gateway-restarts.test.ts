import assert from "node:assert/strict";
import { test } from "node:test";
import { restartAgainAndAgain } from "./restarts.ts";

// A thousand of them, which would not fit in the heap if anything stayed, are in the lab.
test("B7 60 restarts under calls lose none and leave no process", async (t) => {
  const { restarts, calls, grownMb, processes, lost } = await restartAgainAndAgain("light", 60);
  t.diagnostic(`${restarts} restarts, ${calls} calls, ${grownMb.toFixed(1)} MB more in the second half`);
  assert.deepEqual({ processes, lost }, { processes: 0, lost: [] });
});
