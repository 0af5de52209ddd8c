// The call form's state and its reaction to keys. Pure: calls and edits are returned as actions.
import {
  type CallArguments,
  createArguments,
  hasFields,
  rawText,
  sentArguments,
  withRaw,
} from "../../api/forms/call-arguments.ts";
import {
  createNode,
  type FormNode,
  type FormPath,
  firstMistake,
  ITEM_LIMIT,
  nodeAt,
  withItems,
  withNode,
} from "../../api/forms/form-node.ts";
import { isNamed, type Key, type KeyName } from "../terminal/key.ts";
import { next, type Step, unused } from "../terminal/step.ts";

export interface CallForm extends CallArguments {
  readonly buttons: readonly FormRow[];
  /** Index of the focused row; -1: none. */
  readonly focus: number;
  /** Position in the focused row's text, in UTF-16 units. */
  readonly caret: number;
  /** The focused number is marked: typing replaces it. */
  readonly isMarked: boolean;
  /** True after a failed attempt to send: mistakes of untouched fields are shown, too. */
  readonly isTried: boolean;
  /** The number of rows by which Page Up and Page Down move. */
  readonly pageRows: number;
}

export interface FieldRow {
  readonly kind: "field";
  readonly path: FormPath;
  readonly node: FormNode;
}

export type FormRow =
  | FieldRow
  /** The row with all arguments as JSON. */
  | { readonly kind: "raw" }
  | { readonly kind: "send" };

export type FormAction =
  | { readonly kind: "leave" }
  | { readonly kind: "send"; readonly arguments: Readonly<Record<string, unknown>> }
  /** Edit a field as JSON; `path` null: all arguments. */
  | { readonly kind: "edit"; readonly path: FormPath | null; readonly text: string };

type FormStep = Step<CallForm, FormAction>;

/** In UTF-16 units; enough for a pasted file. */
const TEXT_LIMIT = 256 * 1024;

/** Creates the form for a schema. `isCut`: the daemon has cut the schema because of its size. */
export function createCallForm(inputSchema: unknown, isCut = false): CallForm {
  const given = createArguments(inputSchema, isCut);
  return focusedRow({ ...UNFOCUSED, ...given, buttons: [{ kind: "raw" }, { kind: "send" }] }, 0);
}

/** Returns a form that has only fields, and no focus. */
export function createFieldsForm(root: FormNode): CallForm {
  return { ...UNFOCUSED, root, raw: null, buttons: [] };
}

const UNFOCUSED = { focus: -1, caret: 0, isMarked: false, isTried: false, pageRows: 10 };

/** The rows from top to bottom, without the fields of groups that are left out. */
export function formRows({ root, raw, buttons }: CallForm): readonly FormRow[] {
  const rows: FormRow[] = [];
  const add = (node: FormNode, path: FormPath): void => {
    if (path.length > 0) rows.push({ kind: "field", path, node });
    if (!node.isSet) return;
    for (const [index, child] of node.children.entries()) add(child, [...path, index]);
  };
  if (raw === null) add(root, []);
  return [...rows, ...buttons];
}

export function fieldRows(form: CallForm): readonly FieldRow[] {
  return formRows(form).filter((row) => row.kind === "field");
}

export function pressFormKey(form: CallForm, key: Key): FormStep {
  const rows = formRows(form);
  const row = rows[form.focus] ?? { kind: "send" };
  if (key.kind === "named") {
    switch (key.name) {
      case "escape":
        return next(form, { kind: "leave" });
      case "save":
        return sent(form);
      case "tab":
      case "down":
        return next(focusedRow(form, form.focus + 1));
      case "backtab":
      case "up":
        return next(focusedRow(form, form.focus - 1));
      case "pagedown":
        return next(focusedRow(form, Math.min(rows.length - 1, form.focus + form.pageRows)));
      case "pageup":
        return next(focusedRow(form, Math.max(0, form.focus - form.pageRows)));
      case "quit":
        return unused(form);
    }
  }
  if (row.kind === "send") return isEnter(key) ? sent(form) : next(form);
  if (row.kind === "raw") return inRawRow(form, key);
  if (!form.isMarked) return inField(form, row.path, row.node, key);
  const replaces = key.kind === "character" || key.name === "backspace" || key.name === "delete";
  const caret = isNamed(key, "left") ? 0 : form.caret;
  const rest = replaces ? cleared(form, row.path, row.node) : { ...form, caret };
  const unmarked = { ...rest, isMarked: false };
  return inField(unmarked, row.path, nodeAt(unmarked.root, row.path) ?? row.node, key);
}

