import assert from "node:assert/strict";
import { test } from "node:test";
import type { SyncEvent } from "../../../../src/api/contract.ts";
import { syncRows } from "../../../../src/web/page/sync/sync-rows.ts";

test("B8 events without a change share one row with their count; twenty rows are kept, newest first", () => {
  const event = (id: number, type: SyncEvent["type"]): SyncEvent => ({
    id,
    time: "14:32:05",
    iso: "2026-01-01T00:00:00Z",
    generation: 1,
    type,
    details: type,
  });
  const rows = syncRows([
    event(1, "changed"),
    event(2, "no-change"),
    event(3, "no-change"),
    event(4, "error"),
  ]);
  assert.deepEqual(
    rows.map(({ id, type, count }) => [id, type, count]),
    [
      [4, "error", 1],
      [3, "no-change", 2],
      [1, "changed", 1],
    ],
  );
  const many = syncRows(Array.from({ length: 50 }, (_, index) => event(index, "changed")));
  assert.deepEqual([many.length, many[0]?.id], [20, 49]);
});
