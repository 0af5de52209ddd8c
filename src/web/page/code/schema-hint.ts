// Hints for a key, from the configuration's JSON Schema. Pure.
import { objectOf } from "../../../runtime/text/json-object.ts";
import type { KeyPath } from "./key-at.ts";

export interface KeyHint {
  /** The key as a path: `shares[].name`. */
  readonly key: string;
  /** The type in words: "number, 0.05 to 3600", "one of mtime, hash, inotify". */
  readonly type: string;
  /** The default; null: the key has no default, or its default is not fixed. */
  readonly defaultText: string | null;
  readonly description: string | null;
  /** `items`: a list of sections. */
  readonly kind: "section" | "items" | "value";
  /** The allowed values of an enumeration or a boolean, as JSON. */
  readonly choices: readonly string[];
  readonly keys: readonly string[];
}

const MOST_KEYS = 40;

export function hintLines({ key, type, defaultText, description, keys }: KeyHint): readonly string[] {
  const inside = `${keys.slice(0, MOST_KEYS).join(", ")}${keys.length > MOST_KEYS ? ", …" : ""}`;
  return [
    ...(key === "" ? [] : [`${key}: ${type}${defaultText === null ? "" : `, default ${defaultText}`}`]),
    ...(description === null ? [] : [description]),
    ...(keys.length === 0 ? [] : [`${key === "" ? "Sections" : "Keys"}: ${inside}`]),
  ];
}

/** The hint for the key at `path`; null: the schema has no such key. */
export function hintOf(schema: unknown, path: KeyPath): KeyHint | null {
  let at = objectOf(schema);
  for (const step of path) {
    const next = step === "[]" ? at["items"] : propertyOf(at, step);
    if (typeof next !== "object" || next === null) return null;
    at = objectOf(next);
  }
  const description = typeof at["description"] === "string" ? at["description"] : null;
  const isSection = at["type"] === "object";
  return {
    key: path.reduce(
      (text, step) => (step === "[]" ? `${text}[]` : text === "" ? step : `${text}.${step}`),
      "",
    ),
    type: typeText(at),
    defaultText: !isSection && Object.hasOwn(at, "default") ? JSON.stringify(at["default"]) : null,
    description,
    kind: isSection ? "section" : objectOf(at["items"])["type"] === "object" ? "items" : "value",
    choices: choicesOf(at),
    keys: Object.keys(objectOf(at["properties"])),
  };
}

function propertyOf(schema: Readonly<Record<string, unknown>>, name: string): unknown {
  const properties = objectOf(schema["properties"]);
  return Object.hasOwn(properties, name) ? properties[name] : schema["additionalProperties"];
}

function choicesOf(schema: Readonly<Record<string, unknown>>): readonly string[] {
  const choices = schema["enum"] ?? (schema["type"] === "boolean" ? [true, false] : []);
  return Array.isArray(choices) ? choices.map((choice) => JSON.stringify(choice)) : [];
}

function typeText(schema: Readonly<Record<string, unknown>>): string {
  const { type, minimum, maximum } = schema;
  if (Array.isArray(schema["enum"])) return `one of ${choicesOf(schema).join(", ")}`;
  const range =
    typeof minimum === "number" && typeof maximum === "number"
      ? `, ${minimum} to ${maximum}`
      : typeof minimum === "number"
        ? `, at least ${minimum}`
        : "";
  const labels: Readonly<Record<string, string>> = {
    object: "section",
    array: "list",
    boolean: "true or false",
    integer: "whole number",
    string: "text",
  };
  if (Array.isArray(type)) return type.join(" or ");
  const several = schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(several)) return several.map((branch) => typeText(objectOf(branch))).join(", or ");
  return typeof type === "string" ? `${labels[type] ?? type}${range}` : "any value";
}
