// Real files: what a timeline leaves for the next daemon, and what that makes of whatever it finds.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { BackendStatus, ShareStatus } from "../../../src/api/contract/contract.ts";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import { DAY_MS, type KnownTimeline, knownShape } from "../../../src/daemon/events/timeline.ts";
import { keepTimeline, LARGEST_FILE, SAVE_AFTER_MS } from "../../../src/daemon/events/timeline-file.ts";
import { createBus } from "../../../src/runtime/bus.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { sampleShare } from "../../api/sample-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { assertReplacedWhole } from "../../support/replaced-whole.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs, remountTmpfs } from "../../support/tiny-disk.ts";

const MINUTE_MS = 60_000;

/** A home's daemons, one after the other. */
async function bench(home: string, clock: ManualClock = createManualClock()) {
  const path = join(home, "timeline.json");
  const bus = createBus<ServiceTransition>({ onListenerError: (error) => assert.fail(String(error)) });
  const now: { shares: ShareStatus[]; backends: BackendStatus[] } = {
    shares: [sampleShare({ name: "CORE", mount_state: "mounted", active_interface: "tb" })],
    backends: [sampleBackend({ name: "files", phase: "Ready" })],
  };
  const logger = createRecordingLogger();
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await pause(1);
  };
  return {
    path,
    clock,
    now,
    told: () => logger.lines.map(({ level, message }) => `${level}: ${message}`),
    lines: logger.lines,
    start: (over: Partial<Parameters<typeof keepTimeline>[0]> = {}) =>
      keepTimeline({
        home,
        follows: false,
        clock,
        logger,
        bus,
        status: () => now,
        isObserved: () => true,
        ...over,
      }),
    /** Says so as the engine does. */
    turn(active_interface: ShareStatus["active_interface"]): void {
      now.shares = [sampleShare({ name: "CORE", mount_state: "mounted", active_interface })];
      bus.publish({ name: "share.error", share: "CORE", reason: "x" });
    },
    /** Time passes, and the disk has time for what is written then, if anything is. */
    async pass(ms: number): Promise<void> {
      for (let left = ms; left > 0; left -= MINUTE_MS) {
        await clock.advance(Math.min(left, MINUTE_MS));
        await settle();
      }
    },
    settle,
    /** Another one for each write. */
    async version(): Promise<string> {
      const { ino, mtimeNs } = await stat(path, { bigint: true });
      return `${ino} ${mtimeNs}`;
    },
    /** The first version that two minutes leave as it is: a beat during a write that takes long writes once more. */
    async quietVersion(): Promise<string> {
      return eventually(async () => {
        const version = await this.version();
        await this.pass(2 * MINUTE_MS);
        return (await this.version()) === version && version;
      });
    },
  };
}

async function knownAt(path: string): Promise<KnownTimeline> {
  const known: KnownTimeline = JSON.parse(await readFile(path, "utf8"));
  assert.equal(knownShape.faultIn(known), null);
  return known;
}

async function start(t: TestContext) {
  return bench(await temporaryFolder(t));
}

test("F2 the next daemon reports everything that this one knew, up to its stop, and the time between as a gap", async (t) => {
  const b = await start(t);
  const one = await b.start();
  await b.clock.advance(1_000);
  b.turn("fallback");
  await b.clock.advance(9_000);
  const before = await one.timeline();
  await one[Symbol.asyncDispose]();
  assert.equal((await stat(b.path)).mode & 0o777, 0o600);
  assert.equal(b.clock.pendingTimers, 0);

  await b.clock.advance(3_600_000);
  const next = await b.start();
  await b.clock.advance(5_000);
  const report = await next.timeline();
  const endIso = before.to;
  const againIso = new Date(b.clock.wallMs() - 5_000).toISOString();
  assert.equal(report.known_since, before.known_since);
  assert.deepEqual(report.gaps, [{ from: endIso, to: againIso }]);
  const spans = report.shares[0]?.spans ?? [];
  assert.deepEqual(spans.slice(0, -1), before.shares[0]?.spans);
  assert.deepEqual(spans.at(-1), {
    from: againIso,
    to: report.to,
    state: "mounted",
    route: "fallback",
    impact: "fine",
  });
  assert.deepEqual(b.told(), []);
  await next[Symbol.asyncDispose]();
});

