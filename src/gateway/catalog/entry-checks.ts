// Checks the entries of a server's lists, because strict clients drop a whole list for one bad entry. Pure.
// The rules are those of the specification from 2025-06-18 to 2026-07-28 and of the official TypeScript SDK
// 1.32, which is stricter.
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { isText, objectOf } from "../../runtime/text/json-object.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import type { Listings } from "./catalog.ts";

export interface CheckedEntry {
  /** The server's own object if it is sound; null: no client may get the entry. */
  readonly entry: JsonObject | null;
  /** What is wrong, for example "description is null". */
  readonly faults: readonly string[];
}

/** Maximum number of faults reported for one entry. */
const MOST_FAULTS = 10;

/**
 * Leaves out malformed optional members, and adds missing ones that have a harmless default. Any other fault
 * withholds the entry. `isModern`: the server speaks 2026-07-28, and its results may be of any type.
 */
export function checkEntry(list: keyof Listings, entry: JsonObject, isModern = false): CheckedEntry {
  const faults: string[] = [];
  const addFault: AddFault = (path, value, wanted) => {
    if (faults.length < MOST_FAULTS) faults.push(`${path} ${faultOf(value, wanted)}`);
  };
  const rules = list === "tools" && isModern ? MODERN_TOOL : RULES[list];
  const checked = object(rules)(entry, "", addFault, entry);
  return { entry: isJsonObject(checked) ? checked : null, faults };
}

type AddFault = (path: string, value: unknown, wanted: string) => void;

/**
 * Returns the value, a corrected value, undefined to leave the member out, or `REFUSED`. `owner`: the object that has
 * the member.
 */
type Rule = (value: unknown, path: string, addFault: AddFault, owner: JsonObject) => unknown;
type Rules = Readonly<Record<string, Rule>>;

/**
 * A rule returns `REFUSED` to withhold the whole entry. In a list that can do without the refused value, only that
 * value is left out.
 */
const REFUSED = Symbol("refused");

function optional(isSound: (value: unknown) => boolean, wanted: string): Rule {
  return (value, path, addFault) => {
    if (value === undefined || isSound(value)) return value;
    addFault(path, value, wanted);
    return undefined;
  };
}

function required(isSound: (value: unknown) => boolean, wanted: string): Rule {
  return (value, path, addFault) => {
    if (isSound(value)) return value;
    addFault(path, value, wanted);
    return REFUSED;
  };
}

/** Members without a rule are not checked. */
function object(rules: Rules): Rule {
  return (value, path, addFault) => {
    if (!isJsonObject(value)) return ANY_OBJECT(value, path, addFault, {});
    let copy: JsonObject | null = null;
    for (const [key, rule] of Object.entries(rules)) {
      const before = Object.hasOwn(value, key) ? value[key] : undefined;
      const after = rule(before, path === "" ? key : `${path}.${key}`, addFault, value);
      if (after === REFUSED) return REFUSED;
      if (after === before) continue;
      copy ??= { ...value };
      if (after === undefined) Reflect.deleteProperty(copy, key);
      // `copy[key] = after` would fail for a member named `__proto__`.
      else
        Object.defineProperty(copy, key, {
          value: after,
          enumerable: true,
          writable: true,
          configurable: true,
        });
    }
    return copy ?? value;
  };
}

function list(element: Rule, onBadElement: "leave out" | "refuse"): Rule {
  const isRefusing = onBadElement === "refuse";
  return (value, path, addFault, owner) => {
    if (value === undefined) return value;
    if (!Array.isArray(value)) {
      addFault(path, value, "a list");
      return isRefusing && value !== null ? REFUSED : undefined;
    }
    const checked = value.map((part, index) => element(part, `${path}[${index}]`, addFault, owner));
    const sound = checked.filter((part) => part !== undefined && part !== REFUSED);
    if (isRefusing && sound.length < value.length) return REFUSED;
    return checked.every((part, index) => part === value[index]) ? value : sound;
  };
}

function oneOf(values: readonly string[], wanted: string): Rule {
  return optional((value) => isText(value) && values.includes(value), wanted);
}

const TEXT = optional(isText, "a string");
const FLAG = optional(isBoolean, "true or false");
const TEXTS = optional(isListOfTexts, "a list of strings");
const ANY_OBJECT = optional(isJsonObject, "an object");

const DESCRIBED: Rules = {
  title: TEXT,
  description: TEXT,
  _meta: ANY_OBJECT,
  icons: list(
    object({
      mimeType: TEXT,
      sizes: TEXTS,
      theme: oneOf(["light", "dark"], "light or dark"),
      src: required(isText, "a string"),
    }),
    "leave out",
  ),
};