/** In a JSON field, pasted text replaces the whole content. */
export function pasteIntoForm(form: CallForm, text: string): CallForm {
  const row = formRows(form)[form.focus];
  if (row?.kind === "raw") return withEdited(form, null, text);
  if (row?.kind !== "field") return form;
  if (row.node.field.of.kind === "json") return withEdited(form, row.path, text);
  if (!isTyped(row.node)) return form;
  return typed(form, row.path, row.node, text.replaceAll(/\r\n?/g, "\n"));
}

/** `path` null: replaces all arguments. */
export function withEdited(form: CallForm, path: FormPath | null, text: string): CallForm {
  if (path !== null) {
    const node = nodeAt(form.root, path);
    return node === null ? form : placed(form, path, { ...node, text, isSet: text.trim() !== "" });
  }
  return withFocus({ ...form, ...withRaw(form, text) }, "raw");
}

function isEnter(key: Key): boolean {
  return isNamed(key, "enter");
}

function withFocus(form: CallForm, kind: "raw"): CallForm {
  return focusedRow(
    form,
    formRows(form).findIndex((row) => row.kind === kind),
  );
}

/** Focuses a row, with the caret behind its text; `row` wraps around at both ends. */
export function focusedRow(form: CallForm, row: number): CallForm {
  const rows = formRows(form);
  const focus = (row + rows.length) % rows.length;
  const at = rows[focus];
  const caret = at?.kind === "field" ? at.node.text.length : 0;
  const isMarked = at?.kind === "field" && at.node.field.of.kind === "number" && caret > 0;
  return { ...form, focus, caret, isMarked };
}

function sent(form: CallForm): FormStep {
  const given = sentArguments(form);
  if (given !== null) return next(form, { kind: "send", arguments: given });
  if (form.raw !== null) return next(withFocus({ ...form, isTried: true }, "raw"));
  const mark = JSON.stringify(firstMistake(form.root));
  const at = formRows(form).findIndex((row) => row.kind === "field" && JSON.stringify(row.path) === mark);
  // The focused number is not marked, because the user is to correct it, not to replace it.
  return next({ ...focusedRow({ ...form, isTried: true }, at), isMarked: false });
}

function inRawRow(form: CallForm, key: Key): FormStep {
  if (isEnter(key)) return next(form, { kind: "edit", path: null, text: rawText(form) });
  const mayGoBack = form.raw !== null && hasFields(form.root);
  if (mayGoBack && isNamed(key, "clear")) return next(withFocus({ ...form, raw: null }, "raw"));
  return next(form);
}

function placed(form: CallForm, path: FormPath, node: FormNode): CallForm {
  return { ...form, root: withNode(form.root, path, node) };
}

function isTyped({ field: { of } }: FormNode): boolean {
  return of.kind === "text" || of.kind === "number";
}

function inField(form: CallForm, path: FormPath, node: FormNode, key: Key): FormStep {
  const { of } = node.field;
  if (isNamed(key, "clear")) return next(cleared(form, path, node));
  switch (of.kind) {
    case "text":
    case "number":
      if (key.kind === "character") return next(typed(form, path, node, key.text));
      if (isEnter(key)) return next(focusedRow(form, form.focus + 1));
      return next(inText(form, path, node, key.name));
    case "flag":
      return isEnter(key) ? next(focusedRow(form, form.focus + 1)) : next(turned(form, path, node, 2, key));
    case "choice":
      if (isEnter(key)) return next(focusedRow(form, form.focus + 1));
      return next(turned(form, path, node, of.choices.length, key));
    case "json":
      return isEnter(key) ? next(form, { kind: "edit", path, text: node.text }) : next(form);
    case "list": {
      if (!isEnter(key) && !isSpace(key)) return next(form);
      if (node.children.length >= ITEM_LIMIT) return next(form);
      const fresh = createNode(of.item);
      const isFirst = node.isSet || of.least <= 1;
      const count = isFirst ? 1 : Math.min(of.least, ITEM_LIMIT);
      const items = [...node.children, ...Array.from({ length: count }, () => fresh)];
      return next(ontoChild(placed(form, path, withItems(node, items)), [...path, node.children.length]));
    }
    case "group":
      if (!isEnter(key) && !isSpace(key)) return next(form);
      return next(ontoChild(placed(form, path, { ...node, isSet: true }), [...path, 0]));
  }
}

function isSpace(key: Key): boolean {
  return key.kind === "character" && key.text === " ";
}

