import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SyncReport } from "../../../src/api/contract/config.ts";
import { type PanelStep, pressKey } from "../../../src/tui/panel/panel-keys.ts";
import {
  createPanel,
  focusedField,
  isDirty,
  type PanelState,
  panelMistake,
  takesText,
  withConflict,
  withFailure,
  withFile,
  withMistakes,
  withRunning,
  withSaved,
} from "../../../src/tui/panel/panel-state.ts";
import { fc } from "../../support/properties.ts";
import { keys } from "../keys.ts";

const SETTINGS: SyncReport["settings"] = {
  enabled: true,
  poll_interval: 2,
  debounce: 1,
  detection: "mtime",
  on_failure: "backoff",
};
const FIELDS = Object.keys(SETTINGS);
const EMPTY_PANEL = createPanel("sync");
const FILE = { sha256: "aaaa", text: "# file\n" };
const FRESH = withFile(withRunning(EMPTY_PANEL, SETTINGS, "aaaa"), FILE);

function pressed(state: PanelState, ...presses: readonly string[]): PanelStep {
  let step: PanelStep = { state, action: null, used: false };
  for (const key of keys(presses.join(""))) step = pressKey(step.state, key, false);
  return step;
}

function after(state: PanelState, ...presses: readonly string[]): PanelState {
  return pressed(state, ...presses).state;
}

/** What a field holds: its text, or its chosen value. */
function valueIn({ form }: PanelState, name: string): unknown {
  const node = form.root.children.find(({ label }) => label === name);
  assert.ok(node !== undefined, name);
  const { of } = node.field;
  if (of.kind === "flag") return node.at === 1;
  return of.kind === "choice" ? of.choices[node.at] : node.text;
}

function focusOf(state: PanelState): string | null {
  return focusedField(state)?.label ?? null;
}

function mistakesOf(state: PanelState): Record<string, string> {
  return Object.fromEntries(
    state.form.root.children.flatMap((field) => {
      const mistake = panelMistake(state, field);
      return mistake === null ? [] : [[field.label, mistake]];
    }),
  );
}

