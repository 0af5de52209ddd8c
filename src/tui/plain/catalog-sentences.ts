// The catalog in plain mode: the offers of each backend, and the arguments of a tool. Pure.

import { argumentsField, type FieldKind, type SchemaField } from "../../api/forms/schema-fields.ts";
import { marksText } from "../../api/words/tool-hints.ts";
import { counted, shellCommand, shellWord } from "../../runtime/text/plain-text.ts";
import type { CatalogItem } from "../catalog/catalog-items.ts";

/** Maximum number of items listed; a search finds the others. */
const ITEMS_SAID = 100;

/** Sentences about the found items, backend by backend. `words`: the search; "" without one. */
export function catalogSentences(found: readonly CatalogItem[], words: string): readonly string[] {
  if (found.length === 0)
    return [words === "" ? "nothing is offered yet" : `nothing in the catalog is like ${words}`];
  const backends = Map.groupBy(found.slice(0, ITEMS_SAID), ({ backend }) => backend);
  const said = [...backends].flatMap(([backend, items]) => {
    const offered = found.filter((item) => item.backend === backend);
    return [`backend ${backend}: ${countsOf(offered)}`, ...items.map(itemSentence)];
  });
  const left = found.length - ITEMS_SAID;
  return left <= 0 ? said : [...said, `${left} more; find them by words, as in: catalog read file`];
}

function countsOf(items: readonly CatalogItem[]): string {
  const kinds = Map.groupBy(items, ({ kind }) => kind);
  return [...kinds]
    .map(([kind, { length }]) => (kind === "withheld" ? `${length} withheld` : counted(length, kind)))
    .join(", ");
}

function itemSentence({ kind, name, summary }: CatalogItem): string {
  return summary === "" ? `${kind} ${name}` : `${kind} ${name}: ${summary}`;
}

/** What a call of the tool needs. `isElsewhere`: the daemon is on another machine. */
export function toolSentences(tool: CatalogItem, isElsewhere: boolean): readonly string[] {
  const { name, backend, entry } = tool;
  const { title, description, input_schema: schema } = entry;
  const marks = marksText(entry["annotations"]);
  const root = argumentsField(schema);
  const fields = argumentSentences(root);
  return [
    `tool ${name} of backend ${backend}`,
    ...(typeof title === "string" ? [`title: ${title}`] : []),
    ...(typeof description === "string" ? description.split("\n").map(saidByIt) : ["it has no description"]),
    ...(marks === null ? [] : [marks]),
    ...(fields.length === 0 ? ["it takes no arguments that it names"] : ["its arguments:", ...fields]),
    `to call it, run ${isElsewhere ? "on that machine" : "in a shell"}: ${callCommand(name, root)}`,
  ];
}

function saidByIt(line: string): string {
  return `it says: ${line}`;
}

/** A sentence for each argument; the fields of a group follow it: `owner.name`. */
function argumentSentences({ name, of }: SchemaField, path = name): readonly string[] {
  if (of.kind === "json" && path === "") return [`one JSON object: ${of.why}`];
  if (of.kind !== "group") return [];
  return of.fields.flatMap((field) => {
    const own = path === "" ? field.name : `${path}.${field.name}`;
    return [fieldSentence(field, own), ...argumentSentences(insideOf(field), own)];
  });
}

/** The field whose inner fields are listed: for a list its innermost item, else the field itself. */
function insideOf(field: SchemaField): SchemaField {
  return field.of.kind === "list" ? insideOf(field.of.item) : field;
}

function fieldSentence({ about, isRequired, byDefault, of }: SchemaField, path: string): string {
  const facts = [
    path,
    kindText(of),
    isRequired ? "required" : "optional",
    ...(byDefault === undefined ? [] : [`${JSON.stringify(byDefault)} when left out`]),
  ].join(", ");
  return about === "" ? facts : `${facts}: ${about.split("\n", 1)[0]}`;
}

function kindText(of: FieldKind): string {
  switch (of.kind) {
    case "text":
      return "text";
    case "number":
      return [
        of.isWhole ? "whole number" : "number",
        ...(of.above === null ? [] : [`${of.above.isAllowed ? "at least" : "above"} ${of.above.value}`]),
        ...(of.below === null ? [] : [`${of.below.isAllowed ? "at most" : "below"} ${of.below.value}`]),
      ].join(", ");
    case "flag":
      return "true or false";
    case "choice":
      return `one of ${of.choices.map((choice) => JSON.stringify(choice)).join(" ")}`;
    case "list":
      return `list, each ${kindText(of.item.of)}`;
    case "group":
      return "object with fields of its own";
    case "json":
      return `JSON, as ${of.why}`;
  }
}

function callCommand(name: string, { of }: SchemaField): string {
  const needed = of.kind === "group" ? of.fields.filter(({ isRequired }) => isRequired) : [];
  const json = `{${needed.map((field) => `${JSON.stringify(field.name)}: …`).join(", ")}}`;
  const command = shellCommand`mountaineer call ${name}`;
  return needed.length === 0 ? command : `${command} ${shellWord(json)}`;
}
