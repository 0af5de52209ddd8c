import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import {
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { AuditFile } from "../../../src/gateway/middleware/audit-file.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";
import { LINUX_ALONE } from "../../support/where.ts";

const record = (target: string): AuditRecord => ({
  time: "2026-01-01T00:00:00.000Z",
  principal: "ann",
  session: "0123456789ab",
  method: "tools/call",
  target,
  backend: "a",
  outcome: "ok",
  duration_ms: 1,
});
const LINE_BYTES = Buffer.byteLength(`${JSON.stringify(record("tool:1000"))}\n`);

async function started(
  t: TestContext,
  parts: {
    path?: string;
    maxSizeBytes?: number;
    keep?: number;
    clock?: Clock;
    rotates?: () => boolean;
  } = {},
) {
  const path = parts.path ?? join(await temporaryFolder(t), "audit.jsonl");
  const file = new AuditFile(
    { path, maxSizeBytes: parts.maxSizeBytes ?? 1_000_000, keep: parts.keep ?? 2 },
    { clock: parts.clock ?? systemClock, logger: noopLogger, rotates: parts.rotates },
  );
  t.after(() => file[Symbol.asyncDispose]());
  const targets = async (name = path): Promise<string[]> =>
    (await readFile(name, "utf8"))
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line).target);
  return { path, file, targets };
}

test("E3 the name of a client's call cannot control the terminal of a person who reads the audit", async (t) => {
  const { file, path, targets } = await started(t);
  const target = "tool:\u009b31m\u202e\u200b\u{e0041}ä";
  file.write(record(target));
  await holds(targets, [target]);
  assert.match(await readFile(path, "utf8"), /^[ -~ä]*\n$/);
});

async function holds(targets: () => Promise<string[]>, expected: readonly string[]): Promise<void> {
  await eventually(async () => {
    assert.deepEqual(await targets(), expected);
    return true;
  });
}

test("the audit's file takes whole lines in order, and only its owner may read it", async (t) => {
  const { path, file, targets } = await started(t);
  const written = Array.from({ length: 500 }, (_, index) => `tool:${index}`);
  for (const target of written) file.write(record(target));
  await holds(targets, written);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(file.state, { kind: "writing" });
});

test("the audit's file accepts more in total than may wait at once", async (t) => {
  const { file, path } = await started(t, { maxSizeBytes: 100_000_000 });
  const large = record(`tool:${"x".repeat(3 * 1024 * 1024)}`);
  for (const count of [1, 2, 3, 4]) {
    file.write(large);
    await eventually(async () => (await stat(path)).size > count * 3 * 1024 * 1024);
    await eventually(() => file.state.kind === "writing");
  }
});

test("the audit's file counts only waiting lines, not written ones", async (t) => {
  const { file, targets } = await started(t, { maxSizeBytes: 100_000_000 });
  const written: string[] = [];
  for (const round of [1, 2]) {
    for (let index = 0; index < 6_000; index++) written.push(`tool:${round}-${index}`);
    for (const target of written.slice(-6_000)) file.write(record(target));
    await holds(targets, written);
  }
  assert.deepEqual(file.state, { kind: "writing" });
  // More than 8 MiB at once, in few lines.
  for (let index = 0; index < 100; index++) file.write(record("x".repeat(100_000)));
  assert.ok(file.state.kind === "failing" && file.state.dropped > 0);
  await eventually(() => file.state.kind === "writing");
});

test("the audit's file continues where an earlier one ended, even in the middle of a line", async (t) => {
  const path = join(await temporaryFolder(t), "audit.jsonl");
  await writeFile(path, '{"target":"torn');
  const { file } = await started(t, { path });
  file.write(record("tool:next"));
  const text = await eventually(async () => {
    const found = await readFile(path, "utf8");
    return found.includes("tool:next") ? found : null;
  });
  assert.match(text, /^\{"target":"torn\n\{.*tool:next.*\}\n$/);
});

test("the audit's file: disposal writes waiting lines, and nothing is accepted after it", async (t) => {
  const { file, targets } = await started(t);
  for (let index = 0; index < 5_000; index++) file.write(record(`tool:${index}`));
  await file[Symbol.asyncDispose]();
  // More than may wait: none of them does.
  for (let index = 0; index <= 10_000; index++) file.write(record("tool:late"));
  await file[Symbol.asyncDispose]();
  assert.equal((await targets()).length, 5_000);
  assert.deepEqual(file.state, { kind: "writing" });
});

test("rotation keeps every file within its size, the newest numbers first, and no more than configured", async (t) => {
  const { path, file, targets } = await started(t, { maxSizeBytes: 10 * LINE_BYTES, keep: 2 });
  for (let index = 1_000; index < 1_035; index++) file.write(record(`tool:${index}`));
  await file[Symbol.asyncDispose]();
  const numbers = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, index) => `tool:${from + index}`);
  assert.deepEqual(await targets(), numbers(1_030, 1_035));
  assert.deepEqual(await targets(`${path}.1`), numbers(1_020, 1_030));
  assert.deepEqual(await targets(`${path}.2`), numbers(1_010, 1_020));
  assert.deepEqual((await readdir(join(path, ".."))).sort(), [
    "audit.jsonl",
    "audit.jsonl.1",
    "audit.jsonl.2",
  ]);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test("D2 B11 only one of two daemons rotates, so that keep = 1 loses no line in a handover", async (t) => {
  const size = { maxSizeBytes: 10 * LINE_BYTES, keep: 1 };
  let isInCharge = true;
  const old = await started(t, { ...size, rotates: () => isInCharge });
  const names = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, index) => `tool:${from + index}`);
  for (const target of names(1_000, 1_010)) old.file.write(record(target));
  await holds(old.targets, names(1_000, 1_010));
  isInCharge = false;
  const next = await started(t, { ...size, path: old.path });
  // The old one finds it full, and would rotate it, and the new one does.
  old.file.write(record("tool:1010"));
  await holds(old.targets, names(1_000, 1_011));
  next.file.write(record("tool:1011"));
  await next.file[Symbol.asyncDispose]();
  old.file.write(record("tool:1012"));
  await old.file[Symbol.asyncDispose]();
  const all = [...(await old.targets(`${old.path}.1`)), ...(await old.targets())];
  assert.deepEqual(all.toSorted(), names(1_000, 1_013));
  assert.deepEqual((await readdir(join(old.path, ".."))).toSorted(), ["audit.jsonl", "audit.jsonl.1"]);
});

