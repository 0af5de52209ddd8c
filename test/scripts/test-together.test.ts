// Files that share a process: each is a suite of its own, its hooks are its own, and one that fails is told by name.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/temporary-folder.ts";

const TOGETHER = path.resolve(import.meta.dirname, "../../scripts/test-together.ts");

function run(args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--test-reporter=tap", TOGETHER, ...args],
      { env, timeout: 60_000 },
      (error, stdout) => resolve({ code: error === null ? 0 : Number(error.code), stdout }),
    );
  });
}

test("each file is a suite with its own hooks, and a failure in one leaves the others whole", async (t) => {
  const folder = await temporaryFolder(t);
  const file = async (name: string, text: string): Promise<string> => {
    const made = path.join(folder, name);
    await writeFile(
      made,
      `import { beforeEach, test } from "node:test";\nimport assert from "node:assert";\n${text}`,
    );
    return made;
  };
  const hooked = await file(
    "hooked.mjs",
    'beforeEach(() => { globalThis.hooks = (globalThis.hooks ?? 0) + 1; });\ntest("first", () => {});\ntest("second", () => {});',
  );
  const broken = await file("broken.mjs", 'test("third", () => assert.fail("as told"));');
  const unreadable = await file("unreadable.mjs", 'throw new Error("not loaded");');
  const counting = await file("counting.mjs", 'test("fourth", () => assert.equal(globalThis.hooks, 2));');

  const { code, stdout } = await run([hooked, broken, unreadable, counting]);

  assert.equal(code, 1);
  const ends = [...stdout.matchAll(/^( *)(ok|not ok) \d+ - (\S+)$/gm)].map(
    ([, indent = "", end, name = ""]) => `${indent.length / 4} ${end} ${path.basename(name)}`,
  );
  assert.deepEqual(ends, [
    "1 ok first",
    "1 ok second",
    "0 ok hooked.mjs",
    "1 not ok third",
    "0 not ok broken.mjs",
    "0 not ok unreadable.mjs",
    "1 ok fourth",
    "0 ok counting.mjs",
  ]);
  assert.match(stdout, /not loaded/);

  // The time is over when the first has run: no other is begun.
  const short = await run(["--for", "1", hooked, broken]);
  assert.equal(short.code, 0, short.stdout);
  assert.match(short.stdout, /ok \d+ - second/);
  assert.doesNotMatch(short.stdout, /third/);

  const red = await run(["--for", "600000", hooked, broken, counting]);
  assert.match(red.stdout, /not ok \d+ - third/);
  assert.doesNotMatch(red.stdout, /fourth/);
});
