// Finds what keeps a tool's JSON Schema from being compiled. Clients on the official SDK compile each `outputSchema` (with
// ajv 8, not strict) when they list tools, and lose the whole list for one that fails; model APIs refuse a request for an
// input schema that fails. The rules are ajv's; the test compares them with ajv itself. Pure.
import { memoized } from "../../runtime/memo.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

export interface SchemaFault {
  /** Where the subschema is, as members from the root. */
  readonly path: readonly string[];
  readonly keyword: string;
  readonly reason: string;
}

type IsSound = (value: unknown, schema: JsonObject) => boolean;

const JSON_TYPES: ReadonlySet<unknown> = new Set([
  ...["string", "number", "integer", "boolean", "null"],
  ...["object", "array"],
]);
const isText: IsSound = (value) => typeof value === "string";
const isNumber: IsSound = (value) => typeof value === "number" || isRawNumber(value);
const isList: IsSound = (value) => Array.isArray(value);
const isSubschema: IsSound = (value) => typeof value === "boolean" || isJsonObject(value);
const isSchemaMap: IsSound = (value) => isJsonObject(value) && !Object.values(value).includes(null);
const isSchemaList: IsSound = (value) => Array.isArray(value) && !value.includes(null);
const isPattern = (value: unknown): boolean => {
  try {
    return typeof value === "string" && new RegExp(value, "u") instanceof RegExp;
  } catch {
    return false;
  }
};
const isFormatLimit: IsSound = (value, { format }) => typeof value === "string" && typeof format === "string";

const NUMBERS = ["imum", "Length", "Items", "Properties"].flatMap((what) => [`max${what}`, `min${what}`]);
/** Keywords without subschemas; any other keyword is ignored by ajv. */
const RULES: ReadonlyMap<string, IsSound> = new Map<string, IsSound>([
  ["type", (value) => [value].flat().every((type) => JSON_TYPES.has(type))],
  [
    "nullable",
    (value, { type }) =>
      typeof value === "boolean" && type !== undefined && (value || ![type].flat().includes("null")),
  ],
  ...[...NUMBERS, "multipleOf", "exclusiveMaximum", "exclusiveMinimum"].map((name): [string, IsSound] => [
    name,
    isNumber,
  ]),
  ["pattern", isPattern],
  ["format", isText],
  ...["Minimum", "Maximum", "ExclusiveMinimum", "ExclusiveMaximum"].map((name): [string, IsSound] => [
    `format${name}`,
    isFormatLimit,
  ]),
  ["uniqueItems", (value) => typeof value === "boolean"],
  ["required", isList],
  ["enum", (value) => Array.isArray(value) && value.length > 0],
  // Draft 4, which ajv refuses by name.
  ["id", () => false],
]);

/** Keywords with subschemas, by what they hold. */
const HOLDERS: ReadonlyMap<string, IsSound> = new Map([
  ...["properties", "dependencies"].map((name): [string, IsSound] => [name, isSchemaMap]),
  [
    "patternProperties",
    (value: unknown, schema: JsonObject) =>
      isSchemaMap(value, schema) && Object.keys(Object(value)).every(isPattern),
  ],
  ...["anyOf", "allOf", "oneOf"].map((name): [string, IsSound] => [name, isSchemaList]),
  ...["not", "contains", "propertyNames", "additionalProperties", "if", "then", "else"].map(
    (name): [string, IsSound] => [name, isSubschema],
  ),
  ...["items", "additionalItems"].map((name): [string, IsSound] => [
    name,
    (value, schema) => isSubschema(value, schema) || isSchemaList(value, schema),
  ]),
]);

/** Holders of several schemas, by name. */
const MAPS: ReadonlySet<string> = new Set(["properties", "patternProperties", "dependencies"]);

