// Draws the call form: a line for each field, its mistake, and the description of the focused one.
import { rawMistake } from "../../api/forms/call-arguments.ts";
import { type FormNode, mistakeAt, numberText } from "../../api/forms/form-node.ts";
import { columns, counted, firstColumns, lastColumns, padded } from "../../runtime/text/plain-text.ts";
import {
  cutText,
  hangingLines,
  type Line,
  lineColumns,
  type Span,
  span,
  type Tone,
} from "../terminal/line.ts";
import { rowMark } from "../terminal/list-state.ts";
import type { View } from "../terminal/terminal-style.ts";
import { shownCharacter, shownLine } from "../text/shown-text.ts";
import { type CallForm, type FieldRow, type FormRow, fieldRows, formRows } from "./form-state.ts";

const LABEL_MAX = 28;
const LABEL_MIN = 8;
const ABOUT_LINES = 3;
/**
 * Width of the field for a number, in columns: enough for a long one, and few enough for a mistake beside it.
 */
const NUMBER_COLUMNS = 24;
/** Maximum number of characters drawn of a value. */
const VALUE_LIMIT = 2_000;

/** The part of the form that fits `height` lines, with the focused field. */
export function formLines(form: CallForm, view: View, height: number): readonly Line[] {
  const rows = formRows(form);
  const label = labelWidth(rows, view.width);
  const blocks = rows.map((row, index) => rowLines(form, row, index === form.focus, label, view));
  let first = 0;
  let last = 0;
  const all: Line[] = [];
  for (const [index, block] of blocks.entries()) {
    if (index === form.focus) first = all.length;
    all.push(...block);
    if (index === form.focus) last = all.length;
  }
  const middle = Math.floor((first + last - height) / 2);
  const most = Math.max(0, all.length - height);
  const top = Math.min(first, Math.max(0, Math.min(most, middle)));
  return all.slice(top, top + height);
}

export function fieldLines(form: CallForm, view: View): readonly Line[] {
  const rows = fieldRows(form);
  const label = labelWidth(rows, view.width);
  return rows.map((row, index) => fieldLine(form, row, index === form.focus, label, view));
}

function labelWidth(rows: readonly FormRow[], width: number): number {
  const widths = rows.map((row) =>
    row.kind === "field" ? indentOf(row.path.length) + columns(shownLine(row.node.label)) + 2 : 0,
  );
  return Math.max(LABEL_MIN, Math.min(LABEL_MAX, Math.floor(width / 3), Math.max(0, ...widths)));
}

function indentOf(depth: number): number {
  return Math.max(0, depth - 1) * 2;
}

function rowLines(
  form: CallForm,
  row: FormRow,
  isFocused: boolean,
  label: number,
  view: View,
): readonly Line[] {
  const lead = rowMark(isFocused, view);
  if (row.kind === "send") return [[lead, span("[ Call ]", isFocused ? "strong" : "plain")]];
  if (row.kind === "raw") return [[], ...rawLines(form, lead, isFocused, view)];
  const { node } = row;
  const indent = " ".repeat(label + 4);
  const wrong = node.isSet || form.isTried ? mistakeAt(node) : null;
  const mark = span(`${indent}${view.symbols.error} `, "bad");
  return [
    fieldLine(form, row, isFocused, label, view),
    ...(wrong === null ? [] : hangingLines(mark, wrong, "bad", view, 2)),
    ...(isFocused ? hangingLines(span(indent), node.field.about, "faint", view, ABOUT_LINES) : []),
  ];
}

function fieldLine(
  form: CallForm,
  { node, path }: FieldRow,
  isFocused: boolean,
  label: number,
  view: View,
): Line {
  const isAsked = node.field.isRequired && !isSetting(node);
  const name = " ".repeat(indentOf(path.length)) + shownLine(node.label) + (isAsked ? " *" : "");
  const text = padded(cutText(name, label, view.symbols.ellipsis), label);
  const room = Math.max(1, view.width - label - 4);
  return [
    rowMark(isFocused, view),
    span(text, isFocused ? "strong" : "plain"),
    span("  "),
    ...valueSpans(node, isFocused, form, room, view),
  ];
}

/** True for a field that always has a value, and is filled in from the start. */
function isSetting({ field, isSet }: FormNode): boolean {
  return field.isRequired && isSet && Object.hasOwn(field, "byDefault");
}

function rawLines(form: CallForm, lead: Span, isFocused: boolean, view: View): readonly Line[] {
  const { of } = form.root.field;
  const tone: Tone = isFocused ? "strong" : "plain";
  if (form.raw === null)
    return [[lead, span("[ As JSON ]", tone), span("  Enter types all arguments as JSON", "faint")]];
  const why = of.kind === "json" ? `No form: ${of.why}. ` : "";
  const back = of.kind === "json" ? "" : ", Ctrl-U back to the form";
  const room = Math.max(1, view.width - 4);
  const wrong = rawMistake(form);
  return [
    [
      lead,
      span("[ As JSON ]", tone),
      span(cutText(`  ${why}Enter types it${back}`, room - 10, view.symbols.ellipsis), "faint"),
    ],
    ...shownRaw(form.raw, room, view),
    ...(wrong === null ? [] : [[span(`    ${view.symbols.error} ${wrong}`, "bad")]]),
  ];
}

const RAW_LINES = 8;

function shownRaw(raw: string, room: number, { symbols }: View): readonly Line[] {
  const lines = raw.slice(0, VALUE_LIMIT).split("\n");
  const shown = lines
    .slice(0, RAW_LINES)
    .map((line): Line => [span(`    ${cutText(shownLine(line), room, symbols.ellipsis)}`)]);
  return lines.length > RAW_LINES || raw.length > VALUE_LIMIT
    ? [...shown, [span(`    ${symbols.ellipsis}`, "faint")]]
    : shown;
}

