// The fields of a form, with the values typed into them, and the JSON of these values. Pure.
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import { readJson } from "./json-text.ts";
import type { FieldKind, SchemaField } from "./schema-fields.ts";

export interface FormNode {
  readonly field: SchemaField;
  /** The field's name; `[0]` for the item of a list. */
  readonly label: string;
  /** False: the field is not sent. */
  readonly isSet: boolean;
  /** The typed text of a text, number or JSON field. */
  readonly text: string;
  /** The index of the chosen value; for a flag 1 or 0. */
  readonly at: number;
  /** A group's fields, or a list's items. */
  readonly children: readonly FormNode[];
}

/** The index of the child at each level, from the root down. */
export type FormPath = readonly number[];

/** A longer list is edited as JSON. */
export const ITEM_LIMIT = 100;

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const WHOLE = /^-?(?:0|[1-9][0-9]*)$/;

export function createNode(field: SchemaField, label = field.name): FormNode {
  const { of, isRequired } = field;
  const empty: FormNode = { field, label, isSet: false, text: "", at: 0, children: [] };
  const hasDefault = Object.hasOwn(field, "byDefault") && field.byDefault !== null;
  if (isRequired && hasDefault) {
    const filled = withValue(empty, field.byDefault);
    if (filled !== null) return filled;
  }
  switch (of.kind) {
    case "group":
      return { ...empty, isSet: isRequired, children: of.fields.map((each) => createNode(each)) };
    case "list": {
      const count = isRequired ? Math.min(of.least, ITEM_LIMIT) : 0;
      const children = Array.from({ length: count }, (_, index) => createNode(of.item, `[${index}]`));
      return { ...empty, isSet: isRequired && !field.isNullable, children };
    }
    case "choice":
      return { ...empty, isSet: isRequired && of.choices.length === 1 };
    default:
      return empty;
  }
}

/** The node with a value; null if the field cannot hold the value. */
export function withValue(node: FormNode, value: unknown): FormNode | null {
  const { of } = node.field;
  switch (of.kind) {
    case "text":
      return typeof value === "string" ? { ...node, isSet: true, text: value } : null;
    case "number":
      return typeof value === "number" ? { ...node, isSet: true, text: String(value) } : null;
    case "flag":
      return typeof value === "boolean" ? { ...node, isSet: true, at: value ? 1 : 0 } : null;
    case "choice": {
      const at = of.choices.findIndex((choice) => JSON.stringify(choice) === JSON.stringify(value));
      return at === -1 ? null : { ...node, isSet: true, at };
    }
    case "list": {
      if (!Array.isArray(value) || value.length > ITEM_LIMIT) return null;
      const children = value.map((each, index) => withValue(createNode(of.item, `[${index}]`), each));
      return children.every((child) => child !== null) ? { ...node, isSet: true, children } : null;
    }
    case "group": {
      if (
        !isObject(value) ||
        !Object.keys(value).every((name) => of.fields.some((each) => each.name === name))
      )
        return null;
      const children = of.fields.map((field) =>
        Object.hasOwn(value, field.name)
          ? withValue(createNode(field), value[field.name])
          : createNode(field),
      );
      return children.every((child) => child !== null) ? { ...node, isSet: true, children } : null;
    }
    case "json":
      return { ...node, isSet: true, text: JSON.stringify(value, null, 2) };
  }
}

export function withItems(node: FormNode, items: readonly FormNode[]): FormNode {
  return { ...node, isSet: true, children: items.map((item, index) => ({ ...item, label: `[${index}]` })) };
}

