import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  ConfigCheckReport,
  ConfigMistakeWire,
  EditReport,
  HistoryEntry,
  ReloadReport,
} from "../../../src/api/contract.ts";
import { configHints, configLines } from "../../../src/tui/config/config-lines.ts";
import {
  type ConfigAction,
  type ConfigFile,
  type ConfigState,
  EMPTY_CONFIG,
  pasteIntoConfig,
  pressConfigKey,
  withCheck,
  withConfigSize,
  withConflict,
  withFailure,
  withFile,
  withHistory,
  withoutChanges,
  withRollback,
  withSaved,
  withVersion,
} from "../../../src/tui/config/config-state.ts";
import { editorText } from "../../../src/tui/text/text-editor.ts";
import { keys } from "../keys.ts";
import { textOf, viewOf } from "../views.ts";

const FILE: ConfigFile = { path: "/h/config.toml", sha256: "one", text: "[sync]\npoll_interval = 1\n" };
const OTHER: ConfigFile = { ...FILE, sha256: "two", text: "[sync]\npoll_interval = 9\n" };
const MISTAKE: ConfigMistakeWire = {
  file: FILE.path,
  line: 2,
  column: 17,
  path: "sync.poll_interval",
  found: '"x"',
  expected: "a number",
  hint: "write 0.5",
};
const ENTRIES: readonly HistoryEntry[] = [
  { n: 0, time: "2026-11-20T10:00:00Z", sha256: "one", source: "tui", summary: "1 setting changed" },
  { n: 1, time: "2026-11-19T10:00:00Z", sha256: "zero", source: "cli", summary: "first" },
];

function reload(over: Partial<ReloadReport> = {}): ReloadReport {
  const none = { added: [], removed: [], changed: [] };
  return {
    reloaded: true,
    dry_run: false,
    generation: 2,
    sha256: "saved",
    settings: [],
    shares: none,
    backends: none,
    middleware: [],
    errors: [],
    failure: null,
    summary: "1 setting changed",
    ...over,
  };
}

const CLEAN: ConfigCheckReport = {
  mistakes: [],
  would_change: reload({
    settings: ["sync.poll_interval"],
    backends: { added: ["files"], removed: [], changed: ["web"] },
  }),
  waits_for_approval: [],
};

function press(
  state: ConfigState,
  typed: string,
): { state: ConfigState; action: ConfigAction | null; used: boolean } {
  let step: { state: ConfigState; action: ConfigAction | null; used: boolean } = {
    state,
    action: null,
    used: false,
  };
  for (const key of keys(typed)) step = pressConfigKey(step.state, key);
  return step;
}

function opened(): ConfigState {
  return withFile(EMPTY_CONFIG, FILE);
}

function report(over: Partial<EditReport> = {}): EditReport {
  return { changed: true, path: FILE.path, sha256: "saved", errors: [], reload: null, ...over };
}

function shown(state: ConfigState, width = 100, height = 20): string {
  const sized = withConfigSize(state, { width, height });
  const lines = configLines(sized, { ...viewOf(width), height });
  assert.ok(lines.length <= height, `${lines.length} lines in ${height}`);
  return textOf(lines).join("\n");
}

test("F1 while the text is read, letters are the frame's; Enter begins to edit, Esc ends it and keeps what was typed", () => {
  assert.equal(press(opened(), "s").used, false);
  assert.equal(press(opened(), "q").used, false);
  const { state } = press(opened(), "<enter># s<escape>");
  assert.equal(editorText(state.editor), `# s${FILE.text}`);
  assert.deepEqual([state.isDirty, state.page], [true, { kind: "text", isEditing: false }]);
  assert.equal(press(state, "<escape>").action?.kind, "drop", "asked about first");
  assert.equal(press(state, "<escape>").state.isDirty, true, "and nothing is dropped before the answer");
  assert.equal(withoutChanges(state).isDirty, false);
  assert.equal(press(state, "<undo><undo><undo>").state.isDirty, false);
  assert.match(shown(state), /not saved/);
});

