// What `find_tool` answers: as much of each tool as there is room for, the best first.
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

/** Of the whole answer: 4,000 tokens or fewer, as a token has three bytes or more in any script. */
const MOST_BYTES = 12_000;
const SHORT_DESCRIPTION = 200;
const LONG_DESCRIPTION = 1_500;
const LONGEST_NAME = 256;
const MOST_LEVELS = 20;
/** Of a schema that is looked into at all: none that is larger gets much shorter. */
const LARGEST_SCHEMA = 64 * 1024;

interface Shown {
  readonly name: string;
  readonly description?: string;
  readonly inputSchema?: unknown;
  readonly note?: string;
}

/** JSON, or a sentence when there is nothing. */
export function foundText(tools: readonly JsonObject[], query: string, all: number): string {
  if (tools.length === 0) {
    return `No tool fits ${JSON.stringify(query)}. Say in other words what it is to do, or name the product it belongs to; ${all} tools can be found here.`;
  }
  const shown = tools.map((tool) => short(tool));
  let left = MOST_BYTES - sizeOf(shown);
  // All have a name; what is known beyond that comes first to the best.
  for (const [index, tool] of tools.entries()) {
    const before = shown[index];
    if (before === undefined) continue;
    const fuller = fullerForms(tool).find((form) => sizeOf(form) - sizeOf(before) <= left);
    if (fuller === undefined) continue;
    left -= sizeOf(fuller) - sizeOf(before);
    shown[index] = fuller;
  }
  return JSON.stringify({ tools: shown });
}

/** From all that is said of it to less. */
function fullerForms(tool: JsonObject): readonly Shown[] {
  const { inputSchema } = tool;
  const named = { ...described(tool, SHORT_DESCRIPTION), note: `takes ${argumentNames(inputSchema)}` };
  if (lengthOf(inputSchema) > LARGEST_SCHEMA) return [named];
  const long = described(tool, LONG_DESCRIPTION);
  const slim = { ...described(tool, SHORT_DESCRIPTION), inputSchema: withoutTexts(inputSchema, MOST_LEVELS) };
  return [
    { ...long, inputSchema },
    { ...described(tool, SHORT_DESCRIPTION), inputSchema },
    { ...slim, note: "the schema's texts are left out: ask for this name alone to see more" },
    named,
  ];
}

function short(tool: JsonObject): Shown {
  return { ...described(tool, SHORT_DESCRIPTION), note: "no room for its schema: ask for this name alone" };
}

function described({ name, description }: JsonObject, most: number): Shown {
  const named = { name: typeof name === "string" ? name.slice(0, LONGEST_NAME) : "" };
  if (typeof description !== "string" || description === "") return named;
  return {
    ...named,
    description: description.length > most ? `${description.slice(0, most)}…` : description,
  };
}

function argumentNames(schema: unknown): string {
  const properties = isJsonObject(schema) ? schema["properties"] : undefined;
  const names = isJsonObject(properties) ? Object.keys(properties) : [];
  return names.length === 0 ? "no arguments" : names.slice(0, 40).join(", ");
}

/** A schema without descriptions, examples and titles. */
function withoutTexts(schema: unknown, levels: number): unknown {
  if (levels === 0) return {};
  if (Array.isArray(schema)) return schema.map((part) => withoutTexts(part, levels - 1));
  if (!isJsonObject(schema)) return schema;
  const kept = Object.entries(schema).flatMap(([key, part]) => {
    const isText =
      typeof part === "string" && (key === "description" || key === "title" || key === "$comment");
    return isText || (key === "examples" && Array.isArray(part))
      ? []
      : [[key, withoutTexts(part, levels - 1)] as const];
  });
  return Object.fromEntries(kept);
}

// Definitions are the servers' own objects and outlive catalogs: each schema is measured once.
const lengths = new WeakMap<JsonObject, number>();

/** Characters of it as JSON. */
function lengthOf(schema: unknown): number {
  if (!isJsonObject(schema)) return 0;
  const known = lengths.get(schema);
  if (known !== undefined) return known;
  const made = JSON.stringify(schema).length;
  lengths.set(schema, made);
  return made;
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? "");
}
