import assert from "node:assert/strict";
import { test } from "node:test";
import { describeMistakes } from "../../src/config/values/mistakes.ts";

test("B6 mistakes are told with their place, what was found and expected, and a hint where there is one", () => {
  const mistake = { file: "/c.toml", line: 2, column: 3, found: "7", expected: "a text" };
  assert.equal(
    describeMistakes([
      { ...mistake, path: "sync.on", hint: "write it in quotes" },
      { ...mistake, path: "", hint: null },
    ]),
    `/c.toml:2:3: sync.on
  found     7
  expected  a text
  hint      write it in quotes
/c.toml:2:3:
  found     7
  expected  a text`,
  );
});
