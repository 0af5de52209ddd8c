// Bytes that come piece by piece: all are there, in their order, and tiny pieces cost little memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GatheredBytes } from "../../../src/runtime/text/gathered-bytes.ts";
import { leastGrowth } from "../../support/heap-growth.ts";

test("bytes that arrive in tiny pieces are whole again, and so is the next round", () => {
  const bytes = new GatheredBytes();
  const source = Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 251));
  for (let round = 0; round < 2; round++) {
    for (let at = 0; at < source.length; at++) bytes.push(source.subarray(at, at + 1));
    assert.equal(bytes.length, source.length);
    assert.deepEqual(bytes.take(), source);
    assert.equal(bytes.take().length, 0);
  }
});

test("tiny pieces leave no object each", async () => {
  const all: GatheredBytes[] = [];
  const source = Buffer.alloc(100_000, "x");
  const growth = await leastGrowth(async () => {
    const bytes = new GatheredBytes();
    all.push(bytes);
    for (let at = 0; at < source.length; at++) bytes.push(source.subarray(at, at + 1));
  });
  assert.ok(growth < 1_000_000, `${growth} bytes`);
});