/** The error of this field, without its children; null: none. */
export function mistakeAt(node: FormNode): string | null {
  const { field, isSet, text, children } = node;
  const { of } = field;
  if (!isSet) {
    if (!field.isRequired || field.isNullable) return null;
    return of.kind === "flag" || of.kind === "choice" ? "required: choose one" : "required";
  }
  switch (of.kind) {
    case "text": {
      const length = [...text].length;
      if (length < of.least) return `at least ${pluralize(of.least, "character")}, not ${length}`;
      return length > of.most ? `at most ${pluralize(of.most, "character")}, not ${length}` : null;
    }
    case "number":
      return numberMistake(text.trim(), of);
    case "json": {
      const reading = readJson(text);
      if (reading.kind === "value") return null;
      return `line ${reading.line}:${reading.column}: expected ${reading.expected}`;
    }
    case "list":
      if (children.length < of.least)
        return `at least ${pluralize(of.least, "item")}, not ${children.length}`;
      return children.length > of.most
        ? `at most ${pluralize(of.most, "item")}, not ${children.length}`
        : null;
    default:
      return null;
  }
}

type NumberKind = Extract<FieldKind, { kind: "number" }>;

function numberMistake(text: string, of: NumberKind): string | null {
  if (!NUMBER.test(text)) return of.isWhole ? "a whole number, such as 12" : "a number, such as 12 or 0.5";
  if (of.isWhole && !WHOLE.test(text) && !Number.isInteger(Number(text))) return "a whole number, such as 12";
  const value = Number(text);
  if (!Number.isFinite(value)) return "a smaller number";
  if (readJson(text).kind === "mistake") return "a number of at most 15 digits, here";
  const { above, below } = of;
  const isTooSmall = above !== null && (above.isAllowed ? value < above.value : value <= above.value);
  const isTooLarge = below !== null && (below.isAllowed ? value > below.value : value >= below.value);
  return isTooSmall || isTooLarge ? rangeText(of) : null;
}

/** "a whole number, at least 1". */
export function numberText(of: NumberKind): string {
  return [of.isWhole ? "a whole number" : "a number", rangeText(of)].filter((part) => part !== "").join(", ");
}

/** "1 to 10", "more than 0"; "" without bounds. */
function rangeText({ above, below }: NumberKind): string {
  if (above?.isAllowed === true && below?.isAllowed === true) return `${above.value} to ${below.value}`;
  const least = above === null ? null : `${above.isAllowed ? "at least" : "more than"} ${above.value}`;
  const most = below === null ? null : `${below.isAllowed ? "at most" : "less than"} ${below.value}`;
  return [least, most].filter((part) => part !== null).join(", ");
}

/** The path of the first error, in the order of the rows; null: none. */
export function firstMistake(node: FormNode, path: FormPath = []): FormPath | null {
  if (mistakeAt(node) !== null) return path;
  if (!node.isSet) return null;
  for (const [index, child] of node.children.entries()) {
    const found = firstMistake(child, [...path, index]);
    if (found !== null) return found;
  }
  return null;
}

/** The JSON value to send; undefined: the field is left out. The node must have no errors. */
export function sentValue(node: FormNode): unknown {
  const { field, isSet, text, at, children } = node;
  // A required field that is not set is sent as null if null is allowed.
  if (!isSet) return field.isRequired && field.isNullable ? null : undefined;
  const { of } = field;
  switch (of.kind) {
    case "text":
      return text;
    case "number":
      return parseExactly(text.trim());
    case "flag":
      return at === 1;
    case "choice":
      return of.choices[at];
    case "json":
      return parseExactly(text);
    case "list":
      return children.map(sentValue);
    case "group": {
      const parts = children.map((child) => [child.field.name, sentValue(child)] as const);
      // fromEntries also sets a field named __proto__ as an own property.
      return Object.fromEntries(parts.filter(([, value]) => value !== undefined));
    }
  }
}

/** The tree with the node at `path` replaced. */
export function withNode(root: FormNode, path: FormPath, node: FormNode): FormNode {
  const [index, ...rest] = path;
  if (index === undefined) return node;
  const children = root.children.map((child, at) => (at === index ? withNode(child, rest, node) : child));
  return { ...root, children };
}
