// What the catalog has besides tools, and what is kept from clients, with the reason.
import { type ComponentChild, h } from "preact";
import type { CatalogReport } from "../../../api/catalog-contract.ts";
import type { App } from "../parts/app.ts";
import { code, mark, section, WorkButton } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import { switchTool } from "./tool-view.ts";

const MOST_SHOWN = 200;

interface Row {
  readonly key: string;
  readonly name: string;
  readonly backend: string;
  readonly about: string;
}

interface Props {
  readonly app: App;
  readonly report: CatalogReport;
}

export function OtherEntries({ app, report }: Props): ComponentChild {
  const { resources, resource_templates: templates, prompts, withheld } = report;
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
          h(
            "ul",
            { class: "plain-list" },
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
  return h(
    "details",
    {},
    h("summary", {}, `${title} (${rows.length})`),
    h(
      "ul",
      { class: "plain-list" },
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
