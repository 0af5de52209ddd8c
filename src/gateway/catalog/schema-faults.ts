// Finds what keeps a tool's JSON Schema from being compiled. Clients on the official SDK compile each `outputSchema` (with
// ajv 8, not strict) when they list tools, and lose the whole list for one that fails; model APIs refuse a request for an
// input schema that fails. The rules are ajv's; the test compares them with ajv itself. Pure.
import { memoized } from "../../runtime/memo.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { isSoundPattern, LONGEST_PATTERN, type PatternVerdicts, verdictsOf } from "./schema-patterns.ts";

export interface SchemaFault {
  /** Where the subschema is, as members from the root. */
  readonly path: readonly string[];
  readonly keyword: string;
  readonly reason: string;
}

type IsSound = (value: unknown, schema: JsonObject, patterns: PatternVerdicts) => boolean;

const JSON_TYPES: ReadonlySet<unknown> = new Set([
  ...["string", "number", "integer", "boolean", "null"],
  ...["object", "array"],
]);
const isText: IsSound = (value) => typeof value === "string";
const isNumber: IsSound = (value) => typeof value === "number" || isRawNumber(value);
const isList: IsSound = (value) => Array.isArray(value);
const isSubschema = (value: unknown): boolean => typeof value === "boolean" || isJsonObject(value);
const isSchemaMap = (value: unknown): boolean => isJsonObject(value) && !Object.values(value).includes(null);
const isDependencyMap: IsSound = (value) =>
  isSchemaMap(value) &&
  Object.values(Object(value)).every(
    (one) => !Array.isArray(one) || one.every((name) => typeof name !== "object"),
  );
const isSchemaList = (value: unknown): boolean => Array.isArray(value) && !value.includes(null);
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
  ["pattern", (value, _, patterns) => isSoundPattern(value, patterns)],
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

const BAD_PATTERN = `is not valid, longer than ${LONGEST_PATTERN} characters, or takes too long to check`;

/** Keywords with subschemas, by what they hold. */
const HOLDERS: ReadonlyMap<string, IsSound> = new Map([
  ["properties", isSchemaMap],
  ["dependencies", isDependencyMap],
  [
    "patternProperties",
    (value: unknown, _: JsonObject, patterns: PatternVerdicts) =>
      isSchemaMap(value) && Object.keys(Object(value)).every((key) => isSoundPattern(key, patterns)),
  ],
  ...["anyOf", "allOf", "oneOf"].map((name): [string, IsSound] => [name, isSchemaList]),
  ...["not", "contains", "propertyNames", "additionalProperties", "additionalItems"].map(
    (name): [string, IsSound] => [name, isSubschema],
  ),
  ...["if", "then", "else"].map((name): [string, IsSound] => [name, isSubschema]),
  ["items", (value) => isSubschema(value) || isSchemaList(value)],
]);

/** Holders of several schemas, by name. */
const MAPS: ReadonlySet<string> = new Set(["properties", "patternProperties", "dependencies"]);

interface OpenSchema {
  readonly schema: unknown;
  readonly path: () => readonly string[];
  /** How many schemas it is within, also by references. */
  readonly depth: number;
}