test("changes are on disk within a minute; nothing is written while nothing changes", async (t) => {
  const b = await start(t);
  const timeline = await b.start();
  t.after(() => timeline[Symbol.asyncDispose]());
  assert.equal(existsSync(b.path), false);
  await b.clock.advance(SAVE_AFTER_MS);
  const first = await b.quietVersion();
  await b.pass(12 * MINUTE_MS);
  assert.equal(await b.version(), first, "nothing has happened");
  b.turn("fallback");
  await b.settle();
  assert.equal(await b.version(), first, "not at once");
  await b.clock.advance(SAVE_AFTER_MS);
  await eventually(async () => (await b.version()) !== first);
  assertEach((await knownAt(b.path)).shares, ({ state }) => state?.route, ["tb", "fallback"]);
  // What no transition tells of is seen, too.
  b.now.backends = [];
  await eventually(async () => {
    await b.clock.advance(SAVE_AFTER_MS);
    return (await knownAt(b.path)).backends.at(-1)?.state === null;
  });
});

test("B11 nothing is written after the end, and a change long before the next beat is saved", async (t) => {
  const b = await start(t);
  const timeline = await b.start();
  b.turn("fallback");
  await Promise.all([timeline[Symbol.asyncDispose](), timeline[Symbol.asyncDispose]()]);
  const last = await b.version();
  assert.equal((await knownAt(b.path)).shares.at(-1)?.state?.route, "fallback");
  b.turn("tb");
  await b.pass(3 * MINUTE_MS);
  assert.equal(await b.version(), last);
  assert.deepEqual(await readdir(join(b.path, "..")), ["timeline.json"]);
});

/** As a daemon wrote it, of two hours. */
async function written(t: TestContext): Promise<string> {
  const b = await start(t);
  const timeline = await b.start();
  await b.clock.advance(7_200_000);
  b.turn("fallback");
  await timeline[Symbol.asyncDispose]();
  return readFile(b.path, "utf8");
}

const BAD: Readonly<Record<string, (whole: string) => string>> = {
  empty: () => "",
  torn: (whole) => whole.slice(0, whole.length / 2),
  "cut in a character": (whole) => `${whole.slice(0, -3)}\ud800`,
  "of another version": (whole) => whole.replace('"version":2', '"version":1'),
  "of no version": (whole) => whole.replace('"version":2', '"version":"2"'),
  "a list": () => "[]",
  "not ours": () => '{"version":2}',
  "with times of another form": (whole) => whole.replace(/"until":\d+/u, '"until":"some day"'),
  "with an unknown state": (whole) => whole.replace('"mounted"', '"well"'),
};

for (const [kind, spoil] of Object.entries(BAD)) {
  test(`a file that is ${kind} is set aside with one warning, and the timeline starts empty`, async (t) => {
    const whole = await written(t);
    const text = spoil(whole);
    assert.notEqual(text, whole);
    const b = await start(t);
    await writeFile(b.path, text);
    const timeline = await b.start();
    const report = await timeline.timeline();
    assert.deepEqual([report.gaps, report.known_since, report.shares.length], [[], report.to, 1]);
    assert.deepEqual(b.told(), [
      "warn: the timeline starts empty; delete the file set aside, or start the version that can read it",
    ]);
    const aside = String(b.lines[0]?.fields["set_aside"]);
    assert.match(aside, /timeline\.json\.corrupt-/u);
    assert.equal(await readFile(aside, "utf8"), Buffer.from(text).toString());
    await timeline[Symbol.asyncDispose]();
    await knownAt(b.path);
  });
}

test("a folder, a pipe, a link and a huge file are also set aside, and block nothing", async (t) => {
  const kinds: Readonly<Record<string, (path: string) => unknown>> = {
    folder: (path) => mkdir(path),
    pipe: (path) => execFileSync("mkfifo", [path]),
    link: (path) => symlink("elsewhere", path),
    huge: (path) => writeFile(path, " ".repeat(LARGEST_FILE + 1)),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    const b = await start(t);
    await make(b.path);
    const timeline = await b.start();
    await timeline[Symbol.asyncDispose]();
    assert.equal(b.lines.length, 1, kind);
    await knownAt(b.path);
    assert.equal((await readdir(join(b.path, ".."))).length, 2, kind);
    assert.equal((await stat(b.path)).mode & 0o777, 0o600);
  }
});

