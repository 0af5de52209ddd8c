// From a tool's JSON Schema to the fields of a form, and from what was typed to arguments. Pure. What no field can show
// is typed as JSON, and a schema that is too large is one JSON field as a whole.
import { isObject, objectOf } from "../../../runtime/text/json-object.ts";

const DEEPEST = 4;
const MOST_FIELDS = 120;
const MOST_CHOICES = 200;

interface FieldBase {
  /** Its place from the root, as in `filter.0.name`; unique in the form. */
  readonly path: string;
  readonly label: string;
  readonly description: string | null;
  readonly required: boolean;
}

export type FormField =
  | (FieldBase & { readonly kind: "text"; readonly long: boolean; readonly pattern: RegExp | null })
  | (FieldBase & {
      readonly kind: "number";
      readonly whole: boolean;
      readonly min: number | null;
      readonly max: number | null;
    })
  | (FieldBase & { readonly kind: "flag" })
  | (FieldBase & { readonly kind: "choice"; readonly choices: readonly unknown[] })
  | (FieldBase & { readonly kind: "group"; readonly fields: readonly FormField[] })
  /** `item` makes the field of the item at an index. */
  | (FieldBase & {
      readonly kind: "list";
      readonly most: number;
      readonly item: (index: number) => FormField;
    })
  /** Anything: typed as JSON. `why` says what no field could show. */
  | (FieldBase & { readonly kind: "json"; readonly why: string });

/** What was typed, by path; absent: left alone. Of a list its path has the number of its items, of a choice its JSON. */
export type Draft = Readonly<Record<string, string>>;

interface Plan {
  /** The schema's root, in which `$ref` is looked up. */
  readonly root: Readonly<Record<string, unknown>>;
  left: number;
}

/** The form of a tool's arguments. */
export function formOf(schema: Readonly<Record<string, unknown>>): FormField {
  const base = { path: "", label: "Arguments", description: null, required: true };
  const plan: Plan = { root: schema, left: MOST_FIELDS };
  const field = fieldOf({ type: "object", ...schema }, base, 0, plan);
  return plan.left < 0 ? { ...base, kind: "json", why: "its schema has too many fields for a form" } : field;
}

function fieldOf(given: unknown, base: FieldBase, depth: number, plan: Plan): FormField {
  plan.left -= 1;
  const json = (why: string): FormField => ({ ...base, kind: "json", why });
  if (plan.left < 0) return json("the schema is too large");
  const schema = plainSchema(given, plan.root);
  if (schema === null) return json("any of several kinds of value");
  const described = { ...base, description: textOrNull(schema["description"]) ?? base.description };
  if (Array.isArray(schema["enum"])) {
    const choices = schema["enum"].slice(0, MOST_CHOICES);
    return schema["enum"].length > MOST_CHOICES
      ? { ...described, kind: "json", why: `one of ${schema["enum"].length} values` }
      : { ...described, kind: "choice", choices };
  }
  if (Object.hasOwn(schema, "const")) return { ...described, kind: "choice", choices: [schema["const"]] };
  switch (schema["type"]) {
    case "string":
      return {
        ...described,
        kind: "text",
        long: numberOrNull(schema["maxLength"]) === null || Number(schema["maxLength"]) > 200,
        pattern: patternOf(schema["pattern"]),
      };
    case "number":
    case "integer":
      return {
        ...described,
        kind: "number",
        whole: schema["type"] === "integer",
        min: numberOrNull(schema["minimum"]),
        max: numberOrNull(schema["maximum"]),
      };
    case "boolean":
      return { ...described, kind: "flag" };
    case "object":
      return groupOf(schema, described, depth, plan);
    case "array":
      return listOf(schema, described, depth, plan);
    default:
      return { ...described, kind: "json", why: "any value" };
  }
}

function groupOf(
  schema: Readonly<Record<string, unknown>>,
  base: FieldBase,
  depth: number,
  plan: Plan,
): FormField {
  const properties = objectOf(schema["properties"]);
  const names = Object.keys(properties);
  if (names.length === 0 && (depth > 0 || schema["additionalProperties"] === true))
    return { ...base, kind: "json", why: "an object with names of its own" };
  if (depth >= DEEPEST) return { ...base, kind: "json", why: "an object, deeper than a form shows" };
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return {
    ...base,
    kind: "group",
    fields: names.map((name) =>
      fieldOf(
        properties[name],
        {
          path: joined(base.path, name),
          label: name,
          description: null,
          required: required.includes(name),
        },
        depth + 1,
        plan,
      ),
    ),
  };
}

function listOf(
  schema: Readonly<Record<string, unknown>>,
  base: FieldBase,
  depth: number,
  plan: Plan,
): FormField {
  const { items } = schema;
  if (depth >= DEEPEST || !isObject(items) || Array.isArray(schema["prefixItems"]))
    return { ...base, kind: "json", why: "a list of any values" };
  // Counted once: each further item is a wish of the person who adds it.
  fieldOf(items, { ...base, path: joined(base.path, "0") }, depth + 1, plan);
  const most = Math.min(numberOrNull(schema["maxItems"]) ?? 100, 100);
  return {
    ...base,
    kind: "list",
    most,
    item: (index) =>
      fieldOf(
        items,
        {
          path: joined(base.path, String(index)),
          label: `${base.label} ${index + 1}`,
          description: null,
          required: true,
        },
        depth + 1,
        { root: plan.root, left: MOST_FIELDS },
      ),
  };
}

