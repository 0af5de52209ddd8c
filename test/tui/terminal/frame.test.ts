import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionStatus } from "../../../src/api/client/daemon-connection.ts";
import { createStore } from "../../../src/runtime/store.ts";
import { createFrame } from "../../../src/tui/terminal/frame.ts";
import { span } from "../../../src/tui/terminal/line.ts";
import { createPrompt } from "../../../src/tui/terminal/prompt.ts";
import type { Screen, ScreenSize } from "../../../src/tui/terminal/screen.ts";
import { tellStories } from "../../support/stories.ts";
import { keys } from "../keys.ts";
import { textOf, viewOf } from "../views.ts";

interface Script {
  takes: string;
  unsaved: boolean;
  warned: number;
  holds: boolean;
  seen: string[];
}

function script(over: Partial<Script> = {}): Script {
  return { takes: "", unsaved: false, warned: 0, holds: false, seen: [], ...over };
}

/** A screen that takes the characters of its script, and a way to say that it changed. */
function screen(key: string, state: Script) {
  const changes = createStore(0);
  const made: Screen = {
    key,
    view: key === "s" ? "Home" : "Settings",
    title: key.toUpperCase(),
    about: `about ${key}`,
    keys: [{ keys: "k", does: `key of ${key}` }],
    changes,
    open: (signal) => {
      state.seen.push("open");
      signal.addEventListener("abort", () => state.seen.push("close"));
    },
    draw: ({ width, height }) => [[span(`body ${width}x${height}`)]],
    hints: () => [`hint of ${key}`],
    onKey(pressed) {
      const isTaken = pressed.kind === "character" && state.takes.includes(pressed.text);
      if (isTaken) state.seen.push(pressed.text);
      return isTaken;
    },
    queuesKeys: () => state.holds,
    warnUnsaved() {
      if (state.unsaved) state.warned += 1;
      return state.unsaved;
    },
    shells: () => [{ does: `does ${key}`, command: `mountaineer ${key}` }],
  };
  return { ...made, changed: () => changes.set(changes.get() + 1) };
}

function frameOf(...screens: [Screen, ...Screen[]]) {
  const { signal } = new AbortController();
  const prompt = createPrompt(signal);
  const connection = createStore<ConnectionStatus>({ kind: "connected" });
  const frame = createFrame({ screens, prompt, connection, onChange() {}, signal });
  const size = { ...viewOf(80), height: 24 };
  return { frame, prompt, connection, text: () => textOf(frame.draw(size)) };
}

interface Played extends ReturnType<typeof frameOf> {
  readonly scripts: ReadonlyMap<string, Script>;
  readonly screens: ReadonlyMap<string, ReturnType<typeof screen>>;
  hasLeft: boolean;
  runs: number;
}

function play(...names: readonly string[]): Played {
  const scripts = new Map(names.map((name) => [name, script()]));
  const screens = new Map([...scripts].map(([name, state]) => [name, screen(name, state)]));
  const [first = assert.fail(), ...others] = screens.values();
  return { ...frameOf(first, ...others), scripts, screens, hasLeft: false, runs: 0 };
}

const of = ({ scripts }: Played, name = ""): Script => scripts.get(name) ?? assert.fail(name);

function press(played: Played, text: string): void {
  for (const key of keys(text)) played.hasLeft = played.frame.press(key);
}