test("a file that can neither be read nor set aside is not touched", async (t) => {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const b = await bench(disk);
  await writeFile(b.path, "torn");
  await remountTmpfs(disk, "ro");
  const timeline = await b.start();
  assert.deepEqual(b.told(), [
    "warn: the timeline starts empty and is not saved: move its file away, then restart",
  ]);
  await remountTmpfs(disk, "rw");
  await b.pass(2 * MINUTE_MS);
  await timeline[Symbol.asyncDispose]();
  assert.equal(await readFile(b.path, "utf8"), "torn");
});

test("a disk that does not answer at the start delays nothing, and its file is not touched", async (t) => {
  const b = await start(t);
  const text = await written(t);
  await writeFile(b.path, text);
  const hasty: Clock = {
    ...b.clock,
    setTimer(delayMs, callback) {
      if (delayMs === 2_000) queueMicrotask(callback);
      return b.clock.setTimer(delayMs, callback);
    },
  };
  const timeline = await b.start({ clock: hasty });
  assert.deepEqual((await timeline.timeline()).gaps, []);
  await b.pass(2 * MINUTE_MS);
  await timeline[Symbol.asyncDispose]();
  assert.equal(b.lines.length, 1, JSON.stringify(b.told()));
  assert.equal(await readFile(b.path, "utf8"), text);
});

test("a full disk is reported once, and the timeline is saved when there is space", async (t) => {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const b = await bench(disk);
  await assert.rejects(writeFile(join(disk, "ballast"), "x".repeat(1024 * 1024)), { code: "ENOSPC" });
  const timeline = await b.start();
  await b.clock.advance(SAVE_AFTER_MS);
  await eventually(() => b.lines.length > 0);
  await b.pass(2 * MINUTE_MS);
  assert.match(b.told().join("\n"), /^warn: the timeline cannot be saved.*make the home writable$/u);
  await rm(join(disk, "ballast"));
  await b.clock.advance(SAVE_AFTER_MS);
  await eventually(() => b.lines.length === 2);
  assert.match(b.told().at(-1) ?? "", /^info: the timeline is saved again$/u);
  await knownAt(b.path);
  await timeline[Symbol.asyncDispose]();
});

test("a file that was opened to others is private again after the next write", async (t) => {
  const b = await start(t);
  await writeFile(b.path, await written(t));
  await chmod(b.path, 0o644);
  const timeline = await b.start();
  await timeline[Symbol.asyncDispose]();
  assert.equal((await stat(b.path)).mode & 0o777, 0o600);
});

test("the largest possible timeline fits into its bounds", async (t) => {
  const b = await start(t);
  const names = Array.from({ length: 500 }, (_, nth) => `${"n".repeat(200)}-${nth}`);
  b.now.shares = names.map((name) => sampleShare({ name }));
  b.now.backends = names.map((name) => sampleBackend({ name }));
  const timeline = await b.start();
  await timeline[Symbol.asyncDispose]();
  assert.ok((await stat(b.path)).size < LARGEST_FILE);
  const next = await b.start();
  const { backends } = await next.timeline();
  assert.equal(backends.length, 500);
  assert.deepEqual(b.told(), []);
  await next[Symbol.asyncDispose]();
});

test("a day without a daemon erases everything from before", async (t) => {
  const b = await start(t);
  const one = await b.start();
  await b.clock.advance(60_000);
  await one[Symbol.asyncDispose]();
  await b.clock.advance(DAY_MS + 60_000);
  const next = await b.start();
  const report = await next.timeline();
  assert.deepEqual([report.gaps, report.known_since], [[], report.to]);
  await next[Symbol.asyncDispose]();
});

test("B11 kill -9 at any instant leaves a whole file: each save replaces the file", async (t) => {
  const b = await start(t);
  const one = await b.start();
  await b.clock.advance(MINUTE_MS);
  await one[Symbol.asyncDispose]();
  await assertReplacedWhole(b.path, async () => {
    const next = await b.start();
    await b.clock.advance(MINUTE_MS);
    await next[Symbol.asyncDispose]();
  });
});
