import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionStatus } from "../../../src/api/client/daemon-connection.ts";
import { createStore } from "../../../src/runtime/store.ts";
import { createFrame, type Frame } from "../../../src/tui/terminal/frame.ts";
import type { Key } from "../../../src/tui/terminal/key.ts";
import { span } from "../../../src/tui/terminal/line.ts";
import { createPrompt } from "../../../src/tui/terminal/prompt.ts";
import type { Screen, ScreenSize } from "../../../src/tui/terminal/screen.ts";
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

const QUIT: Key = { kind: "named", name: "quit" };
const ENTER: Key = { kind: "named", name: "enter" };
const ESCAPE: Key = { kind: "named", name: "escape" };

function typed(text: string): Key {
  return { kind: "character", text };
}

test("a number shows the view of that place, unless the shown screen takes it itself", () => {
  const takes = script({ takes: "1" });
  const { frame } = frameOf(screen("s", script()), screen("b", takes), screen("c", script()));
  frame.press(typed("2"));
  assert.equal(frame.shown.get().key, "b");
  frame.press(typed("1"));
  assert.deepEqual([frame.shown.get().key, takes.seen.at(-1)], ["b", "1"]);
  frame.press(typed("3"));
  assert.equal(frame.shown.get().key, "b", "there are two views");
});

test("a screen's key brings it up, unless the shown screen takes it itself", () => {
  const state = script();
  const other = script({ takes: "s" });
  const { frame } = frameOf(screen("s", state), screen("b", other));
  assert.equal(frame.shown.get().key, "s");
  assert.equal(frame.press(typed("b")), false);
  assert.equal(frame.shown.get().key, "b");
  frame.press(typed("s"));
  assert.equal(frame.shown.get().key, "b");
  frame.press(typed("b"));
  frame.press(typed("x"));
  assert.equal(frame.shown.get().key, "b");
  assert.deepEqual(state.seen, ["open", "close"]);
  assert.deepEqual(other.seen, ["open", "s"], "a screen that is shown is not opened anew");
});

test("q leaves; where something would be lost, when pressed again right after the warning", () => {
  const state = script({ takes: " " });
  const { frame } = frameOf(screen("s", state));
  assert.equal(frameOf(screen("s", script())).frame.press(typed("q")), true);
  state.unsaved = true;
  assert.equal(frame.press(typed("q")), false);
  assert.equal(frame.press(typed(" ")), false);
  assert.equal(frame.press(typed("q")), false, "a key between them starts anew");
  assert.equal(frame.press(typed("q")), true);
  assert.equal(state.warned, 2);
});

test("a paste and a change of screen also separate two keys: the next q warns again", () => {
  const state = script({ unsaved: true });
  const pasted = { ...screen("s", state), onPaste: () => true };
  for (const between of [(frame: Frame) => frame.paste("text"), (frame: Frame) => frame.show("b")]) {
    const { frame } = frameOf(pasted, screen("b", script()));
    assert.equal(frame.press(typed("q")), false);
    between(frame);
    assert.equal(frame.press(typed("q")), false);
  }
});

test("a paste goes to the dialog over the screen, key by key", () => {
  const pasted: string[] = [];
  const shown = { ...screen("s", script()), onPaste: (text: string) => pasted.push(text) > 0 };
  const { frame, prompt } = frameOf(shown);
  let done = 0;
  prompt.confirm("Sure?", () => {
    done += 1;
  });
  frame.paste("y");
  assert.deepEqual([done, pasted], [1, []]);
  frame.paste("now");
  assert.deepEqual(pasted, ["now"]);
});

