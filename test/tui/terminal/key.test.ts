import assert from "node:assert/strict";
import { test } from "node:test";
import { type Key, keysOf, type TerminalKey } from "../../../src/tui/terminal/key.ts";

const PLAIN: TerminalKey = {
  upArrow: false,
  downArrow: false,
  leftArrow: false,
  rightArrow: false,
  home: false,
  end: false,
  pageUp: false,
  pageDown: false,
  return: false,
  escape: false,
  ctrl: false,
  shift: false,
  tab: false,
  backspace: false,
  delete: false,
  meta: false,
};

function names(keys: readonly Key[]): string[] {
  return keys.map((key) => (key.kind === "named" ? key.name : `'${key.text}'`));
}

test("keys get their names", () => {
  assert.deepEqual(names(keysOf("", { ...PLAIN, tab: true })), ["tab"]);
  assert.deepEqual(names(keysOf("", { ...PLAIN, tab: true, shift: true })), ["backtab"]);
  assert.deepEqual(names(keysOf("", { ...PLAIN, leftArrow: true })), ["left"]);
  assert.deepEqual(names(keysOf("", { ...PLAIN, escape: true, meta: true })), ["escape"]);
  assert.deepEqual(names(keysOf("s", { ...PLAIN, ctrl: true })), ["save"]);
  assert.deepEqual(names(keysOf("c", { ...PLAIN, ctrl: true })), ["quit"]);
  assert.deepEqual(names(keysOf("u", { ...PLAIN, ctrl: true })), ["clear"]);
  assert.deepEqual(names(keysOf("f", { ...PLAIN, ctrl: true })), ["find"]);
  assert.deepEqual(names(keysOf("q", PLAIN)), ["'q'"]);
});

test("keys that came in one piece are taken one by one", () => {
  assert.deepEqual(names(keysOf("\t\t0.5\x13", PLAIN)), ["tab", "tab", "'0'", "'.'", "'5'", "save"]);
  assert.deepEqual(names(keysOf("\x7f\r\x03", PLAIN)), ["backspace", "enter", "quit"]);
});

test("what has no meaning here is no key", () => {
  assert.deepEqual(keysOf("x", { ...PLAIN, meta: true }), []);
  assert.deepEqual(keysOf("x", { ...PLAIN, ctrl: true }), []);
  assert.deepEqual(keysOf("\x00\u202e\u200b", PLAIN), []);
  assert.deepEqual(keysOf("", PLAIN), []);
});
