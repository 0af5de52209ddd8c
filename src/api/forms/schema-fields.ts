// The fields of a form, made from a tool's JSON Schema. A part that a form cannot express becomes one field
// of JSON. Pure.
import { valueOr } from "../../runtime/errors.ts";
import { isObject } from "../../runtime/text/json-object.ts";

/** A JSON Schema, or a part of one, as a server sent it. */
type Schema = Readonly<Record<string, unknown>>;

export type FieldKind =
  | { readonly kind: "text"; readonly least: number; readonly most: number }
  | {
      readonly kind: "number";
      readonly isWhole: boolean;
      readonly above: Bound | null;
      readonly below: Bound | null;
    }
  | { readonly kind: "flag" }
  /** JSON values. */
  | { readonly kind: "choice"; readonly choices: readonly unknown[] }
  | { readonly kind: "list"; readonly item: SchemaField; readonly least: number; readonly most: number }
  | { readonly kind: "group"; readonly fields: readonly SchemaField[] }
  /** `why`: the reason, shown to people, for editing the field as JSON. */
  | { readonly kind: "json"; readonly why: string };

export interface Bound {
  readonly value: number;
  readonly isAllowed: boolean;
}

export interface SchemaField {
  /** The property's name; "" for the item of a list. */
  readonly name: string;
  /** The schema's title, foreign text; absent if it has none. */
  readonly title?: string;
  /** The schema's description, foreign text; "" without one. */
  readonly about: string;
  readonly isRequired: boolean;
  /** Null is allowed: a required field that is not set is sent as null. */
  readonly isNullable: boolean;
  /** The schema's default value; absent if it has none. */
  readonly byDefault?: unknown;
  /** The schema's first example, foreign text; absent if it has none that is a text or a number. */
  readonly example?: string;
  readonly of: FieldKind;
}

/** Limit for the whole form; larger schemas are edited as JSON. */
const FIELD_LIMIT = 200;
const DEPTH_LIMIT = 5;
const CHOICE_LIMIT = 200;
/** Limit for a chain of references. */
const REFERENCE_LIMIT = 20;
/** Keywords that a form cannot express. */
const BEYOND = [
  "oneOf",
  "anyOf",
  "allOf",
  "not",
  "if",
  "patternProperties",
  "dependentSchemas",
  "$dynamicRef",
];

interface Building {
  readonly root: Schema;
  /** How many more fields the form may have. */
  left: number;
}

/** The field for a tool's arguments: a group, or JSON if a form cannot express them. */
export function argumentsField(inputSchema: unknown): SchemaField {
  const root = isObject(inputSchema) ? inputSchema : {};
  const building: Building = { root, left: FIELD_LIMIT };
  const field = fieldOf("", root, true, { building, depth: 0, open: new Set() });
  if (building.left < 0) return asJson(field, `it has more than ${FIELD_LIMIT} fields`);
  if (field.of.kind === "group" || field.of.kind === "json") return field;
  return asJson(field, "its arguments are not an object");
}

interface Context {
  readonly building: Building;
  readonly depth: number;
  /** The references that led to this place; a reference to one of them is a cycle. */
  readonly open: ReadonlySet<string>;
}

function fieldOf(name: string, given: unknown, isRequired: boolean, context: Context): SchemaField {
  context.building.left -= 1;
  const { schema, open, fault } = resolved(given, context);
  const { schema: plain, isNullable } = withoutNull(schema);
  const inner = fault === null ? resolved(plain, { ...context, open }) : { schema: plain, open, fault };
  const outer = isObject(given) ? given : {};
  const byDefault = [outer, schema, inner.schema].find((each) => Object.hasOwn(each, "default"));
  const about = [outer, schema, inner.schema].map(aboutOf).find((each) => each !== "") ?? "";
  const { title, examples } = outer;
  const [example] = Array.isArray(examples) ? examples : [];
  const isShort = (typeof example === "string" && example !== "") || typeof example === "number";
  const base = {
    ...{ name, about, isRequired, isNullable },
    ...(typeof title === "string" && { title }),
    ...(isShort && { example: String(example) }),
  };
  const of: FieldKind =
    inner.fault === null
      ? kindOf(inner.schema, { ...context, open: inner.open })
      : { kind: "json", why: inner.fault };
  return byDefault === undefined ? { ...base, of } : { ...base, byDefault: byDefault["default"], of };
}