test("keys that wait for a daemon are taken when it is lost, and nothing is drawn after the end", () => {
  const state = script({ takes: "x", holds: true });
  const stop = new AbortController();
  const drawn: number[] = [];
  const shown = screen("s", state);
  const connection = createStore<ConnectionStatus>({ kind: "connected" });
  const prompt = createPrompt(stop.signal);
  const onChange = () => void drawn.push(1);
  const frame = createFrame({ screens: [shown], prompt, connection, onChange, signal: stop.signal });
  frame.press(typed("x"));
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

test("q that a field takes does not leave; Ctrl-C always does", () => {
  const { frame } = frameOf(screen("s", script({ takes: "q", unsaved: true })));
  assert.equal(frame.press(typed("q")), false);
  assert.equal(frame.press(QUIT), true);
});

test("keys pressed during a save are taken afterwards, each once and in order, to the right screen", () => {
  const state = script({ takes: "xy", holds: true });
  const other = script({ takes: "z" });
  const shown = screen("s", state);
  const { frame } = frameOf(shown, screen("b", other));
  for (const key of "xybz") frame.press(typed(key));
  assert.deepEqual(state.seen, ["open"]);
  state.holds = false;
  shown.changed();
  shown.changed();
  assert.deepEqual(state.seen, ["open", "x", "y", "close"]);
  assert.deepEqual(other.seen, ["open", "z"]);
});

test("keys that wait for a screen are dropped when another one is shown by then, but not those typed for that one", () => {
  const one = script({ takes: "x", holds: true });
  const two = script({ takes: "xz" });
  const [shown, other] = [screen("s", one), screen("b", two)];
  const { frame } = frameOf(shown, other);
  frame.press(typed("x"));
  frame.show("b");
  other.changed();
  assert.deepEqual(two.seen, ["open"], "typed for the one before");
  frame.show("s");
  // A key typed while the screen loads shows another one that loads, and what follows is for that.
  two.holds = true;
  frame.press(typed("b"));
  frame.press(typed("z"));
  one.holds = false;
  shown.changed();
  assert.equal(frame.shown.get().key, "b");
  two.holds = false;
  other.changed();
  assert.deepEqual([one.seen.includes("x"), two.seen], [false, ["open", "close", "open", "z"]]);
});

test("no key overtakes waiting ones, even when the screen has not reported yet that it can take them", () => {
  const state = script({ takes: "xyz", holds: true });
  const { frame } = frameOf(screen("s", state), screen("b", script()));
  frame.press(typed("x"));
  frame.paste("y");
  state.holds = false;
  frame.press(typed("z"));
  assert.deepEqual(state.seen, ["open", "x", "y", "z"]);
});

test("a q delayed by a save leaves once that is over, and Ctrl-C does not wait", () => {
  const state = script({ holds: true });
  const shown = screen("s", state);
  const { frame } = frameOf(shown);
  assert.equal(frame.press(typed("q")), false);
  state.holds = false;
  shown.changed();
  assert.equal(frame.hasLeft(), true);
  state.holds = true;
  assert.equal(frameOf(shown).frame.press(QUIT), true);
});

test("a question takes the next key: y runs it once, anything else leaves it", () => {
  const state = script({ takes: "yn" });
  const { frame, prompt, text } = frameOf(screen("s", state));
  let runs = 0;
  const ask = () =>
    prompt.confirm("Unmount core?", () => {
      runs += 1;
    });
  ask();
  assert.ok(text().includes("▲ Unmount core?"));
  assert.equal(text().at(-1), "y yes  any other key: no");
  frame.press(typed("y"));
  frame.press(typed("y"));
  assert.equal(runs, 1);
  for (const key of [typed("n"), ESCAPE, ENTER, typed("q")]) {
    ask();
    assert.equal(frame.press(key), false);
  }
  assert.equal(runs, 1);
  assert.deepEqual(state.seen, ["open", "y"], "the screen got the one key that was not for a question");
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

test("help shows the shown screen's keys and every screen; a key closes it and does nothing else", () => {
  const state = script({ takes: "k" });
  const { frame, text } = frameOf(screen("s", state), screen("b", script()));
  frame.press(typed("?"));
  const all = text().join("\n");
  for (const part of ["Keys of S", "key of s", "about b", "Ctrl-C"]) assert.ok(all.includes(part), part);
  frame.press(typed("k"));
  assert.deepEqual(state.seen, ["open"]);
  assert.ok(text().includes("body 80x22"));
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
