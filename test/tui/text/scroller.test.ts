import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyName } from "../../../src/tui/terminal/key.ts";
import {
  createScroller,
  linesBelow,
  pressScrollKey,
  type Scroller,
  shownLines,
  withSize,
  withText,
} from "../../../src/tui/text/scroller.ts";

const TEXT = Array.from({ length: 30 }, (_, line) => `line ${line}`).join("\n");
const SIZE = { width: 40, height: 10 };

function pressed(from: Scroller, ...names: readonly KeyName[]): Scroller {
  return names.reduce((state, name) => pressScrollKey(state, { kind: "named", name }) ?? state, from);
}

test("F2 a text is scrolled by lines and pages, and never beyond its begin or its end", () => {
  const start = createScroller(TEXT, SIZE);
  const tops = (...names: readonly KeyName[]): number => pressed(start, ...names).top;
  assert.equal(tops("down"), 1);
  assert.equal(tops("down", "up", "up"), 0);
  assert.equal(tops("pagedown"), 9);
  assert.equal(tops("pagedown", "pageup"), 0);
  assert.equal(pressScrollKey(start, { kind: "character", text: " " })?.top, 9);
  assert.equal(tops("end"), 20);
  assert.equal(tops("end", "down"), 20);
  assert.equal(tops("end", "home"), 0);
  assert.equal(pressScrollKey(start, { kind: "character", text: "x" }), null);
  const end = pressed(start, "end");
  assert.deepEqual([shownLines(end).at(-1), linesBelow(end), linesBelow(start)], ["line 29", 0, 20]);
});

test("F2 a text that changes or is drawn in another size stays about where it was", () => {
  const end = pressed(createScroller(TEXT, SIZE), "end");
  assert.equal(withSize(end, SIZE), end);
  assert.equal(withSize(end, { width: 40, height: 20 }).top, 10);
  assert.equal(withText(end, TEXT), end);
  assert.equal(withText(end, "one line").top, 0);
  assert.equal(withText(end, `${TEXT}\nmore`).top, 20);
});