function ontoChild(form: CallForm, path: FormPath): CallForm {
  const mark = JSON.stringify(path);
  const at = formRows(form).findIndex((row) => row.kind === "field" && JSON.stringify(row.path) === mark);
  return at === -1 ? form : focusedRow(form, at);
}

/** Empties the field, so that it is left out; removes a list item that is already empty. */
function cleared(form: CallForm, path: FormPath, node: FormNode): CallForm {
  const parent = nodeAt(form.root, path.slice(0, -1));
  const isItem = parent?.field.of.kind === "list";
  const isEmpty = !node.isSet || node.field.of.kind === "group";
  if (isItem && parent !== null && isEmpty) {
    const items = parent.children.filter((each) => each !== node);
    const next = placed(form, path.slice(0, -1), withItems(parent, items));
    return focusedRow(next, Math.min(form.focus, formRows(next).length - 1));
  }
  const isKept = node.field.of.kind === "group" && node.field.isRequired;
  if (isKept) return form;
  const { of } = node.field;
  const children = of.kind === "group" ? createNode(node.field).children : [];
  return { ...placed(form, path, { ...node, isSet: false, text: "", children }), caret: 0 };
}

function typed(form: CallForm, path: FormPath, node: FormNode, text: string): CallForm {
  if (node.text.length + text.length > TEXT_LIMIT) return form;
  const whole = node.text.slice(0, form.caret) + text + node.text.slice(form.caret);
  return { ...placed(form, path, { ...node, isSet: true, text: whole }), caret: form.caret + text.length };
}

function inText(form: CallForm, path: FormPath, node: FormNode, name: KeyName): CallForm {
  const { text } = node;
  const { caret } = form;
  switch (name) {
    case "left":
      return { ...form, caret: previousEdge(text, caret) };
    case "right":
      return { ...form, caret: nextEdge(text, caret) };
    case "home":
      return { ...form, caret: 0 };
    case "end":
      return { ...form, caret: text.length };
    case "backspace": {
      if (caret === 0) return form;
      const from = previousEdge(text, caret);
      return { ...shortened(form, path, node, text.slice(0, from) + text.slice(caret)), caret: from };
    }
    case "delete":
      if (caret >= text.length) return form;
      return shortened(form, path, node, text.slice(0, caret) + text.slice(nextEdge(text, caret)));
    default:
      return form;
  }
}

/** Sets the shortened text. When it is empty, a text field stays set, and any other field is left out. */
function shortened(form: CallForm, path: FormPath, node: FormNode, text: string): CallForm {
  return placed(form, path, { ...node, text, isSet: text !== "" || node.field.of.kind === "text" });
}

/**
 * Chooses the next or previous value, wrapping around; optional fields also offer "left out". A letter
 * chooses the next value that begins with it.
 */
function turned(form: CallForm, path: FormPath, node: FormNode, count: number, key: Key): CallForm {
  const back = isNamed(key, "left");
  const on = isSpace(key) || isNamed(key, "right");
  if (key.kind === "character" && !isSpace(key)) {
    const at = choiceLike(node, key.text);
    return at === null ? form : placed(form, path, { ...node, isSet: true, at });
  }
  if (!back && !on) return form;
  // The first step from "left out" sets a flag to true.
  const order = node.field.of.kind === "flag" ? [1, 0] : Array.from({ length: count }, (_, index) => index);
  const values = node.field.isRequired ? order : [null, ...order];
  const now = node.isSet ? values.indexOf(node.at) : node.field.isRequired ? (back ? 0 : -1) : 0;
  const value = values[(now + (back ? -1 : 1) + values.length) % values.length];
  return placed(
    form,
    path,
    value === null ? { ...node, isSet: false } : { ...node, isSet: true, at: value ?? 0 },
  );
}

function choiceLike({ field: { of }, at, isSet }: FormNode, letter: string): number | null {
  const choices = of.kind === "choice" ? of.choices : of.kind === "flag" ? ["n", "y"] : [];
  const start = isSet ? at + 1 : 0;
  for (let step = 0; step < choices.length; step += 1) {
    const index = (start + step) % choices.length;
    if (String(choices[index]).toLowerCase().startsWith(letter.toLowerCase())) return index;
  }
  return null;
}

const GRAPHEMES = new Intl.Segmenter();

/** Returns the column at which the character before `column` begins. */
function previousEdge(line: string, column: number): number {
  return GRAPHEMES.segment(line).containing(column - 1)?.index ?? 0;
}

/** Where the character at `column` ends. */
function nextEdge(line: string, column: number): number {
  const found = GRAPHEMES.segment(line).containing(column);
  return found === undefined ? line.length : found.index + found.segment.length;
}
