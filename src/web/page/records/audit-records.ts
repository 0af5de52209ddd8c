// The audit: who asked for what, and what came of it.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type { AuditEntry, AuditRequest } from "../../../api/records-contract.ts";
import { msText } from "../../../api/words/words.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import type { ViewProps } from "../parts/app.ts";
import { code, mark, nothing, WorkButton } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { FilterField } from "./filter-field.ts";
import { usePages } from "./pages.ts";

const FILTERS = [
  ["text", "Words"],
  ["backend", "Backend"],
  ["tool", "Tool"],
  ["principal", "Client"],
  ["outcome", "Outcome"],
] as const;

type Filter = Pick<AuditRequest, (typeof FILTERS)[number][0]>;

export function AuditRecords({ app }: ViewProps): ComponentChild {
  const [filter, setFilter] = useState<Filter>({});
  const [enabled, setEnabled] = useState(true);
  const pages = usePages<AuditEntry>(JSON.stringify(filter), async (before, signal) => {
    const report = await app.requests.ask(
      "audit",
      { ...filter, ...(before === null ? {} : { before }) },
      { signal },
    );
    setEnabled(report.enabled);
    return { items: report.records, next: report.next };
  });
  const put = (name: (typeof FILTERS)[number][0], value: string): void =>
    setFilter((last) => {
      const { [name]: _, ...others } = last;
      return value === "" ? others : { ...others, [name]: value };
    });
  const now = Date.now();
  if (!enabled)
    return nothing(
      "The audit is off.",
      h("p", {}, "Switch it on in Settings: ", code("[audit]"), " ", code("enabled = true"), "."),
    );
  return h(
    "div",
    {},
    h(
      "div",
      { class: "filters", role: "search" },
      FILTERS.map(([name, label]) =>
        h(FilterField, {
          key: name,
          id: `audit-${name}`,
          label,
          onValue: (value: string) => put(name, value),
        }),
      ),
    ),
    pages.problem === null ? null : h("p", { class: "problem", role: "alert" }, shown(pages.problem)),
    pages.items === null
      ? nothing("Reading the audit …")
      : pages.items.length === 0
        ? nothing("No record fits.")
        : h(
            "ol",
            { class: "plain-list" },
            pages.items.map((record, index) => auditRow(record, index, now)),
          ),
    pages.hasMore ? h(WorkButton, { label: "Older records", run: pages.more }) : null,
  );
}

function auditRow(record: AuditEntry, index: number, now: number): ComponentChild {
  const {
    time,
    kind,
    principal,
    method,
    target,
    backend,
    outcome,
    duration_ms: ms,
    reason,
    summary,
    event,
    entry,
  } = record;
  const what = target ?? method ?? event ?? kind;
  const isGood = outcome === undefined || outcome === "ok";
  return h(
    "li",
    { key: `${time} ${index}`, class: "row" },
    h("time", { class: "dim", dateTime: time }, clockText(Date.parse(time), now)),
    mark(isGood ? "plain" : "bad", outcome ?? kind),
    h("strong", {}, shown(what)),
    h(
      "span",
      { class: "facts" },
      [
        ...(principal == null ? [] : [`by ${shown(principal)}`]),
        ...(backend == null ? [] : [`of ${shown(backend)}`]),
        ...(ms === undefined ? [] : [msText(ms)]),
        ...(entry === undefined ? [] : [shown(entry)]),
        ...(summary === undefined ? [] : [shown(summary)]),
        ...(reason === undefined ? [] : [shown(reason)]),
        ...(record.count === undefined ? [] : [counted(record.count, "time")]),
        ...(record.dropped === undefined ? [] : [`${record.dropped} lost`]),
      ].join(", "),
    ),
    record.arguments === undefined ? null : code(JSON.stringify(record.arguments).slice(0, 1000)),
  );
}
