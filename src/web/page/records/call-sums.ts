// Who called what: the calls that fit Activity's filters, a row for each person, which opens to the person's tools.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import { type AuditEntry, type AuditRequest, MOST_RECORDS } from "../../../api/contract/records.ts";
import { firstNames, pluralize } from "../../../runtime/text/plain-text.ts";
import type { ViewProps } from "../parts/app.ts";
import { actionRow, line, WorkButton } from "../parts/elements.ts";
import { Table } from "../parts/table.ts";
import { dateText, shown } from "../parts/text.ts";
import { callsOf, type Filter } from "./activity-filter.ts";

/** How many answers of the audit are read at most. */
const MOST_ANSWERS = 50;

interface Sum {
  readonly cells: readonly [person: string, server: string, called: string];
  calls: number;
  failed: number;
}

interface Sums {
  readonly of: ReadonlyMap<string, Sum>;
  readonly count: number;
  /** The time of the oldest call that was countCells, if there are older ones. */
  readonly since: string | null;
}

export function CallSums({ app, filter }: ViewProps & { readonly filter: Filter }): ComponentChild {
  const [sums, setSums] = useState<Sums | null>(null);
  const run = (): Promise<unknown> => {
    const request = callsOf(filter, Date.now());
    return app.attempt("Sum up", async () =>
      setSums(await sumsOf((more) => app.requests.call("audit", { ...request, ...more }))),
    );
  };
  // The button stays, as it has the focus.
  const again = actionRow(h(WorkButton, { label: "Sum up by person and tool", run }));
  if (sums === null) return again;
  const rest =
    sums.since === null
      ? ""
      : `, back to ${dateText(Date.parse(sums.since))}: choose a shorter time for the rest`;
  const people = [...Map.groupBy(mostFirst(sums.of.values()), ({ cells }) => cells[0])].map(([who, own]) => ({
    ...{ who, own, calls: total(own, "calls"), failed: total(own, "failed") },
  }));
  return [
    again,
    line("hint", `${pluralize(sums.count, "call")}${rest}`),
    h(Table, {
      ...{ label: "Calls, summed up", titles: ["Who", "Calls", "Failed", "Most often"] },
      rows: mostFirst(people).map(({ who, own, ...all }) => ({
        key: who,
        cells: [shown(who), ...countCells(all), shown(firstNames(own, ({ cells }) => cells[2], 3))],
        card: () =>
          h(Table, {
            ...{
              label: `Calls of ${shown(who)}`,
              titles: ["What", "Server", "Calls", "Failed"],
              most: own.length,
            },
            rows: own.map(({ cells: [, server, called], ...each }) => ({
              key: JSON.stringify([server, called]),
              cells: [shown(called), shown(server), ...countCells(each)],
            })),
          }),
      })),
    }),
  ];
}

const mostFirst = <Each extends Pick<Sum, "calls">>(sums: Iterable<Each>): Each[] =>
  [...sums].toSorted((one, other) => other.calls - one.calls);

function total(sums: readonly Sum[], key: "calls" | "failed"): number {
  return sums.reduce((sum, { [key]: count }) => sum + count, 0);
}

function countCells({ calls, failed }: Pick<Sum, "calls" | "failed">): readonly string[] {
  return [String(calls), failed === 0 ? "" : String(failed)];
}

type Read = (
  more: Pick<AuditRequest, "before" | "limit">,
) => Promise<{ readonly records: readonly AuditEntry[]; readonly next: string | null }>;

export async function sumsOf(read: Read): Promise<Sums> {
  const of = new Map<string, Sum>();
  let count = 0;
  let oldest: string | null = null;
  let next: string | null = null;
  for (let answers = 0; answers < MOST_ANSWERS && (answers === 0 || next !== null); answers += 1) {
    const answer = await read({ limit: MOST_RECORDS, ...(next === null ? {} : { before: next }) });
    for (const { time, principal, backend, target, outcome } of answer.records) {
      oldest = time;
      if (target == null) continue;
      const cells = [principal ?? "not known", backend ?? "", target.replace(/^tool:/, "")] as const;
      const key = JSON.stringify(cells);
      const sum = of.get(key) ?? { cells, calls: 0, failed: 0 };
      of.set(key, sum);
      sum.calls += 1;
      if (outcome !== "ok") sum.failed += 1;
      count += 1;
    }
    next = answer.next;
  }
  return { of, count, since: next === null ? null : oldest };
}
