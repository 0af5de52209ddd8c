import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutByteOrderMark } from "../../../src/runtime/text/byte-order-mark.ts";

test("the mark at the beginning goes, and nothing else", () => {
  for (const [text, rest] of [
    ["\ufeff{}", "{}"],
    ["{}", "{}"],
    ["", ""],
    ["\ufeff", ""],
    ["\ufeff\ufeff", "\ufeff"],
    ["a\ufeff", "a\ufeff"],
  ] as const) {
    assert.equal(withoutByteOrderMark(text), rest);
  }
});
