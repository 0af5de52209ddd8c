// The catalog that clients see: tools with a search and a form to try each, resources and prompts, and withheld entries.
import { type ComponentChild, h } from "preact";
import { useMemo } from "preact/hooks";
import type { CatalogReport, CatalogTool } from "../../../api/contract/catalog.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import { typedWords } from "../../../runtime/text/typed-words.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import {
  choiceField,
  code,
  details,
  loading,
  nothing,
  searchPart,
  section,
  WorkButton,
  withCode,
} from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { Table } from "../parts/table.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";
import { switchTool, ToolView } from "./tool-view.ts";

interface Search {
  readonly query: string;
  readonly backend: string;
  readonly chosen: string | null;
}

const SEARCHES = createFormStores<Search>();

/** `server`: the only one whose entries are shown; absent: all of them. */
export function CatalogView({ app, server }: ViewProps & { readonly server?: string }): ComponentChild {
  const version = useStore(app.store, (state) => state.catalogVersion);
  const { report, problem } = useLoaded((signal) => app.requests.call("catalog", null, { signal }), version);
  const [{ query, backend, chosen }, search] = useFormStore(
    SEARCHES,
    app.requests,
    () => ({ query: "", backend: server ?? "", chosen: null }),
    server,
  );
  const tools = (report?.tools ?? []).filter((tool) => server === undefined || tool.backend === server);
  const found = useMemo(() => searchTools(tools, query, backend), [report, query, backend]);
  if (report === null) return loading(problem);
  const backends = [...new Set(tools.map((tool) => tool.backend))].sort();
  return [
    searchPart(
      {
        ...{ id: "catalog-words", label: server && "Search its tools" },
        ...{ text: query, onText: (typed: string) => search.set({ query: typed }) },
      },
      `${pluralize(found.length, "tool")} of ${tools.length}`,
      server === undefined
        ? choiceField("catalog-backend", "Server", ["", ...backends], backend, (name) =>
            search.set({ backend: name }),
          )
        : null,
    ),
    found.length === 0
      ? nothing(
          tools.length > 0
            ? "No tool has these words."
            : server === undefined
              ? "No server offers a tool yet."
              : "It offers no tool.",
        )
      : h(Table, {
          ...{ label: "Tools", titles: ["Tool", "Server", "What it does"] },
          opened: [chosen, (name) => search.set({ chosen: name })],
          rows: found.map((tool) => ({
            key: tool.name,
            cells: [shown(tool.name), shown(tool.backend), withCode(firstSentence(tool.description ?? ""))],
            card: () => h(ToolView, { app, tool }),
          })),
        }),
    otherEntries(app, report, ({ backend }) => server === undefined || backend === server),
  ];
}

/** The first sentence of a description, at most 200 characters. */
function firstSentence(text: string): string {
  const [line = ""] = text.trim().split(/(?<=[.!?])\s|\n/);
  return line.length > 200 ? `${line.slice(0, 199)}…` : line;
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

function otherEntries(
  app: App,
  report: CatalogReport,
  isWanted: (entry: { readonly backend: string }) => boolean,
): ComponentChild {
  const [resources, templates] = [
    report.resources.filter(isWanted),
    report.resource_templates.filter(isWanted),
  ];
  const [prompts, withheld] = [report.prompts.filter(isWanted), report.withheld.filter(isWanted)];
  const resource = [
    ...resources.map(({ uri, ...entry }) => ({ id: uri, ...entry })),
    ...templates.map(({ uri_template: uri, ...entry }) => ({ id: uri, ...entry })),
  ];
  return [
    entryTable(
      "Resources",
      resource.map(({ id, backend, title, name }) => [id, backend, title ?? name]),
    ),
    entryTable(
      "Prompts",
      prompts.map(({ name, backend, title, description }) => [name, backend, title ?? description ?? ""]),
    ),
    withheld.length === 0
      ? null
      : section(
          "Kept from clients",
          h(Table, {
            ...{ label: "Entries kept from clients", titles: ["Name", "Server", "Why", ""] },
            rows: withheld.map(({ backend, kind, name, reason, why }) => ({
              key: `${backend} ${kind} ${name}`,
              cells: [
                `${kind} ${shown(name)}`,
                shown(backend),
                withCode(why),
                reason === "off" &&
                  h(WorkButton, {
                    ...{ label: "Switch on", accessibleName: `Switch on: ${shown(name)}` },
                    run: () => switchTool(app, name, true),
                  }),
              ],
            })),
          }),
        ),
  ];
}

function entryTable(
  title: string,
  rows: readonly (readonly [name: string, backend: string, about: string])[],
): ComponentChild {
  if (rows.length === 0) return null;
  return details(
    `${title} (${rows.length})`,
    h(Table, {
      ...{ label: title, titles: ["Name", "Server", "What it is"] },
      rows: rows.map(([name, backend, about]) => ({
        key: `${backend} ${name}`,
        cells: [code(name), shown(backend), withCode(firstSentence(about))],
      })),
    }),
  );
}
