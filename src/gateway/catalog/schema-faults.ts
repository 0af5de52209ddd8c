// Finds what keeps a tool's JSON Schema from being compiled. Clients on the official SDK compile each `outputSchema` (with
// ajv 8, not strict) when they list tools, and lose the whole list for one that fails; model APIs refuse a request for an
// input schema that fails. The rules are ajv's; the test compares them with ajv itself. Pure.
import { valueOr } from "../../runtime/errors.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** A keyword that is left out of a schema. `path`: where its subschema is, as members from the root. */
interface Omission {
  readonly path: readonly string[];
  readonly keyword: string;
}

export interface SchemaFault extends Omission {
  readonly reason: string;
}

/** What judging costs. Classes of Unicode are summed over all tools of a page: V8 makes each in some 0.06 ms. */
export interface Work {
  classes: number;
  references: number;
  /** Why the tool is withheld; null: the bounds hold. */
  tooMuch: string | null;
}

export const noWork = (): Work => ({ classes: 0, references: 0, tooMuch: null });

type IsSound = (value: unknown, schema: JsonObject, work: Work) => boolean;

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
  ["pattern", (value, _, work) => isSoundPattern(value, work)],
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

const BAD_PATTERN = `is not valid, or longer than ${TEXT_BOUNDS.pattern.most} characters`;

function isSoundPattern(value: unknown, work: Work): boolean {
  if (typeof value !== "string" || value.length > TEXT_BOUNDS.pattern.most) return false;
  const classes = value.split(/\\p/i).length - 1;
  work.classes += classes;
  if (classes > 0 && work.classes > TEXT_BOUNDS.classes.most) {
    work.tooMuch = TOO_MANY_CLASSES;
    return false;
  }
  try {
    return new RegExp(value, "u") instanceof RegExp;
  } catch {
    return false;
  }
}