tellStories<Played>(
  {
    starts: {
      "screen s": () => play("s"),
      "screens s b": () => play("s", "b"),
      "screens s b c": () => play("s", "b", "c"),
    },
    acts: [
      [/^keys "(.*)"$/, (played, text = "") => press(played, text)],
      [/^paste "(.*)"$/, ({ frame }, text = "") => frame.paste(text)],
      [/^show (\w)$/, ({ frame }, name = "") => frame.show(name)],
      [/^(\w) takes "(.*)"$/, (played, name, takes = "") => void Object.assign(of(played, name), { takes })],
      [/^(\w) holds$/, (played, name) => void Object.assign(of(played, name), { holds: true })],
      [/^(\w) is unsaved$/, (played, name) => void Object.assign(of(played, name), { unsaved: true })],
      [/^(\w) holds no more$/, (played, name) => void Object.assign(of(played, name), { holds: false })],
      [/^(\w) changes$/, ({ screens }, name = "") => screens.get(name)?.changed()],
      [
        /^question$/,
        (played) =>
          played.prompt.confirm("Unmount core?", () => {
            played.runs += 1;
          }),
      ],
    ],
    facts: [
      [/^on (\w)$/, ({ frame }, name) => [frame.shown.get().key, name]],
      [/^(stays|leaves)$/, ({ hasLeft }, how) => [hasLeft, how === "leaves"]],
      [/^has left$/, ({ frame }) => [frame.hasLeft(), true]],
      [/^(\w) saw "(.*)"$/, (played, name, wanted) => [of(played, name).seen.join(" "), wanted]],
      [/^(\w) warned (\d+)$/, (played, name, count) => [of(played, name).warned, Number(count)]],
      [/^(\d+) runs$/, ({ runs }, count) => [runs, Number(count)]],
      [/^shows "(.*)"$/, ({ text }, part = "") => [text().join("\n").includes(part), true]],
    ],
  },
  `
a number shows the view of that place, unless the shown screen takes it itself, or there is no such place
  screens s b c, b takes "1", keys "2": on b; keys "1": on b, b saw "open 1"; keys "3": on b
a screen's key brings it up, unless the shown screen takes it itself, and one that is shown is not opened anew
  screens s b, b takes "s": on s; keys "b": stays, on b; keys "s": on b; keys "bx": on b, s saw "open close", b saw "open s"
q leaves; where something would be lost, when pressed again right after the warning
  screen s, keys "q": leaves
  screen s, s takes " ", s is unsaved, keys "q": stays; keys " ": stays; keys "q": stays; keys "q": leaves, s warned 2
a paste and a change of screen also separate two keys: the next q warns again
  screens s b, s is unsaved, s takes "text", keys "q": stays; paste "text", keys "q": stays
  screens s b, s is unsaved, keys "q": stays; show b, keys "q": stays
a paste goes to the dialog over the screen, key by key
  screen s, s takes "now", question, paste "y": 1 runs, s saw "open"; paste "now": s saw "open n o w"
q that a field takes does not leave; Ctrl-C always does
  screen s, s takes "q", s is unsaved, keys "q": stays; keys "<quit>": leaves
keys pressed during a save are taken afterwards, each once and in order, to the right screen
  screens s b, s takes "xy", s holds, b takes "z", keys "xybz": s saw "open"
  s holds no more, s changes, s changes: s saw "open x y close", b saw "open z"
keys that wait for a screen are dropped when another one is shown by then, but not those typed for that one
  screens s b, s takes "x", s holds, b takes "xz", keys "x", show b, b changes: b saw "open"
  show s, b holds, keys "bz", s holds no more, s changes: on b
  b holds no more, b changes: s saw "open close open close", b saw "open close open z"
no key overtakes waiting ones, even when the screen has not reported yet that it can take them
  screens s b, s takes "xyz", s holds, keys "x", paste "y", s holds no more, keys "z": s saw "open x y z"
a q delayed by a save leaves once that is over, and Ctrl-C does not wait
  screen s, s holds, keys "q": stays; s holds no more, s changes: has left
  screen s, s holds, keys "<quit>": leaves
a question takes the next key: y runs it once, anything else leaves it
  screen s, s takes "yn", question: shows "▲ Unmount core?", shows "y yes  any other key: no"; keys "yy": 1 runs
  question, keys "n": stays; question, keys "<escape>": stays; question, keys "<enter>": stays
  question, keys "q": stays, 1 runs, s saw "open y"
help shows the shown screen's keys and every screen; a key closes it and does nothing else
  screens s b, s takes "k", keys "?": shows "Keys of S", shows "key of s", shows "about b", shows "Ctrl-C"
  keys "k": s saw "open", shows "body 80x22"
`,
);

test("keys that wait for a daemon are taken when it is lost, and nothing is drawn after the end", () => {
  const state = script({ takes: "x", holds: true });
  const stop = new AbortController();
  const drawn: number[] = [];
  const shown = screen("s", state);
  const connection = createStore<ConnectionStatus>({ kind: "connected" });
  const prompt = createPrompt(stop.signal);
  const onChange = () => void drawn.push(1);
  const frame = createFrame({ screens: [shown], prompt, connection, onChange, signal: stop.signal });
  for (const key of keys("x")) frame.press(key);
  state.holds = false;
  connection.set({ kind: "waiting", reason: "gone", sinceMs: 0 });
  assert.deepEqual(state.seen, ["open", "x"]);
  stop.abort();
  const before = drawn.length;
  shown.changed();
  connection.set({ kind: "connected" });
  prompt.notice({ tone: "good", text: "done" });
  assert.equal(drawn.length, before);
});

test("a screen learns each new size, the height's as well as the width's", () => {
  const sizes: string[] = [];
  const shown = {
    ...screen("s", script()),
    resize: ({ width, height }: ScreenSize) => void sizes.push(`${width}x${height}`),
  };
  const { frame } = frameOf(shown);
  for (const [width, height] of [
    [80, 24],
    [80, 24],
    [80, 30],
    [90, 30],
  ] as const)
    frame.draw({ ...viewOf(width), height });
  assert.deepEqual(sizes, ["80x22", "80x28", "90x28"]);
});

test("a running action is shown, does not run twice at a time, and its end is noted", async () => {
  const { prompt, text } = frameOf(screen("s", script()));
  const done = Promise.withResolvers<void>();
  let runs = 0;
  const run = () =>
    prompt.run("mounting core", async () => {
      runs += 1;
      await done.promise;
      return { tone: "good", text: "core: mounted" };
    });
  run();
  assert.ok(text().includes("⟳ mounting core …"));
  run();
  assert.ok(text().includes("▲ mounting core: already under way"));
  done.resolve();
  await new Promise(setImmediate);
  assert.equal(runs, 1);
  assert.ok(text().includes("✓ core: mounted"));
});

test("below 60 by 15 a message says so; from there to 200 by 60 every line fits", () => {
  const { frame } = frameOf(screen("s", script()), screen("b", script()));
  for (const [width, height] of [
    [59, 15],
    [60, 14],
    [10, 3],
    [1, 1],
  ] as const) {
    const lines = textOf(frame.draw({ ...viewOf(width), height }));
    assert.ok(lines.length <= height && lines.every((line) => [...line].length <= width));
    if (width > 10) assert.match(lines.join(" "), /needs 60×15, has/);
  }
  for (const [width, height] of [
    [60, 15],
    [80, 24],
    [200, 60],
  ] as const) {
    const lines = textOf(frame.draw({ ...viewOf(width), height }));
    assert.equal(lines.length, height);
    assert.ok(lines.every((line) => [...line].length <= width));
  }
});
