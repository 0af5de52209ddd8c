import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionStatus } from "../../../src/api/client/daemon-connection.ts";
import type { EventRow } from "../../../src/api/labels/sync-labels.ts";
import { problemLines, statusLines, tableLines } from "../../../src/tui/status/status-lines.ts";
import { lineColumns } from "../../../src/tui/terminal/line.ts";
import { fc } from "../../support/properties.ts";
import { localIso, sampleStatus, textOf, viewOf } from "../views.ts";

const CONNECTED: ConnectionStatus = { kind: "connected" };
const WAITING: ConnectionStatus = { kind: "waiting", reason: "no daemon runs for this home", sinceMs: 0 };
const SYNCED = sampleStatus({ last_sync: localIso(14, 32, 5) });

test("B8 the status line shows file, hash, last sync and whether the file is watched", () => {
  assert.deepEqual(textOf(statusLines(SYNCED, CONNECTED, viewOf(100))), [
    "Config /home/me/.mountaineer/config.toml  Hash 01234567…  Last sync 14:32:05  ● live",
  ]);
});

test("B8 each reason for not watching has its own word", () => {
  for (const [watching, words] of [
    ["live", "● live"],
    ["idle", "○ idle"],
    ["stopped", "✗ stopped"],
    ["off", "▲ off"],
  ] as const) {
    const [line] = textOf(statusLines({ ...SYNCED, watching }, CONNECTED, viewOf(100)));
    assert.ok(line?.endsWith(words), line ?? "no line");
  }
});

test("B8 while there is no daemon nothing is watched", () => {
  const [line] = textOf(statusLines(SYNCED, WAITING, viewOf(100)));
  assert.ok(line?.endsWith("○ idle"), line ?? "no line");
  assert.deepEqual(textOf(problemLines(SYNCED, WAITING, viewOf(100), 4)), [
    "▲ waiting for the daemon: no daemon runs for this home",
  ]);
});

test("B8 a long path is cut at its start; if too little of it remains it has its own line", () => {
  assert.deepEqual(textOf(statusLines(SYNCED, CONNECTED, viewOf(80))), [
    "Config …/me/.mountaineer/config.toml  Hash 01234567…  Last sync 14:32:05  ● live",
  ]);
  assert.deepEqual(textOf(statusLines(SYNCED, CONNECTED, viewOf(60))), [
    "Config /home/me/.mountaineer/config.toml",
    "Hash 01234567…  Last sync 14:32:05  ● live",
  ]);
});

test("B8 before the first sync there is no time, and before a daemon's report there is nothing", () => {
  assert.match(textOf(statusLines(sampleStatus(), CONNECTED, viewOf(100)))[0] ?? "", /Last sync --:--:-- /);
  assert.deepEqual(textOf(statusLines(null, { kind: "connecting" }, viewOf(100))), ["Config …"]);
});

test("B4, B8 a standing error is shown with its position and time; while stopped, also with the fix", () => {
  const reason = '/c.toml:7:12: sync.debounce: found string "x", expected a number';
  const failed = sampleStatus({ last_error: { kind: "rejected", reason, since: localIso(9, 5, 0) } });
  assert.deepEqual(textOf(problemLines(failed, CONNECTED, viewOf(60), 4)), [
    '✗ /c.toml:7:12: sync.debounce: found string "x", expected a',
    "  number (since 09:05:00)",
  ]);
  assert.deepEqual(textOf(problemLines(failed, CONNECTED, viewOf(60), 1)), [
    '✗ /c.toml:7:12: sync.debounce: found string "x", expected a…',
  ]);
  const stopped = textOf(problemLines({ ...failed, watching: "stopped" }, CONNECTED, viewOf(60), 4));
  assert.match(stopped.join(" "), /Ctrl-S here or\s+mountaineer reload/);
});

test("E2 a pending entry is shown with the way to approve it", () => {
  const waiting = ["server files would run evil instead", "server other would run rm"];
  assert.deepEqual(textOf(problemLines(sampleStatus({ waiting }), CONNECTED, viewOf(100), 4)), [
    "▲ Waits for approval: server files would run evil instead (and 1 more). Press a to review it.",
  ]);
});

