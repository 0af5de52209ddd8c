import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import {
  columns,
  durationText,
  glued,
  harmless,
  padded,
  shellWord,
  wrapped,
} from "../../../src/runtime/text/plain-text.ts";

test("what a terminal would obey, or be deceived by, is spelled out", () => {
  assert.equal(harmless("a\x1b[2Jb"), "a\\x1b[2Jb");
  assert.equal(harmless("a\r\x07\x7f\x9b"), "a\\x0d\\x07\\x7f\\x9b");
  assert.equal(harmless("a\nb\tc"), "a b c");
  assert.equal(harmless("exe\u202egpj"), "exe\\u{202e}gpj");
  assert.equal(harmless("a\u200bb\ufeff\u2028\u2066"), "a\\u{200b}b\\u{feff}\\u{2028}\\u{2066}");
  assert.equal(harmless("\ud800x"), "\\u{d800}x");
  assert.equal(harmless("\u{e0041}"), "\\u{e0041}");
});

test("letters of any script, accents and pictures pass as they are", () => {
  for (const text of ["Füße", "日本語", "ação", "e\u0301", "🎬", "a b"]) assert.equal(harmless(text), text);
});

test("columns counts what a terminal shows: wide signs twice, accents not", () => {
  assert.equal(columns("abc"), 3);
  assert.equal(columns("日本"), 4);
  assert.equal(columns("e\u0301"), 1);
  assert.equal(columns("🎬"), 2);
  assert.equal(padded("日", 4), "日  ");
  assert.equal(padded("longer", 3), "longer");
});

test("text is broken at spaces, and a long word stays whole", () => {
  assert.deepEqual(wrapped("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrapped("see /a/very/long/path now", 8), ["see", "/a/very/long/path", "now"]);
  assert.deepEqual(wrapped("  ", 8), []);
  assert.deepEqual(wrapped(`for ${glued("42 s")}`, 6), ["for", "42 s"]);
});

test("a share's name in a command to type is one word to a shell", () => {
  for (const name of ["CORE", "My Share", "it's", "$(reboot)", "a;b", "`x`", "*", "é"]) {
    const said = execFileSync("/bin/sh", ["-c", `printf %s ${shellWord(name)}`], { encoding: "utf8" });
    assert.equal(said, name);
  }
  assert.equal(shellWord("CORE"), "CORE");
  assert.equal(shellWord(""), "''");
});

test("durations are short, and never negative", () => {
  const seconds: [number, string][] = [
    [-5, "0 s"],
    [59.9, "59 s"],
    [60, "1 min"],
    [3_599, "59 min"],
    [3_600, "1 h"],
    [11_520, "3 h 12 min"],
    [86_400, "1 d"],
    [187_200, "2 d 4 h"],
  ];
  for (const [given, text] of seconds) assert.equal(durationText(given * 1000), text);
});
