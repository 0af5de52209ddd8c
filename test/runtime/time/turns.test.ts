import assert from "node:assert/strict";
import { test } from "node:test";
import { turnGiver } from "../../../src/runtime/time/turns.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("E4 long work gives others a turn each time that it has taken 20 ms", async () => {
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

test("E4 of several long works, one continues in each turn", async () => {
  const clock = createManualClock();
  const works = [turnGiver(clock), turnGiver(clock), turnGiver(clock)];
  await clock.advance(20);
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (turns < 10) setImmediate(count);
  };
  setImmediate(count);
  const at = await Promise.all(works.map((work) => work()?.then(() => turns)));
  assert.equal(new Set(at).size, 3, at.join(" "));
});
