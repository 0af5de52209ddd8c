// What clients are offered: the tools of all backends, with a search, and a form to try each.
import { type ComponentChild, h } from "preact";
import { useMemo } from "preact/hooks";
import { counted } from "../../../runtime/text/plain-text.ts";
import { useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { Chooser } from "../parts/chooser.ts";
import { choiceField, nothing, searchField } from "../parts/elements.ts";
import { createFormKeeper, useKeptForm } from "../parts/kept-form.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";
import { OtherEntries } from "./other-entries.ts";
import { type ShownTool, ToolView } from "./tool-view.ts";

/** Of thousands, more are told apart by a search than by scrolling. */
const MOST_SHOWN = 200;

/** What was looked for, and found. */
interface Search {
  readonly words: string;
  readonly backend: string;
  readonly chosen: string | null;
}

const SEARCHES = createFormKeeper<Search>();

export function CatalogView({ app }: ViewProps): ComponentChild {
  const version = useStore(app.store, (state) => state.catalogVersion);
  const { report, problem } = useLoaded((signal) => app.requests.ask("catalog", null, { signal }), version);
  const [{ words, backend, chosen }, kept] = useKeptForm(SEARCHES, app.requests, () => ({
    words: "",
    backend: "",
    chosen: null,
  }));
  const tools = useMemo(
    () => report?.tools.map((tool) => ({ ...tool, description: tool.description ?? null })) ?? null,
    [report],
  );
  const found = useMemo(() => searchTools(tools ?? [], words, backend), [tools, words, backend]);
  const backends = useMemo(() => [...new Set((tools ?? []).map((tool) => tool.backend))].sort(), [tools]);
  if (tools === null) return nothing(problem === null ? "Asking the daemon …" : shown(problem));
  const tool = tools.find(({ name }) => name === chosen) ?? null;
  const parts = h(
    "div",
    { class: "two" },
    h(
      "div",
      {},
      h(
        "div",
        { class: "catalog-search", role: "search" },
        searchField("catalog-words", "Search", words, (typed) => kept.set({ words: typed })),
        choiceField("catalog-backend", "Server", ["", ...backends], backend, (name) =>
          kept.set({ backend: name }),
        ),
        h("p", { class: "dim", role: "status" }, `${counted(found.length, "tool")} of ${tools.length}`),
      ),
      found.length === 0
        ? nothing(tools.length === 0 ? "No server offers a tool yet." : "No tool has these words.")
        : h(Chooser<ShownTool>, {
            label: "Tools",
            items: found.slice(0, MOST_SHOWN),
            keyOf: ({ name }) => name,
            chosen,
            choose: (name) => kept.set({ chosen: name }),
            draw: (each) => [
              h("strong", {}, shown(each.name)),
              h("span", { class: "tool-line" }, shown((each.description ?? "").slice(0, 200))),
            ],
          }),
      found.length > MOST_SHOWN
        ? h("p", { class: "hint" }, `${found.length - MOST_SHOWN} more: search for them.`)
        : null,
    ),
    tool === null
      ? nothing("Choose a tool to read what it does and to try it.")
      : h(ToolView, { key: tool.name, app, tool }),
  );
  return [parts, report === null ? null : h(OtherEntries, { app, report })];
}

interface Searched {
  readonly name: string;
  readonly backend: string;
  readonly description: string | null;
}

/** Those that have each word somewhere; those that have one in their name come first. `backend` "" is any. */
export function searchTools<Tool extends Searched>(
  tools: readonly Tool[],
  words: string,
  backend: string,
): readonly Tool[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const mine = backend === "" ? tools : tools.filter((tool) => tool.backend === backend);
  if (wanted.length === 0) return mine;
  const ranked = mine.flatMap((tool) => {
    const name = tool.name.toLowerCase();
    const all = `${name} ${tool.backend.toLowerCase()} ${(tool.description ?? "").toLowerCase()}`;
    if (!wanted.every((word) => all.includes(word))) return [];
    return [{ tool, rank: wanted.filter((word) => name.includes(word)).length }];
  });
  return ranked.sort((one, other) => other.rank - one.rank).map(({ tool }) => tool);
}
