import assert from "node:assert/strict";
import test from "node:test";
import { createSyncEvents, syncEvent } from "../../src/sync/sync-event.ts";
import { assertEach } from "../support/assert-each.ts";

test("B8 an event has the local time for people, the same moment in ISO 8601, generation, type and details", () => {
  const local = new Date(2026, 10, 3, 14, 32, 5, 900);
  assert.deepEqual(syncEvent(local.getTime(), 7, "changed", "3 backends reloaded"), {
    time: "14:32:05",
    iso: local.toISOString(),
    generation: 7,
    type: "changed",
    details: "3 backends reloaded",
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

test("B8 what was taken does not change afterwards", () => {
  const events = createSyncEvents();
  events.add(syncEvent(0, 1, "changed", "a"));
  const taken = events.all();
  events.add(syncEvent(0, 1, "changed", "b"));
  assertEach(taken, ({ details }) => details, ["a"]);
});
