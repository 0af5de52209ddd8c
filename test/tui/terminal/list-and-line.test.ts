import assert from "node:assert/strict";
import { test } from "node:test";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import { type Key, type KeyName, keysOf, type TerminalKey } from "../../../src/tui/terminal/key.ts";
import {
  cutLine,
  cutStart,
  cutText,
  type Line,
  lineColumns,
  lineText,
  paragraph,
  span,
  spread,
} from "../../../src/tui/terminal/line.ts";
import {
  chosenId,
  detailsPart,
  drawnRows,
  EMPTY_LIST,
  filterLine,
  filterOf,
  type ListState,
  pressListKey,
} from "../../../src/tui/terminal/list-state.ts";
import {
  createScroller,
  linesBelow,
  pressScrollKey,
  type Scroller,
  shownLines,
} from "../../../src/tui/terminal/scroller.ts";
import { pressTextKey } from "../../../src/tui/terminal/typed-text.ts";
import { fc } from "../../support/properties.ts";
import { textOf, viewOf } from "../views.ts";

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

test("keys have names", () => {
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

test("keys that arrive in one piece are taken one by one", () => {
  assert.deepEqual(names(keysOf("\t\t0.5\x13", PLAIN)), ["tab", "tab", "'0'", "'.'", "'5'", "save"]);
  assert.deepEqual(names(keysOf("\x7f\r\x03", PLAIN)), ["backspace", "enter", "quit"]);
});

test("input without a meaning here is not a key", () => {
  assert.deepEqual(keysOf("x", { ...PLAIN, meta: true }), []);
  assert.deepEqual(keysOf("x", { ...PLAIN, ctrl: true }), []);
  assert.deepEqual(keysOf("\x00\u202e\u200b", PLAIN), []);
  assert.deepEqual(keysOf("", PLAIN), []);
});

test("control characters are spelled out", () => {
  assert.equal(span("a\x1b[2Jb\u202ec\r\n").text, "a\\x1b[2Jb\\u{202e}c\\x0d ");
});

test("a text is cut at its end, a path at its start", () => {
  assert.equal(cutText("abcdef", 6, "…"), "abcdef");
  assert.equal(cutText("abcdef", 4, "…"), "abc…");
  assert.equal(cutText("abcdef", 1, "…"), "a");
  assert.equal(cutText("abcdef", 0, "…"), "");
  assert.equal(cutStart("/home/me/.mountaineer/config.toml", 14, "…"), "…r/config.toml");
  assert.equal(cutStart("/a", 14, ".."), "/a");
  assert.deepEqual([cutStart("/abc", 0, "…"), cutStart("/abc", 1, "…")], ["", "c"]);
  assert.equal(cutText("日本語", 4, "…"), "日…");
  assert.equal(cutStart("日本語", 4, "…"), "…語");
});

test("a line is cut where its space ends, with a mark", () => {
  const line = [span("abc"), span("def", "bad"), span("ghi")];
  assert.equal(lineText(cutLine(line, 9, "…")), "abcdefghi");
  assert.equal(lineText(cutLine(line, 8, "…")), "abcdefg…");
  assert.equal(lineText(cutLine(line, 6, "…")), "abcde…");
  assert.equal(lineText(cutLine(line, 3, "…")), "ab…");
  assert.equal(lineText(cutLine([span("abc"), span("   ")], 3, "…")), "abc");
});

test("left and right are placed at the ends, and the left one is shortened", () => {
  assert.equal(lineText(spread([span("ab")], [span("yz")], 8, "…")), "ab    yz");
  assert.equal(lineText(spread([span("abcdefgh")], [span("yz")], 8, "…")), "abcd… yz");
  assert.equal(lineText(spread([span("ab")], [span("xyz")], 2, "…")), "x…");
});

test("a paragraph breaks at spaces, and an overlong word anywhere", () => {
  assert.deepEqual(paragraph("one two three", 7, 9, "…"), ["one two", "three"]);
  assert.deepEqual(paragraph("abcdefghij k", 4, 9, "…"), ["abcd", "efgh", "ij", "k"]);
  assert.deepEqual(paragraph("one two three four", 7, 2, "…"), ["one two", "three …"]);
  assert.deepEqual(paragraph("one two", 7, 0, "…"), []);
  assert.deepEqual(paragraph("", 7, 3, "…"), []);
});

test("for any text and width, nothing is wider than its space", () => {
  const text = fc.string({ unit: "binary", maxLength: 60 });
  fc.assert(
    fc.property(
      text,
      text,
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom("…", ".."),
      (one, two, width, dots) => {
        const line = [span(one), span(two)];
        assert.ok(lineColumns(cutLine(line, width, dots)) <= width);
        assert.ok(lineColumns(spread(line, [span("xyz")], width, dots)) <= width);
        assert.ok(columns(cutStart(span(one).text, width, dots)) <= width);
        for (const row of paragraph(`${one} ${two}`, width + 1, 3, dots))
          assert.ok(columns(row) <= width + 1);
        assert.ok(paragraph(one + two, width, 2, dots).length <= 2);
      },
    ),
  );
});

function named(name: KeyName): Key {
  return { kind: "named", name };
}

function press(state: ListState, ids: readonly number[], ...keys: readonly (Key | string)[]): ListState {
  return keys.reduce<ListState>((now, key) => {
    const pressed: Key = typeof key === "string" ? { kind: "character", text: key } : key;
    return pressListKey(now, pressed, among(now, ids)) ?? now;
  }, state);
}

const among = (state: ListState, ids: readonly number[]) =>
  ({ ids, chosen: chosenId(state, ids), top: null }) as const;

const IDS = [9, 8, 7, 6, 5];

test("a list follows the newest until another is chosen, which then stays", () => {
  assert.equal(chosenId(EMPTY_LIST, IDS), 9);
  const moved = press(EMPTY_LIST, IDS, named("down"), "j");
  assert.equal(chosenId(moved, IDS), 7);
  assert.equal(chosenId(moved, [11, 10, ...IDS]), 7);
  assert.equal(chosenId(moved, [11, 10]), 10, "one that is no longer kept gives way to the oldest that is");
  const back = press(moved, IDS, named("home"));
  assert.equal(chosenId(back, [10, ...IDS]), 10);
  assert.equal(chosenId(press(EMPTY_LIST, IDS, named("end")), IDS), 5);
  assert.equal(chosenId(EMPTY_LIST, []), null);
});

test("a filter being typed takes every key; Enter keeps it, Escape drops it", () => {
  const typing = press(EMPTY_LIST, IDS, "/", "q", "j", " ", "é", named("backspace"));
  assert.equal(typing.filter.text, "qj ");
  assert.ok(typing.isTyping);
  const kept = press(typing, IDS, named("enter"));
  assert.deepEqual([kept.isTyping, kept.filter.text], [false, "qj "]);
  assert.deepEqual(press(typing, IDS, named("escape")), EMPTY_LIST);
  assert.equal(press(kept, IDS, named("escape")).filter.text, "");
  assert.deepEqual(textOf(filterLine(kept, viewOf(80))), ["/qj"], "a filter that holds is shown");
  const chosen = press(EMPTY_LIST, IDS, named("down"));
  assert.deepEqual(press(chosen, IDS, named("escape")), EMPTY_LIST);
  assert.equal(
    pressListKey(EMPTY_LIST, named("escape"), among(EMPTY_LIST, IDS)),
    null,
    "there is nothing to leave",
  );
  assert.deepEqual(press(typing, IDS, named("tab"), named("up")), typing);
});

test("details scroll and close; a key without a meaning there is not taken", () => {
  const open = press(EMPTY_LIST, IDS, named("down"), named("enter"), named("down"), "j");
  assert.deepEqual([open.chosen, open.details?.top], [8, 2]);
  assert.equal(pressListKey(open, { kind: "character", text: "q" }, among(open, IDS)), null);
  assert.equal(press(open, IDS, named("escape")).details, null);
  assert.equal(pressListKey(EMPTY_LIST, named("enter"), among(EMPTY_LIST, [])), null);
});

test("a position beyond the end is the end, so that the next key moves from there", () => {
  const lines = Array.from({ length: 30 }, (_, index): Line => [span(`line ${index}`)]);
  let list = press(EMPTY_LIST, IDS, named("enter"));
  const first = (...names: readonly KeyName[]): string | undefined => {
    list = press(list, IDS, ...names.map(named));
    return textOf(detailsPart(lines, list.details ?? assert.fail(), 10, viewOf(80)))[0];
  };
  assert.equal(first("end"), "line 20");
  assert.equal(first("up"), "line 19");
  assert.equal(first("pagedown", "pagedown"), "line 20");
  assert.equal(first("up"), "line 19");
  assert.equal(first("home"), "line 0");
  assert.equal(first("up"), "line 0");
  assert.equal(first("down"), "line 1");
});

test("every word of a filter must occur, in any order and letter case", () => {
  const filter = (text: string) => filterOf({ ...EMPTY_LIST, filter: { text, caret: 0 } });
  assert.ok(filter("CORE switched")("share.switched core"));
  assert.ok(!filter("core mounted")("share.switched core"));
  assert.ok(filter("  ")("anything"));
});

test("the window contains the chosen row wherever it is", () => {
  for (const count of [0, 1, 5, 40])
    for (const height of [1, 3, 10])
      for (let at = 0; at < count; at += 1) {
        const rows = Array.from({ length: count }, (_, index) => index);
        const drawn = drawnRows(rows, height, at, (row, isChosen) => (isChosen ? [row] : row));
        assert.ok(
          drawn.some((row) => Array.isArray(row) && row[0] === at),
          `${count} ${height} ${at}`,
        );
        assert.equal(drawn.length, Math.min(count, height));
      }
});

test("text is edited by whole characters and is bounded", () => {
  const at = (text: string, caret = text.length) => ({ text, caret });
  assert.deepEqual(pressTextKey(at("a😀"), named("backspace")), at("a"));
  assert.deepEqual(pressTextKey(at("a😀", 1), named("delete")), at("a"));
  assert.deepEqual(pressTextKey(at("a😀"), named("left")), at("a😀", 1));
  assert.deepEqual(pressTextKey(at("ab", 1), { kind: "character", text: "x" }), at("axb", 2));
  assert.deepEqual(pressTextKey(at("ab"), named("clear")), at(""));
  assert.equal(pressTextKey(at("ab"), named("enter")), null);
  const full = at("x".repeat(200));
  assert.deepEqual(pressTextKey(full, { kind: "character", text: "y" }), full);
  assert.deepEqual(pressTextKey(at("x".repeat(199)), { kind: "character", text: "x" }), full);
});

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
