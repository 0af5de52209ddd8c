// Every promise is proved by a test whose title begins with its id.
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { PROMISES } from "./promises.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const OWN = "test/architecture/promises.test.ts";

/**
 * The titles of `test(…)`, `it(…)`, `describe(…)` and `t.test(…)`, those in tables of cases (`name: "…"`), and the lines at
 * the margin of `stories(…)` and `tellStories(…)`. In a file of golden texts, those after `==`.
 */
export function titlesIn(source: string): string[] {
  const title = /\b(?:test|it|describe|suite|name|title)\s*(?:\(|:)\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g;
  const told = [...source.matchAll(/\b(?:stories|tellStories)\([^`]*`\n([^`]*)/g)].map(
    (match) => match[1] ?? "",
  );
  const inStories = told.flatMap((text) => text.split("\n").filter((line) => /^\S/.test(line)));
  const golden = source.split("\n").flatMap((line) => /^== (.*)$/.exec(line)?.[1] ?? []);
  return [...[...source.matchAll(title)].flatMap((match) => match[2] ?? []), ...inStories, ...golden];
}

/** `A1` cites A1 and `A1, A2 …` both; `A10` cites neither. */
export function cites(title: string, id: string): boolean {
  const ids = /^(?:[A-G]\d+(?:\s*[,/+&]\s*|\s+and\s+))*/.exec(title)?.[0] ?? "";
  const rest = title.slice(ids.length);
  const follows = (text: string): boolean => text.startsWith(id) && !/^\w/.test(text.slice(id.length));
  return follows(rest) || ids.split(/[^A-G\d]+/).includes(id);
}

/** By file, from the repository's root. In Go a title is a comment, `// A19: …`. */
async function allTitles(): Promise<ReadonlyMap<string, readonly string[]>> {
  const titles = new Map<string, readonly string[]>();
  for await (const file of glob(["test/**/*.{test.ts,golden}", "mount/fs/**/*_test.go"], { cwd: ROOT })) {
    const source = await readFile(path.join(ROOT, file), "utf8");
    if (file.endsWith(".go"))
      titles.set(
        file,
        [...source.matchAll(/^\/\/ (.*)$/gm)].flatMap(([, text]) => text ?? []),
      );
    else if (file !== OWN) titles.set(file, titlesIn(source));
  }
  return titles;
}

test("each promise is proved by the file that it names, and each cited id is a promise", async (t) => {
  const titles = [...(await allTitles())];
  const wrong = PROMISES.flatMap(({ id, what, at, unproved }) => {
    const files = titles.flatMap(([file, all]) => (all.some((title) => cites(title, id)) ? file : []));
    const parts = files.filter((file) => file !== at);
    t.diagnostic(
      `${id} ${at ?? "no test"}; parts: ${parts.join(" ")}${unproved ? `; unproved: ${unproved}` : ""}`,
    );
    if (at === undefined ? files.length > 0 || unproved === undefined : !files.includes(at))
      return `${id}: ${what}: ${at ?? "name the file that proves it"} (cited in ${files.join(" ")})`;
    return [];
  });
  assert.deepEqual(
    wrong,
    [],
    "a title in that file begins with the id, and only there is nothing to name where no title does",
  );
  const known = new Set(PROMISES.map(({ id }) => id));
  const unknown = titles.flatMap(([file, all]) =>
    all.flatMap((title) =>
      (/^(?:[A-G]\d+\b[\s,/+&:]*(?:and\s+)?)+/.exec(title)?.[0].match(/[A-G]\d+/g) ?? [])
        .filter((id) => !known.has(id))
        .map((id) => `${id} in ${file}`),
    ),
  );
  assert.deepEqual(unknown, [], "these ids are not in promises.ts");
});

test("a citation is an id at the start of a title, on its own or among others", () => {
  assert.ok(cites("A1 a tick starts a cycle", "A1"));
  assert.ok(cites("A1, A2 both", "A2"));
  assert.ok(cites("A1/A2: both", "A1"));
  assert.ok(cites("A1 and A2 both", "A2"));
  assert.ok(cites("Recovery: on, on", "Recovery"));
  assert.ok(!cites("A10 something else", "A1"));
  assert.ok(!cites("the loop keeps A1", "A1"));
  assert.ok(!cites("Recoverying", "Recovery"));
  assert.ok(cites("E5 and G1 both", "G1"));
});

test("titles are read from calls and from tables of cases, however they are quoted", () => {
  const source = [
    'test("A1 one", () => {});',
    "describe('A2 two', () => {});",
    "test(`A3 three of $" + "{n}`, () => {});",
    'const cases = [{ name: "A4 four", x: 1 }];',
    'await t.test("A5 with \\"quotes\\"", () => {});',
    'test(\n  "A7 on the next line", () => {});',
    "stories(\n  STARTS,\n  `\nA8 told\n  over tb: no steps\nA9 told, too\n`,\n);",
    "tellStories({ starts: {}, acts: ACTS, facts: [] },\n`\nB1 by hand\n  over tb: no steps\n`);",
    "== B2 golden\n[sync]\n> ok",
  ].join("\n");
  assert.deepEqual(
    titlesIn(source).map((title) => title.slice(0, 2)),
    ["A1", "A2", "A3", "A4", "A5", "A7", "A8", "A9", "B1", "B2"],
  );
});