test("F1 a save checks, shows the difference, and saves what was shown with the hash of what was read", () => {
  const { state, action } = press(opened(), "<enter># a<save>");
  const text = `# a${FILE.text}`;
  assert.deepEqual(action, { kind: "check", text });
  assert.equal(state.busy, "check");
  const review = withCheck(state, { ...CLEAN, waits_for_approval: ["backends.files"] });
  const screen = shown(review);
  assert.match(
    screen,
    /Would change:\n {2}sync\.poll_interval\n {2}adds the backend files\n {2}changes the backend web/,
  );
  assert.match(screen, /Saving it here approves it:\n {2}backends\.files/);
  assert.match(screen, /^\+# a\[sync\]$/m);
  assert.match(screen, /^-\[sync\]$/m);
  assert.deepEqual(press(review, "<enter>").action, { kind: "save", text, sha256: "one" });
  const back = press(review, "<escape>");
  assert.deepEqual([back.action, editorText(back.state.editor)], [null, text]);
  assert.match(shown(withCheck(state, null)), /Save it\?/, "an older daemon checks when it saves");
  assert.equal(press(opened(), "<save>").action, null, "nothing to save");
});

test("F1 mistakes are shown with their place and hint, and keep the text from being saved", () => {
  const { state } = press(opened(), "<enter>x<save>");
  for (const wrong of [
    withCheck(state, { ...CLEAN, mistakes: [MISTAKE] }),
    withSaved(state, "x", report({ errors: [MISTAKE] })),
  ]) {
    assert.deepEqual(wrong.editor.caret, { row: 1, column: 16 });
    assert.match(shown(wrong), /✕ 2:17: sync\.poll_interval: found "x", expected a number; write 0\.5/);
    assert.match(shown(wrong), /^2✕/m);
    assert.equal(wrong.isDirty, true);
    assert.deepEqual(press(wrong, "y").state.mistakes, [], "they are about the text that was checked");
  }
});

test("F1 a save that succeeded is the file; what was typed meanwhile is not saved yet", () => {
  const { state } = press(opened(), "<enter>x<save>");
  const text = editorText(state.editor);
  const saved = withSaved(withCheck(state, CLEAN), text, report({ reload: reload() }));
  assert.deepEqual([saved.isDirty, saved.file?.sha256, saved.busy], [false, "saved", null]);
  assert.match(shown(saved), /✓ saved: 1 setting changed/);
  assert.equal(press(saved, "<undo>").state.isDirty, true, "undo goes back beyond the save");
  const texts: readonly [Partial<EditReport>, RegExp][] = [
    [{ changed: false }, /says so already/],
    [{ reload: null }, /saved/],
    [{ reload: reload({ failure: "port taken" }) }, /not applied: port taken/],
    [{ reload: reload({ errors: [MISTAKE] }) }, /not applied: the file has 1 mistake/],
    [{ reload: reload({ waiting: ["backends.files"] }) }, /waits for your approval \(a\): backends\.files/],
  ];
  for (const [over, words] of texts)
    assert.match(withSaved(state, text, report(over)).note?.text ?? "", words);
});

test("F1 a file changed underneath is refused and shown; what was typed stays, and the next save is against the new file", () => {
  const { state } = press(opened(), "<enter># mine<enter><save>");
  const conflict = withConflict(withCheck(state, CLEAN), OTHER);
  const screen = shown(conflict);
  assert.match(screen, /^-poll_interval = 1$/m);
  assert.match(screen, /^\+poll_interval = 9$/m);
  assert.equal(editorText(conflict.editor), `# mine\n${FILE.text}`);
  assert.equal(conflict.isDirty, true);
  const again = press(conflict, "<save>");
  assert.equal(again.action?.kind, "check");
  const review = withCheck(again.state, CLEAN);
  assert.match(shown(review), /^-poll_interval = 9$/m, "what would be lost is shown");
  assert.deepEqual(press(review, "<enter>").action, {
    kind: "save",
    text: `# mine\n${FILE.text}`,
    sha256: "two",
  });
  assert.deepEqual(press(conflict, "<escape>").state.page, { kind: "text", isEditing: true });
});

test("F1 the text follows the file until something is typed; then it stays, and says so", () => {
  const followed = withFile(press(opened(), "<down>").state, OTHER);
  assert.deepEqual([editorText(followed.editor), followed.editor.caret.row], [OTHER.text, 1]);
  const { state } = press(opened(), "<enter>x");
  const told = withFile(state, OTHER);
  assert.equal(editorText(told.editor), `x${FILE.text}`);
  assert.match(told.note?.text ?? "", /changed by somebody else/);
  assert.equal(press(told, "<save>").state.page.kind, "conflict");
  assert.equal(editorText(withoutChanges(told).editor), OTHER.text, "dropped for the newer one");
  assert.equal(withFile(told, FILE).fresh, null, "changed back");
});

test("F1 the history shows who and when, compares with now, and rolls back after a question", () => {
  const asked = press(opened(), "h");
  assert.deepEqual(asked.action, { kind: "history" });
  const history = withHistory(asked.state, ENTRIES);
  assert.match(shown(history), /▸ +0 +2026-11-20 .* tui +1 setting changed \(runs now\)/);
  assert.match(shown(history), / 1 +2026-11-19 .* cli +first/);
  const { state, action } = press(history, "<down><enter>");
  assert.deepEqual(action, { kind: "version", entry: ENTRIES[1] });
  const version = withVersion(state, ENTRIES[1] ?? assert.fail(), "[sync]\n");
  assert.match(shown(version), /From version 1 to the file now[\s\S]*\+poll_interval = 1/);
  assert.deepEqual(press(version, "r").action, { kind: "rollback", entry: ENTRIES[1], sha256: "one" });
  assert.equal(press(version, "<escape>").state.page.kind, "history");
  const { state: typed } = press(opened(), "<enter>x<escape>");
  const dirty = withHistory(press(typed, "h").state, ENTRIES);
  assert.equal(press(dirty, "r").action, null, "what was typed would be lost underneath");
  const done = withFile(
    withRollback(version, ENTRIES[1] ?? assert.fail(), report({ reload: reload() })),
    OTHER,
  );
  assert.match(shown(done), /✓ rolled back to version 1: saved: 1 setting changed/);
  assert.equal(editorText(done.editor), OTHER.text);
  assert.match(
    withRollback(version, ENTRIES[1] ?? assert.fail(), report({ errors: [MISTAKE] })).note?.text ?? "",
    /not rolled back: 2:17/,
  );
});

test("F1 an errand that fails says why and keeps the page; a file that cannot be read is read again by Enter", () => {
  const { state } = press(opened(), "<enter>x<save>");
  const failed = withFailure(state, "no daemon runs for this home");
  assert.deepEqual([failed.busy, failed.isDirty], [null, true]);
  assert.match(shown(failed), /✕ no daemon runs/);
  assert.match(shown(withFailure(withCheck(state, CLEAN), "the disk is full")), /✕ the disk is full/);
  const unread = withFailure(EMPTY_CONFIG, "no daemon runs for this home");
  assert.match(shown(unread), /Enter reads it again/);
  assert.deepEqual(press(unread, "<enter>").action, { kind: "read" });
  assert.equal(press(unread, "q").used, false);
});

test("F1 a pasted text begins the edit, and goes nowhere on other pages", () => {
  const state = pasteIntoConfig(opened(), "# a\n# b\n");
  assert.equal(editorText(state.editor), `# a\n# b\n${FILE.text}`);
  const review = withCheck(press(state, "<save>").state, CLEAN);
  assert.equal(pasteIntoConfig(review, "x"), review);
});

test("F1 every page fits from 60 by 15 to 200 by 60, and says its keys", () => {
  const { state: typed } = press(opened(), "<enter>x<save>");
  const long = {
    ...FILE,
    sha256: "long",
    text: Array.from({ length: 400 }, (_, n) => `# line ${n} ${"y".repeat(n)}`).join("\n"),
  };
  const history = withHistory(
    press(opened(), "h").state,
    Array.from({ length: 80 }, (_, n) => ({ ...(ENTRIES[1] ?? assert.fail()), n })),
  );
  const pages: readonly ConfigState[] = [
    EMPTY_CONFIG,
    opened(),
    withFile(EMPTY_CONFIG, long),
    press(opened(), "/x").state,
    withCheck(typed, CLEAN),
    withCheck(typed, { ...CLEAN, mistakes: [MISTAKE] }),
    withConflict(typed, long),
    history,
    withVersion(press(history, "<end><enter>").state, ENTRIES[1] ?? assert.fail(), long.text),
  ];
  for (const page of pages) {
    for (const [width, height] of [
      [60, 15],
      [80, 24],
      [200, 60],
    ] as const)
      shown(page, width, height);
    assert.ok(configHints(page).length > 0);
  }
});
