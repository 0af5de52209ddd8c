import assert from "node:assert/strict";
import { test } from "node:test";
import { lookOf, paintFor } from "../../../src/cli/views/look.ts";

const utf8 = { LANG: "de_DE.UTF-8" };

test("colour is for terminals, unless told otherwise", () => {
  const tty = { isTTY: true, columns: 100 };
  assert.equal(lookOf(tty, {}).color, true);
  assert.equal(lookOf({}, {}).color, false);
  assert.equal(lookOf(tty, { NO_COLOR: "1" }).color, false);
  assert.equal(lookOf(tty, { NO_COLOR: "" }).color, true);
  assert.equal(lookOf(tty, { TERM: "dumb" }).color, false);
  assert.equal(lookOf({}, { FORCE_COLOR: "1" }).color, true);
  assert.equal(lookOf({}, { FORCE_COLOR: "0" }).color, false);
  assert.equal(lookOf(tty, { FORCE_COLOR: "1", NO_COLOR: "1" }).color, false);
});

test("the width is the terminal's, else COLUMNS, else 80", () => {
  assert.equal(lookOf({ isTTY: true, columns: 100 }, { COLUMNS: "60" }).width, 100);
  assert.equal(lookOf({}, { COLUMNS: "60" }).width, 60);
  for (const COLUMNS of ["", "x", "-3", "0", undefined]) assert.equal(lookOf({}, { COLUMNS }).width, 80);
});

test("symbols beyond ASCII need a UTF-8 locale; LC_ALL beats LC_CTYPE beats LANG", () => {
  assert.equal(lookOf({}, utf8).unicode, true);
  assert.equal(lookOf({}, { LANG: "C.utf8" }).unicode, true);
  assert.equal(lookOf({}, {}).unicode, false);
  assert.equal(lookOf({}, { ...utf8, LC_ALL: "C" }).unicode, false);
  assert.equal(lookOf({}, { ...utf8, LC_ALL: "", LC_CTYPE: "C" }).unicode, false);
});

test("without UTF-8 every symbol is ASCII, and without colour no style adds a byte", () => {
  const paint = paintFor({ color: false, unicode: false });
  assert.match(Object.values(paint.symbols).join(""), /^[ -~]+$/);
  assert.equal(paint.banner(paint.red(paint.bold("x"))), "x");
  assert.equal(paintFor({ color: true, unicode: true }).red("x"), "\x1b[31mx\x1b[39m");
});
