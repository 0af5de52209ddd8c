// A line of text that a person types: its keys, and how it is drawn with its caret.
import type { Key } from "./key.ts";
import { type Span, span, type View } from "./line.ts";

/** Maximum length in UTF-16 units; longer than any search. */
const TEXT_LIMIT = 200;

export interface TypedText {
  readonly text: string;
  /** In UTF-16 units. */
  readonly caret: number;
}

/** Returns the text after a key press; null if the key does not edit text. */
export function pressTextKey({ text, caret }: TypedText, key: Key): TypedText | null {
  const before = text.slice(0, caret);
  const after = text.slice(caret);
  if (key.kind === "character") {
    if (text.length + key.text.length > TEXT_LIMIT) return { text, caret };
    return { text: before + key.text + after, caret: caret + key.text.length };
  }
  const previous = caret - ([...before].at(-1)?.length ?? 0);
  const next = caret + ([...after][0]?.length ?? 0);
  switch (key.name) {
    case "backspace":
      return { text: text.slice(0, previous) + after, caret: previous };
    case "delete":
      return { text: before + text.slice(next), caret };
    case "left":
      return { text, caret: previous };
    case "right":
      return { text, caret: next };
    case "home":
      return { text, caret: 0 };
    case "end":
      return { text, caret: text.length };
    case "clear":
      return { text: "", caret: 0 };
    default:
      return null;
  }
}

/** Draws the text; while focused, with its caret: inverted, or an underscore without colour. */
export function textSpans({ text, caret }: TypedText, isFocused: boolean, { style }: View): readonly Span[] {
  if (!isFocused) return [span(text, "strong")];
  const at = [...text.slice(caret)][0] ?? "";
  const spot = style.color ? [span(at === "" ? " " : at, "cursor")] : [span("_", "cursor"), span(at)];
  return [span(text.slice(0, caret)), ...spot, span(text.slice(caret + at.length))];
}
