import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
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
import { type Act, type Fact, tellStories } from "../../support/stories.ts";
import { keys } from "../keys.ts";

const SETTINGS: SyncReport["settings"] = {
  enabled: true,
  poll_interval: 2,
  debounce: 1,
  detection: "mtime",
  on_failure: "backoff",
};
const EMPTY_PANEL = createPanel("sync");
const FILE = { sha256: "aaaa", text: "# file\n" };
const FRESH = withFile(withRunning(EMPTY_PANEL, SETTINGS, "aaaa"), FILE);

/** What was there before the last keys, what is there now, and what the last key led to. */
interface Panel {
  former: PanelState;
  state: PanelState;
  step: PanelStep | null;
}

function press(panel: Panel, text: string, isFileWaiting = false): void {
  panel.former = panel.state;
  for (const key of keys(text)) {
    panel.step = pressKey(panel.state, key, isFileWaiting);
    panel.state = panel.step.state;
  }
}

/** What a field holds: its text, or its chosen value. */
function valueIn({ form }: PanelState, name: string): unknown {
  const node = form.root.children.find(({ label }) => label === name);
  assert.ok(node !== undefined, name);
  const { of } = node.field;
  if (of.kind === "flag") return node.at === 1;
  return of.kind === "choice" ? of.choices[node.at] : node.text;
}

function mistakesOf(state: PanelState): readonly string[] {
  return state.form.root.children.flatMap((field) => {
    const mistake = panelMistake(state, field);
    return mistake === null ? [] : [`${field.label}: ${mistake}`];
  });
}

const MISTAKE = { file: "/c.toml", line: 3, column: 7, found: "number 2", hint: null };
const MISTAKES = [
  { ...MISTAKE, path: "sync.poll_interval", expected: "less" },
  { ...MISTAKE, path: "shares[0].name", expected: "a name" },
];

/** What reaches the panel from outside. */
const comes = (form: RegExp, next: (state: PanelState, ...groups: string[]) => PanelState): Act<Panel> => [
  form,
  (panel, ...groups) => {
    panel.state = next(panel.state, ...groups.map((group) => group ?? ""));
  },
];
const is = (form: RegExp, found: (panel: Panel) => unknown): Fact<Panel> => [
  form,
  (panel, wanted) => [String(found(panel)), wanted],
];
const holds = (words: string, found: (panel: Panel) => boolean | undefined): Fact<Panel> => [
  new RegExp(`^(not )?${words}$`),
  (panel, not) => [found(panel), not === undefined],
];
const begins = (state: PanelState) => (): Panel => ({ former: state, state, step: null });