test("rotation takes others' appended lines into account: at once where the file is nearly full, else within a second", async (t) => {
  const clock = createManualClock();
  const { path, file, targets } = await started(t, { clock, maxSizeBytes: 10 * LINE_BYTES });
  const appendOthers = (count: number) =>
    appendFile(path, `${JSON.stringify(record("tool:1000"))}\n`.repeat(count));
  file.write(record("tool:1001"));
  await holds(targets, ["tool:1001"]);
  await appendOthers(9);
  await clock.advance(1_000);
  file.write(record("tool:1002"));
  await holds(targets, ["tool:1002"]);
  await appendOthers(8);
  for (let index = 1_003; index < 1_012; index++) file.write(record(`tool:${index}`));
  await eventually(async () => (await targets()).at(-1) === "tool:1011");
  assert.equal((await targets()).length, 8);
  assert.equal((await targets(`${path}.1`)).length, 10);
});

test("rotation counts each line once that no longer waits", async (t) => {
  const { file, path, targets } = await started(t, { maxSizeBytes: 1_000 * LINE_BYTES, keep: 4 });
  for (let index = 1_000; index < 4_500; index++) file.write(record(`tool:${index}`));
  await eventually(async () => (await targets()).at(-1) === "tool:4499");
  assert.equal((await targets(`${path}.3`)).length, 1_000);
  for (let index = 0; index < 10_005; index++) file.write(record("tool:1000"));
  assert.equal(failing(file)?.dropped, 5);
});

test("rotation with keep = 0 empties the file", async (t) => {
  const { path, file, targets } = await started(t, { maxSizeBytes: 3 * LINE_BYTES, keep: 0 });
  for (let index = 1_000; index < 1_007; index++) file.write(record(`tool:${index}`));
  await file[Symbol.asyncDispose]();
  assert.deepEqual(await targets(), ["tool:1006"]);
  assert.deepEqual(await readdir(join(path, "..")), ["audit.jsonl"]);
});

test("rotation: a line longer than the file may be is written on its own", async (t) => {
  const { path, file, targets } = await started(t, { maxSizeBytes: 50, keep: 5 });
  for (const target of ["tool:1", "tool:2", "tool:3"]) file.write(record(target));
  await file[Symbol.asyncDispose]();
  assert.deepEqual(
    [await targets(), await targets(`${path}.1`), await targets(`${path}.2`)],
    [["tool:3"], ["tool:2"], ["tool:1"]],
  );
});

test("rotation that fails loses none of the older files, however often it is tried", async (t) => {
  const clock = createManualClock();
  const path = join(await temporaryFolder(t), "audit.jsonl");
  await writeFile(path, "full\n".repeat(100));
  await writeFile(`${path}.1`, "older\n");
  // Nothing can be renamed onto a folder.
  await mkdir(`${path}.2`);
  const { file, targets } = await started(t, { path, clock, maxSizeBytes: 100, keep: 2 });
  file.write(record("tool:1"));
  await eventually(() => file.state.kind === "failing");
  await clock.advance(10_000);
  assert.equal(await readFile(`${path}.1`, "utf8"), "older\n");
  await rm(`${path}.2`, { recursive: true });
  await passTimeUntil(clock, () => file.state.kind === "writing", 1_000);
  await holds(targets, ["tool:1"]);
  assert.equal(await readFile(`${path}.2`, "utf8"), "older\n");
  assert.match(await readFile(`${path}.1`, "utf8"), /^full/);
});

