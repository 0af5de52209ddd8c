import assert from "node:assert/strict";
import test from "node:test";
import { createDetectorSlot } from "../../src/sync/detector-slot.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { createMemoryFile, systemError } from "./memory-file.ts";

function createSlot() {
  const clock = createManualClock();
  const file = createMemoryFile("a");
  const heard = { changes: 0, ready: 0, degraded: null as string | null };
  const slot = createDetectorSlot({
    file,
    clock,
    folderEvents: file.events,
    onChange: () => (heard.changes += 1),
    onReady: () => (heard.ready += 1),
    onPresence: () => {},
    onDegraded: (reason) => (heard.degraded = reason),
  });
  return { clock, file, heard, slot };
}

test("B5 the wished detector runs, the one before is silent, and the same wish changes nothing", async () => {
  const { clock, file, heard, slot } = createSlot();
  await slot.want({ detection: "mtime", pollIntervalMs: 1_000 });
  await slot.want({ detection: "mtime", pollIntervalMs: 1_000 });
  assert.equal(heard.ready, 1);
  file.touch();
  await slot.want({ detection: "hash", pollIntervalMs: 1_000 });
  await clock.advance(5_000);
  assert.equal(heard.changes, 0);
  assert.equal(heard.ready, 2);
  file.save("b");
  await clock.advance(1_000);
  assert.equal(heard.changes, 1);
  await slot.want(null);
  file.save("c");
  await clock.advance(5_000);
  assert.equal(heard.changes, 1);
  assert.equal(clock.pendingTimers, 0);
});

test("B5 a detector that is replaced before it was ready is never said to be", async () => {
  const { clock, file, heard, slot } = createSlot();
  file.answer(false);
  void slot.want({ detection: "hash", pollIntervalMs: 1_000 });
  const second = slot.want({ detection: "mtime", pollIntervalMs: 1_000 });
  file.answer(true);
  await second;
  await clock.advance(0);
  assert.equal(heard.ready, 1);
  await slot.want(null);
});

test("what one detector lacked is no concern of the next", async () => {
  const { file, heard, slot } = createSlot();
  file.refuseWatches(systemError("EMFILE"));
  await slot.want({ detection: "inotify", pollIntervalMs: 1_000 });
  assert.notEqual(heard.degraded, null);
  await slot.want({ detection: "hash", pollIntervalMs: 1_000 });
  assert.equal(heard.degraded, null);
  await slot.want(null);
});

test("an absurd poll interval is no busy loop", async () => {
  const { clock, file, slot } = createSlot();
  await slot.want({ detection: "hash", pollIntervalMs: 0 });
  const { looks } = file;
  await clock.advance(1_000);
  assert.ok(file.looks - looks <= 100);
  await slot.want(null);
});
