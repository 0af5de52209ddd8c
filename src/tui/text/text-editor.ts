// A plain text editor's state and its reaction to keys: caret, selection-free edits, undo, search. Pure.
import { columns } from "../../runtime/text/plain-text.ts";
import type { Key, KeyName } from "../terminal/key.ts";
import { shownCharacter } from "./shown-text.ts";

/** `column` counts UTF-16 units and is never inside of a character. */
export interface TextPosition {
  readonly row: number;
  readonly column: number;
}

/** One replacement: `removed` stood at `at`, `inserted` stands there now. */
interface TextChange {
  readonly at: TextPosition;
  readonly removed: string;
  readonly inserted: string;
  readonly caretBefore: TextPosition;
  readonly caretAfter: TextPosition;
}

export interface TextSearch {
  readonly query: string;
  /** Where the search began: a longer query is looked for from there again. */
  readonly from: TextPosition;
  /** False: nothing is like the query. */
  readonly found: boolean;
}

export interface TextEditor {
  /** Never empty. */
  readonly lines: readonly string[];
  /** Between the lines of the text as a whole. */
  readonly lineBreak: "\n" | "\r\n";
  readonly caret: TextPosition;
  /** Screen column that up and down keep to. */
  readonly wantedColumn: number;
  /** Oldest first. */
  readonly undo: readonly TextChange[];
  readonly redo: readonly TextChange[];
  /** Null: no search is typed. */
  readonly search: TextSearch | null;
  /** What was searched for last: an empty search looks for it again. */
  readonly lastQuery: string;
  /** Lines of a page. */
  readonly pageLines: number;
}

interface EditorStep {
  readonly state: TextEditor;
  /** False: the key means nothing here. */
  readonly used: boolean;
}

/** As many changes, and as many characters in them, can be taken back. */
const UNDO_LIMIT = 1_000;
const UNDO_CHARACTERS = 4 * 1024 * 1024;
const QUERY_LIMIT = 200;
const INDENT = "  ";
/** In longer lines the caret goes by code points: to find graphemes costs too much. */
const SEGMENTED_LIMIT = 4_096;
const GRAPHEMES = new Intl.Segmenter();

export function createTextEditor(text: string): TextEditor {
  const lineBreak = /\r\n/.test(text) && !/(^|[^\r])\n/.test(text) ? "\r\n" : "\n";
  return {
    lines: text.split(lineBreak),
    lineBreak,
    caret: { row: 0, column: 0 },
    wantedColumn: 0,
    undo: [],
    redo: [],
    search: null,
    lastQuery: "",
    pageLines: 10,
  };
}

export function editorText({ lines, lineBreak }: TextEditor): string {
  return lines.join(lineBreak);
}

/** The caret at a place as mistakes name it: line and column count from 1, the column in UTF-16 units. */
export function withCaretAt(state: TextEditor, line: number, column: number): TextEditor {
  const row = Math.max(0, Math.min(state.lines.length - 1, line - 1));
  const length = state.lines[row]?.length ?? 0;
  return placed(state, { row, column: Math.max(0, Math.min(length, column - 1)) });
}

export function pressEditorKey(state: TextEditor, key: Key): EditorStep {
  if (state.search !== null) return inSearch(state, state.search, key);
  if (key.kind === "character") return used(inserted(state, key.text));
  const next = namedKey(state, key.name);
  return next === null ? { state, used: false } : used(next);
}

/** Text that came as one piece, line breaks and all. */
export function pasteText(state: TextEditor, text: string): TextEditor {
  return state.search === null ? inserted(state, text) : searchedFor(state, state.search, text);
}

function used(state: TextEditor): EditorStep {
  return { state, used: true };
}

/** Null: the key means nothing here. */
function namedKey(state: TextEditor, name: KeyName): TextEditor | null {
  const { caret } = state;
  switch (name) {
    case "left":
      return placed(state, before(state, caret));
    case "right":
      return placed(state, after(state, caret));
    case "up":
      return vertically(state, -1);
    case "down":
      return vertically(state, 1);
    case "pageup":
      return vertically(state, -state.pageLines);
    case "pagedown":
      return vertically(state, state.pageLines);
    case "home":
      return placed(state, { row: caret.row, column: 0 });
    case "end":
      return placed(state, { row: caret.row, column: lineAt(state, caret.row).length });
    case "enter":
      return inserted(
        state,
        `\n${/^[ \t]*/.exec(lineAt(state, caret.row).slice(0, caret.column))?.[0] ?? ""}`,
      );
    case "tab":
      return inserted(state, INDENT);
    case "backspace":
      return removed(state, before(state, caret), caret);
    case "delete":
      return removed(state, caret, after(state, caret));
    case "clear":
      return removed(state, { row: caret.row, column: 0 }, caret);
    case "undo":
      return undone(state);
    case "redo":
      return redone(state);
    case "find":
      return { ...state, search: { query: "", from: caret, found: true } };
    default:
      return null;
  }
}

