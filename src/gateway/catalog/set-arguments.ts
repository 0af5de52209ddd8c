// Arguments that the configuration sets for a tool: they are in every call, and clients do not see them. Pure.
import { isDeepStrictEqual } from "node:util";
import { valueOr } from "../../runtime/errors.ts";
import { isUnreadable } from "../../runtime/json/large-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { copyOf } from "./copies.ts";

/** Deeper schemas are not searched. */
const MOST_LEVELS = 100;

/** The tool without these arguments in its input schema; a text: why they cannot be set. */
export function withoutArguments(tool: JsonObject, set: JsonObject): JsonObject | string {
  const { inputSchema } = tool;
  const schema = isJsonObject(inputSchema) ? inputSchema : {};
  const properties = isJsonObject(schema["properties"]) ? schema["properties"] : {};
  for (const [name, value] of Object.entries(set)) {
    if (!Object.hasOwn(properties, name)) return `it has no argument \`${name}\``;
    if (!fits(value, properties[name])) return `its argument \`${name}\` does not take the value that is set`;
    if (isUsedElsewhere(name, schema, properties))
      return `its input schema also uses the argument \`${name}\` in another place`;
  }
  return copyOf(tool, `without ${JSON.stringify(set)}`, () => {
    const isShown = (name: unknown): boolean => typeof name !== "string" || !Object.hasOwn(set, name);
    const { required } = schema;
    const shown = Object.fromEntries(Object.entries(properties).filter(([name]) => isShown(name)));
    const needed = Array.isArray(required) ? { required: required.filter(isShown) } : {};
    return { ...tool, inputSchema: { ...schema, properties: shown, ...needed } };
  });
}

/** Compares the value with what the schema says of its type and choices; the server checks the rest. */
function fits(value: unknown, schema: unknown): boolean {
  if (!isJsonObject(schema)) return schema !== false;
  const { type, enum: choices, const: only, anyOf } = schema;
  if (type !== undefined && ![type].flat().some((one) => isOfType(value, one))) return false;
  if (Array.isArray(choices) && !choices.some((one) => isDeepStrictEqual(one, value))) return false;
  if (only !== undefined && !isDeepStrictEqual(only, value)) return false;
  return !Array.isArray(anyOf) || anyOf.some((one) => fits(value, one));
}

function isOfType(value: unknown, type: unknown): boolean {
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isJsonObject(value);
  return type === "integer" ? Number.isInteger(value) : typeof value === type;
}

/** Keywords at the root that name no argument, or only those that are set. */
const OF_ROOT: ReadonlySet<string> = new Set(
  "properties required type title description $schema $id $comment".split(" "),
);
const REFERENCES: ReadonlySet<string> = new Set(["$ref", "$dynamicRef", "$recursiveRef"]);

/** Whether the schema names the argument, or refers to its schema, in any place but `properties` and `required` of the root. */
function isUsedElsewhere(name: string, schema: JsonObject, properties: JsonObject): boolean {
  const others = Object.fromEntries(Object.entries(schema).filter(([key]) => !OF_ROOT.has(key)));
  const { [name]: own, ...siblings } = properties;
  const pointer = `#/properties/${name}`;
  const isToIt = (reference: unknown): boolean => {
    if (typeof reference !== "string") return false;
    const path = decoded(reference);
    return !path.startsWith("#/") || path === pointer || path.startsWith(`${pointer}/`);
  };
  const search = (value: unknown, names: boolean, level: number): boolean => {
    if (level > MOST_LEVELS) return true;
    if (typeof value === "string") return names && value === name;
    if (Array.isArray(value)) return value.some((one) => search(one, names, level + 1));
    if (!isJsonObject(value)) return false;
    return Object.entries(value).some(
      ([key, part]) =>
        (names && key === name) || (REFERENCES.has(key) && isToIt(part)) || search(part, names, level + 1),
    );
  };
  return search(others, true, 0) || search(siblings, false, 0) || search(own, false, 0);
}

/** A reference without the escapes of JSON pointers in URIs; one that cannot be decoded counts as a reference to anything. */
function decoded(reference: string): string {
  return valueOr(() => decodeURIComponent(reference).replaceAll("~1", "/").replaceAll("~0", "~"), "#");
}

/** The params of a call with the arguments that are set and not given. */
export function withArguments(params: JsonObject | undefined, set: JsonObject): JsonObject | undefined {
  const given = params?.["arguments"] ?? {};
  return isJsonObject(given) && !isUnreadable(given)
    ? { ...params, arguments: { ...set, ...given } }
    : params;
}

/** The first argument that is set and has no such value in the call; null: none. */
export function otherArgument(params: JsonObject | undefined, set: JsonObject): string | null {
  const given = params?.["arguments"];
  const isReadable = isJsonObject(given) && !isUnreadable(given);
  const isSet = ([name, value]: [string, unknown]): boolean =>
    isReadable && Object.hasOwn(given, name) && isDeepStrictEqual(given[name], value);
  return Object.entries(set).find((one) => !isSet(one))?.[0] ?? null;
}
