import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import type { SyncEvent, SyncSettingsWire } from "../../../../src/api/contract.ts";
import {
  DETECTIONS,
  draftEdits,
  draftMistakes,
  draftOf,
  FAILURE_MODES,
  SYNC_LIMITS,
  syncRows,
} from "../../../../src/web/page/sync/sync-draft.ts";

const SETTINGS: SyncSettingsWire = {
  enabled: true,
  poll_interval: 2,
  debounce: 1,
  detection: "mtime",
  on_failure: "backoff",
};
const BASE = { settings: SETTINGS, sha256: "0".repeat(64) };

test("B9 the limits and choices of the form are the schema's", async () => {
  const file = path.resolve(import.meta.dirname, "../../../../docs/config.schema.json");
  const { properties } = JSON.parse(await readFile(file, "utf8")).properties.sync;
  for (const [field, { min, max }] of Object.entries(SYNC_LIMITS)) {
    assert.deepEqual([min, max], [properties[field].minimum, properties[field].maximum], field);
  }
  assert.deepEqual(DETECTIONS, properties.detection.enum);
  assert.deepEqual(FAILURE_MODES, properties.on_failure.enum);
});

test("B9 a draft stands for edits of what differs, and of nothing else", () => {
  const draft = draftOf(SETTINGS);
  assert.deepEqual(draftEdits(draft, BASE), []);
  assert.deepEqual(draftEdits({ ...draft, poll_interval: "2.0", debounce: " 1" }, BASE), []);
  assert.deepEqual(
    draftEdits(
      { enabled: "false", poll_interval: "0.5", debounce: "1", detection: "hash", on_failure: "stop" },
      BASE,
    ),
    [
      { key: "sync.enabled", value: "false" },
      { key: "sync.poll_interval", value: "0.5" },
      { key: "sync.detection", value: '"hash"' },
      { key: "sync.on_failure", value: '"stop"' },
    ],
  );
});

test("B9 numbers that are none, or out of bounds, are told", () => {
  const mistakes = (poll_interval: string): string | undefined =>
    draftMistakes({ ...draftOf(SETTINGS), poll_interval }).poll_interval;
  assert.equal(mistakes("2"), undefined);
  assert.equal(mistakes(".5"), undefined);
  assert.equal(mistakes(""), "needs a number of seconds");
  assert.equal(mistakes("1e3"), "needs a number of seconds");
  assert.equal(mistakes("2,5"), "write it with a point");
  assert.equal(mistakes("0"), "must be 0.05 to 3600 seconds");
});

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