/** Of very many faults not all are found. */
export function faultsOf(
  root: JsonObject,
  { isOutput = true, patterns = verdictsOf(root) } = {},
): readonly SchemaFault[] {
  const faults: SchemaFault[] = [];
  const visited = new Set<JsonObject>();
  const { targetOf, isTaken } = createLookup(root);
  const open: OpenSchema[] = [{ schema: root, path: () => [], depth: 0 }];
  for (let current = open.pop(); current !== undefined; current = open.pop()) {
    const { schema, path, depth } = current;
    if (!isJsonObject(schema) || visited.has(schema)) continue;
    visited.add(schema);
    const report = (keyword: string, reason: string): void =>
      void faults.push({ path: path(), keyword, reason });
    const inner: OpenSchema[] = [];
    const add = (within: unknown, ...keys: readonly string[]): void =>
      void inner.push({ schema: within, path: () => [...path(), ...keys], depth: depth + 1 });
    for (const [keyword, value] of Object.entries(schema)) {
      const isSound = RULES.get(keyword) ?? HOLDERS.get(keyword);
      if (isSound?.(value, schema, patterns) === false)
        report(
          keyword,
          keyword.startsWith("pattern") ? `${keyword} ${BAD_PATTERN}` : `${keyword} is not valid`,
        );
      else if (!HOLDERS.has(keyword)) continue;
      else if (depth >= DEEPEST) report(keyword, `${keyword} is nested too deeply`);
      else if (isJsonObject(value) && !MAPS.has(keyword)) add(value, keyword);
      else for (const [key, within] of Object.entries(value ?? {})) add(within, keyword, key);
    }
    const { $id, $ref } = schema;
    if ($id !== undefined && !isId($id, depth)) report("$id", "$id is not valid here");
    // A client that compiles the schema refuses two of one name; models do not care.
    else if (isOutput && isTaken(schema)) report("$id", "$id is that of another part");
    const target = $ref === undefined ? null : targetOf(schema);
    if (target !== null && depth < DEEPEST)
      inner.push({ schema: target.schema, path: () => target.path, depth: depth + 1 });
    else if ($ref !== undefined) {
      const how = target === null ? "nowhere" : "too deep";
      report("$ref", `$ref ${JSON.stringify($ref)?.slice(0, 100)} leads ${how}`);
    }
    if (faults.length > MOST_OMITTED) break;
    // The first item is taken out first, and everything within it before the next one, in a compiler's order.
    for (let next = inner.pop(); next !== undefined; next = inner.pop()) open.push(next);
  }
  return faults;
}

function isId($id: unknown, depth: number): boolean {
  const isFragment = typeof $id === "string" && $id.startsWith("#") && depth > 0;
  return (
    typeof $id === "string" && !isFragment && (!/^urn:/i.test($id) || /^urn:[a-z0-9][a-z0-9-]*:./i.test($id))
  );
}

interface Target {
  readonly schema: unknown;
  readonly path: readonly string[];
}

/** Resolves references within `root`, by the rules of JSON Schema for `$id` and anchors. Each is resolved once. */
function createLookup(root: JsonObject) {
  let found: ReturnType<typeof namesIn> | null = null;
  // Most schemas have no references.
  const names = (): ReturnType<typeof namesIn> => (found ??= namesIn(root));
  const known = new Map<string, Target | null>();
  /** The schema to which the `$ref` of `schema` leads; null: none, or only to itself. */
  const targetOf = (schema: JsonObject, hops = 0): Target | null => {
    const { $ref } = schema;
    const base = names().bases.get(schema) ?? BASE;
    const url = typeof $ref === "string" ? URL.parse($ref, base) : null;
    const before = url === null ? null : known.get(url.href);
    if (url === null || before !== undefined || hops >= LONGEST_CHAIN) return before ?? null;
    known.set(url.href, null);
    const target = targetAt(names().named, url);
    const inner = target?.schema;
    const isChain = isJsonObject(inner) && inner["$ref"] !== undefined;
    if (isChain && targetOf(inner, hops + 1) === null) return null;
    known.set(url.href, target);
    return target;
  };
  return { targetOf, isTaken: (schema: JsonObject): boolean => names().taken.has(schema) };
}

/** The address of a schema without `$id`. Relative references need one. */
const BASE = "http://schema.invalid/";
/** Their values are not schemas. */
const VALUES: ReadonlySet<string> = new Set(["default", "enum", "const"]);
const LISTS: ReadonlySet<string> = new Set(["items", "allOf", "anyOf", "oneOf"]);

