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
const MEMORY: ReloadMemory = { runningSha256: "run", expectedSha256: null, problem: null };
const REJECTED = { ...MEMORY, problem: { kind: "rejected", sha256: "bad" } } as const;
const CUT = { ok: true, snapshot: null, suspect: "it was emptied" } as const;
const TORN: Loaded = { ok: false, reason: "line 3", mistakes: [], suspect: "it was emptied" };
const SUSPECT = { ...MEMORY, problem: { kind: "cut_short", sha256: "cut" } } as const;
const UNASKED: ReloadCheck = { isRequested: false, noticed: false, second: false };
const NOTICED: ReloadCheck = { isRequested: false, noticed: true, second: false };
const ASKED: ReloadCheck = { isRequested: true, noticed: true, second: false };
const SECOND: ReloadCheck = { isRequested: false, noticed: true, second: true };

/** What no story of the watcher shows: `config-watcher-stories.test.ts` and `half-file.test.ts` have the others. */
const TABLE: readonly [string, FileObservation<null>, ReloadMemory, ReloadCheck, string][] = [
  ["B4 the running bytes again after a rejected edit", content("run"), REJECTED, UNASKED, "report_same"],
  ["B1 new bytes that no detector has noticed", content("new"), MEMORY, UNASKED, "wait_until_quiet"],
  ["B12 half a file is suspect", content("cut", "cut", CUT), MEMORY, SECOND, "hold"],
  ["B12 half a file with errors is suspect", content("cut", "cut", TORN), MEMORY, SECOND, "hold"],
  ["B12 a suspect file is not retried", content("cut", "cut", CUT), SUSPECT, NOTICED, "rest"],
  ["B12 a suspect file runs when a person confirms it", content("cut", "cut", CUT), SUSPECT, ASKED, "apply"],
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
