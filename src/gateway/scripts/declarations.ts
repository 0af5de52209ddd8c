// A tool's schemas as a TypeScript declaration, for people and models that write scripts. Pure.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** Deeper parts, and more members of one object, are `unknown`. */
const MOST_LEVELS = 6;
const MOST_MEMBERS = 100;
const MOST_CHOICES = 50;
const LONGEST_COMMENT = 160;
const PLAIN_NAME = /^[A-Za-z_$][\w$]*$/;

/** `tools["name"](args: { … }): Promise<…>`. A tool without an output schema gives its text, or its parts. */
export function declarationOf({ name, inputSchema, outputSchema }: JsonObject): string {
  const given = isJsonObject(inputSchema) ? inputSchema : {};
  const needed = Array.isArray(given["required"]) && given["required"].length > 0;
  const result = isJsonObject(outputSchema) ? typeOf(outputSchema, MOST_LEVELS) : "unknown";
  return `tools[${JSON.stringify(name)}](args${needed ? "" : "?"}: ${typeOf(given, MOST_LEVELS)}): Promise<${result}>`;
}

function typeOf(schema: unknown, levels: number): string {
  if (!isJsonObject(schema) || levels === 0) return "unknown";
  const { type, enum: choices, const: only, anyOf, oneOf, properties, items } = schema;
  if (only !== undefined) return literal(only);
  if (Array.isArray(choices)) return union(choices.slice(0, MOST_CHOICES).map(literal));
  const either = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : null;
  if (either !== null) return union(either.slice(0, MOST_CHOICES).map((one) => typeOf(one, levels - 1)));
  if (Array.isArray(type)) return union(type.map((one) => typeOf({ ...schema, type: one }, levels - 1)));
  switch (type) {
    case "string":
    case "boolean":
    case "null":
      return type;
    case "number":
    case "integer":
      return "number";
    case "array":
      return `Array<${typeOf(items, levels - 1)}>`;
    default:
      return type === "object" || isJsonObject(properties) ? objectType(schema, levels) : "unknown";
  }
}

function objectType({ properties, required, additionalProperties }: JsonObject, levels: number): string {
  const members = isJsonObject(properties) ? Object.entries(properties).slice(0, MOST_MEMBERS) : [];
  const needed = new Set(Array.isArray(required) ? required : []);
  const lines = members.map(([name, schema]) => {
    const key = PLAIN_NAME.test(name) ? name : JSON.stringify(name);
    return `${commentOf(schema)}${key}${needed.has(name) ? "" : "?"}: ${typeOf(schema, levels - 1)}`;
  });
  if (lines.length > 0) return `{ ${lines.join("; ")} }`;
  return additionalProperties === false
    ? "{}"
    : `Record<string, ${typeOf(additionalProperties, levels - 1)}>`;
}

function commentOf(schema: unknown): string {
  const text = isJsonObject(schema) ? schema["description"] : undefined;
  if (typeof text !== "string" || text === "") return "";
  const line = text.slice(0, LONGEST_COMMENT).toWellFormed().replaceAll(/\s+/g, " ").replaceAll("*/", "* /");
  return `/** ${line.trim()} */ `;
}

function literal(value: unknown): string {
  return typeof value === "object" && value !== null ? "unknown" : (JSON.stringify(value) ?? "unknown");
}

function union(types: readonly string[]): string {
  return types.length === 0 ? "unknown" : [...new Set(types)].join(" | ");
}
