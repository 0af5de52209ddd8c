// One word for one thing: names in code do without words that once meant many things.
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scanSource } from "../../scripts/source-scan.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** Whole words within a name: `mailDoor` has one, `outdoors` has none. */
const UNWANTED = new Map([
  ["door", "listener, HTTP server or API"],
  ["wish", "action or options"],
  ["manner", "style, layout or options"],
  ["desk", "the job that it does"],
  ["tell", "report, emit or send"],
  ["tells", "reports, emits or sends"],
  ["told", "reported, or what was reported"],
  ["mend", "repair or correct"],
  ["whoever", "who it is"],
  ["nobodys", "what it is"],
]);

/** Still to be renamed; a folder that is done leaves the list. */
const NOT_YET = /^src\/(api|cli|daemon|demo|doctor|fleet|gateway|mcp-bridge|sync|tui|web)\b/;

function unwantedIn(source: string): string[] {
  const names = new Set(scanSource(source).code.match(/[A-Za-z_]\w*/g));
  return [...names].filter((name) => wordsOf(name).some((word) => UNWANTED.has(word)));
}

function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split("_");
}

test("names have one meaning each", async () => {
  const found: string[] = [];
  for await (const file of glob("src/**/*.{ts,tsx}", { cwd: ROOT })) {
    if (NOT_YET.test(file)) continue;
    for (const name of unwantedIn(await readFile(path.join(ROOT, file), "utf8")))
      found.push(`${file}: ${name}`);
  }
  assert.deepEqual(found, [], `say instead: ${[...UNWANTED].map((row) => row.join(" → ")).join("; ")}`);
});

test("unwanted words are found within names, and in code alone", () => {
  const source = '// tell\nconst httpDoor = "wish", outdoors = 1, isTold = 2, LONGEST_WISH = 3;';
  assert.deepEqual(unwantedIn(source), ["httpDoor", "isTold", "LONGEST_WISH"]);
});