export function faultsOf(root: JsonObject): readonly SchemaFault[] {
  const faults: SchemaFault[] = [];
  const visited = new Set<JsonObject>();
  const walk = (schema: unknown, path: readonly string[]): void => {
    if (!isJsonObject(schema) || visited.has(schema)) return;
    visited.add(schema);
    const report = (keyword: string, reason: string): void => void faults.push({ path, keyword, reason });
    for (const [keyword, value] of Object.entries(schema)) {
      const isSound = RULES.get(keyword) ?? HOLDERS.get(keyword);
      if (isSound?.(value, schema) === false) report(keyword, `${keyword} is not valid`);
      else if (!HOLDERS.has(keyword)) continue;
      else if (isJsonObject(value) && !MAPS.has(keyword)) walk(value, [...path, keyword]);
      else for (const [key, inner] of Object.entries(value ?? {})) walk(inner, [...path, keyword, key]);
    }
    // An inner `$id` moves what references mean.
    const { $id, $ref } = schema;
    if ($id !== undefined && (path.length > 0 || !isId($id))) report("$id", "$id is not valid here");
    if ($ref === undefined) return;
    const target = targetOf(root, $ref);
    if (target === null) report("$ref", `$ref ${JSON.stringify($ref)?.slice(0, 100)} leads nowhere`);
    else walk(target.schema, target.path);
  };
  walk(root, []);
  return faults;
}

function isId($id: unknown): boolean {
  return typeof $id === "string" && (!/^urn:/i.test($id) || /^urn:[a-z0-9][a-z0-9-]*:./i.test($id));
}

/** The schema to which the reference leads within `root`; null: none, or only to itself. */
function targetOf(root: JsonObject, $ref: unknown) {
  const seen = new Set<unknown>();
  let first: { readonly schema: unknown; readonly path: readonly string[] } | null = null;
  for (let ref = $ref; ref !== undefined; ) {
    if (typeof ref !== "string" || seen.has(ref) || seen.size >= LONGEST_CHAIN) return null;
    if (ref !== "#" && !ref.startsWith("#/")) return null;
    seen.add(ref);
    const path = ref === "#" ? [] : ref.slice(2).split("/").map(unescaped);
    const schema = path.reduce<unknown>(memberOf, root);
    if (!isSubschema(schema, root)) return null;
    first ??= { schema, path };
    ref = isJsonObject(schema) ? schema["$ref"] : undefined;
  }
  return first;
}

function unescaped(part: string): string {
  return decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? Reflect.get(value, key)
    : undefined;
}

const NO_SCHEMA: JsonObject = { type: "object" };
/** Taking out one keyword may break another, which needed it. */
const MOST_ROUNDS = 3;
/** Each takes a copy of the schema to leave out. */
const MOST_LEFT_OUT = 100;
/** Following long chains of references from each of their links would take seconds. */
const LONGEST_CHAIN = 100;

/** The tool as clients get it, and what was left out of its schemas. */
export const withSoundSchemas = memoized(
  (tool: JsonObject): { tool: JsonObject; faults: readonly string[] } => {
    const { inputSchema, outputSchema } = tool;
    const faults: string[] = [];
    let sound = tool;
    if (isJsonObject(outputSchema)) {
      const [fault] = faultsOf(outputSchema);
      if (fault !== undefined) {
        const { outputSchema: _, ...rest } = sound;
        sound = rest;
        faults.push(`outputSchema is left out: ${fault.reason}${placeOf(fault)}`);
      }
    }
    let input = inputSchema;
    for (let round = 0; isJsonObject(input); round++) {
      const found = faultsOf(input);
      if (found.length === 0) break;
      const named = found.slice(0, MOST_LEFT_OUT);
      faults.push(...named.map((fault) => `left out of inputSchema: ${fault.reason}${placeOf(fault)}`));
      input = round < MOST_ROUNDS && named.length === found.length ? found.reduce(without, input) : NO_SCHEMA;
    }
    return { tool: input === inputSchema ? sound : { ...sound, inputSchema: input }, faults };
  },
);

function placeOf({ path }: SchemaFault): string {
  return path.length === 0 ? "" : ` (in ${path.join(".")})`;
}

/** A copy of the schema without the keyword. */
function without(schema: JsonObject, { path, keyword }: SchemaFault): JsonObject {
  const [key, ...inner] = path;
  if (key === undefined) {
    const { [keyword]: _, ...rest } = schema;
    return rest;
  }
  const value = schema[key];
  if (Array.isArray(value)) {
    const [index = "", ...rest] = inner;
    const list = value.map((one: unknown, at) =>
      String(at) === index && isJsonObject(one) ? without(one, { path: rest, keyword, reason: "" }) : one,
    );
    return { ...schema, [key]: list };
  }
  return isJsonObject(value)
    ? { ...schema, [key]: without(value, { path: inner, keyword, reason: "" }) }
    : schema;
}
