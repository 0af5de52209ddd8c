// The arguments of a call while a person enters them: as fields, or all of them as one JSON text. Pure.
import { isObject } from "../../runtime/text/json-object.ts";
import { createNode, type FormNode, firstMistake, sentValue, withItems, withValue } from "./form-node.ts";
import { readJson } from "./json-text.ts";
import { argumentsField, asJson } from "./schema-fields.ts";

export interface CallArguments {
  readonly root: FormNode;
  /** The JSON text that replaces the fields; null: the fields apply. */
  readonly raw: string | null;
}

/**
 * Makes empty fields for a tool's arguments. `isCut`: the schema was too large to be sent, so the arguments
 * are edited as JSON.
 */
export function createArguments(inputSchema: unknown, isCut = false): CallArguments {
  const field = argumentsField(inputSchema);
  const root = createNode(isCut ? asJson(field, "its schema is too large to be shown") : field);
  return { root, raw: hasFields(root) ? null : "{}" };
}

export function hasFields(root: FormNode): boolean {
  return root.field.of.kind !== "json";
}

/** The error in the JSON text. null: the text has no error, or the form's fields are used instead of the text. */
export function rawMistake({ raw }: CallArguments): string | null {
  if (raw === null) return null;
  const reading = readJson(raw);
  if (reading.kind === "mistake")
    return `line ${reading.line}:${reading.column}: expected ${reading.expected}`;
  return isObject(reading.value) ? null : "expected an object: { ... }";
}

/** The present arguments as JSON, without fields that have errors. */
export function rawText({ root, raw }: CallArguments): string {
  if (raw !== null) return raw;
  const clean = (node: FormNode): FormNode => {
    const own = node.field.of.kind === "list" || node.field.of.kind === "group";
    if (!own && firstMistake(node) !== null)
      return { ...node, isSet: false, field: { ...node.field, isRequired: false } };
    return { ...node, children: node.children.map(clean) };
  };
  return JSON.stringify(sentValue(clean(root)), null, 2);
}

/**
 * Replaces all arguments by those in a JSON text. Fills the fields if they can express these values;
 * otherwise keeps the text.
 */
export function withRaw({ root }: CallArguments, text: string): CallArguments {
  const raw = text.trim() === "" ? "{}" : text;
  const reading = readJson(raw);
  const filled = hasFields(root) && reading.kind === "value" ? withValue(root, reading.value) : null;
  return filled === null ? { root, raw } : { root: filled, raw: null };
}

/** The arguments to send; null if there is an error. */
export function sentArguments(given: CallArguments): Readonly<Record<string, unknown>> | null {
  if (given.raw === null && firstMistake(given.root) !== null) return null;
  const reading = given.raw === null ? null : readJson(given.raw);
  const value = reading === null ? sentValue(given.root) : reading.kind === "value" ? reading.value : null;
  return isObject(value) ? value : null;
}

/**
 * Copies typed values into the fields of a changed schema: by name, and only where the field's kind is still
 * the same.
 */
export function redrawn(fresh: CallArguments, typed: CallArguments): CallArguments {
  return { root: transferred(fresh.root, typed.root), raw: typed.raw ?? fresh.raw };
}

function transferred(node: FormNode, from: FormNode): FormNode {
  const { of, isRequired } = node.field;
  const old = from.field.of;
  if (of.kind !== old.kind) return node;
  const { isSet, text, at, children } = from;
  switch (of.kind) {
    case "choice": {
      const chosen = old.kind === "choice" && isSet ? withValue(node, old.choices[at]) : null;
      return chosen ?? { ...node, isSet: false };
    }
    case "list": {
      const items = children.map((child) => transferred(createNode(of.item), child));
      return { ...withItems(node, items), isSet };
    }
    case "group": {
      const fields = node.children.map((child) => {
        const before = children.find(({ field }) => field.name === child.field.name);
        return before === undefined ? child : transferred(child, before);
      });
      return { ...node, isSet: isSet || isRequired, children: fields };
    }
    default:
      return { ...node, isSet, text, at };
  }
}
