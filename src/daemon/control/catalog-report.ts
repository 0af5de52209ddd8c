// The catalog for the management API, limited in size.
import type {
  CatalogPrompt,
  CatalogReport,
  CatalogResource,
  CatalogTemplate,
  CatalogTool,
} from "../../api/contract/catalog.ts";
import type { Catalog, CatalogEntry } from "../../gateway/catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../../gateway/json-rpc.ts";
import { shortened } from "../../runtime/text/safe-line.ts";

/** Maximum length of a definition that is shown whole, in characters of JSON; a longer one is shortened. */
export const MOST_OF_ENTRY = 256 * 1024;
/** Maximum length of all definitions that are shown whole, in characters; later ones are shortened. */
const MOST_WHOLE = 4 * 1024 * 1024;
/** Maximum length of all shortened entries, in characters; later ones are left out. */
const MOST_CUT = 2 * 1024 * 1024;
export const MOST_WITHHELD = 2_000;
const CUT_TEXT = 200;

/** Reports entries as clients get them; invisible characters are already removed from their texts. */
export function catalogReport(catalog: Catalog, withheld: CatalogReport["withheld"]): CatalogReport {
  const budget = { whole: MOST_WHOLE, cut: MOST_CUT };
  const tools = fitting(catalog.tools, toolOf, budget);
  const resources = fitting(catalog.resources, resourceOf, budget);
  const templates = fitting(catalog.templates, templateOf, budget);
  const prompts = fitting(catalog.prompts, promptOf, budget);
  const omitted = {
    tools: catalog.tools.size - tools.length,
    resources: catalog.resources.size - resources.length,
    resource_templates: catalog.templates.size - templates.length,
    prompts: catalog.prompts.size - prompts.length,
    withheld: Math.max(0, withheld.length - MOST_WITHHELD),
  };
  return {
    tools,
    resources,
    resource_templates: templates,
    prompts,
    withheld: withheld
      .slice(0, MOST_WITHHELD)
      .map((one) => ({ ...one, name: shortened(one.name, CUT_TEXT) })),
    left_out: Object.values(omitted).some((count) => count > 0) ? omitted : null,
  };
}

/** How many characters may still be used for whole and for shortened definitions. */
interface Budget {
  whole: number;
  cut: number;
}

function fitting<Shown extends { cut?: boolean }>(
  entries: ReadonlyMap<string, CatalogEntry>,
  show: (entry: CatalogEntry, definition: JsonObject) => Shown,
  budget: Budget,
): Shown[] {
  const shown: Shown[] = [];
  for (const entry of entries.values()) {
    const { definition } = entry;
    const size = budget.whole > 0 ? sizeOf(definition) : Number.POSITIVE_INFINITY;
    if (size <= Math.min(MOST_OF_ENTRY, budget.whole)) {
      budget.whole -= size;
      shown.push(show(entry, definition));
      continue;
    }
    const small = { ...show(entry, cutShort(definition)), cut: true };
    budget.cut -= JSON.stringify(small).length;
    if (budget.cut >= 0) shown.push(small);
  }
  return shown;
}

// Definitions are the servers' own objects, which outlive catalogs, so each is measured once.
const sizes = new WeakMap<JsonObject, number>();

function sizeOf(definition: JsonObject): number {
  const known = sizes.get(definition);
  if (known !== undefined) return known;
  const size = JSON.stringify(definition).length;
  sizes.set(definition, size);
  return size;
}

/** A shortened definition: its names, and the beginnings of its texts. */
function cutShort({ name, title, description, mimeType }: JsonObject): JsonObject {
  const short = (value: unknown): unknown => (typeof value === "string" ? shortened(value, CUT_TEXT) : value);
  return { name, title: short(title), description: short(description), mimeType: short(mimeType) };
}

function toolOf(
  { name, originalName, backend, setArguments }: CatalogEntry,
  definition: JsonObject,
): CatalogTool {
  const { inputSchema, outputSchema, annotations } = definition;
  return {
    name,
    original_name: originalName,
    backend,
    ...titlesOf(definition, isJsonObject(annotations) ? annotations["title"] : undefined),
    input_schema: isJsonObject(inputSchema) ? { ...inputSchema } : {},
    ...(isJsonObject(outputSchema) ? { output_schema: { ...outputSchema } } : {}),
    ...(isJsonObject(annotations) ? { annotations: { ...annotations } } : {}),
    ...(setArguments === undefined ? {} : { set_arguments: { ...setArguments } }),
  };
}

function resourceOf(entry: CatalogEntry, definition: JsonObject): CatalogResource {
  const { size } = definition;
  return {
    uri: entry.name,
    ...readableOf(entry, definition),
    ...(typeof size === "number" ? { size } : {}),
  };
}

function templateOf(entry: CatalogEntry, definition: JsonObject): CatalogTemplate {
  return { uri_template: entry.name, ...readableOf(entry, definition) };
}

/** The members that resources and templates have in common. */
function readableOf({ name: uri, backend }: CatalogEntry, definition: JsonObject) {
  const { mimeType: mime_type } = definition;
  return { name: uri, ...textsIn({ name: definition["name"], mime_type }), backend, ...titlesOf(definition) };
}

function promptOf({ name, originalName, backend }: CatalogEntry, definition: JsonObject): CatalogPrompt {
  const { arguments: given } = definition;
  const list = Array.isArray(given) ? given.filter(isJsonObject) : [];
  return {
    name,
    original_name: originalName,
    backend,
    ...titlesOf(definition),
    arguments: list.flatMap(({ name: argument, description, required }) =>
      typeof argument === "string"
        ? [{ name: argument, ...textsIn({ description }), required: required === true }]
        : [],
    ),
  };
}

function titlesOf({ title, description }: JsonObject, otherTitle?: unknown) {
  return textsIn({ title: typeof title === "string" ? title : otherTitle, description });
}

function textsIn<Name extends string>(members: Record<Name, unknown>): { [Key in Name]?: string } {
  const texts = Object.entries(members).filter(([, value]) => typeof value === "string");
  // The assertion holds: only texts are left.
  return Object.fromEntries(texts) as { [Key in Name]?: string };
}
