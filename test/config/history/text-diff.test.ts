import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { diffText } from "../../../src/config/history/text-diff.ts";
import { fc } from "../../support/properties.ts";

const NAMES = { before: "history/1", after: "running" };

test("equal texts have no difference", () => {
  assert.equal(diffText("a\n", "a\n", NAMES), "");
  assert.equal(diffText("", "", NAMES), "");
});

test("changes come with three lines around them, near ones together", () => {
  const old = Array.from({ length: 20 }, (_, index) => `${index}\n`).join("");
  const fresh = old.replace("3\n", "three\n").replace("7\n", "").replace("18\n", "18\nnew\n");
  assert.equal(
    diffText(old, fresh, NAMES),
    `--- history/1
+++ running
@@ -1,11 +1,10 @@
 0
 1
 2
-3
+three
 4
 5
 6
-7
 8
 9
 10
@@ -17,4 +16,5 @@
 16
 17
 18
+new
 19
`,
  );
});

test("a missing line break at the end is said", () => {
  assert.equal(
    diffText("a\nb", "a\nb\n", NAMES),
    "--- history/1\n+++ running\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n",
  );
  assert.equal(diffText("", "a\n", NAMES), "--- history/1\n+++ running\n@@ -0,0 +1 @@\n+a\n");
  assert.equal(diffText("a\n", "", NAMES), "--- history/1\n+++ running\n@@ -1 +0,0 @@\n-a\n");
});

const hasPatch = spawnSync("patch", ["--version"]).status === 0;

test("patch makes the new text from the old one by it", { skip: hasPatch ? false : "needs patch" }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mountaineer-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const line = fc.constantFrom("a\n", "b\n", "c\n", "\n", "d\r\n");
  const text = fc
    .tuple(fc.array(line, { maxLength: 30 }), fc.constantFrom("", "end"))
    .map(([lines, end]) => lines.join("") + end);
  fc.assert(
    fc.property(text, text, (before, after) => {
      const path = join(folder, "file");
      writeFileSync(path, before);
      const input = diffText(before, after, { before: "file", after: "file" });
      const { status, stdout } = spawnSync("patch", ["--binary", "-s", "-o", "out", path], {
        cwd: folder,
        input,
      });
      assert.equal(status, 0, `${stdout}${input}`);
      assert.equal(before === after ? after : readFileSync(join(folder, "out"), "utf8"), after);
    }),
    { numRuns: 60 },
  );
});

test("two texts with nothing in common are replaced whole, in bounded time", () => {
  const lines = (word: string): string =>
    Array.from({ length: 20_000 }, (_, index) => `${word}${index}\n`).join("");
  // Were the shortest way looked for, frontiers of 6 GB would be kept for it, which no heap holds.
  const diff = diffText(lines("a"), lines("b"), NAMES);
  assert.equal(diff.split("\n").length, 40_000 + 4);
});
