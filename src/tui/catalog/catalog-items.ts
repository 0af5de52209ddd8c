// The items of the catalog, indexed for a fast search in thousands of tools. Pure.
import type { CatalogReport } from "../../api/contract/catalog.ts";
import { marksText } from "../../api/words/tool-hints.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import { typedWords } from "../../runtime/text/typed-words.ts";

export type ItemKind = "tool" | "resource" | "template" | "prompt" | "withheld";

export type CatalogItem = ReturnType<typeof itemOf>;

const SUMMARY_LIMIT = 300;
/** Maximum number of searched characters of a description, and of all arguments' names together. */
const SOUGHT_LIMIT = 2_000;

export function catalogItems(report: CatalogReport): readonly CatalogItem[] {
  const { tools, resources, resource_templates, prompts, withheld } = report;
  return [
    ...tools.map((entry) => itemOf("tool", entry, "name")),
    ...prompts.map((entry) => itemOf("prompt", entry, "name")),
    ...resources.map((entry) => itemOf("resource", entry, "uri")),
    ...resource_templates.map((entry) => itemOf("template", entry, "uri_template")),
    ...withheld.map((entry) => itemOf("withheld", { ...entry, description: entry.why }, "name")),
  ];
}

function itemOf(kind: ItemKind, entry: object, nameKey: string) {
  const given: Readonly<Record<string, unknown>> = { ...entry };
  const name = textAt(given, nameKey) || textAt(given, "name");
  const backend = textAt(given, "backend");
  const about = textAt(given, "description") || textAt(given, "title");
  const soughtName = name.toLowerCase();
  const words = [name, backend, textAt(given, "title"), about.slice(0, SOUGHT_LIMIT), argumentNames(given)];
  return {
    /** Unique: kind, backend and name. */
    id: JSON.stringify([kind, backend, name, textAt(given, "kind")]),
    kind,
    /** The name that clients use; for a resource, its URI. */
    name,
    backend,
    /** The first line of the description, shortened; foreign text. */
    summary: about.slice(0, SUMMARY_LIMIT).split("\n", 1)[0] ?? "",
    /** The entry as the gateway lists it. */
    entry: given,
    /** The searched text in lower case, the name first. */
    sought: words.join("\n").toLowerCase(),
    soughtName,
  };
}

function textAt(entry: Readonly<Record<string, unknown>>, name: string): string {
  const value = entry[name];
  return typeof value === "string" ? value : "";
}

function argumentNames(entry: Readonly<Record<string, unknown>>): string {
  const schema = entry["input_schema"];
  const properties = isObject(schema) ? schema["properties"] : null;
  return isObject(properties) ? Object.keys(properties).join(" ").slice(0, SOUGHT_LIMIT) : "";
}

/** The items with every word of the query: first names that begin with it, then names that contain it, then the rest. */
export function searchItems(items: readonly CatalogItem[], query: string): readonly CatalogItem[] {
  const words = typedWords(query);
  const [first] = words;
  if (first === undefined) return items;
  const ranks: CatalogItem[][] = [[], [], []];
  for (const item of items) {
    if (!words.every((word) => item.sought.includes(word))) continue;
    const rank = item.soughtName.startsWith(first)
      ? 0
      : words.every((word) => item.soughtName.includes(word))
        ? 1
        : 2;
    ranks[rank]?.push(item);
  }
  return ranks.flat();
}

export function itemDetails(item: CatalogItem): string {
  const { entry, kind, name, backend } = item;
  const marks = marksText(entry["annotations"]);
  const { input_schema: input, output_schema: output } = entry;
  const rest = Object.entries(entry).filter(([key]) => !KNOWN.has(key));
  return [
    kind === "withheld" ? `${name}  (withheld)` : `${name}  (${kind})`,
    `of ${backend}`,
    ...(textAt(entry, "title") === "" ? [] : [textAt(entry, "title")]),
    ...(marks === null ? [] : [marks]),
    "",
    ...(textAt(entry, "description") === "" ? ["(no description)"] : [textAt(entry, "description")]),
    ...(kind === "tool" ? ["", argumentsText(input)] : []),
    ...(output === undefined ? [] : ["", "Answers with:", pretty(output)]),
    ...(rest.length === 0 ? [] : ["", pretty(Object.fromEntries(rest))]),
  ].join("\n");
}

const KNOWN: ReadonlySet<string> = new Set([
  "name",
  "backend",
  "title",
  "description",
  "input_schema",
  "output_schema",
  "annotations",
]);

/** In characters. */
const SCHEMA_LIMIT = 64 * 1024;

function argumentsText(schema: unknown): string {
  const properties = isObject(schema) && isObject(schema["properties"]) ? schema["properties"] : {};
  const count = Object.keys(properties).length;
  if (count === 0) return "Takes no arguments that it names.";
  return `Takes ${counted(count, "argument")}:\n${pretty(schema)}`;
}

function pretty(value: unknown): string {
  const text = JSON.stringify(value, null, 2) ?? "";
  return text.length > SCHEMA_LIMIT ? `${text.slice(0, SCHEMA_LIMIT)}\n… cut off` : text;
}
