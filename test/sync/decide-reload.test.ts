import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decideReload,
  type FileObservation,
  type LoadedContent,
  type ReloadCheck,
  type ReloadMemory,
} from "../../src/sync/decide-reload.ts";
import { createQuietWindow } from "../../src/sync/quiet-window.ts";
import { createSyncEvents, syncEvent } from "../../src/sync/sync-event.ts";
import { assertEach } from "../support/assert-each.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { fc } from "../support/properties.ts";

type Loaded = LoadedContent<null> | null;
const content = (sha256: string, text = sha256, loaded: Loaded = null): FileObservation<null> => ({
  kind: "content",
  sha256,
  inode: "1",
  bytes: new TextEncoder().encode(text),
  loaded,
});
const RIGHT: Loaded = { ok: true, snapshot: null };
const WRONG: Loaded = { ok: false, reason: "line 3", mistakes: [] };
const MEMORY: ReloadMemory = { runningSha256: "run", expectedSha256: null, problem: null };
const REJECTED = { ...MEMORY, problem: { kind: "rejected", sha256: "bad" } } as const;
const CUT = { ok: true, snapshot: null, suspect: "it was emptied" } as const;
const SUSPECT = { ...MEMORY, problem: { kind: "cut_short", sha256: "cut" } } as const;
const FAILED = { ...MEMORY, problem: { kind: "failed", sha256: "new" } } as const;
const UNREADABLE = { ...MEMORY, problem: { kind: "unreadable", sha256: null } } as const;
const EXPECTING = { ...MEMORY, expectedSha256: "run" };
const UNASKED: ReloadCheck = { isRequested: false, noticed: false, second: false };
const NOTICED: ReloadCheck = { isRequested: false, noticed: true, second: false };
const ASKED: ReloadCheck = { isRequested: true, noticed: true, second: false };
const SECOND: ReloadCheck = { isRequested: false, noticed: true, second: true };

const TABLE: readonly [string, FileObservation<null>, ReloadMemory, ReloadCheck, string][] = [
  ["B3 a missing file is not a change", { kind: "missing" }, MEMORY, NOTICED, "rest"],
  ["B3 a missing file is not a change, requested or not", { kind: "missing" }, MEMORY, ASKED, "rest"],
  ["B3 a missing file does not correct a rejected one", { kind: "missing" }, REJECTED, NOTICED, "rest"],
  ["B3 a missing file does not undo a temporary failure", { kind: "missing" }, FAILED, NOTICED, "rest"],
  [
    "B4 a missing file ends the error of an unreadable one",
    { kind: "missing" },
    UNREADABLE,
    NOTICED,
    "forget_problem",
  ],
  ["B4 an unreadable file is a failure", { kind: "unreadable", reason: "EIO" }, MEMORY, UNASKED, "fail"],
  ["B2 the running bytes, without a detected change", content("run"), MEMORY, UNASKED, "rest"],
  ["B2 the running bytes after a noticed change", content("run"), MEMORY, NOTICED, "report_same"],
  ["B10 the running bytes, on request", content("run"), MEMORY, ASKED, "report_same"],
  ["B10 the bytes that the service wrote itself", content("run"), EXPECTING, NOTICED, "rest"],
  [
    "B10 the bytes that the service wrote itself, on request",
    content("run"),
    EXPECTING,
    ASKED,
    "report_same",
  ],
  ["B4 the running bytes again after a rejected edit", content("run"), REJECTED, UNASKED, "report_same"],
  ["B4 the running bytes again after a temporary failure", content("run"), FAILED, UNASKED, "report_same"],
  ["B4 the same rejected bytes", content("bad"), REJECTED, NOTICED, "rest"],
  ["B4 the same rejected bytes, on request", content("bad"), REJECTED, ASKED, "load"],
  ["B12 half a file is checked again", content("cut", "cut", CUT), MEMORY, NOTICED, "look_again"],
  ["B12 half a file is suspect", content("cut", "cut", CUT), MEMORY, SECOND, "hold"],
  [
    "B12 half a file with errors is suspect",
    content("cut", "cut", { ...CUT, ...WRONG }),
    MEMORY,
    SECOND,
    "hold",
  ],
  ["B12 a suspect file is not retried", content("cut", "cut", CUT), SUSPECT, NOTICED, "rest"],
  ["B12 a suspect file runs when a person confirms it", content("cut", "cut", CUT), SUSPECT, ASKED, "apply"],
  ["B12 other bytes than the suspect ones", content("new"), SUSPECT, NOTICED, "load"],
  ["B4 other bytes after rejected ones", content("new"), REJECTED, NOTICED, "load"],
  ["B4 bytes that failed for a temporary reason", content("new"), FAILED, UNASKED, "load"],
  ["B1 new bytes", content("new"), MEMORY, NOTICED, "load"],
  ["B1 new bytes, on request", content("new"), MEMORY, ASKED, "load"],
  ["B1 new bytes that no detector has noticed", content("new"), MEMORY, UNASKED, "wait_until_quiet"],
  ["B1 new valid bytes", content("new", "new", RIGHT), MEMORY, NOTICED, "apply"],
  ["B1 new valid bytes, at the second check", content("new", "new", RIGHT), MEMORY, SECOND, "apply"],
  ["B4 new invalid bytes, at first", content("new", "new", WRONG), MEMORY, NOTICED, "look_again"],
  ["B4 new invalid bytes, on request", content("new", "new", WRONG), MEMORY, ASKED, "look_again"],
  ["B4 new bytes that stay invalid", content("new", "new", WRONG), MEMORY, SECOND, "reject"],
  ["B4 other undetected bytes after failed ones", content("other"), FAILED, UNASKED, "wait_until_quiet"],
  ["an empty file, at first", content("none", ""), MEMORY, NOTICED, "look_again"],
  ["an empty file, asked for", content("none", ""), MEMORY, ASKED, "look_again"],
  ["an empty file that stays empty", content("none", ""), MEMORY, SECOND, "load"],
  ["an empty file that runs", content("run", ""), MEMORY, UNASKED, "rest"],
];

