// A tool's schemas as a TypeScript declaration, for people and models that write scripts. Pure.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** Deeper parts, and what is beyond these numbers, are `unknown`. */
const MOST_LEVELS = 6;
const MOST_MEMBERS = 100;
const MOST_CHOICES = 50;
/** JSON Schema has seven. */
const MOST_TYPES = 7;
/** Of one schema: one that refers to itself has no end. */
const MOST_PARTS = 500;
/** A longer one is not declared: each of its parts may be visited many times. */
const LONGEST_SCHEMA = 64 * 1024;
const LONGEST_COMMENT = 160;
const PLAIN_NAME = /^[A-Za-z_$][\w$]*$/;

/** `tools["name"](args: { … }): Promise<…>`. A tool without an output schema gives its text, or its parts. */
export function declarationOf({ name, inputSchema, outputSchema }: JsonObject): string {
  const given = isJsonObject(inputSchema) ? inputSchema : {};
  const needed = Array.isArray(given["required"]) && given["required"].length > 0;
  const result = isJsonObject(outputSchema) ? typeOf(outputSchema) : "unknown";
  return `tools[${JSON.stringify(name)}](args${needed ? "" : "?"}: ${typeOf({ type: "object", ...given })}): Promise<${result}>`;
}

function typeOf(schema: JsonObject): string {
  const { length } = JSON.stringify(schema);
  return length > LONGEST_SCHEMA ? "unknown" : new SchemaText(schema).text;
}

class SchemaText {
  readonly #root: JsonObject;
  #left = MOST_PARTS;

  constructor(root: JsonObject) {
    this.#root = root;
  }

  get text(): string {
    return this.#of(this.#root, MOST_LEVELS);
  }

  #of(schema: unknown, levels: number): string {
    this.#left -= 1;
    if (!isJsonObject(schema) || levels === 0 || this.#left < 0) return "unknown";
    const { $ref, allOf, ...own } = schema;
    if (typeof $ref === "string") return this.#all([this.#definition($ref), { allOf, ...own }], levels);
    if (Array.isArray(allOf)) return this.#all([...allOf, own], levels);
    const { type, enum: choices, const: only, anyOf, oneOf, properties, items } = own;
    if (only !== undefined) return literal(only);
    if (Array.isArray(choices)) return either(choices.slice(0, MOST_CHOICES).map(literal));
    const each = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : null;
    if (each !== null) return either(each.slice(0, MOST_CHOICES).map((one) => this.#of(one, levels - 1)));
    if (Array.isArray(type)) {
      const types = type.slice(0, MOST_TYPES);
      return either(types.map((one) => this.#of({ ...own, type: one }, levels - 1)));
    }
    switch (type) {
      case "string":
      case "boolean":
      case "null":
        return type;
      case "number":
      case "integer":
        return "number";
      case "array":
        return `Array<${this.#of(items, levels - 1)}>`;
      default:
        return type === "object" || isJsonObject(properties) ? this.#object(own, levels) : "unknown";
    }
  }

  /** What all of these schemas say; those that say nothing are left out. */
  #all(schemas: readonly unknown[], levels: number): string {
    const types = new Set(schemas.slice(0, MOST_CHOICES).map((one) => this.#of(one, levels - 1)));
    types.delete("unknown");
    const isOne = types.size <= 1;
    return (
      [...types].map((type) => (isOne || !type.includes(" | ") ? type : `(${type})`)).join(" & ") || "unknown"
    );
  }

  /** Within the schema itself: `#/$defs/Name`. */
  #definition(reference: string): unknown {
    const [start, ...steps] = reference.split("/");
    let found: unknown = start === "#" ? this.#root : undefined;
    for (const step of steps) {
      const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
      found = isJsonObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
    }
    return found;
  }

  #object({ properties, required, additionalProperties }: JsonObject, levels: number): string {
    const members = isJsonObject(properties) ? Object.entries(properties).slice(0, MOST_MEMBERS) : [];
    const needed = new Set(Array.isArray(required) ? required : []);
    const lines = members.map(([name, schema]) => {
      const key = PLAIN_NAME.test(name) ? name : JSON.stringify(name);
      return `${commentOf(schema)}${key}${needed.has(name) ? "" : "?"}: ${this.#of(schema, levels - 1)}`;
    });
    if (lines.length > 0) return `{ ${lines.join("; ")} }`;
    return additionalProperties === false
      ? "{}"
      : `Record<string, ${this.#of(additionalProperties, levels - 1)}>`;
  }
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

function either(types: readonly string[]): string {
  return types.length === 0 ? "unknown" : [...new Set(types)].join(" | ");
}
