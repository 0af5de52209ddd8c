// One unlucky test ends no run of `.ci/run`: what failed is played again after the rest, and the totals stay right.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, glob, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileOutcome } from "../../scripts/test-outcome.ts";
import { type FailedFiles, failedFiles, listedFiles, refusal, replay } from "../../scripts/test-replay.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

function failed(file: string): FailedFiles {
  const counted = { passed: 4, failed: 1, skipped: 0 };
  return { suite: "unit", files: [file], counted, failures: [`${file} broke`], load: [1, 1, 1] };
}

/** A checkout with the runner and these test files; resolves with what a run of one suite prints. */
async function runOf(t: TestContext, tests: Readonly<Record<string, string>>, flaky = ""): Promise<string> {
  const root = await temporaryFolder(t);
  const copied = ["bin/with-node", "bin/find-node.sh", ".ci/suites.sh", "package.json"];
  copied.push(...(await Array.fromAsync(glob("scripts/*.ts", { cwd: ROOT }))));
  for (const file of copied) await cp(path.join(ROOT, file), path.join(root, file));
  await symlink(path.join(ROOT, "node_modules"), path.join(root, "node_modules"));
  await writeFile(path.join(root, ".ci/flaky"), flaky);
  for (const [name, text] of Object.entries(tests)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(
      path.join(root, name),
      `import { test } from "node:test";
       import { existsSync, writeFileSync } from "node:fs";
       const again = existsSync(${JSON.stringify(`${root}/${name}.played`)});
       writeFileSync(${JSON.stringify(`${root}/${name}.played`)}, "");
       test("is the same", () => {});
       ${text}`,
    );
  }
  const run = `. .ci/suites.sh; suite tests 300 counted bin/with-node scripts/test.ts unit; play_failed_again; finish`;
  const { NODE_TEST_CONTEXT: _context, MOUNTAINEER_TEST_EVENTS: _events, ...env } = process.env;
  return new Promise((resolve) => {
    execFile("bash", ["-c", run], { cwd: root, env, timeout: 600_000 }, (_error, stdout) => resolve(stdout));
  });
}

const UNLUCKY = `test("is lucky once", () => { if (!again) throw new Error("not yet"); });`;
const BROKEN = `test("is broken", () => { throw new Error("never"); });`;

describe("a run whose tests fail", () => {
  test("passes if they pass when they are played again, and says which, how and at what load", async (t) => {
    const printed = await runOf(t, { "test/api/one.test.ts": UNLUCKY, "test/api/two.test.ts": "" });
    const [, flaky = ""] = printed.split("\nFLAKY: ");
    assert.match(flaky, /\ntest\/api\/one\.test\.ts failed at a load of [\d.]+, [\d.]+, [\d.]+:/);
    assert.match(flaky, /Error: not yet/);
    assert.match(printed, /\n3 passed, 0 failed\n$/);
  });

  test("fails if one of them fails again", async (t) => {
    const printed = await runOf(t, { "test/api/one.test.ts": UNLUCKY, "test/two.test.ts": BROKEN });
    assert.match(printed, /\nFLAKY: .*\ntest\/api\/one/);
    assert.match(printed, /\n3 passed, 1 failed\n$/);
  });

  test("fails without playing anything again if one stands in the list, and says how it failed", async (t) => {
    const printed = await runOf(
      t,
      { "test/one.test.ts": UNLUCKY },
      "test/one.test.ts a load of 8, not yet\n",
    );
    const [, refused = ""] = printed.split("not played again: ");
    assert.match(refused, /^test\/one\.test\.ts failed before/);
    assert.match(refused, /\ntest\/one\.test\.ts failed at a load of .*:\n(?: {4}.*\n)*.*Error: not yet/);
    assert.match(printed, /\n1 passed, 1 failed\n$/);
  });
});

test("three test files are played again, four are not", () => {
  const three = ["a", "b", "c"].map(failed);
  assert.equal(refusal(three, []), null);
  assert.match(refusal([...three, failed("d")], []) ?? "", /^4 test files failed/);
});

test("a file that does not end well the second time stays failed", async () => {
  const totals = { passed: 10, failed: 1, skipped: 2 };
  for (const again of [null, { passed: 0, failed: 0, skipped: 0 }, { passed: 4, failed: 1, skipped: 0 }])
    assert.deepEqual(await replay([failed("a")], totals, async () => again), { totals, flaky: [] });
});

test("files that shared a process are played again together if the failure belongs to none of them", () => {
  const end = { exitCode: 0, signal: null, timedOutAfterMs: null, keptAlive: [], filtered: false };
  const outcome = fileOutcome([{ event: "finished" }], { ...end, leftBehind: ["process 7"] }, false);
  const [one, ...others] = failedFiles("unit", ["a.test.ts", "b.test.ts"], outcome, [1, 1, 1]);
  assert.deepEqual(one?.files, ["a.test.ts", "b.test.ts"]);
  assert.deepEqual(others, []);
});

test("the list names test files that exist", async () => {
  assert.deepEqual(listedFiles("# of the runs\ntest/a.test.ts 2026-01-02: late\n\n"), ["test/a.test.ts"]);
  for (const file of listedFiles(await readFile(path.join(ROOT, ".ci/flaky"), "utf8")))
    await readFile(path.join(ROOT, file));
});