describe("B9 the panel's keys", () => {
  test("B9 nothing is focused at first, and nothing can be changed by accident", () => {
    assert.equal(focusOf(FRESH), null);
    for (const press of [" ", "<left>", "<right>", "<enter>", "<backspace>", "9", "q", "<quit>"]) {
      const step = pressed(FRESH, press);
      assert.equal(step.used, false, press);
      assert.deepEqual(step.state, FRESH, press);
    }
  });

  test("B9 Tab and Shift-Tab walk all fields in order, round and round", () => {
    const walk = (press: string): (string | null)[] => {
      let state = FRESH;
      return Array.from({ length: 6 }, () => {
        state = after(state, press);
        return focusOf(state);
      });
    };
    assert.deepEqual(walk("<tab>"), [...FIELDS, "enabled"]);
    assert.deepEqual(walk("<backtab>"), [...FIELDS].reverse().concat("on_failure"));
  });

  test("B9 Space and Enter toggle the checkbox", () => {
    const off = after(FRESH, "<tab>", " ");
    assert.equal(valueIn(off, "enabled"), false);
    assert.ok(isDirty(off));
    assert.equal(valueIn(after(off, "<enter>"), "enabled"), true);
    assert.ok(!isDirty(after(off, " ")));
  });

  test("B9 arrows choose, both ways round and round; Space selects the next", () => {
    const detection = after(FRESH, "<tab>", "<tab>", "<tab>", "<tab>");
    assert.equal(focusOf(detection), "detection");
    assert.equal(valueIn(after(detection, "<right>"), "detection"), "hash");
    assert.equal(valueIn(after(detection, "<down>", "<down>"), "detection"), "inotify");
    assert.equal(valueIn(after(detection, "<left>"), "detection"), "inotify");
    assert.equal(valueIn(after(detection, " ", " ", " "), "detection"), "mtime");
    assert.equal(valueIn(after(detection, "<tab>", "<up>"), "on_failure"), "stop");
  });

  test("B9 typing into a field just reached replaces its number", () => {
    const typed = after(FRESH, "<tab>", "<tab>", "0.5");
    assert.equal(valueIn(typed, "poll_interval"), "0.5");
    assert.equal(valueIn(after(FRESH, "<tab>", "<tab>", "<backspace>", "7"), "poll_interval"), "7");
    assert.ok(takesText(typed));
  });

  test("B9 a number is edited at the caret", () => {
    const half = withRunning(FRESH, { ...SETTINGS, poll_interval: 2.5 }, "aaaa");
    const at = (...presses: readonly string[]): unknown =>
      valueIn(after(half, "<tab>", "<tab>", ...presses), "poll_interval");
    assert.equal(at("<end>", "5"), "2.55");
    assert.equal(at("<home>", "1"), "12.5");
    assert.equal(at("<left>", "1"), "12.5");
    assert.equal(at("<end>", "<backspace>", "<backspace>"), "2");
    assert.equal(at("<home>", "<delete>", "3"), "3.5");
    assert.equal(at("<end>", "<left>", "<left>", "7"), "27.5");
    assert.equal(at("<clear>"), "");
    assert.equal(at("<end>", "<delete>"), "2.5");
    assert.equal(at("<home>", "<backspace>"), "2.5");
  });

  test("B9 letters go into a number field, to be marked as invalid, and nowhere else", () => {
    const typed = pressed(FRESH, "<tab>", "<tab>", "q");
    assert.ok(typed.used);
    assert.deepEqual(mistakesOf(typed.state), { poll_interval: "a number, such as 12 or 0.5" });
    assert.equal(pressed(FRESH, "<tab>", "q").used, false);
    assert.equal(pressed(FRESH, "<backtab>", "s").used, false);
  });

  test("B9 Ctrl-S saves only fields that changed and are valid", () => {
    assert.equal(pressed(FRESH, "<save>").action, null);
    assert.deepEqual(pressed(FRESH, "<save>").state.notice, { kind: "nothing" });
    const good = pressed(FRESH, "<tab>", " ", "<save>");
    assert.equal(good.action, "save");
    assert.ok(good.state.saving);
    const bad = pressed(FRESH, "<tab>", "<tab>", "0", "<save>");
    assert.equal(bad.action, null);
    assert.deepEqual(bad.state.notice, { kind: "invalid" });
  });

  test("B4, B9 Ctrl-S on an unchanged panel applies a corrected file when one waits to be applied", () => {
    const [save] = keys("<save>");
    assert.ok(save !== undefined);
    assert.equal(pressKey(FRESH, save, true).action, "reload");
    assert.equal(pressKey(after(FRESH, "<tab>", " "), save, true).action, "save");
  });

  test("during a save, keys wait for its end", () => {
    const saving = after(FRESH, "<tab>", " ", "<save>");
    for (const press of [" ", "<tab>", "<save>", "<escape>"]) {
      assert.deepEqual(pressed(saving, press), { state: saving, action: null, used: false });
    }
  });

  test("B9 Esc drops the changes and keeps the focus; a second Esc leaves the field", () => {
    const step = pressed(FRESH, "<tab>", "<tab>", "9999", "<escape>");
    assert.equal(valueIn(step.state, "poll_interval"), "2");
    assert.equal(focusOf(step.state), "poll_interval");
    assert.equal(step.action, "reread");
    assert.equal(focusOf(after(step.state, "<escape>")), null);
    assert.equal(step.state.file, null, "what is typed next builds on the next read");
  });

  test("before a daemon reported the running settings, no key has an effect", () => {
    for (const press of ["<tab>", " ", "<save>", "<escape>", "q"]) {
      assert.deepEqual(pressed(EMPTY_PANEL, press), { state: EMPTY_PANEL, action: null, used: false });
    }
  });
});

