import assert from "node:assert/strict";
import { test } from "node:test";
import { editorLines, searchLine } from "../../../src/tui/text/editor-lines.ts";
import {
  createTextEditor,
  editorText,
  pasteText,
  pressEditorKey,
  type TextEditor,
  withCaretAt,
} from "../../../src/tui/text/text-editor.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { keys } from "../keys.ts";
import { textOf, viewOf } from "../views.ts";

function press(editor: TextEditor, typed: string): TextEditor {
  return keys(typed).reduce((now, key) => pressEditorKey(now, key).state, editor);
}

/** The text with the caret as `|`. */
function marked(editor: TextEditor): string {
  const { row, column } = editor.caret;
  const line = editor.lines[row] ?? "";
  const lines = [...editor.lines];
  lines[row] = `${line.slice(0, column)}|${line.slice(column)}`;
  return lines.join("\n");
}

const EDITS: readonly [why: string, text: string, keys: string, after: string][] = [
  ["letters are inserted", "", "abc", "abc|"],
  ["in the middle", "ac", "<right>b", "ab|c"],
  ["arrows cross lines", "a\nb", "<end><right>x", "a\nx|b"],
  ["back across lines", "a\nb", "<down><left>x", "ax|\nb"],
  [
    "up and down keep their column",
    "long line\nx\nlong line",
    "<right><right><right><down><down>|",
    "long line\nx\nlon||g line",
  ],
  ["home and end", "abc", "<end>x<home>y", "y|abcx"],
  ["enter keeps the indent", "  a = 1", "<end><enter>b", "  a = 1\n  b|"],
  ["enter in the indent keeps what stands before", "    a", "<right><right><enter>", "  \n  |  a"],
  ["backspace", "abc", "<end><backspace>", "ab|"],
  ["backspace joins lines", "a\nb", "<down><backspace>", "a|b"],
  ["delete", "abc", "<delete>", "|bc"],
  ["delete joins lines", "a\nb", "<end><delete>", "a|b"],
  [
    "nothing before the beginning, nothing behind the end",
    "a",
    "<backspace><left><end><delete><right>",
    "a|",
  ],
  ["to the line's beginning", "a\nbcd", "<down><end><left><clear>", "a\n|d"],
  ["tab is two spaces", "a", "<tab>", "  |a"],
  ["a character of several units is one", "👩‍👩‍👧é", "<end><backspace><backspace>", "|"],
  ["undo takes back a word", "", "one two<undo>", "one |"],
  ["undo and redo", "x", "<end>abc<undo><redo>", "xabc|"],
  ["undo of a removal", "abc\ndef", "<end><delete><undo>", "abc|\ndef"],
  ["a new edit ends the redo", "", "a<undo>b<redo>", "b|"],
  ["undo of nothing", "a", "<undo><redo>", "|a"],
  ["find", "one\ntwo\nthree", "<find>TH<escape>x", "one\ntwo\nx|three"],
  ["find the next", "a1 a2 a3", "<find>a<enter><enter><escape>x", "a1 a2 x|a3"],
  ["find goes round", "a1 a2", "<find>a<enter><enter><escape>x", "x|a1 a2"],
  ["a longer query begins where the search began", "ab ac", "<find>ac<escape>x", "ab x|ac"],
  ["a query mended", "ab ac", "<find>ad<backspace>c<escape>x", "ab x|ac"],
  ["another key ends the search", "ab", "<find>b<right>x", "abx|"],
  ["the last search again", "a1\na2", "<find>a<escape><find><enter><escape>x", "a1\nx|a2"],
];

test("F1 keys edit the text as people know it", () => {
  for (const [why, text, typed, after] of EDITS)
    assert.equal(marked(press(createTextEditor(text), typed)), after, why);
});

test("F1 pages move by what is in sight", () => {
  const text = Array.from({ length: 50 }, (_, index) => `line ${index}`).join("\n");
  const editor = { ...createTextEditor(text), pageLines: 20 };
  assert.equal(press(editor, "<pagedown>").caret.row, 20);
  assert.equal(press(editor, "<pagedown><pagedown><pagedown>").caret.row, 49);
  assert.equal(press(editor, "<pagedown><pageup><pageup>").caret.row, 0);
});

test("F1 many lines are pasted at once, and taken back at once", () => {
  const editor = press(createTextEditor("ab"), "<right>");
  const pasted = pasteText(editor, "1\r\n\t2\n3");
  assert.equal(marked(pasted), "a1\n\t2\n3|b");
  assert.equal(marked(press(pasted, "<undo>")), "a|b");
  assert.equal(pasteText(press(editor, "<find>"), "b\n").search?.query, "b ");
});