test("rotation by another program is followed: a file moved or removed is re-created", async (t) => {
  const clock = createManualClock();
  const { path, file, targets } = await started(t, { clock });
  file.write(record("tool:1"));
  await holds(targets, ["tool:1"]);
  await rename(path, `${path}.moved`);
  await clock.advance(1_000);
  file.write(record("tool:2"));
  await holds(targets, ["tool:2"]);
  await rm(path);
  await clock.advance(1_000);
  file.write(record("tool:3"));
  await holds(targets, ["tool:3"]);
  assert.deepEqual(await targets(`${path}.moved`), ["tool:1"]);
});

const failing = (file: AuditFile) => (file.state.kind === "failing" ? file.state : null);

test("a disk that does not take it: a full one is reported, delays nothing, and loses no line while there is space to wait", async (t) => {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const path = join(disk, "audit.jsonl");
  await writeFile(join(disk, "filler"), Buffer.alloc(56 * 1024));
  const logger = createRecordingLogger();
  const file = new AuditFile({ path, maxSizeBytes: 1_000_000, keep: 1 }, { clock: systemClock, logger });
  t.after(() => file[Symbol.asyncDispose]());
  for (let index = 0; index < 200; index++) file.write(record(`tool:${index}`));
  const state = await eventually(() => failing(file));
  assert.match(state.reason, /no space/);
  assert.equal(state.dropped, 0);
  await rm(join(disk, "filler"));
  await eventually(() => file.state.kind === "writing");
  await file[Symbol.asyncDispose]();
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).target),
    Array.from({ length: 200 }, (_, index) => `tool:${index}`),
  );
  assert.ok(logger.lines.some(({ message }) => message === "the audit cannot be written"));
  assert.equal(logger.lines.at(-1)?.message, "the audit is written again");
});

test("a disk that does not take it: a partly written line ends in the same file", async (t) => {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const path = join(disk, "audit.jsonl");
  await writeFile(join(disk, "filler"), Buffer.alloc(56 * 1024));
  const { file, targets } = await started(t, { path, maxSizeBytes: 100 });
  const long = `tool:${"x".repeat(20_000)}`;
  file.write(record(long));
  assert.match((await eventually(() => failing(file))).reason, /no space/);
  assert.equal((await stat(path)).size, 8 * 1024);
  await rm(join(disk, "filler"));
  await holds(targets, [long]);
});

test("a disk that does not take it: beyond 10,000 waiting lines they are dropped and counted, and the file reports it in the end", {
  skip: LINUX_ALONE,
}, async (t) => {
  const clock = createManualClock();
  const folder = await temporaryFolder(t);
  const path = join(folder, "audit.jsonl");
  await symlink("/dev/full", path);
  const { file } = await started(t, { path, clock, maxSizeBytes: 10_000_000 });
  file.write(record("tool:0"));
  const before = await eventually(() => failing(file));
  assert.equal(before.sinceMs, clock.wallMs());
  for (let index = 1; index < 10_050; index++) file.write(record(`tool:${index}`));
  assert.equal(failing(file)?.dropped, 50);
  await rm(path);
  await passTimeUntil(clock, () => file.state.kind === "writing", 1_000);
  await eventually(async () => {
    const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
    assert.equal(lines.length, 10_001);
    assert.equal(JSON.parse(lines.at(-1) ?? "").dropped, 50);
    return true;
  });
});

test("a disk that does not take it: a folder where the file should be, removed later", async (t) => {
  const clock = createManualClock();
  const path = join(await temporaryFolder(t), "audit.jsonl");
  await mkdir(path);
  const { file, targets } = await started(t, { path, clock });
  file.write(record("tool:1"));
  assert.match((await eventually(() => failing(file))).reason, /EISDIR/);
  await rm(path, { recursive: true });
  await passTimeUntil(clock, () => file.state.kind === "writing", 1_000);
  assert.deepEqual(await targets(), ["tool:1"]);
});

test("a disk that does not take it: a pipe without a reader is a failure, and delays nothing", async (t) => {
  const clock = createManualClock();
  const path = join(await temporaryFolder(t), "audit.jsonl");
  execFileSync("mkfifo", ["-m", "600", path]);
  const { file } = await started(t, { path, clock });
  const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  // More than a pipe keeps.
  for (let index = 1_000; index < 1_000 + 100_000 / LINE_BYTES; index++) file.write(record(`tool:${index}`));
  try {
    assert.match((await eventually(() => failing(file))).reason, /no program reads/);
    await reader.read(Buffer.alloc(1_000_000));
    await passTimeUntil(clock, () => file.state.kind === "writing", 1_000);
  } finally {
    // A write that is blocked ends with its reader.
    await reader.close();
  }
});

test("a disk that does not take it: disposal tries again, and does not wait for it", {
  skip: LINUX_ALONE,
}, async (t) => {
  const clock = createManualClock();
  const path = join(await temporaryFolder(t), "audit.jsonl");
  await symlink("/dev/full", path);
  const { file } = await started(t, { path, clock });
  file.write(record("tool:1"));
  await eventually(() => failing(file));
  // The clock stands still: there is no wait in it.
  await file[Symbol.asyncDispose]();
  assert.ok(failing(file));
});