tellStories<Panel>(
  {
    starts: {
      fresh: begins(FRESH),
      half: begins(withRunning(FRESH, { ...SETTINGS, poll_interval: 2.5 }, "aaaa")),
      empty: begins(EMPTY_PANEL),
    },
    acts: [
      [/^keys "(.*)"$/, (panel, text = "") => press(panel, text)],
      [/^keys "(.*)" while a file waits$/, (panel, text = "") => press(panel, text, true)],
      comes(/^running (\S+) of (\w+)$/, (state, json = "", sha256 = "") =>
        withRunning(state, { ...SETTINGS, ...JSON.parse(json) }, sha256),
      ),
      comes(/^file (\w+)$/, (state, sha256 = "") => withFile(state, { sha256, text: sha256 })),
      comes(/^refused for another file$/, withConflict),
      comes(/^refused for mistakes$/, (state) => withMistakes(state, MISTAKES)),
      comes(/^saved$/, (state) =>
        withSaved(state, { sha256: "dddd", text: "z" }, ["+enabled = false"], null),
      ),
      comes(/^saved in vain$/, (state) => withSaved(state, FILE, [], "the file has a mistake")),
      comes(/^failed$/, (state) => withFailure(state, "no daemon")),
    ],
    facts: [
      [/^(\w+) is "(.*)"$/, ({ state }, name = "", wanted) => [String(valueIn(state, name)), wanted]],
      [/^(\w+) runs as (\w+)$/, ({ state }, name = "", wanted) => [String(state.settings?.[name]), wanted]],
      is(/^on (\w+)$/, ({ state }) => focusedField(state)?.label ?? "nothing"),
      is(/^action (\w+)$/, ({ step }) => step?.action),
      is(/^notice (\w+)$/, ({ state }) => state.notice?.kind ?? null),
      is(/^base (\w+)$/, ({ state }) => state.file?.sha256 ?? null),
      is(/^wrong "(.*)"$/, ({ state }) => mistakesOf(state).join()),
      [/^says (.+)$/, ({ state }, part = "") => [JSON.stringify(state.notice).includes(part), true]],
      holds("used", ({ step }) => step?.used),
      holds("changed", ({ former, state }) => !isDeepStrictEqual(former, state)),
      holds("dirty", ({ state }) => isDirty(state)),
      holds("saving", ({ state }) => state.saving),
      holds("taking text", ({ state }) => takesText(state)),
      holds("another file", ({ state }) => state.fileChanged),
    ],
  },
  `
B9 nothing is focused at first, and nothing can be changed by accident
  fresh, keys " ": on nothing, not used, not changed; keys "<left>": not used, not changed
  keys "<right>": not used, not changed; keys "<enter>": not used, not changed; keys "<backspace>": not used, not changed
  keys "9": not used, not changed; keys "q": not used, not changed; keys "<quit>": not used, not changed
B9 Tab and Shift-Tab walk all fields in order, round and round
  fresh, keys "<tab>": on enabled; keys "<tab>": on poll_interval; keys "<tab>": on debounce; keys "<tab>": on detection
  keys "<tab>": on on_failure; keys "<tab>": on enabled; keys "<backtab>": on on_failure; keys "<backtab>": on detection
  fresh, keys "<backtab>": on on_failure; keys "<backtab><backtab><backtab><backtab>": on enabled
B9 Space and Enter toggle the checkbox
  fresh, keys "<tab> ": enabled is "false", dirty; keys "<enter>": enabled is "true"
  fresh, keys "<tab>  ": not dirty
B9 arrows choose, both ways round and round; Space selects the next
  fresh, keys "<tab><tab><tab><tab>": on detection; keys "<right>": detection is "hash"
  fresh, keys "<tab><tab><tab><tab><down><down>": detection is "inotify"
  fresh, keys "<tab><tab><tab><tab><left>": detection is "inotify"
  fresh, keys "<tab><tab><tab><tab>   ": detection is "mtime"; keys "<tab><up>": on_failure is "stop"
B9 typing into a field just reached replaces its number
  fresh, keys "<tab><tab>0.5": poll_interval is "0.5", taking text
  fresh, keys "<tab><tab><backspace>7": poll_interval is "7"
B9 a number is edited at the caret
  half, keys "<tab><tab><end>5": poll_interval is "2.55"
  half, keys "<tab><tab><home>1": poll_interval is "12.5"
  half, keys "<tab><tab><left>1": poll_interval is "12.5"
  half, keys "<tab><tab><end><backspace><backspace>": poll_interval is "2"
  half, keys "<tab><tab><home><delete>3": poll_interval is "3.5"
  half, keys "<tab><tab><end><left><left>7": poll_interval is "27.5"
  half, keys "<tab><tab><clear>": poll_interval is ""
  half, keys "<tab><tab><end><delete>": poll_interval is "2.5"
  half, keys "<tab><tab><home><backspace>": poll_interval is "2.5"
B9 letters go into a number field, to be marked as invalid, and nowhere else
  fresh, keys "<tab><tab>q": used, wrong "poll_interval: a number, such as 12 or 0.5"
  fresh, keys "<tab>q": not used; fresh, keys "<backtab>s": not used
B9 Ctrl-S saves only fields that changed and are valid
  fresh, keys "<save>": action null, notice nothing
  fresh, keys "<tab> <save>": action save, saving
  fresh, keys "<tab><tab>0<save>": action null, notice invalid
B4, B9 Ctrl-S on an unchanged panel applies a corrected file when one waits to be applied
  fresh, keys "<save>" while a file waits: action reload
  fresh, keys "<tab> ", keys "<save>" while a file waits: action save
during a save, keys wait for its end
  fresh, keys "<tab> <save>", keys " ": not changed, action null, not used; keys "<tab>": not changed, action null, not used
  keys "<save>": not changed, action null, not used; keys "<escape>": not changed, action null, not used
B9 Esc drops the changes and keeps the focus; a second Esc leaves the field
  fresh, keys "<tab><tab>9999<escape>": poll_interval is "2", on poll_interval, action reread, base null
  keys "<escape>": on nothing
before a daemon reported the running settings, no key has an effect
  empty, keys "<tab>": not changed, action null, not used; keys " ": not changed, action null, not used
  keys "<save>": not changed, action null, not used; keys "<escape>": not changed, action null, not used
  keys "q": not changed, action null, not used
B9 a clean panel follows the file
  fresh, running {"debounce":3} of aaaa, file bbbb: debounce is "3", not another file, base bbbb
B9 a dirty panel keeps a person's settings, follows in the rest, and reports that the file changed
  fresh, keys "<tab><tab>0.5", running {"debounce":3,"poll_interval":7} of aaaa, file bbbb: poll_interval is "0.5"
  : debounce is "3", another file, base aaaa
B9 the content that ran before the first change is the base, although it is read only later
  fresh, running {"debounce":3} of bbbb, keys "<tab> ", file bbbb: not another file, base bbbb
  fresh, running {"debounce":3} of bbbb, keys "<tab> ", running {} of cccc, file cccc: another file
B9 a file that changed before its first read is not taken for the one that the person saw
  empty, running {} of aaaa, keys "<tab> ": base null; file bbbb: another file, base aaaa; file aaaa: not another file
B9 the same bytes again are not a change of the file
  fresh, keys "<tab> ", file aaaa: not another file; file bbbb: another file; file aaaa: not another file
B9 refused for a file that changed underneath, Esc reads it again
  fresh, keys "<tab> <save>", refused for another file: another file, not saving, enabled is "false"
  keys "<escape>": action reread, not another file; file cccc: base cccc
  fresh, keys "<tab> <save>", refused for another file, keys "<escape> ", file cccc: not another file, base cccc
B9 after a save the panel is clean and shows the changed lines, until something is changed again
  fresh, keys "<tab> <save>", saved: not dirty, enabled runs as false, notice saved, says "lines":["+enabled = false"]
  : says "applied":null; keys " ": notice null
B9 a saved value that does not run stays marked as such
  fresh, keys "<tab> <save>", saved in vain: dirty, enabled runs as true
B9 the daemon's errors are shown next to their fields, others below, until the field is changed
  fresh, keys "<tab><tab>3<save>", refused for mistakes: wrong "poll_interval: expected less"
  : says /c.toml:3:7; keys "1": wrong ""
a failure loses nothing that was typed
  fresh, keys "<tab><tab>3<save>", failed: poll_interval is "3", dirty, not saving
B9 a number field that follows the file has its caret at the end of its present text
  fresh, keys "<tab><tab><end>", running {"poll_interval":0.125} of aaaa, keys "<end>5": poll_interval is "0.1255"
  fresh, keys "<tab><tab><end>", running {"poll_interval":0.125} of aaaa, keys "7": poll_interval is "7"
`,
);

test("B9 for any keys and events, the caret is inside its number and a choice is an existing one", () => {
  const one = fc.constantFrom(
    ..."<tab> <backtab> <left> <right> <home> <end> <backspace> <delete> <enter> <escape> <clear> <save>".split(
      " ",
    ),
    " ",
    "5",
    ".",
    "x",
  );
  const outside = fc.record({ poll_interval: fc.constantFrom(0.5, 2, 12.25), enabled: fc.boolean() });
  fc.assert(
    fc.property(fc.array(fc.oneof(one, outside), { maxLength: 60 }), (steps) => {
      const panel = begins(FRESH)();
      for (const step of steps) {
        if (typeof step === "string") press(panel, step);
        else panel.state = withRunning(panel.state, { ...SETTINGS, ...step }, "aaaa");
        panel.state = { ...panel.state, saving: false };
        const { state } = panel;
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
