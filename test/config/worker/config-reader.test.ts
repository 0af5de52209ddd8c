// The reader that is started ahead: it is used for the next content, and it never stays.
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

test("B6 a reader that was started ahead reads the content, and ends with it", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock: createManualClock() });
  reader.expect();
  const pid = await eventually(async () => (await readers())[0]);
  process.kill(pid, "SIGSTOP");
  const loading = reader.load(content(3), NEVER);
  reader.expect();
  assert.deepEqual(await readers(), [pid], "no other one reads it");
  process.kill(pid, "SIGCONT");
  const { loaded } = await loading;
  assert.equal(loaded.ok && loaded.snapshot.config.global.checkIntervalMs, 3000);
  await eventually(noReaders);
});

test("B6 content that was not announced is read alike", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock: createManualClock() });
  const first = await reader.load(content(4), NEVER);
  assert.equal(first.loaded.ok, true);
  const second = await reader.load(Buffer.from("[global]\nnonsense = 1\n"), NEVER);
  assert.equal(second.loaded.ok, false);
  await eventually(noReaders);
});

test("B10 a reader that gets no content ends, and there is never more than one", { skip }, async () => {
  const clock = createManualClock();
  using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock });
  for (let sign = 0; sign < 5; sign++) reader.expect();
  await eventually(async () => (await readers()).length === 1);
  await clock.advance(4_999);
  reader.expect();
  await clock.advance(4_999);
  assert.equal((await readers()).length, 1);
  await clock.advance(1);
  await eventually(noReaders);
});

test("B10 disposal ends a waiting reader, and further signs start none", { skip }, async () => {
  const reader = createConfigReader({ path: PATH, homeContext: PLACE, clock: createManualClock() });
  reader.expect();
  await eventually(async () => (await readers()).length === 1);
  reader[Symbol.dispose]();
  reader.expect();
  await eventually(noReaders);
});

for (const [when, isNoticed] of [
  ["before", true],
  ["as", false],
] as const)
  test(`B4 B6 a reader that is killed ${when} the content arrives is replaced, and the load does not fail`, {
    skip,
  }, async () => {
    using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock: createManualClock() });
    reader.expect();
    const pid = await eventually(async () => (await readers())[0]);
    process.kill(pid, "SIGKILL");
    if (isNoticed) await eventually(noReaders);
    const { loaded } = await reader.load(content(6), NEVER);
    assert.equal(loaded.ok && loaded.snapshot.config.global.checkIntervalMs, 6000);
    await eventually(noReaders);
  });

test("B4 a reader has 10 s of CPU, not of a busy machine's time", { skip }, async () => {
  const clock = createManualClock();
  using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock });
  reader.expect();
  const pid = await eventually(async () => (await readers())[0]);
  // The shell that sets the limit has the process id before it does.
  await eventually(async () => /^Max cpu time +10 /m.test(await readFile(`/proc/${pid}/limits`, "utf8")));
  process.kill(pid, "SIGSTOP");
  const loading = reader.load(content(4), NEVER);
  await clock.advance(30_000);
  process.kill(pid, "SIGCONT");
  assert.ok((await loading).loaded.ok);
});

test("B6 a reader that has used up its CPU is ended, and the file counts as unreadable", {
  skip,
}, async () => {
  using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock: createManualClock() });
  reader.expect();
  const pid = await eventually(async () => (await readers())[0]);
  process.kill(pid, "SIGSTOP");
  const late = assert.rejects(reader.load(content(3), NEVER), { message: /takes too long/ });
  process.kill(pid, "SIGXCPU");
  process.kill(pid, "SIGCONT");
  await late;
  assert.ok(await noReaders(), "no other was asked");
});

test("B6 a reader that does not answer for a minute is ended, and the file counts as unreadable", {
  skip,
}, async () => {
  const clock = createManualClock();
  using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock });
  reader.expect();
  const pid = await eventually(async () => (await readers())[0]);
  process.kill(pid, "SIGSTOP");
  const late = assert.rejects(reader.load(content(3), NEVER), {
    code: "config_unreadable",
    message: /takes too long/,
  });
  await clock.advance(60_000);
  await late;
  assert.ok(await noReaders(), "it is gone before that is said, and no other was asked");
});

test("a load whose caller leaves is cancelled", { skip }, async () => {
  using reader = createConfigReader({ path: PATH, homeContext: PLACE, clock: createManualClock() });
  const asker = new AbortController();
  reader.expect();
  const leaving = reader.load(content(3), asker.signal);
  asker.abort();
  await assert.rejects(leaving, { code: "aborted" });
  await assert.rejects(reader.load(content(3), AbortSignal.abort()), { code: "aborted" });
  await eventually(noReaders);
});