test("F1 of 4 MiB of changes and more the oldest cannot be taken back any more", () => {
  const paste = (editor: TextEditor, letter: string) => pasteText(editor, letter.repeat(2 * 1024 * 1024));
  let editor = ["a", "b", "c"].reduce(paste, createTextEditor(""));
  for (let presses = 0; presses < 3; presses += 1) editor = press(editor, "<undo>");
  assert.match(editorText(editor), /^a{2097152}$/);
});

test("F1 a file keeps its line breaks, whatever they are", () => {
  const windows = pasteText(press(createTextEditor("a\r\nb\r\n"), "<end><enter>x"), "1\n2");
  assert.equal(editorText(windows), "a\r\nx1\r\n2\r\nb\r\n");
  for (const text of ["", "\n", "a\r\nb\nc\r", "\r\n", "a\n\n", "\ufeffa\n"])
    assert.equal(editorText(createTextEditor(text)), text, JSON.stringify(text));
});

test("F1 whatever is typed, undo leads back to the file's bytes, and redo to what was typed", () => {
  const strokes = fc.constantFrom(
    ..."a é👩‍👧\t",
    "<enter>",
    "<backspace>",
    "<delete>",
    "<left>",
    "<right>",
    "<up>",
    "<down>",
    "<home>",
    "<end>",
    "<clear>",
    "<tab>",
    "<undo>",
    "<redo>",
    "<pagedown>",
  );
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "\n", "é", "漢", "\t", "\r\n") }),
      fc.array(strokes),
      (text, typed) => {
        const editor = press(createTextEditor(text), typed.join(""));
        const { row, column } = editor.caret;
        assert.ok(
          row >= 0 && row < editor.lines.length && column >= 0 && column <= (editor.lines[row]?.length ?? 0),
        );
        assert.ok(editorText(editor).isWellFormed());
        let back = editor;
        while (back.undo.length > 0) back = press(back, "<undo>");
        assert.equal(editorText(back), text);
        while (back.redo.length > editor.redo.length) back = press(back, "<redo>");
        assert.equal(editorText(back), editorText(editor));
      },
    ),
    { numRuns: runsOf(1_000) },
  );
});

test("F1 the caret goes to the place of a mistake, or as near as there is one", () => {
  const editor = createTextEditor("abc\nd");
  assert.equal(marked(withCaretAt(editor, 1, 3)), "ab|c\nd");
  assert.equal(marked(withCaretAt(editor, 2, 99)), "abc\nd|");
  assert.equal(marked(withCaretAt(editor, 99, 1)), "abc\n|d");
  assert.equal(marked(withCaretAt(editor, 0, 0)), "|abc\nd");
});

test("F1 the text fits every size, the caret is in sight, and nothing is obeyed by a terminal", () => {
  const lines = [
    `${"wide 漢字 ".repeat(60)}end`,
    "\u001b[2J\u202eevil\ttab",
    "",
    ...Array.from({ length: 300 }, () => "x"),
  ];
  for (const color of [true, false]) {
    for (const [width, height] of [
      [20, 3],
      [60, 15],
      [200, 60],
    ] as const) {
      const view = viewOf(width, { color });
      for (const typed of [
        "",
        "<end>",
        "<down>",
        "<down><end>",
        "<pagedown><pagedown>",
        "<end><left><left><left><left><left>",
      ]) {
        const editor = press(createTextEditor(lines.join("\n")), typed);
        const shown = editorLines(editor, view, { height, hasCaret: true, marked: new Set([2]) });
        assert.ok(shown.length <= height);
        assert.ok(
          shown.flat().some(({ tone }) => tone === "cursor"),
          `${width} ${typed}`,
        );
        const text = textOf(shown).join("");
        assert.ok(!text.includes("\u001b") && !text.includes("\u202e"));
      }
    }
  }
  const far = editorLines(press(createTextEditor(lines.join("\n")), "<end>"), viewOf(60), {
    height: 5,
    hasCaret: true,
  });
  assert.match(textOf(far).join("\n"), /end/);
});

test("F1 the search says what is looked for, and when nothing is like it", () => {
  const view = viewOf(80);
  const line = (typed: string): string | null => {
    const shown = searchLine(press(createTextEditor("abc"), typed), view);
    return shown === null ? null : (textOf([shown])[0] ?? "");
  };
  assert.equal(line(""), null);
  assert.equal(line("<find>b"), "Find: b");
  assert.match(line("<find>x") ?? "", /not found/);
  assert.match(line("<find>b<escape><find>") ?? "", /Enter looks for "b" again/);
});
