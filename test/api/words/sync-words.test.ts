import assert from "node:assert/strict";
import { test } from "node:test";
import type { SyncEvent } from "../../../src/api/contract.ts";
import { type EventRow, ROWS_KEPT, withEvent } from "../../../src/api/words/sync-words.ts";
import { fc } from "../../support/properties.ts";
import { sampleSyncEvent } from "../sample-config.ts";

function event(id: number, type: SyncEvent["type"], details = type as string): SyncEvent {
  const iso = new Date(Date.UTC(2026, 0, 1, 12, 0, id)).toISOString();
  return sampleSyncEvent({ id, time: iso.slice(11, 19), iso, type, details });
}

function rowsOf(events: readonly SyncEvent[]): readonly EventRow[] {
  return events.reduce<readonly EventRow[]>(withEvent, []);
}

test("B8 consecutive events without a change are one row with their count and the newest time", () => {
  const rows = rowsOf([
    event(1, "no-change"),
    event(2, "no-change"),
    event(3, "changed", "1 share reloaded"),
    event(4, "no-change"),
    event(5, "error", "config.toml:3:1: …"),
    event(6, "no-change"),
  ]);
  assert.deepEqual(
    rows.map(({ time, type, count }) => [time, type, count]),
    [
      ["12:00:02", "no-change", 2],
      ["12:00:03", "changed", 1],
      ["12:00:04", "no-change", 1],
      ["12:00:05", "error", 1],
      ["12:00:06", "no-change", 1],
    ],
  );
});

test("B8 errors and changes are never folded, and the last twenty rows are kept", () => {
  const rows = rowsOf(Array.from({ length: 50 }, (_, id) => event(id, id % 2 === 0 ? "changed" : "error")));
  assert.equal(rows.length, ROWS_KEPT);
  assert.equal(ROWS_KEPT, 20);
  assert.equal(rows.at(-1)?.time, "12:00:49");
  assert.ok(rows.every(({ count }) => count === 1));
});

test("B8 whatever comes, no two neighbours are without a change, and each event is counted once", () => {
  const types = fc.array(fc.constantFrom<SyncEvent["type"]>("changed", "no-change", "error"), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(types, (list) => {
      const rows = rowsOf(list.map((type, id) => event(id, type)));
      assert.ok(rows.length <= ROWS_KEPT);
      for (const [index, row] of rows.entries()) {
        assert.ok(row.type !== "no-change" || rows[index - 1]?.type !== "no-change");
      }
      const counted = rows.reduce((sum, { count }) => sum + count, 0);
      if (rows.length < ROWS_KEPT) assert.equal(counted, list.length);
    }),
  );
});