/** The schema without its local references, and without "or null"; null: several kinds, or a reference elsewhere. */
function plainSchema(
  given: unknown,
  root: Readonly<Record<string, unknown>>,
  followed = 0,
): Readonly<Record<string, unknown>> | null {
  if (!isObject(given)) return given === true || given === undefined ? {} : null;
  const schema = objectOf(given);
  const reference = schema["$ref"];
  if (typeof reference === "string") {
    if (followed > 8 || !reference.startsWith("#/")) return null;
    const target = reference
      .slice(2)
      .split("/")
      .reduce<unknown>((at, part) => objectOf(at)[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    const found = plainSchema(target, root, followed + 1);
    return found === null ? null : { ...found, ...withoutReference(schema) };
  }
  for (const word of ["anyOf", "oneOf"]) {
    const branches = schema[word];
    if (!Array.isArray(branches)) continue;
    const real = branches.filter((branch) => objectOf(branch)["type"] !== "null");
    if (real.length !== 1) return null;
    const found = plainSchema(real[0], root, followed + 1);
    return found === null ? null : { ...found, ...pick(schema, ["description", "default"]) };
  }
  if (Array.isArray(schema["allOf"])) return null;
  if (Array.isArray(schema["type"])) {
    const types = schema["type"].filter((type) => type !== "null");
    return types.length === 1 ? { ...schema, type: types[0] } : null;
  }
  return schema;
}

function withoutReference(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { $ref: _, ...rest } = schema;
  return rest;
}

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    names.filter((name) => Object.hasOwn(from, name)).map((name) => [name, from[name]]),
  );
}

function joined(path: string, name: string): string {
  // A dot in a name must not look like a step.
  const step = name.replaceAll("~", "~0").replaceAll(".", "~1");
  return path === "" ? step : `${path}.${step}`;
}

function patternOf(value: unknown): RegExp | null {
  if (typeof value !== "string" || value.length > 200) return null;
  try {
    return new RegExp(value, "u");
  } catch {
    // The server's own dialect: it checks by itself.
    return null;
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export interface FormMistake {
  readonly path: string;
  readonly text: string;
}

export interface Filled {
  /** Undefined: the field is left out. */
  readonly value: unknown;
  readonly mistakes: readonly FormMistake[];
}

/** The arguments that were typed, and what is wrong with them. */
export function filledFrom(field: FormField, draft: Draft): Filled {
  const typed = draft[field.path];
  const nothing = (typed ?? "") === "";
  const wrong = (text: string): Filled => ({ value: undefined, mistakes: [{ path: field.path, text }] });
  const right = (value: unknown): Filled => ({ value, mistakes: [] });
  switch (field.kind) {
    case "text": {
      if (nothing) return right(field.required ? "" : undefined);
      const fits = field.pattern === null || field.pattern.test(typed ?? "");
      return fits ? right(typed) : wrong(`does not have the form ${field.pattern?.source}`);
    }
    case "number": {
      if (nothing) return field.required ? wrong("needs a number") : right(undefined);
      const value = Number(typed);
      if (!Number.isFinite(value)) return wrong("is not a number");
      if (field.whole && !Number.isInteger(value)) return wrong("must be a whole number");
      if (field.min !== null && value < field.min) return wrong(`must be at least ${field.min}`);
      if (field.max !== null && value > field.max) return wrong(`must be at most ${field.max}`);
      return right(value);
    }
    case "flag":
      if (nothing) return field.required ? right(false) : right(undefined);
      return right(typed === "true");
    case "choice": {
      if (nothing) return field.required ? wrong("choose one") : right(undefined);
      // By what it says: its place may be another one's after a change of the schema.
      const chosen = field.choices.find((choice) => JSON.stringify(choice) === typed);
      return chosen === undefined ? wrong("choose one of those there are") : right(chosen);
    }
    case "json": {
      if (nothing) return field.required ? wrong("needs a value, as JSON") : right(undefined);
      try {
        return right(JSON.parse(typed ?? ""));
      } catch {
        return wrong("is not JSON");
      }
    }
    case "group":
      return groupValue(field, draft);
    case "list": {
      const count = Number(typed ?? 0);
      if (count === 0 && !field.required) return right(undefined);
      const items = Array.from({ length: count }, (_, index) => filledFrom(field.item(index), draft));
      return {
        value: items.map(({ value }) => value),
        mistakes: items.flatMap(({ mistakes }) => mistakes),
      };
    }
  }
}

function groupValue(field: FormField & { kind: "group" }, draft: Draft): Filled {
  const filled = field.fields.map((inner) => ({ inner, ...filledFrom(inner, draft) }));
  const given = filled.filter(({ value }) => value !== undefined);
  const isRoot = field.path === "";
  // Of a group that may be left out, empty fields are no mistake.
  const isTouched = Object.keys(draft).some(
    (path) => path.startsWith(`${field.path}.`) && draft[path] !== "",
  );
  if (!isRoot && !field.required && !isTouched) return { value: undefined, mistakes: [] };
  return {
    value: Object.fromEntries(given.map(({ inner, value }) => [inner.label, value])),
    mistakes: filled.flatMap(({ mistakes }) => mistakes),
  };
}
