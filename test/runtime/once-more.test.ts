import assert from "node:assert/strict";
import { test } from "node:test";
import { onceMore } from "../../src/runtime/once-more.ts";
import { eventually } from "../support/eventually.ts";

test("work is done one at a time, once more when it was asked for meanwhile, and no more after the signal", async () => {
  const stop = new AbortController();
  const begun: PromiseWithResolvers<void>[] = [];
  const ask = onceMore(() => {
    begun.push(Promise.withResolvers<void>());
    return begun.at(-1)?.promise ?? Promise.resolve();
  }, stop.signal);
  ask();
  ask();
  ask();
  assert.equal(begun.length, 1);
  begun[0]?.resolve();
  await eventually(() => begun.length === 2);
  begun[1]?.resolve();
  await begun[1]?.promise;
  ask();
  await eventually(() => begun.length === 3);
  ask();
  stop.abort();
  begun[2]?.resolve();
  await begun[2]?.promise;
  await new Promise(setImmediate);
  assert.equal(begun.length, 3);
});
