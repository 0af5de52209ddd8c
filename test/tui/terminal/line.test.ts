import assert from "node:assert/strict";
import { test } from "node:test";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import {
  cutLine,
  cutStart,
  cutText,
  lineColumns,
  lineText,
  paragraph,
  span,
  spread,
} from "../../../src/tui/terminal/line.ts";
import { fc } from "../../support/properties.ts";

test("what a terminal could obey is spelled out", () => {
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

test("a line is cut where its room ends, and says so", () => {
  const line = [span("abc"), span("def", "bad"), span("ghi")];
  assert.equal(lineText(cutLine(line, 9, "…")), "abcdefghi");
  assert.equal(lineText(cutLine(line, 8, "…")), "abcdefg…");
  assert.equal(lineText(cutLine(line, 6, "…")), "abcde…");
  assert.equal(lineText(cutLine(line, 3, "…")), "ab…");
  assert.equal(lineText(cutLine([span("abc"), span("   ")], 3, "…")), "abc");
});

test("left and right stand at the ends, and the left one gives way", () => {
  assert.equal(lineText(spread([span("ab")], [span("yz")], 8, "…")), "ab    yz");
  assert.equal(lineText(spread([span("abcdefgh")], [span("yz")], 8, "…")), "abcd… yz");
  assert.equal(lineText(spread([span("ab")], [span("xyz")], 2, "…")), "x…");
});

test("a paragraph breaks at spaces, and a word that is too long anywhere", () => {
  assert.deepEqual(paragraph("one two three", 7, 9, "…"), ["one two", "three"]);
  assert.deepEqual(paragraph("abcdefghij k", 4, 9, "…"), ["abcd", "efgh", "ij k"]);
  assert.deepEqual(paragraph("one two three four", 7, 2, "…"), ["one two", "three …"]);
  assert.deepEqual(paragraph("one two", 7, 0, "…"), []);
  assert.deepEqual(paragraph("", 7, 3, "…"), []);
});

test("whatever the text and the room, nothing is wider than its room", () => {
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
