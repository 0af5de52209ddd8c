import assert from "node:assert/strict";
import { test } from "node:test";
import { turnGiver } from "../../../../src/gateway/backends/instance/list-bounds.ts";
import { createManualClock } from "../../../support/manual-clock.ts";

test("E4 checks of a long list give others a turn each time that they have taken 20 ms", async () => {
  const clock = createManualClock();
  const turn = turnGiver(clock);
  assert.equal(turn(), null);
  await clock.advance(20);
  let isServed = false;
  setImmediate(() => {
    isServed = true;
  });
  await turn();
  assert.ok(isServed);
  assert.equal(turn(), null);
});
