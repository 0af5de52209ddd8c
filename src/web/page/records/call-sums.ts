// Who called what: the calls that fit Activity's filters, summed up by person, server and what was called.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import { type AuditEntry, type AuditRequest, MOST_RECORDS } from "../../../api/contract/records.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
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
  /** The time of the oldest call that was counted, if there are older ones. */
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
  if (sums === null) return actionRow(h(WorkButton, { label: "Sum up by person and tool", run }));
  const rows = [...sums.of].toSorted(([, one], [, other]) => other.calls - one.calls);
  const rest =
    sums.since === null
      ? ""
      : `, back to ${dateText(Date.parse(sums.since))}: choose a shorter time for the rest`;
  return [
    line("hint", `${pluralize(sums.count, "call")}${rest}`),
    h(Table, {
      ...{ label: "Calls, summed up", titles: ["Who", "Server", "What", "Calls", "Failed"] },
      rows: rows.map(([key, { cells, calls, failed }]) => ({
        key,
        cells: [...cells.map(shown), String(calls), failed === 0 ? "" : String(failed)],
      })),
    }),
  ];
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
      const cells = [principal ?? "", backend ?? "", target.replace(/^tool:/, "")] as const;
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
