import assert from "node:assert/strict";
import { test } from "node:test";
import { dropOldest } from "../../src/runtime/bounded-map.ts";

test("the entries that came first go, and those that were inserted anew stay", () => {
  const map = new Map([..."abcd"].map((key) => [key, key]));
  map.delete("a");
  map.set("a", "again");
  dropOldest(map, 4);
  assert.deepEqual([...map.keys()], ["b", "c", "d", "a"]);
  dropOldest(map, 2);
  assert.deepEqual([...map.keys()], ["d", "a"]);
  dropOldest(map, 0);
  assert.equal(map.size, 0);
});
