// No function of the sources is too long to be read at once, and few are long at all.
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { longFunctions } from "./long-functions.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const LONG = 100;
const MOST_LONG = 10;
const TOO_LONG = 150;

describe("functions of the sources", () => {
  test(`are at most ${TOO_LONG} lines long, and at most ${MOST_LONG} of them over ${LONG}`, async () => {
    const tree = new Map<string, string>();
    for await (const file of glob("src/**/*.{ts,tsx}", { cwd: ROOT })) {
      tree.set(file, await readFile(path.join(ROOT, file), "utf8"));
    }
    const long = longFunctions(tree, LONG);
    const told = long.map(({ place, lines }) => `${place} has ${lines} lines`).join("\n");
    assert.ok((long[0]?.lines ?? 0) <= TOO_LONG, told);
    assert.ok(
      long.length <= MOST_LONG,
      `${long.length} functions over ${LONG} lines; name their parts:\n${told}`,
    );
  });
});

describe("a long function is found", () => {
  const body = ["one();", "two();", "three();"].map((line) => `  ${line}`).join("\n");
  const cases: readonly { name: string; source: string; lines: readonly number[] }[] = [
    { name: "a declaration", source: `export function a(): void {\n${body}\n}`, lines: [5] },
    {
      name: "parameters on lines of their own",
      source: `async function a(\n  { b }: { b: string },\n  c: () => void,\n): Promise<{ d: 1 }> {\n${body}\n}`,
      lines: [8],
    },
    { name: "an arrow", source: `const a = async (): Promise<void> => {\n${body}\n};`, lines: [5] },
    { name: "an arrow as an argument", source: `run("a", async () => {\n${body}\n});`, lines: [5] },
    { name: "a method", source: `const a = {\n  async b(c): Promise<void> {\n${body}\n  },\n};`, lines: [5] },
    { name: "a getter", source: `const a = {\n  get b() {\n${body}\n  },\n};`, lines: [5] },
    {
      name: "one in the other",
      source: `function a() {\n  return () => {\n${body}\n  };\n}`,
      lines: [7, 5],
    },
    { name: "not an object", source: `const a = {\n  b: 1,\n  c: 2,\n  d: f(),\n};`, lines: [] },
    {
      name: "not a loop or a condition",
      source: `if (a()) {\n${body}\n} else if (b()) {\n${body}\n}`,
      lines: [],
    },
    { name: "not a type", source: `interface A {\n  b(c: string): void;\n  d: 1;\n  e: 2;\n}`, lines: [] },
    {
      name: "not what a string or a comment says",
      source: `const a = [\n  "function b() {",\n  // function c() {\n  1,\n  2,\n  "}",\n];`,
      lines: [],
    },
  ];
  for (const { name, source, lines } of cases) {
    test(name, () => {
      const found = longFunctions(new Map([["a.ts", source]]), 4);
      assert.deepEqual(
        found.map((each) => each.lines),
        lines,
      );
    });
  }
});
