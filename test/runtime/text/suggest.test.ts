import assert from "node:assert/strict";
import { test } from "node:test";
import { closestWord, editDistance } from "../../../src/runtime/text/suggest.ts";

test("edits are counted, a swap of neighbours as one", () => {
  const table: [string, string, number][] = [
    ["", "", 0],
    ["", "ab", 2],
    ["ab", "", 2],
    ["ab", "ba", 1],
    ["kitten", "sitting", 3],
    ["a", "a", 0],
  ];
  for (const [one, other, distance] of table) assert.equal(editDistance(one, other), distance);
});

test("the closest known word is meant, if it is close", () => {
  const known = ["shares_root", "mount_root", "lsof_recheck", "name"];
  assert.equal(closestWord("share_root", known), "shares_root");
  assert.equal(closestWord("sharesRoot", known), "shares_root");
  assert.equal(closestWord("lsof-recheck", known), "lsof_recheck");
  assert.equal(closestWord("nmae", known), "name");
  assert.equal(closestWord("color", known), null);
  assert.equal(closestWord("", known), null);
  assert.equal(closestWord("___", known), null);
  assert.equal(closestWord("x".repeat(100_000), known), null);
});
