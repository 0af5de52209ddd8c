// Draws a text editor: line numbers, the part of the text around the caret, and what is searched for.
import { columns } from "../../runtime/text/plain-text.ts";
import { type Line, type Span, span, type Tone } from "../terminal/line.ts";
import type { View } from "../terminal/view.ts";
import { shownCharacter, shownLine, windowOf } from "./shown-text.ts";
import { nextEdge, screenColumn, type TextEditor } from "./text-editor.ts";

/** Columns that stay in sight beside the caret. */
const MARGIN = 8;

interface EditorLook {
  /** Lines there are for the text. */
  readonly height: number;
  /** False: the caret is not shown. */
  readonly hasCaret: boolean;
  /** Lines with a mistake, from 1. */
  readonly marked?: ReadonlySet<number>;
}

/** The caret's row is always among them. */
export function editorLines(state: TextEditor, view: View, look: EditorLook): readonly Line[] {
  const { caret, lines } = state;
  const { height, hasCaret, marked } = look;
  const numbers = String(lines.length).length;
  const room = Math.max(1, view.width - numbers - 2);
  const at = screenColumn(lines[caret.row] ?? "", caret.column);
  const left = at < room - 1 ? 0 : at - room + 1 + Math.min(MARGIN, room >> 1);
  const first = firstRow(state, height);
  return lines.slice(first, first + height).map((line, index): Line => {
    const row = first + index;
    const isWrong = marked?.has(row + 1) === true;
    const tone: Tone = isWrong ? "bad" : "faint";
    const head = span(`${String(row + 1).padStart(numbers)}${isWrong ? view.symbols.error : " "} `, tone);
    const isHere = hasCaret && row === caret.row;
    return [
      head,
      ...(isHere ? caretSpans(state, view, left, room) : [span(windowOf(shownLine(line), left, room))]),
    ];
  });
}

/** The row at the top: the caret is in the middle of a page that moves. */
function firstRow({ caret, lines }: TextEditor, height: number): number {
  const most = Math.max(0, lines.length - height);
  return Math.max(0, Math.min(most, caret.row - (height >> 1)));
}

/** Without colour an underscore stands before the character. */
function caretSpans(
  { caret, lines }: TextEditor,
  { style }: View,
  left: number,
  room: number,
): readonly Span[] {
  const line = lines[caret.row] ?? "";
  const end = nextEdge(line, caret.column);
  const under = [...line.slice(caret.column, end)].map(shownCharacter).join("") || " ";
  const from = screenColumn(line, caret.column);
  const shown = shownLine(line);
  const before = windowOf(shown, left, Math.max(0, from - left));
  const behind = from + columns(under);
  const rest = Math.max(0, room - (behind - left));
  if (!style.color) return [span(before), span("_", "cursor"), span(windowOf(shown, from, rest))];
  return [span(before), span(under, "cursor"), span(windowOf(shown, behind, rest))];
}

/** One line about the search that is typed; null: none is. */
export function searchLine({ search, lastQuery }: TextEditor, { style }: View): Line | null {
  if (search === null) return null;
  const again = search.query === "" && lastQuery !== "" ? `  Enter looks for "${lastQuery}" again` : "";
  const mark = search.found ? again : "  not found";
  return [
    span("Find: ", "accent"),
    span(search.query),
    span(style.color ? " " : "_", "cursor"),
    span(mark, search.found ? "faint" : "warning"),
  ];
}
