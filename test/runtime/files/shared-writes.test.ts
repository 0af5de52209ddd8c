import assert from "node:assert/strict";
import { test } from "node:test";
import { shareWrites } from "../../../src/runtime/files/shared-writes.ts";

test("A5 what is asked for during a write shares the next one, and a failed one fails nobody after it", async () => {
  const under: PromiseWithResolvers<number>[] = [];
  const writes = shareWrites(() => {
    const one = Promise.withResolvers<number>();
    under.push(one);
    return one.promise;
  });
  const first = writes.write();
  const same = writes.write();
  assert.equal(first, same, "it has not begun yet");
  await Promise.resolve();
  const second = writes.write();
  const third = writes.write();
  assert.notEqual(second, first);
  assert.equal(third, second);
  const settled = writes.settled;
  assert.equal(under.length, 1, "one at a time");
  under[0]?.reject(new Error("the disk is full"));
  await assert.rejects(first, /the disk is full/);
  await Promise.resolve();
  under[1]?.resolve(2);
  assert.equal(await third, 2);
  await settled;
  assert.equal(under.length, 2);
});
