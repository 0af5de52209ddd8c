import assert from "node:assert/strict";
import { test } from "node:test";
import { loadedFiles, nearestTests, testsReaching } from "../../scripts/import-graph.ts";

const known = new Set([
  "src/a.ts",
  "src/b.ts",
  "src/child.ts",
  "src/deep/c.ts",
  "test/a.test.ts",
  "test/b.test.ts",
]);

test("a file loads what it imports and names the programs that it starts; types load nothing", () => {
  const source = `
    import type { B } from "./b.ts";
    import { c } from "./deep/c.ts";
    startChildProgram("child");
    // import { a } from "./a.ts" in a comment names it, too: rather one test file too many.
  `;
  assert.deepEqual([...loadedFiles("src/main.ts", source, known)].sort(), [
    "src/a.ts",
    "src/child.ts",
    "src/deep/c.ts",
  ]);
  assert.deepEqual([...loadedFiles("test/x.test.ts", 'run("src/a.ts")', known)], ["src/a.ts"]);
});

test("a change reaches the test files that load it, at any distance, and a changed test file itself", () => {
  const graph = new Map([
    ["src/a.ts", new Set(["src/b.ts"])],
    ["src/b.ts", new Set(["src/a.ts"])],
    ["test/a.test.ts", new Set(["src/a.ts"])],
    ["test/b.test.ts", new Set<string>()],
  ]);
  assert.deepEqual([...testsReaching(graph, ["src/b.ts"])], [["test/a.test.ts", 2]]);
  assert.deepEqual([...testsReaching(graph, ["test/b.test.ts"])], [["test/b.test.ts", 0]]);
  assert.deepEqual([...testsReaching(graph, ["src/gone.ts"])], []);
});

test("the nearest test file is a source's own, then come those of its folder, then others by their distance", () => {
  const graph = new Map([
    ["src/a/b.ts", new Set<string>()],
    ["src/c.ts", new Set(["src/a/b.ts"])],
    ["test/a/a.test.ts", new Set(["src/c.ts"])],
    ["test/a/b.test.ts", new Set(["src/c.ts"])],
    ["test/a/else.test.ts", new Set<string>()],
    ["test/c.test.ts", new Set(["src/c.ts"])],
    ["test/direct.test.ts", new Set(["src/a/b.ts"])],
  ]);
  const near = nearestTests(graph, ["src/a/b.ts"]);
  const beside = ["test/a/b.test.ts", "test/a/a.test.ts"];
  assert.deepEqual(
    near.map(({ file }) => file),
    [...beside, "test/direct.test.ts", "test/c.test.ts"],
  );
  assert.deepEqual(
    near.flatMap(({ file, isBeside }) => (isBeside ? file : [])),
    beside,
  );
});
