// Draws the fields of the settings panel: a line for each, with its name and its value.
import { type FormNode, numberText } from "../../api/forms/form-node.ts";
import { columns, padded } from "../../runtime/text/plain-text.ts";
import { cutText, type Line, type Span, span, type View } from "../terminal/line.ts";
import { rowMark } from "../terminal/list-state.ts";
import type { PanelForm } from "./panel-form.ts";

const LABEL_MAX = 28;
const LABEL_MIN = 8;
/** Width of the field for a number, in columns: few enough for an error beside it. */
const NUMBER_COLUMNS = 24;

export function fieldLines(form: PanelForm, view: View): readonly Line[] {
  const fields = form.root.children;
  const widths = fields.map(({ label }) => columns(label) + 2);
  const most = Math.min(LABEL_MAX, Math.floor(view.width / 3), Math.max(0, ...widths));
  const width = Math.max(LABEL_MIN, most);
  return fields.map((node, index): Line => {
    const isFocused = index === form.focus;
    const name = padded(cutText(node.label, width, view.symbols.ellipsis), width);
    const value = valueSpans(node, isFocused, form, view);
    return [rowMark(isFocused, view), span(name, isFocused ? "strong" : "plain"), span("  "), ...value];
  });
}

function valueSpans(node: FormNode, isFocused: boolean, form: PanelForm, view: View): readonly Span[] {
  const { of } = node.field;
  switch (of.kind) {
    case "number":
      return numberSpans(node, numberText(of), isFocused, form, view);
    case "flag": {
      const { checked, notChecked } = view.symbols;
      return [span(node.at === 1 ? checked : notChecked, isFocused ? "cursor" : "plain")];
    }
    case "choice":
      return of.choices.flatMap((choice, index): Span[] => {
        const isChosen = node.isSet && index === node.at;
        const text = `${isChosen ? view.symbols.chosen : view.symbols.notChosen} ${choice}`;
        const tone = isChosen ? (isFocused ? "cursor" : "strong") : "faint";
        return [span(index === 0 ? "" : "  "), span(text, tone)];
      });
    default:
      return [];
  }
}

/** The typed number, with the caret if it is focused; `expected` if it is empty. */
function numberSpans(
  { text, isSet }: FormNode,
  expected: string,
  isFocused: boolean,
  { caret, isMarked }: PanelForm,
  { style, symbols }: View,
): readonly Span[] {
  if (!isSet) {
    if (!isFocused) return [];
    return [span(style.color ? " " : "_", "cursor"), span(" "), span(expected, "faint")];
  }
  const isWhole = isMarked && style.color;
  if (!isFocused || isWhole)
    return [span(cutText(text, NUMBER_COLUMNS, symbols.ellipsis), isFocused ? "cursor" : "plain")];
  const start = Math.max(0, caret - NUMBER_COLUMNS + 1);
  const before = text.slice(start, caret);
  const under = style.color ? (text[caret] ?? " ") : "_";
  const after = text.slice(caret + (style.color ? 1 : 0)).slice(0, NUMBER_COLUMNS - 1 - before.length);
  return [span(before), span(under, "cursor"), span(after)];
}
