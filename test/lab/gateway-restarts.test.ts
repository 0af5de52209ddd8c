import assert from "node:assert/strict";
import { test } from "node:test";
import { restartAgainAndAgain } from "../live/restarts.ts";

/** A thousand take a minute: MOUNTAINEER_RESTARTS=1000 */
const RESTARTS = Number(process.env["MOUNTAINEER_RESTARTS"] ?? 200);

test("B7 hundreds of restarts under calls lose none, leave no process, and fit in a small heap", async (t) => {
  const { restarts, calls, grownMb, processes, lost } = await restartAgainAndAgain(RESTARTS);
  t.diagnostic(`${restarts} restarts, ${calls} calls, ${grownMb.toFixed(1)} MB more in the second half`);
  assert.deepEqual({ processes, lost }, { processes: 0, lost: [] });
});
