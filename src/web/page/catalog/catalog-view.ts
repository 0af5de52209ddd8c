// The catalog that clients see: tools with a search and a form to try each, resources and prompts, and withheld entries.
import { type ComponentChild, h } from "preact";
import { useMemo } from "preact/hooks";
import type { CatalogReport, CatalogTool } from "../../../api/contract/catalog.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import { typedWords } from "../../../runtime/text/typed-words.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Chooser } from "../parts/chooser.ts";
import {
  choiceField,
  code,
  details,
  loading,
  mark,
  nothing,
  plainList,
  searchPart,
  section,
  WorkButton,
} from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";
import { switchTool, ToolView } from "./tool-view.ts";

/** Maximum number of rows drawn of a list that has no search. */
const MOST_SHOWN = 200;

interface Search {
  readonly query: string;
  readonly backend: string;
  readonly chosen: string | null;
}

const SEARCHES = createFormStores<Search>();

export function CatalogView({ app }: ViewProps): ComponentChild {
  const version = useStore(app.store, (state) => state.catalogVersion);
  const { report, problem } = useLoaded((signal) => app.requests.call("catalog", null, { signal }), version);
  const [{ query, backend, chosen }, search] = useFormStore(SEARCHES, app.requests, () => ({
    query: "",
    backend: "",
    chosen: null,
  }));
  const tools = report?.tools ?? [];
  const found = useMemo(() => searchTools(tools, query, backend), [report, query, backend]);
  if (report === null) return loading(problem);
  const backends = [...new Set(tools.map((tool) => tool.backend))].sort();
  const tool = tools.find(({ name }) => name === chosen) ?? null;
  const parts = h(
    "div",
    { class: "two" },
    h(
      "div",
      {},
      searchPart(
        { id: "catalog-words", text: query, onText: (typed) => search.set({ query: typed }) },
        `${pluralize(found.length, "tool")} of ${tools.length}`,
        choiceField("catalog-backend", "Server", ["", ...backends], backend, (name) =>
          search.set({ backend: name }),
        ),
      ),
      found.length === 0
        ? nothing(tools.length === 0 ? "No server offers a tool yet." : "No tool has these words.")
        : h(Chooser<CatalogTool>, {
            label: "Tools",
            items: found,
            keyOf: ({ name }) => name,
            chosen,
            choose: (name) => search.set({ chosen: name }),
            draw: (each) => [
              h("strong", {}, shown(each.name)),
              h("span", { class: "tool-line" }, shown((each.description ?? "").slice(0, 200))),
            ],
          }),
    ),
    tool === null
      ? nothing("Choose a tool to read what it does and to try it.")
      : h(ToolView, { key: tool.name, app, tool }),
  );
  return [parts, otherEntries(app, report)];
}

/**
 * The tools that contain every word; tools with more of the words in their name come first. `backend` "": all
 * backends.
 */
export function searchTools<Tool extends Pick<CatalogTool, "name" | "backend" | "description">>(
  tools: readonly Tool[],
  query: string,
  backend: string,
): readonly Tool[] {
  const wanted = typedWords(query);
  const mine = backend === "" ? tools : tools.filter((tool) => tool.backend === backend);
  if (wanted.length === 0) return mine;
  const ranked = mine.flatMap((tool) => {
    const name = tool.name.toLowerCase();
    const all = `${name} ${tool.backend.toLowerCase()} ${(tool.description ?? "").toLowerCase()}`;
    if (!wanted.every((part) => all.includes(part))) return [];
    return [{ tool, rank: wanted.filter((part) => name.includes(part)).length }];
  });
  return ranked.sort((one, other) => other.rank - one.rank).map(({ tool }) => tool);
}

// Resources, prompts, and what clients do not see, with the reason.

interface Row {
  readonly key: string;
  readonly name: string;
  readonly backend: string;
  readonly about: string;
}

function otherEntries(
  app: App,
  { resources, resource_templates: templates, prompts, withheld }: CatalogReport,
): ComponentChild {
  return [
    list(
      "Resources",
      [...resources, ...templates].map((entry) => ({
        key: "uri" in entry ? entry.uri : entry.uri_template,
        name: "uri" in entry ? entry.uri : entry.uri_template,
        backend: entry.backend,
        about: entry.title ?? entry.name,
      })),
    ),
    list(
      "Prompts",
      prompts.map(({ name, backend, title, description }) => ({
        key: name,
        name,
        backend,
        about: title ?? description ?? "",
      })),
    ),
    withheld.length === 0
      ? null
      : section(
          "Kept from clients",
          plainList(
            "Kept from clients",
            withheld
              .slice(0, MOST_SHOWN)
              .map(({ backend, kind, name, reason, why }) =>
                h(
                  "li",
                  { key: `${backend} ${kind} ${name}`, class: "row" },
                  mark("warning", reason),
                  h("span", {}, `${kind} `, code(name), ` of ${shown(backend)}: ${shown(why)}`),
                  reason === "off"
                    ? h(WorkButton, { label: "Switch on", run: () => switchTool(app, name, true) })
                    : null,
                ),
              ),
          ),
        ),
  ];
}

function list(title: string, rows: readonly Row[]): ComponentChild {
  if (rows.length === 0) return null;
  return details(
    `${title} (${rows.length})`,
    plainList(
      title,
      rows
        .slice(0, MOST_SHOWN)
        .map(({ key, name, backend, about }) =>
          h(
            "li",
            { key: `${backend} ${key}` },
            code(name),
            ` of ${shown(backend)} `,
            h("span", { class: "dim" }, shown(about.slice(0, 200))),
          ),
        ),
    ),
  );
}
