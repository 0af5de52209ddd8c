import assert from "node:assert/strict";
import { test } from "node:test";
import { createMoving } from "../../src/mcp-bridge/mcp-bridge.ts";
import { createManualClock } from "../support/manual-clock.ts";

/** A client of a daemon that hands over, with a call in flight there. */
function bench() {
  const clock = createManualClock();
  const session = { movesOn: true, mayMove: false, openQuestions: 0 };
  const passage = { isMidway: false };
  const counts = { kept: 0, ended: 0 };
  const inbox = { ended: false, keep: () => void counts.kept++ };
  const moving = createMoving({ session, passage, inbox, clock });
  return { clock, session, passage, counts, moving, look: () => moving.look({ end: () => counts.ended++ }) };
}

test("B11 a client moves on when nothing is in flight, and after 5 s is held back for that", async () => {
  const { clock, session, counts, moving, look } = bench();
  look();
  await clock.advance(4_999);
  assert.deepEqual(counts, { kept: 0, ended: 0 });
  await clock.advance(1);
  assert.deepEqual(counts, { kept: 1, ended: 0 });
  session.mayMove = true;
  look();
  assert.deepEqual([counts.ended, moving.moved, clock.pendingTimers], [1, true, 0]);
});

for (const what of ["an answer that is owed", "a line that has been begun"]) {
  test(`B11 ${what} still goes to the daemon before`, async () => {
    const { clock, session, passage, counts, look } = bench();
    const isLine = what.startsWith("a line");
    session.openQuestions = isLine ? 0 : 1;
    passage.isMidway = isLine;
    look();
    await clock.advance(5_000);
    assert.equal(counts.kept, 0);
    session.openQuestions = 0;
    passage.isMidway = false;
    await clock.advance(5_000);
    assert.equal(counts.kept, 1);
  });
}
