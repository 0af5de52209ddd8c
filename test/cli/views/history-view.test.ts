import assert from "node:assert/strict";
import { test } from "node:test";
import { localTime, renderHistory } from "../../../src/cli/views/history-view.ts";
import { sampleEntry } from "../../api/sample-config.ts";
import { assertHarmless, HOSTILE, PLAIN } from "./looks.ts";

test("a line for each entry, in columns", () => {
  const time = new Date(2026, 10, 20, 9, 5, 7).toISOString();
  const entries = Array.from({ length: 11 }, (_, n) => sampleEntry(n, { time }));
  entries[1] = sampleEntry(1, { time, source: "rollback 3", summary: "2 shares reloaded" });
  const lines = renderHistory(entries, PLAIN).split("\n");
  assert.equal(lines[0], " 0  2026-11-20 09:05:07  01234567  file        settings reloaded");
  assert.equal(lines[1], " 1  2026-11-20 09:05:07  01234567  rollback 3  2 shares reloaded");
  assert.equal(lines[10], "10  2026-11-20 09:05:07  01234567  file        settings reloaded");
  assert.match(renderHistory(entries.slice(0, 10), PLAIN), /^0 .*\n1 /);
  assert.equal(renderHistory([], PLAIN), "");
});

test("hostile sources, summaries and times do not reach the terminal", () => {
  const hostile = { time: HOSTILE, sha256: HOSTILE, source: HOSTILE, summary: HOSTILE };
  assertHarmless(renderHistory([sampleEntry(0, hostile)], PLAIN));
  assert.equal(localTime("yesterday"), "yesterday");
});
