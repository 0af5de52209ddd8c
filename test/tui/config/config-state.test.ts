import assert from "node:assert/strict";
import { test } from "node:test";
import type { EditReport, HistoryEntry } from "../../../src/api/contract/config.ts";
import { configHints, configLines } from "../../../src/tui/config/config-lines.ts";
import {
  type ConfigAction,
  type ConfigFile,
  type ConfigState,
  EMPTY_CONFIG,
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
  withWritten,
} from "../../../src/tui/config/config-state.ts";
import { sampleCheck, sampleEdit, sampleMistake, sampleReload } from "../../api/sample-config.ts";
import { keys } from "../keys.ts";
import { textOf, viewOf } from "../views.ts";

const FILE: ConfigFile = { path: "/h/config.toml", sha256: "one", text: "[sync]\npoll_interval = 1\n" };
const OTHER: ConfigFile = { ...FILE, sha256: "two", text: "[sync]\npoll_interval = 9\n" };
const MISTAKE = sampleMistake({
  file: FILE.path,
  line: 2,
  column: 17,
  path: "sync.poll_interval",
  found: '"x"',
  expected: "a number",
  hint: "write 0.5",
});
const ENTRIES: readonly HistoryEntry[] = [
  { n: 0, time: "2026-11-20T10:00:00Z", sha256: "one", source: "tui", summary: "1 setting changed" },
  { n: 1, time: "2026-11-19T10:00:00Z", sha256: "zero", source: "cli", summary: "first" },
];

const CLEAN = sampleCheck({
  would_change: sampleReload({
    settings: ["sync.poll_interval"],
    backends: { added: ["files"], removed: [], changed: ["web"] },
  }),
  waits_for_approval: [],
});

interface Step {
  readonly state: ConfigState;
  readonly action: ConfigAction | null;
  readonly used: boolean;
}

function press(state: ConfigState, typed: string): Step {
  let step: Step = { state, action: null, used: false };
  for (const key of keys(typed)) step = pressConfigKey(step.state, key);
  return step;
}

function opened(): ConfigState {
  return withFile(EMPTY_CONFIG, FILE);
}

function report(over: Partial<EditReport> = {}): EditReport {
  return sampleEdit({ path: FILE.path, sha256: "saved", reload: null, ...over });
}

function shown(state: ConfigState, width = 100, height = 20): string {
  const sized = withConfigSize(state, { width, height });
  const lines = configLines(sized, { ...viewOf(width), height });
  assert.ok(lines.length <= height, `${lines.length} lines in ${height}`);
  return textOf(lines).join("\n");
}

/** The person's editor was left with this text. */
function written(text: string, before: ConfigState = opened()): ReturnType<typeof press> {
  return withWritten(press(before, "<enter>").state, text);
}

