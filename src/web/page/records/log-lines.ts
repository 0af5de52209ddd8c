// The daemon's log.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type { LogLine, LogRequest } from "../../../api/records-contract.ts";
import type { ViewProps } from "../parts/app.ts";
import { code, mark, nothing, WorkButton } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { FilterField } from "./filter-field.ts";
import { usePages } from "./pages.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
const TONES = { debug: "plain", info: "plain", warn: "warning", error: "bad" } as const;

export function LogLines({ app }: ViewProps): ComponentChild {
  const [text, setText] = useState("");
  const [level, setLevel] = useState<(typeof LEVELS)[number]>("info");
  const pages = usePages<LogLine>(`${level} ${text}`, async (before, signal) => {
    const request: LogRequest = {
      level,
      ...(text === "" ? {} : { text }),
      ...(before === null ? {} : { before }),
    };
    const { lines, next } = await app.requests.ask("daemonLog", request, { signal });
    return { items: lines, next };
  });
  const now = Date.now();
  return h(
    "div",
    {},
    h(
      "div",
      { class: "filters", role: "search" },
      h(FilterField, { id: "log-text", label: "Words", onValue: setText }),
      h(
        "div",
        { class: "field" },
        h("label", { for: "log-level" }, "From level"),
        h(
          "select",
          {
            id: "log-level",
            value: level,
            onChange: (event: Event) => {
              const { value } = event.target as HTMLSelectElement;
              setLevel(LEVELS.find((each) => each === value) ?? "info");
            },
          },
          LEVELS.map((each) => h("option", { key: each, value: each }, each)),
        ),
      ),
    ),
    pages.problem === null ? null : h("p", { class: "problem", role: "alert" }, shown(pages.problem)),
    pages.items === null
      ? nothing("Reading the log …")
      : pages.items.length === 0
        ? nothing("No line fits.")
        : h(
            "ol",
            { class: "plain-list" },
            pages.items.map(({ at, level: of, message, fields }, index) =>
              h(
                "li",
                { key: `${at} ${index}`, class: "row" },
                h("time", { class: "dim", dateTime: at }, clockText(Date.parse(at), now)),
                mark(TONES[of], of),
                h("strong", {}, shown(message)),
                h("span", { class: "facts" }, fieldsText(fields)),
              ),
            ),
          ),
    pages.hasMore ? h(WorkButton, { label: "Older lines", run: pages.more }) : null,
  );
}

function fieldsText(fields: LogLine["fields"]): ComponentChild {
  return Object.entries(fields ?? {}).map(([name, value]) => [
    ` ${shown(name)} `,
    code(typeof value === "string" ? value : JSON.stringify(value)),
  ]);
}
