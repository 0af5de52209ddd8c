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
const isDependencyMap: IsSound = (value, schema) =>
  isSchemaMap(value, schema) &&
  Object.values(Object(value)).every(
    (one) => !Array.isArray(one) || one.every((name) => typeof name !== "object"),
  );
const isSchemaList: IsSound = (value) => Array.isArray(value) && !value.includes(null);
const isPattern = (value: unknown): boolean => {
  try {
    return typeof value === "string" && new RegExp(value, "u") instanceof RegExp;
  } catch {
    return false;
  }
};
const isAnchor: IsSound = (value) => typeof value !== "string" || /^[a-z_][a-z0-9._-]*$/i.test(value);
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
  ["$async", (value) => value === false],
  ...["$anchor", "$dynamicAnchor"].map((name): [string, IsSound] => [name, isAnchor]),
  // Draft 4, which ajv refuses by name.
  ["id", () => false],
]);

/** Keywords with subschemas, by what they hold. */
const HOLDERS: ReadonlyMap<string, IsSound> = new Map([
  ["properties", isSchemaMap],
  ["dependencies", isDependencyMap],
  [
    "patternProperties",
    (value: unknown, schema: JsonObject) =>
      isSchemaMap(value, schema) && Object.keys(Object(value)).every(isPattern),
  ],
  ...["anyOf", "allOf", "oneOf"].map((name): [string, IsSound] => [name, isSchemaList]),
  ...["not", "contains", "propertyNames", "additionalProperties", "additionalItems"].map(
    (name): [string, IsSound] => [name, isSubschema],
  ),
  ...["if", "then", "else"].map((name): [string, IsSound] => [name, isSubschema]),
  ["items", (value, schema) => isSubschema(value, schema) || isSchemaList(value, schema)],
]);

/** Holders of several schemas, by name. */
const MAPS: ReadonlySet<string> = new Set(["properties", "patternProperties", "dependencies"]);

interface Place {
  readonly schema: unknown;
  readonly path: () => readonly string[];
  /** How many schemas it is within, also by references. */
  readonly depth: number;
}

/** Of very many faults not all are found. */
export function faultsOf(root: JsonObject): readonly SchemaFault[] {
  const faults: SchemaFault[] = [];
  const visited = new Set<JsonObject>();
  const targetOf = createLookup(root);
  const open: Place[] = [{ schema: root, path: () => [], depth: 0 }];
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const { schema, path, depth } = place;
    if (!isJsonObject(schema) || visited.has(schema)) continue;
    visited.add(schema);
    const report = (keyword: string, reason: string): void =>
      void faults.push({ path: path(), keyword, reason });
    const inner: Place[] = [];
    const add = (within: unknown, ...keys: readonly string[]): void =>
      void inner.push({ schema: within, path: () => [...path(), ...keys], depth: depth + 1 });
    for (const [keyword, value] of Object.entries(schema)) {
      const isSound = RULES.get(keyword) ?? HOLDERS.get(keyword);
      if (isSound?.(value, schema) === false) report(keyword, `${keyword} is not valid`);
      else if (!HOLDERS.has(keyword)) continue;
      else if (depth >= DEEPEST) report(keyword, `${keyword} is nested too deeply`);
      else if (isJsonObject(value) && !MAPS.has(keyword)) add(value, keyword);
      else for (const [key, within] of Object.entries(value ?? {})) add(within, keyword, key);
    }
    // An inner `$id` moves what references mean.
    const { $id, $ref } = schema;
    if ($id !== undefined && (depth > 0 || !isId($id))) report("$id", "$id is not valid here");
    const target = $ref === undefined ? null : targetOf($ref);
    if (target !== null && depth < DEEPEST)
      inner.push({ schema: target.schema, path: () => target.path, depth: depth + 1 });
    else if ($ref !== undefined) {
      const how = target === null ? "nowhere" : "too deep";
      report("$ref", `$ref ${JSON.stringify($ref)?.slice(0, 100)} leads ${how}`);
    }
    if (faults.length > MOST_LEFT_OUT) break;
    // What is first is taken out first, and all within it before what follows, as a compiler goes.
    for (let next = inner.pop(); next !== undefined; next = inner.pop()) open.push(next);
  }
  return faults;
}

function isId($id: unknown): boolean {
  return typeof $id === "string" && (!/^urn:/i.test($id) || /^urn:[a-z0-9][a-z0-9-]*:./i.test($id));
}

interface Target {
  readonly schema: unknown;
  readonly path: readonly string[];
}

/** Finds the schema to which a reference leads within `root`; null: none, or only to itself. Each is read once. */
function createLookup(root: JsonObject) {
  const known = new Map<unknown, Target | null>();
  const targetOf = ($ref: unknown, hops = 0): Target | null => {
    const found = known.get($ref);
    if (found !== undefined || hops >= LONGEST_CHAIN) return found ?? null;
    known.set($ref, null);
    const target = targetIn(root, $ref);
    const next = isJsonObject(target?.schema) ? target.schema["$ref"] : undefined;
    if (next !== undefined && targetOf(next, hops + 1) === null) return null;
    known.set($ref, target);
    return target;
  };
  return targetOf;
}

function targetIn(root: JsonObject, $ref: unknown): Target | null {
  if (typeof $ref !== "string" || ($ref !== "#" && !$ref.startsWith("#/"))) return null;
  const path = $ref === "#" ? [] : $ref.slice(2).split("/").map(unescaped);
  const schema = path.reduce<unknown>(memberOf, root);
  return isSubschema(schema, root) ? { schema, path } : null;
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
/** Of references that lead to references alone. */
const LONGEST_CHAIN = 100;
/** Compiling a schema that is nested more deeply overflows the stack of a client. */
const DEEPEST = 200;

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