function lineAt({ lines }: TextEditor, row: number): string {
  return lines[row] ?? "";
}

function before(state: TextEditor, { row, column }: TextPosition): TextPosition {
  if (column > 0) return { row, column: previousEdge(lineAt(state, row), column) };
  return row === 0 ? { row, column } : { row: row - 1, column: lineAt(state, row - 1).length };
}

function after(state: TextEditor, { row, column }: TextPosition): TextPosition {
  const line = lineAt(state, row);
  if (column < line.length) return { row, column: nextEdge(line, column) };
  return row === state.lines.length - 1 ? { row, column } : { row: row + 1, column: 0 };
}

/** Where the character before `column` begins. */
export function previousEdge(line: string, column: number): number {
  if (line.length <= SEGMENTED_LIMIT) return GRAPHEMES.segment(line).containing(column - 1)?.index ?? 0;
  const isPair = column > 1 && /[\uD800-\uDBFF][\uDC00-\uDFFF]/.test(line.slice(column - 2, column));
  return Math.max(0, column - (isPair ? 2 : 1));
}

/** Where the character at `column` ends. */
export function nextEdge(line: string, column: number): number {
  const found = line.length <= SEGMENTED_LIMIT ? GRAPHEMES.segment(line).containing(column) : undefined;
  if (found !== undefined) return found.index + found.segment.length;
  const code = line.codePointAt(column) ?? 0;
  return Math.min(line.length, column + (code > 0xffff ? 2 : 1));
}

function placed(state: TextEditor, caret: TextPosition): TextEditor {
  return { ...state, caret, wantedColumn: screenColumn(lineAt(state, caret.row), caret.column) };
}

function vertically(state: TextEditor, by: number): TextEditor {
  const row = Math.max(0, Math.min(state.lines.length - 1, state.caret.row + by));
  return { ...state, caret: { row, column: columnAt(lineAt(state, row), state.wantedColumn) } };
}

/** The screen column of a place in a line. */
export function screenColumn(line: string, column: number): number {
  let sum = 0;
  for (const character of line.slice(0, column)) sum += columns(shownCharacter(character));
  return sum;
}

/** The place in a line at a screen column, or before it. */
function columnAt(line: string, wanted: number): number {
  let at = 0;
  let sum = 0;
  while (at < line.length) {
    const next = nextEdge(line, at);
    for (const character of line.slice(at, next)) sum += columns(shownCharacter(character));
    if (sum > wanted) return at;
    at = next;
  }
  return line.length;
}

function inserted(state: TextEditor, text: string): TextEditor {
  // Within the text a line break is one: the file's own is put in when the text is taken.
  const plain = text.replaceAll(/\r\n?/g, "\n");
  return plain === "" ? state : changed(state, state.caret, state.caret, plain);
}

function removed(state: TextEditor, from: TextPosition, to: TextPosition): TextEditor {
  return from.row === to.row && from.column === to.column ? state : changed(state, from, to, "");
}

function changed(state: TextEditor, from: TextPosition, to: TextPosition, text: string): TextEditor {
  const change: TextChange = {
    at: from,
    removed: between(state, from, to),
    inserted: text,
    caretBefore: state.caret,
    caretAfter: endAfter(from, text),
  };
  const next = replaced(state, change.at, change.removed, change.inserted);
  return placed({ ...next, undo: withChange(state.undo, change), redo: [] }, change.caretAfter);
}

/** Letters typed one after the other are taken back together, a word at a time. */
function withChange(undo: readonly TextChange[], change: TextChange): readonly TextChange[] {
  const last = undo.at(-1);
  if (last !== undefined && continues(last, change)) {
    const joined = { ...last, inserted: last.inserted + change.inserted, caretAfter: change.caretAfter };
    return [...undo.slice(0, -1), joined];
  }
  const kept = [...undo, change].slice(-UNDO_LIMIT);
  let characters = 0;
  const first = kept.findLastIndex(({ removed: old, inserted: fresh }) => {
    characters += old.length + fresh.length;
    return characters > UNDO_CHARACTERS;
  });
  return first === -1 ? kept : kept.slice(first + 1);
}

