import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionStatus } from "../../../src/api/client/daemon-connection.ts";
import { pressKey } from "../../../src/tui/panel/panel-keys.ts";
import {
  changedLines,
  panelHelpLines,
  panelLines,
  panelNoticeLines,
} from "../../../src/tui/panel/panel-lines.ts";
import {
  createPanel,
  type PanelState,
  withConflict,
  withFailure,
  withFile,
  withNotice,
  withRunning,
  withSaved,
} from "../../../src/tui/panel/panel-state.ts";
import { footerLine, headerLines } from "../../../src/tui/terminal/frame.ts";
import type { KeyName } from "../../../src/tui/terminal/key.ts";
import { lineColumns } from "../../../src/tui/terminal/line.ts";
import { sampleStatus, textOf, viewOf } from "../views.ts";

const EMPTY_PANEL = createPanel("sync");
const FRESH = withFile(withRunning(EMPTY_PANEL, sampleStatus().settings, "aaaa"), { sha256: "a", text: "" });

function after(state: PanelState, ...presses: readonly (KeyName | " " | "9")[]): PanelState {
  return presses.reduce(
    (now, press) =>
      pressKey(
        now,
        press === " " || press === "9" ? { kind: "character", text: press } : { kind: "named", name: press },
        false,
      ).state,
    state,
  );
}

test("B9 the panel shows each setting on a separate line", () => {
  assert.deepEqual(textOf(panelLines(FRESH, false, viewOf(60))), [
    "Settings [sync]",
    "  enabled          [✓]",
    "  poll_interval    2 seconds",
    "  debounce         1 seconds",
    "  detection        (●) mtime  ( ) hash  ( ) inotify",
    "  on_failure       (●) backoff  ( ) fixed  ( ) stop",
  ]);
  assert.equal(panelLines(FRESH, false, viewOf(60)).length, 6);
  assert.equal(panelLines(EMPTY_PANEL, false, viewOf(60)).length, 6);
});

test("B9 the focused field is marked, even without colour, and its error is shown next to it", () => {
  const typed = after(FRESH, "tab", "tab", "9", "9", "9", "9");
  const lines = textOf(panelLines(typed, false, viewOf(60, { color: false })));
  assert.equal(lines[0], "Settings [sync]                                  ● not saved");
  assert.equal(lines[2], "▸ poll_interval    9999_ seconds  ✗ 0.05 to 3600");
  assert.deepEqual(textOf(panelHelpLines(typed, viewOf(60))), [
    "  How often the file is checked. In seconds. Default: 2.",
  ]);
});

test("B9 without colour the caret has its own column", () => {
  const view = viewOf(60, { color: false });
  const line = (state: PanelState): string | undefined => textOf(panelLines(state, false, view))[2];
  const half = withRunning(FRESH, { ...sampleStatus().settings, poll_interval: 2.5 }, "aaaa");
  const focused = after(half, "tab", "tab");
  assert.equal(line(focused), "▸ poll_interval    2.5_ seconds");
  assert.equal(line(after(focused, "home")), "▸ poll_interval    _2.5 seconds");
  assert.equal(line(after(focused, "end", "left")), "▸ poll_interval    2._5 seconds");
});

test("B9 plain letters where symbols cannot be shown", () => {
  const view = viewOf(60, { unicode: false });
  const lines = textOf(panelLines(after(FRESH, "tab", " "), true, view));
  assert.deepEqual(lines, [
    "Settings [sync]     x the file is not in effect  * not saved",
    "> enabled          [ ]",
    "  poll_interval    2 seconds",
    "  debounce         1 seconds",
    "  detection        (*) mtime  ( ) hash  ( ) inotify",
    "  on_failure       (*) backoff  ( ) fixed  ( ) stop",
  ]);
  for (const line of lines) assert.match(line, /^[ -~]*$/);
});

test("B4, B9 the panel says when the running configuration differs from the file", () => {
  assert.match(textOf(panelLines(FRESH, true, viewOf(60)))[0] ?? "", /✗ the file is not in effect$/);
});

test("B9 after a save the changed lines are shown; those without space are counted", () => {
  const lines = ["-debounce = 1", "+debounce = 0.5", "+enabled = false\x1b[2J"];
  const saved = withSaved(FRESH, { sha256: "b", text: "" }, lines, null);
  assert.deepEqual(textOf(panelNoticeLines(saved, viewOf(60), 9)), [
    "✓ saved and in effect; the file now:",
    "  -debounce = 1",
    "  +debounce = 0.5",
    "  +enabled = false\\x1b[2J",
  ]);
  assert.deepEqual(textOf(panelNoticeLines(saved, viewOf(60), 3)), [
    "✓ saved and in effect; the file now:",
    "  -debounce = 1",
    "  +2 more changed lines",
  ]);
  assert.equal(panelNoticeLines(saved, viewOf(60), 1).length, 1);
  assert.equal(panelNoticeLines(saved, viewOf(60), 0).length, 0);
});