test("B2 a detector that only polls gives the reason", () => {
  const degraded = sampleStatus({ degraded: "no inotify watches are left" });
  assert.deepEqual(textOf(problemLines(degraded, CONNECTED, viewOf(60), 4)), [
    "▲ only polling: no inotify watches are left",
  ]);
  assert.deepEqual(problemLines(sampleStatus(), CONNECTED, viewOf(60), 4), []);
});

test("B3, B8 a missing file is shown in the status line, with the way to write it again", () => {
  const missing = sampleStatus({ file_missing: true });
  const [line] = textOf(statusLines(missing, CONNECTED, viewOf(100)));
  assert.ok(line?.endsWith("● live  ✗ file missing"), line ?? "no line");
  assert.match(
    textOf(problemLines(missing, CONNECTED, viewOf(120), 4)).join(" "),
    /^✗ The file does not exist; the loaded configuration stays in use\. +mountaineer config rollback 0/,
  );
  assert.doesNotMatch(textOf(statusLines(missing, WAITING, viewOf(100))).join(" "), /missing/);
});

const ROWS: readonly EventRow[] = [
  { time: "14:32:05", type: "changed", details: "3 servers reloaded", count: 1 },
  { time: "14:32:40", type: "no-change", details: "no changes", count: 4 },
  { time: "14:33:01", type: "error", details: "/c.toml:3:1: shares[0]: found nothing", count: 1 },
];

test("B8 the table has time, event and details, the newest first", () => {
  assert.deepEqual(textOf(tableLines(ROWS, viewOf(80), 21)), [
    "Time      Event               Details",
    "14:33:01  ✗ error             /c.toml:3:1: shares[0]: found nothing",
    "14:32:40  ✓ no changes ×4",
    "14:32:05  ⟳ changed           3 servers reloaded",
  ]);
  assert.deepEqual(textOf(tableLines(ROWS, viewOf(80), 2)), [
    "Time      Event               Details",
    "14:33:01  ✗ error             /c.toml:3:1: shares[0]: found nothing",
  ]);
  assert.deepEqual(tableLines(ROWS, viewOf(80), 0), []);
});

test("B8 where symbols cannot be shown, letters replace them", () => {
  const view = viewOf(60, { unicode: false });
  const lines = [
    ...statusLines(SYNCED, CONNECTED, view),
    ...problemLines(SYNCED, WAITING, view, 3),
    ...tableLines(ROWS, view, 21),
  ];
  for (const line of textOf(lines)) assert.match(line, /^[ -~]*$/);
  assert.ok(textOf(lines).includes("14:32:40  + no changes x4"));
});

test("B8 hostile paths, reasons and details are shown without control characters, and never wider than the terminal", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", maxLength: 80 }),
    fc.constantFrom("\x1b[2J\x1b]0;owned\x07", "\u202eevil", "a\r\nb\tc", "日本語".repeat(20)),
  );
  fc.assert(
    fc.property(hostile, hostile, fc.integer({ min: 40, max: 200 }), (one, two, width) => {
      const view = viewOf(width);
      const status = sampleStatus({
        config_path: one,
        degraded: two,
        last_error: { kind: "rejected", reason: one + two, since: two },
      });
      const rows: EventRow[] = [
        { time: one, type: "error", details: two, count: 1 },
        { time: "14:00:00", type: "no-change", details: one, count: 12345 },
      ];
      const lines = [
        ...statusLines(status, CONNECTED, view),
        ...problemLines(status, CONNECTED, view, 4),
        ...problemLines(status, { kind: "waiting", reason: one, sinceMs: 0 }, view, 4),
        ...tableLines(rows, view, 3),
      ];
      for (const line of lines) {
        const text = textOf([line])[0] ?? "";
        assert.doesNotMatch(text, /[\p{Cc}\u202a-\u202e]/u);
        assert.ok(lineColumns(line) <= width, text);
      }
    }),
  );
});
