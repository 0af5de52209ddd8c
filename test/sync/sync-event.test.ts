import assert from "node:assert/strict";
import test from "node:test";
import { createSyncEventRing, localTime, SYNC_EVENTS_KEPT, syncEvent } from "../../src/sync/sync-event.ts";

test("B8 an event has the local time for people, the same moment in ISO 8601, generation, type and details", () => {
  const local = new Date(2026, 10, 3, 14, 32, 5, 900);
  assert.deepEqual(syncEvent(local.getTime(), 7, "changed", "3 backends reloaded"), {
    time: "14:32:05",
    iso: local.toISOString(),
    generation: 7,
    type: "changed",
    details: "3 backends reloaded",
  });
  assert.equal(localTime(new Date(2026, 0, 1, 0, 0, 0).getTime()), "00:00:00");
});

test("B8 the ring keeps the newest thousand, in order", () => {
  const ring = createSyncEventRing();
  assert.deepEqual(ring.newest(), []);
  const details = (count?: number): string[] => ring.newest(count).map((event) => event.details);
  for (let index = 1; index <= SYNC_EVENTS_KEPT; index += 1) ring.add(syncEvent(0, 1, "changed", `${index}`));
  assert.equal(details().length, 1_000);
  assert.deepEqual(details(2), ["999", "1000"]);
  for (let index = 1_001; index <= 2_345; index += 1) ring.add(syncEvent(0, 1, "changed", `${index}`));
  assert.equal(details().length, 1_000);
  assert.equal(details()[0], "1346");
  assert.deepEqual(details(3), ["2343", "2344", "2345"]);
  assert.deepEqual(details(0), []);
  assert.deepEqual(details(-1), []);
});

test("what is taken from the ring does not change afterwards", () => {
  const ring = createSyncEventRing(2);
  ring.add(syncEvent(0, 1, "changed", "a"));
  const taken = ring.newest();
  ring.add(syncEvent(0, 1, "changed", "b"));
  ring.add(syncEvent(0, 1, "changed", "c"));
  assert.deepEqual(
    taken.map((event) => event.details),
    ["a"],
  );
  assert.deepEqual(
    ring.newest().map((event) => event.details),
    ["b", "c"],
  );
});