test("B9 every note keeps to its limit and its width", () => {
  const long = "word ".repeat(80);
  const states = [
    withConflict(FRESH),
    withFailure(FRESH, long),
    withSaved(FRESH, { sha256: "b", text: "" }, [], long),
    withNotice(FRESH, { kind: "reloaded", summary: long }),
    withNotice(FRESH, { kind: "nothing" }),
    withNotice(FRESH, { kind: "invalid" }),
    withNotice(FRESH, { kind: "unsaved" }),
  ];
  for (const state of states) {
    for (const limit of [1, 2, 5]) {
      const lines = panelNoticeLines(state, viewOf(60), limit);
      assert.ok(lines.length >= 1 && lines.length <= limit);
      for (const line of lines) assert.ok(lineColumns(line) <= 60, textOf([line])[0] ?? "");
    }
    assert.deepEqual(panelHelpLines(state, viewOf(60)), []);
  }
});

const SCREENS = [
  { key: "d", title: "Home", view: "Home" },
  { key: "S", title: "Shares", view: "Shares" },
  { key: "v", title: "Servers", view: "Servers" },
  { key: "e", title: "Events", view: "Activity" },
  { key: "l", title: "Logs", view: "Activity" },
  { key: "g", title: "Config", view: "Settings" },
] as const;
const [HOME, , , , LOGS] = SCREENS;

test("F2 the header names all views in words, even at 60 columns and while disconnected, and the screens of the shown one", () => {
  const away = { kind: "waiting", reason: "x", sinceMs: 0 } as const;
  const header = (width: number, shown: (typeof SCREENS)[number], connection: ConnectionStatus) =>
    textOf(headerLines(SCREENS, shown, connection, viewOf(width)));
  const views = "[d Home] S Shares  v Servers  e Activity  g Settings";
  assert.deepEqual(header(80, HOME, { kind: "connected" }), [`Mountaineer ${views}     ● connected`]);
  assert.deepEqual(header(60, HOME, { kind: "connected" }), [`${views}       ●`]);
  assert.deepEqual(header(60, HOME, away), [`${views}       ○`]);
  assert.deepEqual(header(80, HOME, away), [`${views}             ○ not connected`]);
  assert.match(
    header(100, HOME, away)[0] ?? "",
    /^Mountaineer \[d Home\].* not connected since \d\d:\d\d:\d\d$/,
  );
  assert.deepEqual(header(80, LOGS, { kind: "connected" }), [
    "Mountaineer  d Home  S Shares  v Servers [e Activity] g Settings     ● connected",
    " e Events [l Logs]",
  ]);
  assert.deepEqual(textOf([footerLine(["Tab next", "q quit"], viewOf(60))]), ["Tab next  q quit"]);
  assert.deepEqual(textOf([footerLine(["Tab next", "q quit", "? help"], viewOf(17))]), ["Tab next  q quit"]);
  for (const width of [1, 10, 25, 40]) {
    const lines = [
      ...headerLines(SCREENS, LOGS, away, viewOf(width)),
      footerLine(["Tab next"], viewOf(width)),
    ];
    for (const line of lines) assert.ok(lineColumns(line) <= width);
  }
});

test("B9 the changed lines are those that a diff marks, however far apart, with CRLF and without a last line break", () => {
  assert.deepEqual(changedLines("# c\n[sync]\ndebounce = 1\n", "# c\n[sync]\ndebounce = 0.5\n"), [
    "-debounce = 1",
    "+debounce = 0.5",
  ]);
  assert.deepEqual(changedLines("a = 1\n", "a = 1\n\n[sync]\n"), ["+", "+[sync]"]);
  assert.deepEqual(changedLines("", "[sync]\n"), ["+[sync]"]);
  assert.deepEqual(changedLines("x\n", "x\n"), []);
  assert.deepEqual(changedLines("@@ -1 +1 @@\nx\n", "@@ -1 +1 @@\n--- y\n"), ["-x", "+--- y"]);
  const before = Array.from({ length: 30 }, (_, index) => `k${index} = 1`).join("\r\n");
  const after = before.replace("k1 = 1", "k1 = 2").replace(/k29 = 1$/, "k29 = 3");
  assert.deepEqual(changedLines(before, after), ["-k1 = 1", "+k1 = 2", "-k29 = 1", "+k29 = 3"]);
});