function continues(last: TextChange, change: TextChange): boolean {
  const isTyped = /^\S$/u.test(change.inserted) && /^\S+$/u.test(last.inserted);
  return (
    isTyped &&
    last.removed === "" &&
    change.removed === "" &&
    last.caretAfter.row === change.at.row &&
    last.caretAfter.column === change.at.column
  );
}

function between({ lines }: TextEditor, from: TextPosition, to: TextPosition): string {
  if (from.row === to.row) return (lines[from.row] ?? "").slice(from.column, to.column);
  const first = (lines[from.row] ?? "").slice(from.column);
  const last = (lines[to.row] ?? "").slice(0, to.column);
  return [first, ...lines.slice(from.row + 1, to.row), last].join("\n");
}

function endAfter(at: TextPosition, text: string): TextPosition {
  const parts = text.split("\n");
  const last = parts.at(-1) ?? "";
  return parts.length === 1
    ? { row: at.row, column: at.column + last.length }
    : { row: at.row + parts.length - 1, column: last.length };
}

function replaced(state: TextEditor, at: TextPosition, old: string, fresh: string): TextEditor {
  const to = endAfter(at, old);
  const head = lineAt(state, at.row).slice(0, at.column);
  const tail = lineAt(state, to.row).slice(to.column);
  const middle = (head + fresh + tail).split("\n");
  return { ...state, lines: [...state.lines.slice(0, at.row), ...middle, ...state.lines.slice(to.row + 1)] };
}

function undone(state: TextEditor): TextEditor {
  const change = state.undo.at(-1);
  if (change === undefined) return state;
  const next = replaced(state, change.at, change.inserted, change.removed);
  return placed(
    { ...next, undo: state.undo.slice(0, -1), redo: [...state.redo, change] },
    change.caretBefore,
  );
}

function redone(state: TextEditor): TextEditor {
  const change = state.redo.at(-1);
  if (change === undefined) return state;
  const next = replaced(state, change.at, change.removed, change.inserted);
  return placed({ ...next, undo: [...state.undo, change], redo: state.redo.slice(0, -1) }, change.caretAfter);
}

function inSearch(state: TextEditor, search: TextSearch, key: Key): EditorStep {
  if (key.kind === "character") return used(searchedFor(state, search, key.text));
  switch (key.name) {
    case "backspace": {
      const query = search.query.slice(0, previousEdge(search.query, search.query.length));
      return used(sought({ ...state, search: { ...search, query } }, search.from));
    }
    case "clear":
      return used(sought({ ...state, search: { ...search, query: "" } }, search.from));
    case "find":
    case "down":
    case "enter": {
      const query = search.query === "" ? state.lastQuery : search.query;
      const from = after(state, state.caret);
      return used(sought({ ...state, search: { ...search, query, from } }, from));
    }
    case "escape":
      return used({ ...state, search: null, lastQuery: search.query || state.lastQuery });
    case "quit":
      return { state, used: false };
    default: {
      // Any other key ends the search and does its work.
      const ended = { ...state, search: null, lastQuery: search.query || state.lastQuery };
      const step = pressEditorKey(ended, key);
      return step.used ? step : { state: ended, used: false };
    }
  }
}

function searchedFor(state: TextEditor, search: TextSearch, more: string): TextEditor {
  const query = (search.query + more.replaceAll(/[\r\n]+/g, " ")).slice(0, QUERY_LIMIT);
  return sought({ ...state, search: { ...search, query } }, search.from);
}

/** The caret at the next place like the query, from `from` on and around the end; case does not count. */
function sought(state: TextEditor, from: TextPosition): TextEditor {
  const { search } = state;
  if (search === null) return state;
  const query = search.query.toLowerCase();
  if (query === "") return placed({ ...state, search: { ...search, found: true } }, search.from);
  const count = state.lines.length;
  for (let step = 0; step <= count; step += 1) {
    const row = (from.row + step) % count;
    const column = lineAt(state, row)
      .toLowerCase()
      .indexOf(query, step === 0 ? from.column : 0);
    if (column !== -1) return placed({ ...state, search: { ...search, found: true } }, { row, column });
  }
  return { ...state, search: { ...search, found: false } };
}