/** Where references lead within `root`: each part with an `$id` or anchor, by its address. */
function namesIn(root: JsonObject) {
  const bases = new Map<JsonObject, string>();
  const named = new Map<string, Target>();
  const taken = new Set<JsonObject>();
  const open = [{ schema: root, base: BASE, path: [] as readonly string[] }];
  named.set(BASE, { schema: root, path: [] });
  for (let current = open.pop(); current !== undefined; current = open.pop()) {
    const { schema, path } = current;
    if (bases.has(schema) || path.length > MOST_NESTED) continue;
    const { $id, $anchor, $dynamicAnchor } = schema;
    const own = typeof $id === "string" && !$id.startsWith("#") ? URL.parse($id, current.base) : null;
    const base = own === null ? current.base : own.href.replace(/#.*$/s, "");
    bases.set(schema, base);
    if (own !== null && named.has(base) && base !== BASE) taken.add(schema);
    if (own !== null) named.set(base, named.get(base) ?? { schema, path });
    for (const anchor of [$anchor, $dynamicAnchor])
      if (typeof anchor === "string") named.set(`${base}#${anchor}`, { schema, path });
    for (const [key, value] of Object.entries(schema)) {
      if (VALUES.has(key)) continue;
      if (isJsonObject(value)) open.push({ schema: value, base, path: [...path, key] });
      else if (LISTS.has(key) && Array.isArray(value))
        for (const [at, one] of value.entries())
          if (isJsonObject(one)) open.push({ schema: one, base, path: [...path, key, String(at)] });
    }
  }
  return { bases, named, taken };
}

function targetAt(named: ReadonlyMap<string, Target>, url: URL): Target | null {
  const fragment = url.hash.slice(1);
  const part = named.get(url.href.replace(/#.*$/s, ""));
  if (fragment !== "" && !fragment.startsWith("/"))
    return named.get(url.href) ?? named.get(decoded(url.href)) ?? null;
  if (part === undefined) return null;
  const inner = fragment === "" ? [] : fragment.slice(1).split("/").map(unescaped);
  const schema = inner.reduce<unknown>(memberOf, part.schema);
  return isSubschema(schema) ? { schema, path: [...part.path, ...inner] } : null;
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
const MOST_OMITTED = 100;
/** A path has up to two members for each schema around it. */
const MOST_NESTED = 400;
/** Of references that lead only to references. */
const LONGEST_CHAIN = 100;
/** Compiling a schema that is nested more deeply overflows the stack of a client. */
const DEEPEST = 200;

/** The tool as clients get it, and what was left out of its schemas. `listed`: as its server lists it. */
export function withSoundSchemas(tool: JsonObject, listed = tool) {
  return soundSchemas(verdictsOf(listed))(tool);
}

const soundSchemas = memoized((patterns: PatternVerdicts) =>
  memoized((tool: JsonObject): { tool: JsonObject; faults: readonly string[] } => {
    const { inputSchema, outputSchema } = tool;
    const faults: string[] = [];
    let sound = tool;
    if (isJsonObject(outputSchema)) {
      const [fault] = faultsOf(outputSchema, { patterns });
      if (fault !== undefined) {
        const { outputSchema: _, ...rest } = sound;
        sound = rest;
        faults.push(`outputSchema is left out: ${fault.reason}${pathText(fault)}`);
      }
    }
    let input = inputSchema;
    for (let round = 0; isJsonObject(input); round++) {
      const found = faultsOf(input, { isOutput: false, patterns });
      if (found.length === 0) break;
      const named = found.slice(0, MOST_OMITTED);
      faults.push(...named.map((fault) => `left out of inputSchema: ${fault.reason}${pathText(fault)}`));
      input = round < MOST_ROUNDS && named.length === found.length ? found.reduce(without, input) : NO_SCHEMA;
    }
    return { tool: input === inputSchema ? sound : { ...sound, inputSchema: input }, faults };
  }),
);

function pathText({ path }: SchemaFault): string {
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
