// The reader that is started ahead: what it reads early counts only for the very bytes, and it never stays.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { createConfigReader } from "../../../src/config/worker/config-reader.ts";
import { PLACE } from "../../daemon/samples.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const NEVER = new AbortController().signal;
const PATH = "/nowhere/config.toml";
const content = (secs: number): Uint8Array => Buffer.from(`[global]\ncheck_interval_secs = ${secs}\n`);

/** Pids of the readers that this test's process has started and that live. */
async function readers(): Promise<readonly number[]> {
  const all = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const mine = await Promise.all(
    all.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(parent) !== process.pid || state === "Z") return null;
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      return command.includes("load-child") ? pid : null;
    }),
  );
  return mine.filter((pid) => pid !== null);
}

const noReaders = async (): Promise<boolean> => (await readers()).length === 0;
const skip = process.platform === "linux" ? false : "processes are counted in /proc";

test("B6 what was read ahead is used when it is still what the file holds", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, place: PLACE, clock: createManualClock() });
  let looks = 0;
  reader.expect(async () => {
    looks += 1;
    return content(3);
  });
  await eventually(() => looks === 1);
  const [pid] = await readers();
  const { loaded } = await reader.load(content(3), NEVER);
  assert.equal(loaded.ok && loaded.snapshot.config.global.checkIntervalMs, 3000);
  assert.notEqual(pid, undefined);
  await eventually(noReaders);
});

test("B1 a content that changed after it was read ahead is read as it is now", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, place: PLACE, clock: createManualClock() });
  let looks = 0;
  reader.expect(async () => content(++looks));
  await eventually(() => looks === 1);
  const { loaded } = await reader.load(content(9), NEVER);
  assert.equal(loaded.ok && loaded.snapshot.config.global.checkIntervalMs, 9000);
  await eventually(noReaders);
});

test("B6 a content that nobody announced, and one whose look fails, are read alike", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, place: PLACE, clock: createManualClock() });
  const first = await reader.load(content(4), NEVER);
  assert.equal(first.loaded.ok, true);
  reader.expect(() => Promise.reject(new Error("late")));
  const second = await reader.load(Buffer.from("[global]\nnonsense = 1\n"), NEVER);
  assert.equal(second.loaded.ok, false);
  await eventually(noReaders);
});

test("B10 a reader that no content comes for ends, and never more than one was there", { skip }, async () => {
  const clock = createManualClock();
  using reader = createConfigReader({ path: PATH, place: PLACE, clock });
  for (let sign = 0; sign < 5; sign++) reader.expect(async () => null);
  await eventually(async () => (await readers()).length === 1);
  await clock.advance(4_999);
  reader.expect(async () => null);
  await clock.advance(4_999);
  assert.equal((await readers()).length, 1);
  await clock.advance(1);
  await eventually(noReaders);
});

test("B10 disposal ends a reader that waits, and further signs start none", { skip }, async () => {
  const reader = createConfigReader({ path: PATH, place: PLACE, clock: createManualClock() });
  reader.expect(async () => null);
  await eventually(async () => (await readers()).length === 1);
  reader[Symbol.dispose]();
  reader.expect(async () => null);
  await eventually(noReaders);
});

test("B6 a reader that dies before the content comes is replaced", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, place: PLACE, clock: createManualClock() });
  reader.expect(async () => null);
  const pid = await eventually(async () => (await readers())[0]);
  process.kill(pid, "SIGKILL");
  await eventually(noReaders);
  const { loaded } = await reader.load(content(5), NEVER);
  assert.equal(loaded.ok && loaded.snapshot.config.global.checkIntervalMs, 5000);
});

test("a load whose asker leaves is cancelled, read ahead or not", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, place: PLACE, clock: createManualClock() });
  const asker = new AbortController();
  reader.expect(async () => content(3));
  const leaving = reader.load(content(3), asker.signal);
  asker.abort();
  await assert.rejects(leaving, { code: "aborted" });
  await eventually(noReaders);
});
