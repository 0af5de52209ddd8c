// Real files: what numbers leave for the next daemon, and what that makes of whatever it finds.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { MOST_BYTES } from "../../../src/daemon/numbers/numbers.ts";
import { MOST_FILE_BYTES, SAVE_EVERY_MS } from "../../../src/daemon/numbers/numbers-file.ts";
import { MOST_UNSAVED_BYTES, Subject, TICK_MS } from "../../../src/daemon/numbers/subject.ts";
import { bucketOf, middleOf } from "../../../src/gateway/telemetry/latency-buckets.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { eventually } from "../../support/eventually.ts";
import { leaveTemporary } from "../../support/replaced-whole.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs, remountTmpfs } from "../../support/tiny-disk.ts";
import { DAY_MS, numbersBench } from "./numbers-bench.ts";

type Bench = ReturnType<typeof numbersBench>;
type Daemon = Awaited<ReturnType<Bench["start"]>>;

const callsOf = (daemon: Daemon): number =>
  daemon.series("server", "files", "month").calls.reduce((sum: number, calls) => sum + (calls ?? 0), 0);

async function start(t: TestContext): Promise<Bench> {
  return numbersBench(await temporaryFolder(t));
}

/** Plays five minutes, in which a file that is due is written. */
async function save(b: Bench): Promise<void> {
  const before = await versionOf(b);
  // A save that is due during another one waits for the next five minutes.
  await eventually(async () => {
    b.play(SAVE_EVERY_MS);
    await pause(20);
    return (await versionOf(b)) !== before;
  });
}

async function versionOf({ path }: Bench): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  return `${found?.ino} ${found?.size} ${found?.mtimeNs}`;
}

test("F9 counts are appended to the file within five minutes; without a count nothing is written", async (t) => {
  const b = await start(t);
  const daemon = await b.start();
  await save(b);
  const first = await stat(b.path);
  assert.equal(first.mode & 0o777, 0o600);
  const quiet = await versionOf(b);
  // The connections of an unused share send a little.
  for (let nth = 0; nth < 100; nth++) {
    b.now.mount = { bytesUp: nth * 300, bytesDown: nth * 300, pauses: 0 };
    b.play(SAVE_EVERY_MS);
    await pause(1);
  }
  assert.equal(await versionOf(b), quiet);
  b.called("files", [8]);
  await save(b);
  const { ino, size } = await stat(b.path);
  assert.equal(ino, first.ino, "appended");
  assert.ok(size - first.size < 600, `${size - first.size} bytes for eight hours without a call`);
  // Replaced once it has grown.
  const durations = Array.from({ length: 40 }, (_, nth) => 2 ** (nth / 4));
  await eventually(async () => {
    for (let tick = 0; tick < 25; tick++) {
      b.called("files", durations);
      b.play(TICK_MS);
    }
    b.now.mount = { bytesUp: 0, bytesDown: b.clock.wallMs(), pauses: 0 };
    await save(b);
    return (await stat(b.path)).ino !== ino;
  });
  assert.ok((await stat(b.path)).size < 40_000);
  const calls = callsOf(daemon);
  await daemon.end();
  const next = await b.start();
  assert.equal(callsOf(next), calls);
  await next.end();
  assert.deepEqual(await readdir(dirname(b.path)), ["numbers.log"]);
  assert.deepEqual(b.told(), []);
});

test("B11 kill -9 at any instant loses five minutes at most", async (t) => {
  const home = await temporaryFolder(t);
  for (const wanted of [1, 3, 40]) {
    await rm(join(home, "numbers.log"), { force: true });
    const child = spawn(process.execPath, [join(import.meta.dirname, "numbers-child.ts"), home], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let saved = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      saved = Number(line);
      if (saved >= wanted * 30 && !child.killed) child.kill("SIGKILL");
    }
    const b = numbersBench(home);
    await leaveTemporary(b.path);
    b.jump(5 * DAY_MS);
    const daemon = await b.start();
    assert.ok(
      callsOf(daemon) >= saved - 30 && callsOf(daemon) <= saved + 60,
      `${callsOf(daemon)} of ${saved}`,
    );
    await daemon.end();
    assert.deepEqual([b.told(), await readdir(home)], [[], ["numbers.log"]]);
  }
});

