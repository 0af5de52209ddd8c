// The fields of the settings panel, the focus among them, and their reaction to keys. Pure.
import { createNode, type FormNode } from "../../api/forms/form-node.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { next, type Step, unused } from "../terminal/step.ts";
import { pressTextKey } from "../terminal/typed-text.ts";

export interface PanelForm {
  /** A section: a group of numbers, flags and choices. */
  readonly root: FormNode;
  /** Index of the focused field; -1: none. */
  readonly focus: number;
  /** Position in the focused number's text. */
  readonly caret: number;
  /** The focused number is marked: typing replaces it. */
  readonly isMarked: boolean;
}

type FormStep = Step<PanelForm, never>;

export function createPanelForm(root: FormNode): PanelForm {
  return { root, focus: -1, caret: 0, isMarked: false };
}

/** Focuses a field, with the caret behind its text; `row` wraps around at both ends. */
export function focusedRow(form: PanelForm, row: number): PanelForm {
  const { children } = form.root;
  const focus = (row + children.length) % children.length;
  const field = children[focus];
  const caret = field?.text.length ?? 0;
  return { ...form, focus, caret, isMarked: field?.field.of.kind === "number" && caret > 0 };
}

export function pressFormKey(form: PanelForm, key: Key): FormStep {
  const node = form.root.children[form.focus];
  if (node === undefined || isNamed(key, "quit")) return unused(form);
  if (isNamed(key, "tab") || isNamed(key, "down")) return next(focusedRow(form, form.focus + 1));
  if (isNamed(key, "backtab") || isNamed(key, "up")) return next(focusedRow(form, form.focus - 1));
  if (isNamed(key, "enter")) return next(focusedRow(form, form.focus + 1));
  if (isNamed(key, "clear")) return next(cleared(form, node));
  if (node.field.of.kind !== "number") return next(turned(form, node, key));
  if (!form.isMarked) return next(inNumber(form, node, key));
  const replaces = key.kind === "character" || key.name === "backspace" || key.name === "delete";
  const caret = isNamed(key, "left") ? 0 : form.caret;
  const unmarked = { ...(replaces ? cleared(form, node) : { ...form, caret }), isMarked: false };
  return next(inNumber(unmarked, unmarked.root.children[form.focus] ?? node, key));
}

function placed(form: PanelForm, node: FormNode): PanelForm {
  const children = form.root.children.map((child, at) => (at === form.focus ? node : child));
  return { ...form, root: { ...form.root, children } };
}

function cleared(form: PanelForm, { field, label }: FormNode): PanelForm {
  return { ...placed(form, { ...createNode(field, label), isSet: false, text: "" }), caret: 0 };
}

function inNumber(form: PanelForm, node: FormNode, key: Key): PanelForm {
  const typed = pressTextKey({ text: node.text, caret: form.caret }, key);
  if (typed === null) return form;
  const { text, caret } = typed;
  if (text === node.text) return { ...form, caret };
  return { ...placed(form, { ...node, text, isSet: text !== "" }), caret };
}

/** Chooses the next or previous value of a flag or choice, wrapping around. */
function turned(form: PanelForm, node: FormNode, key: Key): PanelForm {
  const { of } = node.field;
  const count = of.kind === "choice" ? of.choices.length : of.kind === "flag" ? 2 : 0;
  const isSpace = key.kind === "character" && key.text === " ";
  const by = isNamed(key, "left") ? -1 : isSpace || isNamed(key, "right") ? 1 : 0;
  if (by === 0 || count === 0) return form;
  return placed(form, { ...node, isSet: true, at: (node.at + by + count) % count });
}