function valueSpans(
  node: FormNode,
  isFocused: boolean,
  form: CallForm,
  room: number,
  view: View,
): readonly Span[] {
  const { of } = node.field;
  switch (of.kind) {
    case "text":
      return typedSpans(node, isFocused, form, room, view);
    case "number":
      return typedSpans(node, isFocused, form, node.isSet ? Math.min(room, NUMBER_COLUMNS) : room, view);
    case "flag":
      if (isSetting(node)) {
        const { checked, notChecked } = view.symbols;
        return [span(node.at === 1 ? checked : notChecked, isFocused ? "cursor" : "plain")];
      }
      return node.isSet
        ? [
            span(node.at === 1 ? "true" : "false", isFocused ? "cursor" : "plain"),
            hint(isFocused, "  Space changes it"),
          ]
        : leftOut(node, isFocused, "Space sets it", room, view);
    case "choice": {
      const text = shownChoice(of.choices[node.at]);
      const order = ` ${node.isSet ? `${node.at + 1} of ${of.choices.length}` : ""}`;
      if (!node.isSet)
        return leftOut(node, isFocused, `${view.symbols.arrows} choose of ${of.choices.length}`, room, view);
      const all = choiceSpans(of.choices, node.at, isFocused, view);
      if (isSetting(node) && lineColumns(all) <= room) return all;
      return [
        span(cutText(text, room - 24, view.symbols.ellipsis), isFocused ? "cursor" : "plain"),
        hint(isFocused, ` ${order}, ${view.symbols.arrows} choose`),
      ];
    }
    case "list": {
      if (!node.isSet) return leftOut(node, isFocused, "Enter adds an item", room, view);
      return [
        span(counted(node.children.length, "item")),
        hint(isFocused, "  Enter adds one, Ctrl-U leaves it out"),
      ];
    }
    case "group":
      return node.isSet ? [] : leftOut(node, isFocused, "Enter fills it in", room, view);
    case "json": {
      if (!node.isSet) return leftOut(node, isFocused, `JSON (${of.why}): Enter types it`, room, view);
      const [first = ""] = node.text.slice(0, VALUE_LIMIT).split("\n", 1);
      return [
        span(cutText(shownLine(first), room, view.symbols.ellipsis)),
        hint(isFocused, "  Enter edits it"),
      ];
    }
  }
}

function choiceSpans(
  choices: readonly unknown[],
  at: number,
  isFocused: boolean,
  { symbols }: View,
): readonly Span[] {
  return choices.flatMap((choice, index): Span[] => {
    const text = `${index === at ? symbols.chosen : symbols.notChosen} ${shownChoice(choice)}`;
    const tone = index === at ? (isFocused ? "cursor" : "strong") : "faint";
    return [span(index === 0 ? "" : "  "), span(text, tone)];
  });
}

function hint(isFocused: boolean, text: string): Span {
  return span(isFocused ? text : "", "faint");
}

function shownChoice(choice: unknown): string {
  return shownLine(typeof choice === "string" ? choice : (JSON.stringify(choice) ?? ""));
}

/** `how`: how to fill the focused field. */
function leftOut(node: FormNode, isFocused: boolean, how: string, room: number, view: View): readonly Span[] {
  const { field } = node;
  const byDefault = Object.hasOwn(field, "byDefault")
    ? `default ${(JSON.stringify(field.byDefault) ?? "").slice(0, VALUE_LIMIT)}`
    : null;
  const state = field.isRequired ? (field.isNullable ? "null" : "") : (byDefault ?? "left out");
  const text = [state, ...(isFocused ? [how] : [])].filter((part) => part !== "").join("  ");
  return [span(cutText(shownLine(text), room, view.symbols.ellipsis), "faint")];
}

/** The part of the typed text around the caret; line breaks are shown as `\n`. */
function typedSpans(
  node: FormNode,
  isFocused: boolean,
  { caret, isMarked }: CallForm,
  room: number,
  view: View,
): readonly Span[] {
  const { of } = node.field;
  const kind = of.kind === "number" ? numberText(of) : "text";
  if (!node.isSet) {
    const empty = leftOut(node, isFocused, kind, room - 2, view);
    return isFocused ? [span(view.style.color ? " " : "_", "cursor"), span(" "), ...empty] : empty;
  }
  const isWhole = isMarked && view.style.color;
  if (!isFocused || isWhole) {
    const shown = shownTyped(node.text.slice(0, VALUE_LIMIT));
    const tone = isFocused ? "cursor" : "plain";
    return shown === "" ? [span('""', "faint")] : [span(cutText(shown, room, view.symbols.ellipsis), tone)];
  }
  const [at = ""] = [...node.text.slice(caret, caret + 2)];
  const under = view.style.color ? shownTyped(at) || " " : "_";
  const left = shownTyped(node.text.slice(Math.max(0, caret - VALUE_LIMIT), caret));
  const after = view.style.color ? at.length : 0;
  const right = shownTyped(node.text.slice(caret + after, caret + after + VALUE_LIMIT));
  const space = Math.max(1, room - columns(under));
  const leftRoom = Math.min(columns(left), Math.max(space - columns(right), Math.ceil(space * 0.7)));
  const before = columns(left) > leftRoom ? lastColumns(left, leftRoom) : left;
  return [
    span(before),
    span(under, "cursor"),
    span(firstColumns(right, Math.max(0, space - columns(before)))),
  ];
}

function shownTyped(text: string): string {
  return [...text].map((character) => (character === "\n" ? "\\n" : shownCharacter(character))).join("");
}
