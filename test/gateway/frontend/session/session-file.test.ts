// Real files and disks: sessions survive crashes, and what is wrong with their file costs nothing else.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type SessionFile, SessionLines } from "../../../../src/gateway/frontend/session/session-file.ts";
import { LONGEST_RECORD } from "../../../../src/gateway/frontend/session/session-record.ts";
import type { Clock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { hashOf, recordOf } from "../../../support/session-records.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { mountTmpfs, remountTmpfs } from "../../../support/tiny-disk.ts";

const START_MS = Date.UTC(2026, 10, 20, 12);

const opened: SessionFile[] = [];

async function closeAll(): Promise<void> {
  for (const file of opened.splice(0)) await file[Symbol.asyncDispose]();
}

async function pathIn(t: TestContext): Promise<string> {
  // Before the folder goes: what is still being written is written there.
  t.after(closeAll);
  return join(await temporaryFolder(t), "sessions.jsonl");
}

async function start(path: string) {
  const clock = createManualClock(START_MS);
  const logger = createRecordingLogger();
  const file = new SessionLines({ path, clock, logger });
  opened.push(file);
  const sessions = await file.load();
  const told = () => logger.lines.filter(({ level }) => level !== "debug").map(({ message }) => message);
  return { clock, logger, file, sessions, told };
}

/** What the next daemon finds. */
async function found(path: string) {
  return (await start(path)).sessions;
}

const linesOf = async (path: string): Promise<string[]> =>
  (await readFile(path, "utf8")).trimEnd().split("\n");

test("B11 the file of sessions has exactly this form, is readable only by the owner, and has no id in it", async (t) => {
  const path = await pathIn(t);
  const { file, sessions } = await start(path);
  assert.equal(sessions.size, 0);
  await assert.rejects(stat(path), { code: "ENOENT" }, "without sessions there is none");
  const record = recordOf(1, { logLevel: "warning", subscriptions: ["file:///a"] });
  assert.equal(await file.keep(hashOf(1), record), "saved");
  assert.equal(
    await readFile(path, "utf8"),
    `{"mountaineer":"sessions","version":1}\n{"session":"${hashOf(1)}","principal":"user ann","protocol_version":"2025-11-25","capabilities":{"roots":{"listChanged":true}},"client_info":{"name":"client 1","version":"1"},"log_level":"warning","subscriptions":["file:///a"],"lists":{"tools":"t","resources":"r","prompts":"p"},"used_at":"2026-11-20T12:00:00.000Z"}\n`,
  );
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual([...(await found(path))], [[hashOf(1), record]]);
});

test("B11 the file of sessions keeps the newest of each, and forgets dropped ones", async (t) => {
  const path = await pathIn(t);
  const { file } = await start(path);
  await Promise.all([1, 2, 3].map((each) => file.keep(hashOf(each), recordOf(each))));
  await file.keep(hashOf(1), recordOf(1, { principal: "user bob" }));
  file.drop(hashOf(2));
  file.drop(hashOf(7));
  await file[Symbol.asyncDispose]();
  const sessions = await found(path);
  assert.deepEqual([...sessions.keys()], [hashOf(3), hashOf(1)]);
  assert.equal(sessions.get(hashOf(1))?.principal, "user bob");
});

test("B11 the file of sessions: 2,000 sessions at once share writes, and the file stays bounded however many begin and end", async (t) => {
  const path = await pathIn(t);
  const { file } = await start(path);
  const all = Array.from({ length: 2_000 }, (_, each) => each);
  const saved = await Promise.all(all.map((each) => file.keep(hashOf(each), recordOf(each))));
  assert.ok(saved.every((kept) => kept === "saved"));
  for (const each of all) if (each >= 10) file.drop(hashOf(each));
  for (let round = 0; round < 30; round++)
    await Promise.all(all.slice(0, 10).map((each) => file.keep(hashOf(each), recordOf(each))));
  const { size } = await stat(path);
  assert.ok(size < 100_000, `${size} bytes for 10 sessions`);
  assert.equal((await found(path)).size, 10);
});

test("B11 the file of sessions: reads back the 1,000 newest", async (t) => {
  const path = await pathIn(t);
  const { file } = await start(path);
  const all = Array.from({ length: 1_200 }, (_, each) => each);
  await Promise.all(all.map((each) => file.keep(hashOf(each), recordOf(each))));
  const sessions = await found(path);
  assert.deepEqual(
    [sessions.size, sessions.has(hashOf(199)), sessions.has(hashOf(200))],
    [1_000, false, true],
  );
});

test("B11 the file of sessions: a session whose client sent too much at initialize is not saved, which is logged; too many subscriptions are left out", async (t) => {
  const path = await pathIn(t);
  const { file, told } = await start(path);
  const clientInfo = { name: "x".repeat(LONGEST_RECORD) };
  assert.equal(await file.keep(hashOf(1), recordOf(1, { clientInfo })), "unsaved");
  let deep: Record<string, unknown> = {};
  for (let level = 0; level < 100_000; level++) deep = { deep };
  assert.equal(await file.keep(hashOf(2), recordOf(2, { capabilities: deep })), "unsaved");
  const subscriptions = [`file:///${"x".repeat(LONGEST_RECORD)}`];
  assert.equal(await file.keep(hashOf(3), recordOf(3, { subscriptions })), "saved");
  assert.equal(told().length, 2);
  assert.match(told()[0] ?? "", /not saved for a restart/u);
  assert.deepEqual([...(await found(path))], [[hashOf(3), recordOf(3)]]);
});

test("B11 the file of sessions: after a kill -9 in the middle of a write the durable entries exist, the dropped ones do not, and nothing is set aside", async (t) => {
  const path = await pathIn(t);
  const program = join(import.meta.dirname, "../../../support/write-sessions.ts");
  let durable = -1;
  for (const moreThan of [60, 200]) {
    const first = durable + 1;
    const child = spawn(process.execPath, [program, path, String(first)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
    const last = (): number => Number(said.slice(0, said.lastIndexOf("\n")).split("\n").at(-1) || -1);
    await eventually(() => last() > moreThan);
    child.kill("SIGKILL");
    await once(child, "close");
    durable = last();
    const { sessions, told } = await start(path);
    // Nobody waits for what is dropped: a kill may come before it is written.
    for (let each = 0; each <= durable; each += 2) assert.ok(sessions.has(hashOf(each)), `${each}`);
    for (let each = first; each < durable - 16; each++)
      assert.ok(each % 2 === 0 || !sessions.has(hashOf(each)), `${each}`);
    assert.deepEqual(told(), []);
    assert.deepEqual(await readdir(join(path, "..")), ["sessions.jsonl"]);
  }
});

test("B11 the file of sessions: half a line at the end loses only that line, and the next ones are whole", async (t) => {
  const path = await pathIn(t);
  const first = await start(path);
  await first.file.keep(hashOf(1), recordOf(1));
  await first.file[Symbol.asyncDispose]();
  await appendFile(path, '{"session":"');
  const { file, sessions, told } = await start(path);
  assert.deepEqual([[...sessions.keys()], told()], [[hashOf(1)], []]);
  await file.keep(hashOf(2), recordOf(2));
  assert.deepEqual([...(await found(path)).keys()], [hashOf(1), hashOf(2)]);
});

test("B11 the file of sessions: foreign lines lose only themselves: the file is set aside and rewritten", async (t) => {
  const path = await pathIn(t);
  const { file } = await start(path);
  await file.keep(hashOf(1), recordOf(1));
  await file[Symbol.asyncDispose]();
  const [header = "", line = ""] = await linesOf(path);
  const foreign = ["nonsense", "{}", '{"session":"abc"}', `{"session":"${hashOf(2)}"}`, "[]"];
  await writeFile(path, [header, ...foreign, line, ""].join("\n"));
  const next = await start(path);
  assert.deepEqual([...next.sessions], [[hashOf(1), recordOf(1)]]);
  assert.deepEqual(next.told(), ["the sessions' file cannot be used"]);
  assert.equal(next.logger.lines[0]?.fields["set_aside"], `${path}.corrupt-2026-11-20T12-00-00.000Z`);
  await next.file[Symbol.asyncDispose]();
  assert.deepEqual(await linesOf(path), [header, line]);
});

test("B11 the file of sessions: a file of another version, another kind of file, or one that is too large loses all sessions and no start", async (t) => {
  const newer = `{"mountaineer":"sessions","version":2}\n`;
  const cases: readonly ((path: string) => Promise<unknown>)[] = [
    (path) => writeFile(path, newer),
    (path) => writeFile(path, ""),
    (path) => writeFile(path, "x".repeat(40 * 1024 * 1024)),
    (path) => mkdir(join(path, "inside"), { recursive: true }),
    (path) => symlink("/dev/zero", path),
  ];
  for (const make of cases) {
    const path = await pathIn(t);
    await make(path);
    const { file, sessions, told } = await start(path);
    assert.equal(sessions.size, 0);
    assert.deepEqual(told(), ["the sessions' file cannot be used"], String(make));
    assert.equal(await file.keep(hashOf(1), recordOf(1)), "saved");
    assert.equal((await found(path)).size, 1);
    assert.equal((await readdir(join(path, ".."))).length, 2, "what stood there is kept aside");
  }
});

test("B11 the file of sessions: sessions of a retired protocol version are dropped, and nothing else", async (t) => {
  const path = await pathIn(t);
  const { file } = await start(path);
  await file.keep(hashOf(1), recordOf(1));
  await file.keep(hashOf(2), recordOf(2));
  await file[Symbol.asyncDispose]();
  const [header = "", one = "", two = ""] = await linesOf(path);
  await writeFile(path, `${header}\n${one.replace("2025-11-25", "2023-01-01")}\n${two}\n`);
  const { sessions, told } = await start(path);
  assert.deepEqual([[...sessions.keys()], told()], [[hashOf(2)], []]);
});

test("B11 the file of sessions: a full disk delays no client, is reported once, and all is saved when there is space", async (t) => {
  t.after(closeAll);
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const path = join(disk, "sessions.jsonl");
  const { clock, file, told } = await start(path);
  assert.equal(await file.keep(hashOf(1), recordOf(1)), "saved");
  await assert.rejects(writeFile(join(disk, "ballast"), "x".repeat(1024 * 1024)), { code: "ENOSPC" });
  const many = Array.from({ length: 40 }, (_, each) => each + 2);
  await Promise.all(many.map((each) => file.keep(hashOf(each), recordOf(each))));
  assert.match(file.unsavedBecause ?? "", /ENOSPC/u);
  assert.equal(await file.keep(hashOf(99), recordOf(99)), "unsaved");
  file.drop(hashOf(1));
  assert.ok((await found(path)).has(hashOf(1)), "what was durable still is");

  await rm(join(disk, "ballast"));
  await eventually(async () => {
    await clock.advance(1_000);
    return file.unsavedBecause === null;
  });
  await file[Symbol.asyncDispose]();
  const sessions = await found(path);
  assert.deepEqual([sessions.has(hashOf(1)), sessions.has(hashOf(99)), sessions.size], [false, true, 41]);
  assert.deepEqual(told(), ["the sessions cannot be saved", "the sessions are saved again"]);
  assert.equal(clock.pendingTimers, 0);
});

test("B11 the file of sessions: a read-only home is retried after 1, 2, 4 … 60 s, and the file closes with its last content", async (t) => {
  t.after(closeAll);
  const disk = await mountTmpfs(t, "size=256k");
  if (disk === null) return;
  const path = join(disk, "sessions.jsonl");
  await writeFile(path, "not ours\n");
  await remountTmpfs(disk, "ro");
  const { clock, file, told } = await start(path);
  assert.equal(await file.keep(hashOf(1), recordOf(1)), "unsaved");
  assert.match(file.unsavedBecause ?? "", /EROFS/u);
  for (const waitMs of [1_000, 2_000, 4_000]) {
    await clock.advance(waitMs);
    await eventually(() => clock.pendingTimers === 1);
  }
  assert.deepEqual(told(), ["the sessions' file cannot be used", "the sessions cannot be saved"]);
  await remountTmpfs(disk, "rw");
  await file[Symbol.asyncDispose]();
  assert.deepEqual([...(await found(path)).keys()], [hashOf(1)]);
});

test("B11 the file of sessions: a disk that does not answer delays no client for more than 2 s, and all is saved when it does", async (t) => {
  const path = await pathIn(t);
  const { clock, file, told } = await start(path);
  // Read at once: the disk may answer soon after the deadline.
  const saving = file.keep(hashOf(1), recordOf(1)).then((saved) => {
    return { saved, why: file.unsavedBecause, next: file.keep(hashOf(2), recordOf(2)) };
  });
  // The disk has had no time at all yet.
  await clock.advance(2_000);
  const { saved, why, next } = await saving;
  assert.deepEqual([saved, await next], ["unsaved", "unsaved"]);
  assert.match(why ?? "", /the disk gives no answer/u);
  await eventually(() => file.unsavedBecause === null);
  await file[Symbol.asyncDispose]();
  assert.deepEqual([...(await found(path)).keys()], [hashOf(1), hashOf(2)]);
  assert.deepEqual([told()[0], clock.pendingTimers], ["the sessions cannot be saved", 0]);
});

test("B11 the file of sessions: removing the file removes no session", async (t) => {
  const path = await pathIn(t);
  const { file } = await start(path);
  await file.keep(hashOf(1), recordOf(1));
  await rm(path);
  await file.keep(hashOf(2), recordOf(2));
  assert.deepEqual([...(await found(path)).keys()], [hashOf(1), hashOf(2)]);
});

test("B11 the file of sessions: closed, it writes nothing further: the next daemon has the file", async (t) => {
  const path = await pathIn(t);
  const { file } = await start(path);
  const saving = file.keep(hashOf(1), recordOf(1));
  await file[Symbol.asyncDispose]();
  assert.equal(await saving, "saved");
  const before = await readFile(path, "utf8");
  assert.equal(await file.keep(hashOf(2), recordOf(2)), "unsaved");
  file.drop(hashOf(1));
  await file[Symbol.asyncDispose]();
  assert.equal(await readFile(path, "utf8"), before);
});

test("B11 the file of sessions: closed while the disk is slow, it leaves the next daemon's file unchanged", async (t) => {
  const path = await pathIn(t);
  const clock = createManualClock(START_MS);
  let isSlow = false;
  // Each deadline is over before a slow disk can have answered.
  const setTimer: Clock["setTimer"] = (delayMs, callback) => {
    if (isSlow) queueMicrotask(callback);
    return clock.setTimer(delayMs, callback);
  };
  const logger = createRecordingLogger();
  const file = new SessionLines({ path, clock: { ...clock, setTimer }, logger });
  await file.keep(hashOf(1), recordOf(1));
  isSlow = true;
  const saving = file.keep(hashOf(2), recordOf(2));
  file.drop(hashOf(1));
  await file[Symbol.asyncDispose]();
  assert.equal(await saving, "unsaved");
  writeFileSync(path, "the next daemon's\n");
  const reason = file.unsavedBecause;
  await eventually(() => file.unsavedBecause !== reason);
  assert.equal(await readFile(path, "utf8"), "the next daemon's\n");
});