for (const [title, seen, memory, look, expected] of TABLE) {
  test(`${title}: ${expected}`, () => {
    assert.equal(decideReload(seen, memory, look).do, expected);
  });
}

function openable(beforeEnd: () => Promise<void> = async () => {}, quietMs = 100, maxWaitMs = 1_000) {
  const clock = createManualClock();
  const ends: number[] = [];
  const window = createQuietWindow({
    clock,
    quietMs,
    maxWaitMs,
    beforeEnd: () => beforeEnd(),
    onEnd: () => ends.push(clock.monotonicMs() - 1_000),
  });
  return { clock, ends, window };
}

test("B1 a change that is reported late counts from its own time, and never shortens the window", async () => {
  const { clock, ends, window } = openable();
  window.trigger(clock.monotonicMs() - 12);
  await clock.advance(50);
  window.trigger(clock.monotonicMs() - 10);
  window.trigger(clock.monotonicMs() - 30);
  await clock.advance(89);
  assert.deepEqual(ends, []);
  await clock.advance(1);
  assert.deepEqual(ends, [140]);
});

test("B1 a last check that fails ends the window, and a slow one keeps it open", async () => {
  const failing = openable(() => Promise.reject(new Error("on purpose")));
  failing.window.trigger();
  await failing.clock.advance(100);
  assert.deepEqual(failing.ends, [100]);

  let answer = (): void => {};
  const slow = openable(() => new Promise((resolve) => (answer = resolve)));
  slow.window.trigger();
  await slow.clock.advance(500);
  assert.equal(slow.window.isOpen, true);
  answer();
  await slow.clock.advance(0);
  assert.deepEqual(slow.ends, [500]);
});

test("B1 a window that is closed during its last check does not end", async () => {
  const gate = Promise.withResolvers<void>();
  const { clock, ends, window } = openable(() => gate.promise);
  window.trigger();
  await clock.advance(100);
  window.cancel();
  gate.resolve();
  await clock.advance(1_000);
  assert.deepEqual(ends, []);
});

test("B5 new lengths apply to the open window", async () => {
  const { clock, ends, window } = openable();
  window.trigger();
  await clock.advance(50);
  window.setLengths(60, 600);
  await clock.advance(10);
  assert.deepEqual(ends, [60]);
  window.trigger();
  window.setLengths(200, 2_000);
  await clock.advance(199);
  assert.equal(ends.length, 1);
  await clock.advance(1);
  assert.deepEqual(ends, [60, 260]);
});

test("after disposal nothing opens it", async () => {
  const { clock, ends, window } = openable();
  window.trigger();
  window[Symbol.dispose]();
  window.trigger();
  await clock.advance(5_000);
  assert.deepEqual(ends, []);
  assert.equal(clock.pendingTimers, 0);
});

test("B1 for any events: each change is followed by an end within the bound, and ends follow quiet or the bound", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(150), { minLength: 1, maxLength: 60 }), async (gaps) => {
      const { clock, ends, window } = openable();
      const changes: number[] = [];
      for (const gap of gaps) {
        await clock.advance(gap);
        changes.push(clock.monotonicMs() - 1_000);
        window.trigger();
      }
      await clock.advance(2_000);
      for (const change of changes) {
        assert.ok(
          ends.some((end) => end >= change && end <= change + 1_000),
          `change at ${change}`,
        );
      }
      let from = 0;
      for (const end of ends) {
        const inWindow = changes.filter((change) => change >= from && change < end);
        const quietMs = end - (inWindow.at(-1) ?? 0);
        const openMs = end - (inWindow[0] ?? 0);
        assert.ok(quietMs === 100 || openMs === 1_000, `${quietMs} ms quiet, ${openMs} ms open`);
        from = end;
      }
    }),
    { numRuns: 60 },
  );
});

test("B8 an event has the local time for people, the same moment in ISO 8601, generation, type and details", () => {
  const local = new Date(2026, 10, 3, 14, 32, 5, 900);
  assert.deepEqual(syncEvent(local.getTime(), 7, "changed", "3 servers reloaded"), {
    time: "14:32:05",
    iso: local.toISOString(),
    generation: 7,
    type: "changed",
    details: "3 servers reloaded",
  });
});

test("B8 the newest thousand are kept, in order and with their numbers", () => {
  const events = createSyncEvents();
  assert.deepEqual(events.all(), []);
  const named = (index: number) => syncEvent(0, 1, "changed", `${index}`);
  assert.deepEqual(events.add(named(1)), { ...named(1), id: 1 });
  for (let index = 2; index <= 1_000; index += 1) events.add(named(index));
  assert.equal(events.all().length, 1_000);
  for (let index = 1_001; index <= 2_345; index += 1) events.add(named(index));
  assertEach(
    events.all(),
    ({ id, details }) => [id, details],
    Array.from({ length: 1_000 }, (_, index) => [1_346 + index, `${1_346 + index}`]),
  );
});

test("B8 a returned list does not change afterwards", () => {
  const events = createSyncEvents();
  events.add(syncEvent(0, 1, "changed", "a"));
  const taken = events.all();
  events.add(syncEvent(0, 1, "changed", "b"));
  assertEach(taken, ({ details }) => details, ["a"]);
});