/** JSON Schema also allows `true` and `false`, which the SDK refuses. */
const PROPERTY: Rule = (value, path, addFault) => {
  if (isJsonObject(value)) return value;
  if (value === false) return { not: {} };
  if (value !== true) addFault(path, value, "a schema");
  return {};
};
const SCHEMA: Rules = {
  required: TEXTS,
  properties: (value, ...context) =>
    object(Object.fromEntries(Object.keys(objectOf(value)).map((name) => [name, PROPERTY])))(
      value,
      ...context,
    ),
};

/** Every tool takes an object, so a missing schema or type can be made up. */
const INPUT_SCHEMA: Rule = (value, path, addFault, owner) => {
  if (isJsonObject(value)) return object({ type: OBJECT_TYPE, ...SCHEMA })(value, path, addFault, owner);
  addFault(path, value, "an object");
  return value === undefined || value === null ? { type: "object" } : REFUSED;
};
const OBJECT_TYPE: Rule = (value, path, addFault) => {
  if (value === "object") return value;
  addFault(path, value, '"object"');
  return value === undefined ? "object" : REFUSED;
};

/** A malformed output schema is left out: without one, clients accept any result. */
function outputSchema(isModern: boolean): Rule {
  const isSound = (value: unknown): boolean =>
    isJsonObject(value) && (isModern || value["type"] === "object");
  const fault = optional(isSound, 'an object of type "object"');
  return (value, ...context) => (isSound(value) ? object(SCHEMA) : fault)(value, ...context);
}

const TOOL: Rules = {
  ...DESCRIBED,
  annotations: object({
    title: TEXT,
    readOnlyHint: FLAG,
    destructiveHint: FLAG,
    idempotentHint: FLAG,
    openWorldHint: FLAG,
  }),
  execution: object({
    taskSupport: oneOf(["required", "optional", "forbidden"], "one of required, optional, forbidden"),
  }),
  outputSchema: outputSchema(false),
  inputSchema: INPUT_SCHEMA,
};
const MODERN_TOOL: Rules = { ...TOOL, outputSchema: outputSchema(true) };

/** Clients only display the name, so an invalid name is replaced by the title or by the member `key`. */
function nameOr(key: string): Rule {
  return (value, path, addFault, { title, [key]: id }) => {
    if (isText(value)) return value;
    addFault(path, value, "a string");
    return isText(title) && title !== "" ? title : id;
  };
}

const ANNOTATIONS = object({
  audience: optional(
    (value) => Array.isArray(value) && value.every((one) => one === "user" || one === "assistant"),
    "a list of user, assistant",
  ),
  priority: optional(isShare, "0 to 1"),
  lastModified: optional(isTime, "a time as 2026-01-31T12:00:00Z"),
});

const RULES: Readonly<Record<keyof Listings, Rules>> = {
  tools: TOOL,
  resources: {
    ...DESCRIBED,
    name: nameOr("uri"),
    mimeType: TEXT,
    size: optional(isNumber, "a number"),
    annotations: ANNOTATIONS,
  },
  resourceTemplates: {
    ...DESCRIBED,
    name: nameOr("uriTemplate"),
    mimeType: TEXT,
    annotations: ANNOTATIONS,
  },
  prompts: {
    ...DESCRIBED,
    arguments: list(
      object({ title: TEXT, description: TEXT, required: FLAG, name: required(isText, "a string") }),
      "refuse",
    ),
  },
};

function isBoolean(value: unknown): boolean {
  return typeof value === "boolean";
}

function isListOfTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText);
}

/** Refuses numbers that are too large for a double, because clients would read them as infinity. */
function isNumber(value: unknown): boolean {
  return typeof value === "number" || (isRawNumber(value) && Number.isFinite(Number(value.rawJSON)));
}

function isShare(value: unknown): boolean {
  const share = Number(isRawNumber(value) ? value.rawJSON : value);
  return isNumber(value) && share >= 0 && share <= 1;
}

const TIME = /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** RFC 3339, with a day that exists. */
function isTime(value: unknown): boolean {
  const day = isText(value) ? TIME.exec(value)?.[1] : undefined;
  if (day === undefined) return false;
  const midnight = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
}

function faultOf(value: unknown, wanted: string): string {
  if (value === undefined) return "is missing";
  if (value === null) return "is null";
  if (Array.isArray(value)) return `is a list, not ${wanted}`;
  if (isJsonObject(value)) return `is an object, not ${wanted}`;
  const shown = typeof value === "string" && value.length <= 30 ? JSON.stringify(value) : `a ${typeof value}`;
  return `is ${shown}, not ${wanted}`;
}