test("F1 letters are the frame's; Enter opens the text in the person's editor, and what was written is kept until it is dropped", () => {
  assert.equal(press(opened(), "s").used, false);
  assert.equal(press(opened(), "q").used, false);
  const open = press(opened(), "<enter>");
  assert.deepEqual([open.action, open.state.busy], [{ kind: "edit", text: FILE.text }, "edit"]);
  const same = withWritten(open.state, FILE.text);
  assert.deepEqual([same.action, same.state.busy, same.state.written], [null, null, null]);
  assert.match(shown(same.state), /nothing was changed/);
  const text = `# s${FILE.text}`;
  const { state } = press(withCheck(written(text).state, CLEAN), "<escape>");
  assert.equal(state.written, text);
  assert.match(shown(state), /not saved[\s\S]*1 # s\[sync\]/);
  assert.deepEqual(press(state, "<enter>").action, { kind: "edit", text }, "the same text again");
  assert.equal(press(state, "<escape>").action?.kind, "drop", "asked about first");
  assert.equal(press(state, "<escape>").state.written, text, "and nothing is dropped before the answer");
  assert.equal(withoutChanges(state).written, null);
});

test("F1 a save checks, shows the difference, and saves what was shown with the hash of what was read", () => {
  const text = `# a${FILE.text}`;
  const { state, action } = written(text);
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
  assert.deepEqual([back.action, back.state.written], [null, text]);
  assert.deepEqual(press(back.state, "<save>").action, { kind: "check", text });
  assert.match(shown(withCheck(state, null)), /Save it\?/, "an older daemon checks when it saves");
  assert.equal(press(opened(), "<save>").action, null, "nothing to save");
});

test("F1 mistakes are shown with their place and hint, and keep the text from being saved", () => {
  const { state } = written("x");
  for (const wrong of [
    withCheck(state, { ...CLEAN, mistakes: [MISTAKE] }),
    withSaved(state, "x", report({ errors: [MISTAKE] })),
  ]) {
    assert.match(shown(wrong), /2:17: sync\.poll_interval: found "x", expected a number; write 0\.5/);
    assert.match(shown(wrong), /not saved: 1 mistake/);
    assert.deepEqual(press(wrong, "<enter>").action, { kind: "edit", text: "x" });
    assert.equal(press(wrong, "<escape>").state.written, "x");
  }
});

test("F1 a save that succeeded is the file", () => {
  const text = `x${FILE.text}`;
  const { state } = written(text);
  const saved = withSaved(withCheck(state, CLEAN), text, report({ reload: sampleReload() }));
  assert.deepEqual([saved.written, saved.file?.sha256, saved.busy], [null, "saved", null]);
  assert.match(shown(saved), /✓ saved: settings reloaded/);
  const texts: readonly [Partial<EditReport>, RegExp][] = [
    [{ changed: false }, /had this content already/],
    [{ reload: null }, /saved/],
    [{ reload: sampleReload({ failure: "port taken" }) }, /not applied: port taken/],
    [
      { reload: sampleReload({ errors: [MISTAKE] }) },
      /not applied: .*:2:17: sync\.poll_interval: found "x", expected a number/,
    ],
    [{ reload: sampleReload({ waiting: ["backends.files"] }) }, /waits for your approval: backends\.files/],
  ];
  for (const [over, words] of texts)
    assert.match(withSaved(state, text, report(over)).note?.text ?? "", words);
});

test("F1 a file changed underneath is refused and shown; what was typed stays, and the next save is against the new file", () => {
  const { state } = written(`# mine\n${FILE.text}`);
  const conflict = withConflict(withCheck(state, CLEAN), OTHER);
  const screen = shown(conflict);
  assert.match(screen, /^-poll_interval = 1$/m);
  assert.match(screen, /^\+poll_interval = 9$/m);
  assert.equal(conflict.written, `# mine\n${FILE.text}`);
  const again = press(conflict, "<save>");
  assert.equal(again.action?.kind, "check");
  const review = withCheck(again.state, CLEAN);
  assert.match(shown(review), /^-poll_interval = 9$/m, "what would be lost is shown");
  assert.deepEqual(press(review, "<enter>").action, {
    kind: "save",
    text: `# mine\n${FILE.text}`,
    sha256: "two",
  });
  assert.equal(press(conflict, "<escape>").state.page.kind, "text");
});

test("F1 the text follows the file until something is written; then it stays, and says so", () => {
  assert.match(shown(withFile(opened(), OTHER)), /2 poll_interval = 9/);
  const { state } = press(withCheck(written(`x${FILE.text}`).state, CLEAN), "<escape>");
  const told = withFile(state, OTHER);
  assert.equal(told.written, `x${FILE.text}`);
  assert.match(told.note?.text ?? "", /changed by somebody else/);
  assert.equal(press(told, "<save>").state.page.kind, "conflict");
  assert.match(shown(withoutChanges(told)), /2 poll_interval = 9/, "dropped for the newer one");
  assert.equal(withFile(told, FILE).fresh, null, "changed back");
  for (const before of [opened(), state]) {
    const meanwhile = withFile(press(before, "<enter>").state, OTHER);
    const step = withWritten(meanwhile, "y");
    assert.deepEqual([step.state.page.kind, step.action], ["conflict", null], "changed while it was open");
  }
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
  const { state: typed } = press(withCheck(written("x").state, CLEAN), "<escape>");
  const dirty = withHistory(press(typed, "h").state, ENTRIES);
  assert.equal(press(dirty, "r").action, null, "what was typed would be lost underneath");
  const done = withFile(
    withRollback(version, ENTRIES[1] ?? assert.fail(), report({ reload: sampleReload() })),
    OTHER,
  );
  assert.match(shown(done), /✓ rollback to version 1: saved: settings reloaded/);
  assert.match(shown(done), /2 poll_interval = 9/);
  assert.match(
    withRollback(version, ENTRIES[1] ?? assert.fail(), report({ errors: [MISTAKE] })).note?.text ?? "",
    /rollback to version 1: nothing was saved: .*2:17/,
  );
});

test("F1 an errand that fails says why and keeps the page; a file that cannot be read is read again by Enter", () => {
  const { state } = written("x");
  const failed = withFailure(state, "no daemon runs for this home");
  assert.deepEqual([failed.busy, failed.written], [null, "x"]);
  assert.match(shown(failed), /✕ no daemon runs/);
  assert.match(shown(withFailure(withCheck(state, CLEAN), "the disk is full")), /✕ the disk is full/);
  const unread = withFailure(EMPTY_CONFIG, "no daemon runs for this home");
  assert.match(shown(unread), /Enter reads it again/);
  assert.deepEqual(press(unread, "<enter>").action, { kind: "read" });
  assert.equal(press(unread, "q").used, false);
});

test("F1 a file that changes under another page, an idle editor or a save of the same is told as it is", () => {
  const read = withFile(EMPTY_CONFIG, FILE);
  const inHistory = withFile(withHistory(read, ENTRIES), OTHER);
  assert.deepEqual([inHistory.page.kind, inHistory.file?.sha256], ["history", "two"]);
  const fewer = withHistory(
    { ...inHistory, page: { kind: "history", entries: ENTRIES, at: 1 } },
    ENTRIES.slice(0, 1),
  );
  assert.equal(fewer.page.kind === "history" && fewer.page.at, 0);
  const edited = withFile({ ...read, busy: "edit" }, OTHER);
  const same = withWritten(edited, FILE.text).state;
  assert.deepEqual([same.file?.sha256, same.fresh], ["two", null], "what is new now is shown");
  const saving = { ...withWritten(read, "x").state, fresh: { ...OTHER, sha256: "saved" } };
  assert.equal(withSaved(saving, "x", sampleEdit({ sha256: "saved" })).fresh, null);
});

test("F1 every page fits from 60 by 15 to 200 by 60, and says its keys", () => {
  const { state: typed } = written("x");
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
