import assert from "node:assert/strict";
import { test } from "node:test";
import { createFrame } from "../../../src/tui/terminal/frame.ts";
import type { Key } from "../../../src/tui/terminal/key.ts";
import type { Screen } from "../../../src/tui/terminal/screen.ts";
import { createStore } from "../../../src/tui/terminal/store.ts";

function screen(key: string, state: { takes: string; unsaved: boolean; warned: number }): Screen {
  return {
    key,
    name: key,
    Body: () => null,
    hints: createStore<readonly string[]>([]),
    connection: createStore({ kind: "connected" }),
    onKey: (pressed) => pressed.kind === "character" && state.takes.includes(pressed.text),
    warnUnsaved() {
      if (state.unsaved) state.warned += 1;
      return state.unsaved;
    },
  };
}

const QUIT: Key = { kind: "named", name: "quit" };

function typed(text: string): Key {
  return { kind: "character", text };
}

test("a screen's key brings it up, unless the shown screen takes it itself", () => {
  const state = { takes: "", unsaved: false, warned: 0 };
  const frame = createFrame([screen("s", state), screen("b", { ...state, takes: "s" })]);
  assert.equal(frame.shown.get().key, "s");
  assert.equal(frame.press(typed("b")), false);
  assert.equal(frame.shown.get().key, "b");
  frame.press(typed("s"));
  assert.equal(frame.shown.get().key, "b");
  frame.press(typed("x"));
  assert.equal(frame.shown.get().key, "b");
});

test("q leaves; where something would be lost, when pressed again right after the warning", () => {
  const state = { takes: " ", unsaved: false, warned: 0 };
  const frame = createFrame([screen("s", state)]);
  assert.equal(frame.press(typed("q")), true);
  state.unsaved = true;
  assert.equal(frame.press(typed("q")), false);
  assert.equal(frame.press(typed(" ")), false);
  assert.equal(frame.press(typed("q")), false, "a key between them starts anew");
  assert.equal(frame.press(typed("q")), true);
  assert.equal(state.warned, 2);
});

test("q that a field takes does not leave; Ctrl-C always does", () => {
  const frame = createFrame([screen("s", { takes: "q", unsaved: true, warned: 0 })]);
  assert.equal(frame.press(typed("q")), false);
  assert.equal(frame.press(QUIT), true);
});