/** As a daemon wrote it: an hour of calls, and one appended line for each subject. */
async function written(t: TestContext): Promise<string> {
  const b = await start(t);
  const daemon = await b.start();
  for (let nth = 0; nth < 12; nth++) {
    b.called("files", [8]);
    await save(b);
  }
  await daemon.end();
  return readFile(b.path, "latin1");
}

test("F9 a damaged file is set aside with one warning, and the numbers start empty; a torn last line is ignored", async (t) => {
  const whole = await written(t);
  const kinds: Readonly<Record<string, (whole: string) => string>> = {
    empty: () => "",
    "of another version": (text) => text.replace('"numbers":1', '"numbers":2'),
    "with a wrong digit": (text) => text.replace(/("slots":\["\w)\w/u, "$1_"),
    "with a lost line": (text) => text.replace(/\n.{20}/u, "\n"),
    "with zeros": (text) => `${text}${"\0".repeat(100)}\n`,
  };
  for (const [kind, spoil] of Object.entries(kinds)) {
    const b = await start(t);
    b.jump(DAY_MS);
    await writeFile(b.path, spoil(whole), "latin1");
    const daemon = await b.start();
    assert.equal(callsOf(daemon), 0, kind);
    assert.match(
      b.told().join("\n"),
      /^warn: the numbers start empty; delete the file set aside, [^\n]+$/u,
      kind,
    );
    const aside = String(b.lines[0]?.fields["set_aside"]);
    assert.equal(await readFile(aside, "latin1"), spoil(whole), kind);
    await daemon.end();
  }
  for (const [torn, calls] of [
    [whole, 12],
    [whole.slice(0, -1), 12],
    [whole.slice(0, -300), 11],
  ] as const) {
    const b = await start(t);
    b.jump(DAY_MS);
    await writeFile(b.path, torn, "latin1");
    await chmod(b.path, 0o644);
    const daemon = await b.start();
    assert.ok(callsOf(daemon) >= calls - 1, `${callsOf(daemon)}`);
    await daemon.end();
    assert.deepEqual([b.told(), (await stat(b.path)).mode & 0o777], [[], 0o600]);
  }
});

test("a folder, a pipe, a link and a huge file are also set aside, and block nothing", async (t) => {
  const kinds: Readonly<Record<string, (path: string) => unknown>> = {
    folder: (path) => mkdir(path),
    pipe: (path) => execFileSync("mkfifo", [path]),
    link: (path) => symlink("elsewhere", path),
    huge: (path) => writeFile(path, " ".repeat(MOST_FILE_BYTES + 1)),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    const b = await start(t);
    await make(b.path);
    const daemon = await b.start();
    await daemon.end();
    assert.deepEqual([b.lines.length, (await readdir(dirname(b.path))).length], [1, 2], kind);
    assert.equal((await stat(b.path)).mode & 0o777, 0o600);
  }
});

test("F9 what a slow disk has not taken is bounded and leaves no hole, also with a pipe in the file's place", async (t) => {
  const subject = new Subject("server", "files", 0);
  for (let tick = 1; tick < 20_000; tick++) {
    subject.fresh.set(tick % 50, tick);
    subject.endTicks(tick);
  }
  assert.ok((subject.takeUnsaved()?.length ?? 0) < 1.1 * MOST_UNSAVED_BYTES);
  const b = await start(t);
  const daemon = await b.start();
  b.called("files", [8]);
  await save(b);
  await rm(b.path);
  execFileSync("mkfifo", [b.path]);
  // Played without a pause, so no save ends.
  for (let tick = 0; tick < 3_000; tick++) {
    b.called("files", [1.3 ** (tick % 40), 1.3 ** (tick % 37)]);
    b.play(10_000);
  }
  for (let nth = 0; nth < 3; nth++) {
    b.called("files", [8]);
    await save(b);
  }
  // The first of these saves began long ago. The daemon has not ended.
  const next = await b.start();
  assert.ok(callsOf(next) >= 6_003 && callsOf(daemon) === 6_004, `${callsOf(next)}`);
  await Promise.all([next.end(), daemon.end()]);
});

test("a file that can neither be read nor set aside is not touched", async (t) => {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const b = numbersBench(disk);
  await writeFile(b.path, "torn");
  await remountTmpfs(disk, "ro");
  const daemon = await b.start();
  assert.match(
    b.told().join("\n"),
    /^warn: the numbers start empty and are not saved: move their file away/u,
  );
  await remountTmpfs(disk, "rw");
  b.play(2 * SAVE_EVERY_MS);
  await daemon.end();
  assert.equal(await readFile(b.path, "utf8"), "torn");
});

test("a disk that does not answer at the start delays nothing, and its file is not touched", async (t) => {
  const b = await start(t);
  await writeFile(b.path, await written(t), "latin1");
  const before = await versionOf(b);
  const clock: Clock = {
    ...b.clock,
    setTimer(delayMs, callback) {
      if (delayMs === 2_000) queueMicrotask(callback);
      return b.clock.setTimer(delayMs, callback);
    },
  };
  const daemon = await b.start({ clock });
  b.play(2 * SAVE_EVERY_MS);
  await daemon.end();
  assert.deepEqual([b.lines.length, await versionOf(b)], [1, before]);
});

test("F9 a full disk is reported once, and the numbers are saved when there is space", async (t) => {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const b = numbersBench(disk);
  const daemon = await b.start();
  await save(b);
  await assert.rejects(writeFile(join(disk, "ballast"), "x".repeat(1024 * 1024)), { code: "ENOSPC" });
  for (let nth = 0; nth < 40; nth++) {
    b.called("files", [nth]);
    b.play(SAVE_EVERY_MS);
    await pause(5);
  }
  await eventually(() => b.lines.length > 0);
  assert.match(b.told().join("\n"), /^warn: the numbers over time cannot be saved.*make the home writable$/u);
  await rm(join(disk, "ballast"));
  await save(b);
  await eventually(() => b.lines.length === 2);
  assert.match(b.told().at(-1) ?? "", /^info: the numbers are saved again$/u);
  await daemon.end();
  const next = await b.start();
  assert.equal(callsOf(next), 40);
  await next.end();
});

test("F9 250 servers that are called all the time stay within their bounds, and lose their oldest slots", async (t) => {
  const b = await start(t);
  const names = Array.from({ length: 250 }, (_, nth) => `${"n".repeat(60)}-${nth}`);
  b.now.backends = names.map((name) => sampleBackend({ name, phase: "Ready" }));
  const daemon = await b.start();
  for (let tick = 0; tick < 360; tick++) {
    for (const [nth, name] of names.entries()) {
      b.called(
        name,
        Array.from({ length: 12 }, (_, call) => 1.5 ** ((tick * 7 + nth + call * 5) % 30)),
      );
    }
    b.play(10_000);
  }
  const { calls } = daemon.series("server", names[249] ?? "", "hour");
  const known = calls.filter((each) => each !== null).length;
  assert.ok(known > 100 && known < 360 && calls.at(-1) === 12, `${known}`);
  await daemon.end();
  const { size } = await stat(b.path);
  assert.ok(size > MOST_BYTES && size < MOST_FILE_BYTES / 2, `${size}`);
  const next = await b.start();
  assert.equal(next.report().servers.length, 250);
  await next.end();
});

test("the middle of a range of durations is at most an eighth from any in it", () => {
  for (let ms = 0.26; ms < 600_000; ms *= 1.01) {
    assert.ok(Math.abs(middleOf(bucketOf(ms)) / ms - 1) <= 0.125, `${ms}`);
  }
  assert.deepEqual([bucketOf(0), bucketOf(1e9)], [0, 63]);
});
