import assert from "node:assert/strict";
import { test } from "node:test";
import { FirstBorrowed } from "../../../src/gateway/serving/borrowed-backends.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

const BORROWED = [{ machine: "desktop", backend: "files", instance: "1" }];

function stage(borrows: boolean) {
  const clock = createManualClock();
  const first = new FirstBorrowed();
  const ending = new AbortController();
  let isOver = false;
  const pool = { settled: async (): Promise<void> => {} };
  void first.settled(pool, { config: { borrows } }, clock, ending.signal).then(() => {
    isOver = true;
  });
  return { clock, first, ending, isOver: () => settle().then(() => isOver) };
}

test("G1 after a start, who knew tools of other machines is answered when these were heard, or soon", async () => {
  const there = stage(true);
  assert.equal(await there.isOver(), false);
  there.first.note([]);
  await there.clock.advance(300);
  assert.equal(await there.isOver(), false);
  there.first.note(BORROWED);
  await settle();
  await there.clock.advance(400);
  assert.equal(await there.isOver(), true);

  const away = stage(true);
  await settle();
  await away.clock.advance(2_000);
  assert.equal(await away.isOver(), true);

  const ended = stage(true);
  await settle();
  ended.ending.abort();
  assert.equal(await ended.isOver(), true);

  assert.equal(await stage(false).isOver(), true);
});
