import assert from "node:assert/strict";
import { test } from "node:test";
import { restartAgainAndAgain } from "../live/restarts.ts";

test("B7 1,000 restarts under calls lose none, leave no process, and fit in a small heap", async (t) => {
  const { restarts, calls, grownMb, processes, lost } = await restartAgainAndAgain("shell", 1000);
  t.diagnostic(`${restarts} restarts, ${calls} calls, ${grownMb.toFixed(1)} MB more in the second half`);
  assert.deepEqual({ processes, lost }, { processes: 0, lost: [] });
});
