import assert from "node:assert/strict";
import { test } from "node:test";
import { changedLines } from "../../../src/tui/panel/changed-lines.ts";

function shown(before: string, after: string): string[] {
  return changedLines(before, after).map(({ mark, number, text }) => `${number} ${mark} ${text}`);
}

test("B9 a changed value is the line that went and the line that came", () => {
  assert.deepEqual(shown("# c\n[sync]\ndebounce = 1\n", "# c\n[sync]\ndebounce = 0.5\n"), [
    "3 - debounce = 1",
    "3 + debounce = 0.5",
  ]);
});

test("B9 lines that came alone have the numbers they have now", () => {
  assert.deepEqual(shown("a = 1\n", "a = 1\n\n[sync]\ndebounce = 0.5\n"), [
    "2 + ",
    "3 + [sync]",
    "4 + debounce = 0.5",
  ]);
  assert.deepEqual(shown("", "[sync]\n"), ["1 + [sync]"]);
  assert.deepEqual(shown("a\nb\n", "b\n"), ["1 - a"]);
});

test("changes far apart, CRLF and a last line without its break are told rightly", () => {
  const lines = Array.from({ length: 30 }, (_, index) => `k${index} = 1`);
  const before = lines.join("\r\n");
  const after = before.replace("k1 = 1", "k1 = 2").replace(/k29 = 1$/, "k29 = 3");
  assert.deepEqual(shown(before, after), ["2 - k1 = 1", "2 + k1 = 2", "30 - k29 = 1", "30 + k29 = 3"]);
});

test("equal texts have none, and lines that look like a diff are lines", () => {
  assert.deepEqual(shown("x\n", "x\n"), []);
  assert.deepEqual(shown("@@ -1 +1 @@\nx\n", "@@ -1 +1 @@\n--- y\n"), ["2 - x", "2 + --- y"]);
});