/** Keywords with subschemas, by what they hold. */
const HOLDERS: ReadonlyMap<string, IsSound> = new Map([
  ["properties", isSchemaMap],
  ["dependencies", isDependencyMap],
  [
    "patternProperties",
    (value: unknown, _: JsonObject, work: Work) =>
      isSchemaMap(value) && Object.keys(Object(value)).every((key) => isSoundPattern(key, work)),
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

/** Where a subschema is: the member of the one around it; null: the root. */
type Location = { readonly around: Location; readonly key: string; readonly depth: number } | null;

function within(around: Location, key: string): Location {
  return { around, key, depth: (around?.depth ?? 0) + 1 };
}

function pathOf(location: Location): readonly string[] {
  const path: string[] = [];
  for (let at = location; at !== null; at = at.around) path.push(at.key);
  return path.reverse();
}

interface OpenSchema {
  readonly schema: unknown;
  readonly location: Location;
  /** How many schemas it is within, also by references. */
  readonly depth: number;
}

/** Of very many faults not all are found. */
export function faultsOf(root: JsonObject, isOutput = true, work = noWork()): readonly SchemaFault[] {
  const faults: SchemaFault[] = [];
  const visited = new Set<JsonObject>();
  const { targetOf, isTaken } = createLookup(root, work);
  const open: OpenSchema[] = [{ schema: root, location: null, depth: 0 }];
  for (let current = open.pop(); current !== undefined; current = open.pop()) {
    const { schema, location, depth } = current;
    if (!isJsonObject(schema) || visited.has(schema)) continue;
    visited.add(schema);
    const report = (keyword: string, reason: string): void =>
      void faults.push({ path: pathOf(location), keyword, reason });
    const inner: OpenSchema[] = [];
    const add = (part: unknown, at: Location): void =>
      void inner.push({ schema: part, location: at, depth: depth + 1 });
    for (const [keyword, value] of Object.entries(schema)) {
      const isSound = RULES.get(keyword) ?? HOLDERS.get(keyword);
      if (isSound?.(value, schema, work) === false)
        report(
          keyword,
          keyword.startsWith("pattern") ? `${keyword} ${BAD_PATTERN}` : `${keyword} is not valid`,
        );
      else if (!HOLDERS.has(keyword)) continue;
      else if (depth >= DEEPEST) report(keyword, `${keyword} is nested too deeply`);
      else if (isJsonObject(value) && !MAPS.has(keyword)) add(value, within(location, keyword));
      else
        for (const [key, part] of Object.entries(value ?? {}))
          add(part, within(within(location, keyword), key));
    }
    const { $id, $ref } = schema;
    if ($id !== undefined && !isId($id, depth)) report("$id", "$id is not valid here");
    // A client that compiles the schema refuses two of one name; models do not care.
    else if (isOutput && isTaken(schema)) report("$id", "$id is that of another part");
    if ($ref !== undefined) work.references += 1;
    if (work.references > TEXT_BOUNDS.references.most) work.tooMuch = TOO_MANY_REFERENCES;
    if (work.tooMuch !== null) break;
    const target = $ref === undefined ? null : targetOf(schema);
    if (target !== null && depth < DEEPEST) inner.push({ ...target, depth: depth + 1 });
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
  if (typeof $id === "string" && $id.length > TEXT_BOUNDS.schemaId.most) return false;
  const isFragment = typeof $id === "string" && $id.startsWith("#") && depth > 0;
  return (
    typeof $id === "string" && !isFragment && (!/^urn:/i.test($id) || /^urn:[a-z0-9][a-z0-9-]*:./i.test($id))
  );
}

interface Target {
  readonly schema: unknown;
  readonly location: Location;
}

/** A part of a schema with an address: the root, or one with an `$id`. */
interface Base {
  readonly href: string;
  readonly root: Target;
  readonly anchors: Map<string, Target>;
  /** Where the fragments of references lead; null: nowhere, or only to itself. */
  readonly known: Map<string, Target | null>;
}

/** Resolves references within `root`, by the rules of JSON Schema for `$id` and anchors. Each is resolved once. */
function createLookup(root: JsonObject, work: Work) {
  let found: ReturnType<typeof basesIn> | null = null;
  // Most schemas have no references.
  const bases = (): ReturnType<typeof basesIn> => (found ??= basesIn(root, work));
  /** The schema to which the `$ref` of `schema` leads; null: none, or only to itself. */
  const targetOf = (schema: JsonObject, hops = 0): Target | null => {
    const { $ref } = schema;
    if (typeof $ref !== "string" || $ref.length > TEXT_BOUNDS.schemaId.most) return null;
    const { of, byHref, first } = bases();
    const own = of.get(schema) ?? first;
    const isLocal = $ref.startsWith("#");
    const url = isLocal ? null : URL.parse($ref, own.href);
    const base = isLocal ? own : byHref.get(url?.href.replace(/#.*$/s, "") ?? "");
    if (base === undefined) return null;
    const fragment = (isLocal ? $ref : (url?.hash ?? "")).slice(1);
    const before = base.known.get(fragment);
    if (before !== undefined || hops >= LONGEST_CHAIN) return before ?? null;
    base.known.set(fragment, null);
    const target = targetAt(base, fragment);
    const inner = target?.schema;
    const isChain = isJsonObject(inner) && inner["$ref"] !== undefined;
    if (isChain && targetOf(inner, hops + 1) === null) return null;
    base.known.set(fragment, target);
    return target;
  };
  return { targetOf, isTaken: (schema: JsonObject): boolean => bases().taken.has(schema) };
}

/** The address of a schema without `$id`. Relative references need one. */
const BASE = "http://schema.invalid/";
/** Their values are not schemas. */
const VALUES: ReadonlySet<string> = new Set(["default", "enum", "const"]);
const LISTS: ReadonlySet<string> = new Set(["items", "allOf", "anyOf", "oneOf"]);

function baseAt(href: string, schema: JsonObject, location: Location): Base {
  return { href, root: { schema, location }, anchors: new Map(), known: new Map() };
}

/** The parts of `root` with an address, and to which of them each schema belongs. Of too many, not all. */
function basesIn(root: JsonObject, work: Work) {
  const first = baseAt(BASE, root, null);
  const of = new Map<JsonObject, Base>();
  const byHref = new Map([[BASE, first]]);
  const taken = new Set<JsonObject>();
  const open = [{ schema: root, base: first, location: null as Location }];
  for (let current = open.pop(); current !== undefined; current = open.pop()) {
    const { schema, location } = current;
    if (of.has(schema) || (location?.depth ?? 0) > MOST_NESTED) continue;
    const { $id, $anchor, $dynamicAnchor } = schema;
    const isAddress =
      typeof $id === "string" && !$id.startsWith("#") && $id.length <= TEXT_BOUNDS.schemaId.most;
    const href = isAddress ? URL.parse($id, current.base.href)?.href.replace(/#.*$/s, "") : undefined;
    const other = href === undefined ? undefined : byHref.get(href);
    if (other !== undefined && href !== BASE) taken.add(schema);
    const base = href === undefined ? current.base : (other ?? baseAt(href, schema, location));
    byHref.set(base.href, base);
    if (byHref.size > TEXT_BOUNDS.schemaIds.most) {
      work.tooMuch = TOO_MANY_IDS;
      break;
    }
    of.set(schema, base);
    for (const anchor of [$anchor, $dynamicAnchor])
      if (typeof anchor === "string") base.anchors.set(anchor, { schema, location });
    for (const [key, value] of Object.entries(schema)) {
      if (VALUES.has(key)) continue;
      const at = within(location, key);
      if (isJsonObject(value)) open.push({ schema: value, base, location: at });
      else if (LISTS.has(key) && Array.isArray(value))
        for (const [index, one] of value.entries())
          if (isJsonObject(one)) open.push({ schema: one, base, location: within(at, String(index)) });
    }
  }
  return { first, of, byHref, taken };
}

function targetAt({ root, anchors }: Base, fragment: string): Target | null {
  if (fragment !== "" && !fragment.startsWith("/"))
    return anchors.get(fragment) ?? anchors.get(decoded(fragment)) ?? null;
  let { schema, location } = root;
  for (const key of fragment === "" ? [] : fragment.slice(1).split("/").map(unescaped)) {
    schema = memberOf(schema, key);
    location = within(location, key);
  }
  return isSubschema(schema) ? { schema, location } : null;
}

function unescaped(part: string): string {
  return decoded(part).replaceAll("~1", "/").replaceAll("~0", "~");
}

function decoded(part: string): string {
  return valueOr(() => decodeURIComponent(part), part);
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

/** What a tool's schemas need before clients get them. Plain data. */
export interface SchemaVerdict {
  /** Why no client gets the tool; null: it can be used. */
  readonly withheld: string | null;
  readonly faults: readonly string[];
  readonly hasOutput: boolean;
  /** The keywords that the input schema loses; null: all of it. */
  readonly omitted: readonly Omission[] | null;
}

export const SOUND: SchemaVerdict = { withheld: null, faults: [], hasOutput: true, omitted: [] };

export function judgeTool({ inputSchema, outputSchema }: JsonObject, work = noWork()): SchemaVerdict {
  work.references = 0;
  work.tooMuch = null;
  const [outputFault] = isJsonObject(outputSchema) ? faultsOf(outputSchema, true, work) : [];
  const faults = outputFault === undefined ? [] : [`outputSchema is left out: ${faultText(outputFault)}`];
  const omitted: Omission[] = [];
  const verdict = (of: Partial<SchemaVerdict>): SchemaVerdict =>
    faults.length === 0 && of.withheld === undefined
      ? SOUND
      : { ...SOUND, faults, hasOutput: outputFault === undefined, omitted, ...of };
  for (let round = 0; isJsonObject(inputSchema); round++) {
    const found = faultsOf(without(inputSchema, omitted), false, round === 0 ? work : noWork());
    if (work.tooMuch !== null) break;
    if (found.length === 0) break;
    const named = found.slice(0, MOST_OMITTED);
    faults.push(...named.map((fault) => `left out of inputSchema: ${faultText(fault)}`));
    if (round >= MOST_ROUNDS || named.length < found.length) return verdict({ omitted: null });
    omitted.push(...named.map(({ path, keyword }) => ({ path, keyword })));
  }
  return verdict(work.tooMuch === null ? {} : { withheld: work.tooMuch });
}

const TOO_MANY_REFERENCES = `it has more than ${TEXT_BOUNDS.references.most} references`;
const TOO_MANY_IDS = `a schema of it has more than ${TEXT_BOUNDS.schemaIds.most} addresses (\`$id\`)`;
const TOO_MANY_CLASSES = `with the tools before it, its patterns have more than ${TEXT_BOUNDS.classes.most} classes of Unicode`;

/** The tool as clients get it. */
export function soundTool(tool: JsonObject, { hasOutput, omitted }: SchemaVerdict): JsonObject {
  const { outputSchema: _, ...withoutOutput } = tool;
  const { inputSchema } = tool;
  const others = hasOutput ? tool : withoutOutput;
  if (omitted === null) return { ...others, inputSchema: NO_SCHEMA };
  return omitted.length === 0 || !isJsonObject(inputSchema)
    ? others
    : { ...others, inputSchema: without(inputSchema, omitted) };
}

function faultText({ reason, path }: SchemaFault): string {
  return path.length === 0 ? reason : `${reason} (in ${path.join(".")})`;
}

/** A copy of the schema without the keywords. `depth`: how much of their paths leads to it. */
function without(schema: JsonObject, omitted: readonly Omission[], depth = 0): JsonObject {
  if (omitted.length === 0) return schema;
  const own = new Set(omitted.flatMap(({ path, keyword }) => (path.length === depth ? [keyword] : [])));
  const inner = Map.groupBy(omitted, ({ path }) => path[depth] ?? null);
  const partOf = (key: string, value: unknown): unknown => {
    const rest = inner.get(key) ?? [];
    if (rest.length === 0) return value;
    if (isJsonObject(value)) return without(value, rest, depth + 1);
    if (!Array.isArray(value)) return value;
    const byIndex = Map.groupBy(rest, ({ path }) => path[depth + 1] ?? "");
    return value.map((one: unknown, at) =>
      isJsonObject(one) ? without(one, byIndex.get(String(at)) ?? [], depth + 2) : one,
    );
  };
  return Object.fromEntries(
    Object.entries(schema).flatMap(([key, value]) => (own.has(key) ? [] : [[key, partOf(key, value)]])),
  );
}
