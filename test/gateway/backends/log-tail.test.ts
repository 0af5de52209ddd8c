import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogTail } from "../../../src/gateway/backends/log-tail.ts";

test("the last lines are kept, oldest first", () => {
  const tail = createLogTail(3);
  assert.deepEqual(tail.lines(), []);
  for (const line of ["1", "2"]) tail.add(line);
  assert.deepEqual(tail.lines(), ["1", "2"]);
  for (const line of ["3", "4", "5", "6", "7"]) tail.add(line);
  assert.deepEqual(tail.lines(), ["5", "6", "7"]);
});

test("200 are kept unless said otherwise", () => {
  const tail = createLogTail();
  for (let count = 0; count < 1_000; count++) tail.add(String(count));
  assert.equal(tail.lines().length, 200);
  assert.equal(tail.lines()[0], "800");
});
