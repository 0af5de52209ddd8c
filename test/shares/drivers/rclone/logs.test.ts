import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { readLoggedFailure } from "../../../../src/shares/drivers/rclone/log.ts";
import { beginLog, createRcloneLogs, cutLog } from "../../../../src/shares/drivers/rclone/logs.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const MEGABYTE = 1024 * 1024;
const OLD = "2026/11/20 08:00:00 ERROR : IO error: read: i/o timeout\n";
const NEWEST = "2026/11/20 09:00:00 ERROR : IO error: couldn't connect SMB: connection refused\n";

function longLog(bytes: number): string {
  return OLD.repeat(Math.ceil(bytes / OLD.length)) + NEWEST;
}

async function logOf(t: TestContext, share: string): Promise<{ stateFolder: string; log: string }> {
  const stateFolder = await temporaryFolder(t);
  const { log } = rcloneFiles(stateFolder, share);
  await mkdir(dirname(log), { recursive: true });
  return { stateFolder, log };
}

const sizeOf = async (path: string): Promise<number> => (await stat(path)).size;

test("a log keeps its newest lines whole, and the same reason is read from it", async (t) => {
  const { log } = await logOf(t, "CORE");
  await writeFile(log, longLog(3 * MEGABYTE));
  await cutLog(log, 256 * 1024);
  const left = await readFile(log, "utf8");
  assert.ok(left.length > 255 * 1024 && left.length <= 256 * 1024, `${left.length}`);
  assert.ok(left.startsWith(OLD) && left.endsWith(OLD + NEWEST));
  assert.equal(readLoggedFailure(left)?.reason, "refused");
});

test("the logs of the last three crashes outlive the mounts that follow; other logs begin anew", async (t) => {
  const { log } = await logOf(t, "CORE");
  await beginLog(log);
  assert.equal(await sizeOf(log), 0);
  for (const crash of [1, 2, 3, 4]) {
    await appendFile(
      log,
      `${OLD.repeat(crash === 4 ? 20_000 : 1)}panic: number ${crash}\n\ngoroutine 1 [running]:\n`,
    );
    await beginLog(log);
    await appendFile(log, NEWEST);
    await beginLog(log);
    assert.equal(await sizeOf(log), 0);
  }
  const kept = await Promise.all([1, 2, 3].map((number) => readFile(`${log}.${number}`, "utf8")));
  assert.deepEqual(
    kept.map((text) => /panic: number (\d)/.exec(text)?.[1]),
    ["4", "3", "2"],
  );
  assert.ok((kept[0]?.length ?? 0) <= 256 * 1024);
  await assert.rejects(stat(`${log}.4`), { code: "ENOENT" });
});

test("a log without line ends is cut too", async (t) => {
  const { log } = await logOf(t, "CORE");
  await writeFile(log, "x".repeat(2 * MEGABYTE));
  await cutLog(log, 256 * 1024);
  assert.equal(await sizeOf(log), 256 * 1024);
});

test("what is appended while a log is cut, time after time, is there, in order and in whole lines", async (t) => {
  const { log } = await logOf(t, "CORE");
  await writeFile(log, longLog(2 * MEGABYTE));
  const enough = `${log}.enough`;
  const program = `const { existsSync, openSync, writeSync } = require("node:fs");
    const log = openSync(process.argv[1], "a");
    let [n, after] = [0, 0];
    while (after < 3 && n < 2_000_000) { if (existsSync(process.argv[2])) after++; for (let k = 0; k < 20; k++) writeSync(log, "line " + n++ + " " + "x".repeat(200) + "\\n");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); }
    writeSync(log, "the last of " + n + "\\n");`;
  const writer = spawn(process.execPath, ["-e", program, log, enough], { stdio: "ignore" });
  const ended = once(writer, "exit");
  let cuts = 0;
  while (writer.exitCode === null && cuts < 10) {
    if ((await sizeOf(log)) > MEGABYTE / 4) {
      await cutLog(log, MEGABYTE / 16);
      cuts += 1;
    }
  }
  await writeFile(enough, "");
  await ended;
  const text = await readFile(log, "utf8");
  const lines = text.trimEnd().split("\n");
  assert.equal(cuts, 10);
  const written = Number(/^the last of (\d+)$/.exec(lines.at(-1) ?? "")?.[1]);
  assert.ok(written > 0, "its last line is there");
  const numbers = lines.slice(0, -1).map((line) => Number(/^line (\d+) x{200}$/.exec(line)?.[1]));
  assert.ok(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0)));
  assert.equal(numbers.at(-1), written - 1);
  const lost = written - numbers.length - (numbers[0] ?? 0);
  t.diagnostic(`${cuts} cuts, ${lost} of ${written} lines fell between the last look and the cut`);
});

test("all logs of a home are looked at, at most every 10 s, and small ones are left alone", async (t) => {
  const { stateFolder, log } = await logOf(t, "CORE");
  const other = rcloneFiles(stateFolder, "removed from the configuration").log;
  const small = rcloneFiles(stateFolder, "SMALL").log;
  for (const path of [other, small]) await mkdir(dirname(path), { recursive: true });
  await mkdir(rcloneFiles(stateFolder, "NEVER MOUNTED").folder);
  for (const path of [log, other]) await writeFile(path, longLog(2 * MEGABYTE));
  await writeFile(small, longLog(900 * 1024));
  const smallSize = await sizeOf(small);
  const clock = createManualClock();
  const logs = createRcloneLogs({ clock, logger: silentLogger, stateFolder });
  logs.trigger();
  await eventually(async () => (await sizeOf(log)) < MEGABYTE && (await sizeOf(other)) < MEGABYTE);
  assert.equal(await sizeOf(small), smallSize);
  await appendFile(log, longLog(2 * MEGABYTE));
  logs.trigger();
  await clock.advance(9_999);
  logs.trigger();
  assert.ok((await sizeOf(log)) > 2 * MEGABYTE);
  await clock.advance(1);
  logs.trigger();
  await eventually(async () => (await sizeOf(log)) < MEGABYTE);
});

test("a home without mounts is looked at in vain", async (t) => {
  const clock = createManualClock();
  const stateFolder = await temporaryFolder(t);
  const logs = createRcloneLogs({ clock, logger: silentLogger, stateFolder });
  logs.trigger();
  await mkdir(join(stateFolder, "mounts", "CORE"), { recursive: true });
  const { log } = rcloneFiles(stateFolder, "CORE");
  await writeFile(log, longLog(2 * MEGABYTE));
  await eventually(async () => {
    await clock.advance(10_000);
    logs.trigger();
    return (await sizeOf(log)) < MEGABYTE;
  });
});
