import assert from "node:assert/strict";
import { appendFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { openLogFile } from "../../../src/cli/sessions/log-lines-file.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const SETTLES_MS = 10_000;

async function scene(t: TestContext) {
  const path = join(await temporaryFolder(t), "mountaineer.log");
  const open = (count: number, matches: (line: string) => boolean = () => true) =>
    openLogFile({ path, count, matches, clock: systemClock });
  return {
    path,
    open,
    last: async (count: number, matches?: (line: string) => boolean) => {
      await using log = await open(count, matches);
      return log.last;
    },
  };
}

/** Follows until the test ends; what has come so far. */
function following(t: TestContext, log: Awaited<ReturnType<typeof openLogFile>>) {
  const stop = new AbortController();
  const lines: string[] = [];
  const ended = (async () => {
    for await (const line of log.follow(stop.signal)) lines.push(line);
    await log[Symbol.asyncDispose]();
  })();
  t.after(async () => {
    stop.abort();
    await ended;
  });
  return {
    lines,
    until: (expected: readonly string[]) =>
      eventually(() => lines.length === expected.length).then(() => assert.deepEqual(lines, expected)),
  };
}

test("the last lines are printed, oldest first, however large the file and long its lines", async (t) => {
  const { path, last } = await scene(t);
  assert.deepEqual(await last(3), []);
  await writeFile(path, "a\nb\n");
  assert.deepEqual(await last(3), ["a", "b"]);
  assert.deepEqual(await last(1), ["b"]);
  assert.deepEqual(await last(0), []);
  const long = "ü".repeat(200_000);
  const many = Array.from({ length: 30_000 }, (_, index) => `line ${index}`);
  await writeFile(path, [...many, long, "end", ""].join("\n"));
  assert.deepEqual(await last(3), ["line 29999", long, "end"]);
  assert.equal((await last(40_000)).length, 30_002);
  assert.deepEqual(await last(1, (line) => line === "line 7"), ["line 7"]);
});

test("an unfinished line is printed once it is whole", async (t) => {
  const { path, open, last } = await scene(t);
  await writeFile(path, "a\nhal");
  assert.deepEqual(await last(5), ["a"]);
  const followed = following(t, await open(5));
  await appendFile(path, "f\n\nnext\nund");
  await followed.until(["half", "next"]);
  await appendFile(path, "one\n");
  await followed.until(["half", "next", "undone"]);
});

test("the rotated file's lines are printed first where this one has too few", async (t) => {
  const { path, last } = await scene(t);
  await writeFile(`${path}.1`, "1\n2\n3\n");
  await writeFile(path, "4\n");
  assert.deepEqual(await last(3), ["2", "3", "4"]);
  assert.deepEqual(await last(1), ["4"]);
  await rm(path);
  assert.deepEqual(await last(2), ["2", "3"]);
});

test("rotated files are found next to the target of a link at the path, and next to the link", async (t) => {
  const { path, last } = await scene(t);
  await writeFile(`${path}-far`, "3\n");
  await symlink(`${path}-far`, path);
  await writeFile(`${path}.1`, "2\n");
  assert.deepEqual(await last(2), ["2", "3"]);
  await writeFile(`${path}-far.1`, "far\n");
  assert.deepEqual(await last(2), ["far", "3"]);
});

test("following continues over a rotation, and misses no line on either side of it", async (t) => {
  const { path, open } = await scene(t);
  await writeFile(path, "old\n");
  const followed = following(t, await open(0));
  await appendFile(path, "1\n");
  await followed.until(["1"]);
  await rename(path, `${path}.1`);
  await appendFile(`${path}.1`, "2\n");
  await writeFile(path, "3\n");
  await followed.until(["1", "2", "3"]);
  await appendFile(path, "4\n");
  await followed.until(["1", "2", "3", "4"]);
});

test("lines written into a moved file until its writer notices are read, even when another process has made the next one", async (t) => {
  const { path } = await scene(t);
  await writeFile(path, "1\n");
  const clock = createManualClock();
  await using log = await openLogFile({ path, count: 0, matches: () => true, clock });
  const stop = new AbortController();
  const lines: string[] = [];
  const ended = (async () => {
    for await (const line of log.follow(stop.signal)) lines.push(line);
  })();
  const look = async (): Promise<void> => {
    await eventually(() => clock.pendingTimers === 1);
    await clock.advance(150);
    await eventually(() => clock.pendingTimers === 1);
  };
  await rename(path, `${path}.moved`);
  await look();
  await appendFile(`${path}.moved`, "2\n");
  await look();
  await writeFile(path, "");
  await look();
  await appendFile(`${path}.moved`, "3\n");
  await appendFile(path, "4\n");
  await look();
  stop.abort();
  await clock.advance(150);
  await ended;
  assert.deepEqual(lines, ["2", "3", "4"]);
});

test("a missing, removed or emptied file is waited for", async (t) => {
  const { path, open } = await scene(t);
  const log = await open(5);
  assert.equal(log.exists, false);
  const followed = following(t, log);
  await writeFile(path, "1\n");
  await followed.until(["1"]);
  await rm(path);
  await writeFile(path, "2\n");
  await followed.until(["1", "2"]);
  await truncate(path, 0);
  await eventually(async () => {
    // Until the emptied file was seen, a line of the same length could not be told from the old one.
    await appendFile(path, "later\n");
    return followed.lines.includes("later");
  });
  assert.deepEqual(followed.lines.slice(0, 2), ["1", "2"]);
});

test("a line that was cut off by an emptied file is not joined to the next; one that a rotation ends is printed", async (t) => {
  const { path } = await scene(t);
  await writeFile(path, "");
  const clock = createManualClock();
  await using log = await openLogFile({ path, count: 0, matches: () => true, clock });
  const stop = new AbortController();
  const lines = log.follow(stop.signal);
  /** What comes after the follower has read all that is there, and then looked once more. */
  const after = async (change: () => Promise<void>): Promise<void> => {
    await eventually(() => clock.pendingTimers === 1);
    await change();
    await clock.advance(150);
  };
  const first = lines.next();
  await after(() => appendFile(path, "half of a line"));
  await after(() => truncate(path, 0));
  await after(() => appendFile(path, "whole\nunended"));
  assert.equal((await first).value, "whole");
  const second = lines.next();
  let isOver = false;
  void second.then(() => (isOver = true));
  await after(() => rename(path, `${path}.1`));
  assert.equal(isOver, false, "its writer may end it yet");
  await after(() => writeFile(path, "next\n"));
  await eventually(() => isOver || clock.pendingTimers === 1);
  stop.abort();
  assert.equal((await second).value, "unended");
  for await (const line of lines) assert.equal(line, "next");
});

test("an aborted follower ends at once", async (t) => {
  const { path, open } = await scene(t);
  await writeFile(path, "a\n");
  await using log = await open(1);
  for await (const line of log.follow(AbortSignal.abort())) assert.fail(line);
});

test("a pipe where the log should be is refused, and never waited for", async (t) => {
  const { path, open } = await scene(t);
  const { exitCode } = await runCommand("mkfifo", [path], { clock: systemClock, deadlineMs: SETTLES_MS });
  assert.equal(exitCode, 0);
  await assert.rejects(open(5), { code: "path_taken" });
});
