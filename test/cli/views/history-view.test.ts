import assert from "node:assert/strict";
import { test } from "node:test";
import { localTime, renderHistory } from "../../../src/cli/views/history-view.ts";
import { sampleEntry } from "../../api/sample-config.ts";

const look = { width: 80, color: false, unicode: true };

test("a line for each entry, in columns", () => {
  const time = new Date(2026, 10, 20, 9, 5, 7).toISOString();
  const entries = Array.from({ length: 11 }, (_, n) => sampleEntry(n, { time }));
  entries[1] = sampleEntry(1, { time, source: "rollback 3", summary: "2 shares reloaded" });
  const lines = renderHistory(entries, look).split("\n");
  assert.equal(lines[0], " 0  2026-11-20 09:05:07  01234567  file        settings reloaded");
  assert.equal(lines[1], " 1  2026-11-20 09:05:07  01234567  rollback 3  2 shares reloaded");
  assert.equal(lines[10], "10  2026-11-20 09:05:07  01234567  file        settings reloaded");
  assert.equal(renderHistory([], look), "");
});

test("hostile sources, summaries and times do not reach the terminal", () => {
  const hostile = "\u001b[2J\r\n\u202e";
  const text = renderHistory(
    [sampleEntry(0, { time: hostile, sha256: hostile, source: hostile, summary: hostile })],
    look,
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f\u202e]/);
  assert.equal(localTime("yesterday"), "yesterday");
});