describe("B9 the panel and the file", () => {
  test("B9 a clean panel follows the file", () => {
    const next = withFile(withRunning(FRESH, { ...SETTINGS, debounce: 3 }, "aaaa"), {
      sha256: "bbbb",
      text: "x",
    });
    assert.equal(valueIn(next, "debounce"), "3");
    assert.equal(next.fileChanged, false);
    assert.equal(next.file?.sha256, "bbbb");
  });

  test("B9 a dirty panel keeps a person's settings, follows in the rest, and reports that the file changed", () => {
    const dirty = after(FRESH, "<tab>", "<tab>", "0.5");
    const next = withFile(withRunning(dirty, { ...SETTINGS, debounce: 3, poll_interval: 7 }, "aaaa"), {
      sha256: "bbbb",
      text: "x",
    });
    assert.equal(valueIn(next, "poll_interval"), "0.5");
    assert.equal(valueIn(next, "debounce"), "3");
    assert.equal(next.fileChanged, true);
    assert.equal(next.file, dirty.file, "an edit still builds on the file that was seen");
  });

  test("B9 the content that ran before the first change is the base, although it is read only later", () => {
    const other = { ...SETTINGS, debounce: 3 };
    const dirty = after(withRunning(FRESH, other, "bbbb"), "<tab>", " ");
    const read = withFile(dirty, { sha256: "bbbb", text: "b" });
    assert.equal(read.fileChanged, false);
    assert.equal(read.file?.sha256, "bbbb");
    const later = withFile(withRunning(dirty, SETTINGS, "cccc"), { sha256: "cccc", text: "c" });
    assert.equal(later.fileChanged, true);
  });

  test("B9 a file that changed before its first read is not taken for the one that the person saw", () => {
    const dirty = after(withRunning(EMPTY_PANEL, SETTINGS, "aaaa"), "<tab>", " ");
    assert.equal(dirty.file, null);
    const read = withFile(dirty, { sha256: "bbbb", text: "b" });
    assert.equal(read.fileChanged, true);
    assert.equal(read.file?.sha256, "aaaa", "an edit of it is refused");
    assert.equal(withFile(read, FILE).fileChanged, false);
  });

  test("B9 the same bytes again are not a change of the file", () => {
    const dirty = after(FRESH, "<tab>", " ");
    assert.equal(withFile(dirty, FILE).fileChanged, false);
    const changed = withFile(dirty, { sha256: "bbbb", text: "x" });
    assert.equal(withFile(changed, FILE).fileChanged, false, "and the old bytes again neither");
  });

  test("B9 refused for a file that changed underneath, Esc reads it again", () => {
    const refused = withConflict(after(FRESH, "<tab>", " ", "<save>"));
    assert.ok(refused.fileChanged);
    assert.ok(!refused.saving);
    assert.equal(valueIn(refused, "enabled"), false, "nothing typed is lost by a refusal");
    const step = pressed(refused, "<escape>");
    assert.equal(step.action, "reread");
    assert.equal(step.state.fileChanged, false);
    const read = withFile(step.state, { sha256: "cccc", text: "y" });
    assert.equal(read.file?.sha256, "cccc");
    const typedMeanwhile = withFile(after(step.state, " "), { sha256: "cccc", text: "y" });
    assert.equal(typedMeanwhile.fileChanged, false);
    assert.equal(typedMeanwhile.file?.sha256, "cccc");
  });

  test("B9 after a save the panel is clean and shows the changed lines", () => {
    const lines = ["+enabled = false"];
    const saved = withSaved(after(FRESH, "<tab>", " ", "<save>"), { sha256: "dddd", text: "z" }, lines, null);
    assert.ok(!isDirty(saved));
    assert.equal(saved.settings?.["enabled"], false);
    assert.deepEqual(saved.notice, { kind: "saved", lines, applied: null });
    assert.equal(after(saved, " ").notice, null, "until something is changed again");
  });

  test("B9 a saved value that does not run stays marked as such", () => {
    const saved = withSaved(after(FRESH, "<tab>", " ", "<save>"), FILE, [], "the file has a mistake");
    assert.ok(isDirty(saved));
    assert.equal(saved.settings?.["enabled"], true);
  });

  test("B9 the daemon's errors are shown next to their fields, others below, until the field is changed", () => {
    const mistake = { file: "/c.toml", line: 3, column: 7, found: "number 2", hint: null };
    const saving = after(FRESH, "<tab>", "<tab>", "3", "<save>");
    const refused = withMistakes(saving, [
      { ...mistake, path: "sync.poll_interval", expected: "less" },
      { ...mistake, path: "shares[0].name", expected: "a name" },
    ]);
    assert.deepEqual(mistakesOf(refused), { poll_interval: "expected less" });
    assert.match(JSON.stringify(refused.notice), /\/c\.toml:3:7: shares\[0\]\.name/);
    assert.deepEqual(mistakesOf(after(refused, "1")), {});
  });

  test("a failure loses nothing that was typed", () => {
    const failed = withFailure(after(FRESH, "<tab>", "<tab>", "3", "<save>"), "no daemon");
    assert.equal(valueIn(failed, "poll_interval"), "3");
    assert.ok(isDirty(failed) && !failed.saving);
  });

  test("B9 a number field that follows the file has its caret at the end of its present text", () => {
    const focused = after(FRESH, "<tab>", "<tab>", "<end>");
    const next = withRunning(focused, { ...SETTINGS, poll_interval: 0.125 }, "aaaa");
    assert.equal(valueIn(after(next, "<end>", "5"), "poll_interval"), "0.1255");
    assert.equal(valueIn(after(next, "7"), "poll_interval"), "7");
  });
});

test("B9 for any keys and events, the caret is inside its number and a choice is an existing one", () => {
  const press = fc.constantFrom(
    ..."Tab BackTab Left Right Home End Backspace Delete Enter Esc Clear Save".split(" "),
    " ",
    "5",
    ".",
    "x",
  );
  const outside = fc.record({ poll_interval: fc.constantFrom(0.5, 2, 12.25), enabled: fc.boolean() });
  fc.assert(
    fc.property(fc.array(fc.oneof(press, outside), { maxLength: 60 }), (steps) => {
      let state = FRESH;
      for (const step of steps) {
        if (typeof step === "string") state = { ...after(state, step), saving: false };
        else state = withRunning(state, { ...SETTINGS, ...step }, "aaaa");
        const { caret } = state.form;
        const focused = focusedField(state);
        if (focused?.field.of.kind === "number")
          assert.ok(caret >= 0 && caret <= focused.text.length, `${caret} in "${focused.text}"`);
        assert.ok(["mtime", "hash", "inotify"].includes(String(valueIn(state, "detection"))));
        assert.ok(["backoff", "fixed", "stop"].includes(String(valueIn(state, "on_failure"))));
      }
    }),
  );
});
