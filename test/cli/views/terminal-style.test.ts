import assert from "node:assert/strict";
import { test } from "node:test";
import { paintFor, terminalStyle } from "../../../src/cli/views/terminal-style.ts";

const utf8 = { LANG: "de_DE.UTF-8" };

test("colour is for terminals, unless told otherwise", () => {
  const tty = { isTTY: true, columns: 100 };
  assert.equal(terminalStyle(tty, {}).color, true);
  assert.equal(terminalStyle({}, {}).color, false);
  assert.equal(terminalStyle(tty, { NO_COLOR: "1" }).color, false);
  assert.equal(terminalStyle(tty, { NO_COLOR: "" }).color, true);
  assert.equal(terminalStyle(tty, { TERM: "dumb" }).color, false);
  assert.equal(terminalStyle({}, { FORCE_COLOR: "1" }).color, true);
  assert.equal(terminalStyle({}, { FORCE_COLOR: "0" }).color, false);
  assert.equal(terminalStyle(tty, { FORCE_COLOR: "1", NO_COLOR: "1" }).color, false);
});

test("the width is the terminal's, else COLUMNS, else 80", () => {
  assert.equal(terminalStyle({ isTTY: true, columns: 100 }, { COLUMNS: "60" }).width, 100);
  assert.equal(terminalStyle({}, { COLUMNS: "60" }).width, 60);
  for (const COLUMNS of ["", "x", "-3", "0", undefined])
    assert.equal(terminalStyle({}, { COLUMNS }).width, 80);
});

test("symbols beyond ASCII need a UTF-8 locale; LC_ALL beats LC_CTYPE beats LANG", () => {
  assert.equal(terminalStyle({}, utf8).unicode, true);
  assert.equal(terminalStyle({}, { LANG: "C.utf8" }).unicode, true);
  assert.equal(terminalStyle({}, {}).unicode, false);
  assert.equal(terminalStyle({}, { ...utf8, LC_ALL: "C" }).unicode, false);
  assert.equal(terminalStyle({}, { ...utf8, LC_ALL: "", LC_CTYPE: "C" }).unicode, false);
});

test("without UTF-8 every symbol is ASCII, and without colour no style adds a byte", () => {
  const paint = paintFor({ color: false, unicode: false });
  assert.match(Object.values(paint.symbols).join(""), /^[ -~]+$/);
  assert.equal(paint.banner(paint.red(paint.bold("x"))), "x");
  assert.equal(paintFor({ color: true, unicode: true }).red("x"), "\x1b[31mx\x1b[39m");
});