/** The same field, edited as JSON text. `why`: the reason, for people. */
export function asJson(field: SchemaField, why: string): SchemaField {
  return { ...field, of: { kind: "json", why } };
}

function aboutOf(schema: Schema): string {
  const { title, description } = schema;
  return typeof description === "string" ? description : typeof title === "string" ? title : "";
}

interface Resolved {
  readonly schema: Schema;
  readonly open: ReadonlySet<string>;
  readonly fault: string | null;
}

/** Follows references within the document. */
function resolved(given: unknown, { building, open }: Context): Resolved {
  let schema: Schema = isObject(given) ? given : {};
  const followed = new Set(open);
  for (let step = 0; step < REFERENCE_LIMIT; step += 1) {
    const reference = schema["$ref"];
    if (typeof reference !== "string") return { schema, open: followed, fault: null };
    if (followed.has(reference)) return { schema: {}, open: followed, fault: "it contains itself" };
    const target = pointed(building.root, reference);
    if (target === null) return { schema: {}, open: followed, fault: "it refers to something elsewhere" };
    followed.add(reference);
    const { $ref: _, ...own } = schema;
    schema = { ...target, ...own };
  }
  return { schema: {}, open: followed, fault: "it refers too far" };
}

/** Resolves `#/$defs/name`; null if the target does not exist, or is in another document. */
function pointed(root: Schema, reference: string): Schema | null {
  if (reference === "#") return root;
  if (!reference.startsWith("#/")) return null;
  let at: unknown = root;
  for (const part of reference.slice(2).split("/")) {
    const name = valueOr(() => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"), null);
    if (name === null || !isObject(at) || !Object.hasOwn(at, name)) return null;
    at = at[name];
  }
  return isObject(at) ? at : null;
}

/** Reads `anyOf: [X, null]` and `type: [X, "null"]` as a nullable X. */
function withoutNull(schema: Schema): { readonly schema: Schema; readonly isNullable: boolean } {
  const { type } = schema;
  if (Array.isArray(type)) {
    const types = type.filter((each) => each !== "null");
    const only = types.length === 1 ? types[0] : types;
    return { schema: { ...schema, type: only }, isNullable: types.length < type.length };
  }
  for (const key of ["anyOf", "oneOf"]) {
    const branches = schema[key];
    if (!Array.isArray(branches)) continue;
    const others = branches.filter((each) => !(isObject(each) && each["type"] === "null"));
    const [only] = others;
    const isNullable = others.length < branches.length;
    const { [key]: _, ...own } = schema;
    if (others.length === 1 && isObject(only)) return { schema: { ...only, ...own }, isNullable };
    const choices = constants(others);
    if (choices !== null) return { schema: { ...own, enum: choices }, isNullable };
    return { schema: { ...schema, [key]: others }, isNullable };
  }
  const all = schema["allOf"];
  if (Array.isArray(all) && all.length === 1 && isObject(all[0])) {
    const { allOf: _, ...own } = schema;
    return { schema: { ...all[0], ...own }, isNullable: false };
  }
  return { schema, isNullable: false };
}

function constants(choices: readonly unknown[]): readonly unknown[] | null {
  if (choices.length === 0 || !choices.every((choice) => isObject(choice) && Object.hasOwn(choice, "const")))
    return null;
  return choices.map((choice) => (isObject(choice) ? choice["const"] : null));
}

function kindOf(schema: Schema, context: Context): FieldKind {
  if (Object.hasOwn(schema, "const")) return { kind: "choice", choices: [schema["const"]] };
  const choices = schema["enum"];
  if (Array.isArray(choices) && choices.length > 0) {
    const known = choices.filter((each) => each !== null);
    return choices.length > CHOICE_LIMIT
      ? { kind: "json", why: `it has more than ${CHOICE_LIMIT} choices` }
      : { kind: "choice", choices: known.length === 0 ? choices : known };
  }
  const beyond = BEYOND.find((key) => Object.hasOwn(schema, key));
  if (beyond !== undefined) return { kind: "json", why: `its schema has ${beyond}` };
  switch (typeOf(schema)) {
    case "string":
      return { kind: "text", least: numberAt(schema, "minLength", 0), most: numberAt(schema, "maxLength") };
    case "integer":
    case "number":
      return {
        kind: "number",
        isWhole: schema["type"] === "integer",
        above: boundOf(schema, "minimum", "exclusiveMinimum", Math.max),
        below: boundOf(schema, "maximum", "exclusiveMaximum", Math.min),
      };
    case "boolean":
      return { kind: "flag" };
    case "array":
      return listOf(schema, context);
    case "object":
      return groupOf(schema, context);
    default:
      return { kind: "json", why: "its schema names no single type" };
  }
}

function typeOf(schema: Schema): unknown {
  if (schema["type"] !== undefined) return schema["type"];
  if (isObject(schema["properties"])) return "object";
  return isObject(schema["items"]) ? "array" : undefined;
}

function listOf(schema: Schema, context: Context): FieldKind {
  const { items } = schema;
  if (Object.hasOwn(schema, "prefixItems") || !isObject(items))
    return { kind: "json", why: "its items are not all of one kind" };
  if (context.depth >= DEPTH_LIMIT) return { kind: "json", why: "it is nested too deeply" };
  const item = fieldOf("", items, true, { ...context, depth: context.depth + 1 });
  return { kind: "list", item, least: numberAt(schema, "minItems", 0), most: numberAt(schema, "maxItems") };
}

function groupOf(schema: Schema, context: Context): FieldKind {
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const names = Object.keys(properties);
  const isOpen = schema["additionalProperties"] !== undefined && schema["additionalProperties"] !== false;
  if (names.length === 0 && (isOpen || context.depth > 0))
    return { kind: "json", why: "its schema names no fields" };
  if (context.depth >= DEPTH_LIMIT) return { kind: "json", why: "it is nested too deeply" };
  if (names.length > context.building.left) {
    context.building.left = -1;
    return { kind: "json", why: `it has more than ${FIELD_LIMIT} fields` };
  }
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const fields = names.map((name) =>
    fieldOf(name, properties[name], required.includes(name), { ...context, depth: context.depth + 1 }),
  );
  return { kind: "group", fields };
}

function numberAt(schema: Schema, name: string, otherwise = Number.POSITIVE_INFINITY): number {
  const value = schema[name];
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : otherwise;
}

/**
 * The stricter of an inclusive and an exclusive bound. In draft 4 of JSON Schema the exclusive bound is a boolean:
 * true makes the inclusive bound exclusive.
 */
function boundOf(
  schema: Schema,
  inclusive: string,
  exclusive: string,
  stricter: (...values: number[]) => number,
): Bound | null {
  const allowed = schema[inclusive];
  const excluded = schema[exclusive];
  const isNumber = typeof allowed === "number" && Number.isFinite(allowed);
  if (excluded === true) return isNumber ? { value: allowed, isAllowed: false } : null;
  if (typeof excluded !== "number" || !Number.isFinite(excluded))
    return isNumber ? { value: allowed, isAllowed: true } : null;
  if (isNumber && allowed !== excluded && stricter(allowed, excluded) === allowed)
    return { value: allowed, isAllowed: true };
  return { value: excluded, isAllowed: false };
}
