// Who called what: the calls that fit Activity's filters, a row for each person, which opens to the servers and their tools.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import { type AuditRequest, MOST_RECORDS } from "../../../api/contract/records.ts";
import { firstNames, pluralize } from "../../../runtime/text/plain-text.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { actionRow, line, WorkButton } from "../parts/elements.ts";
import { Table } from "../parts/table.ts";
import { dateText, shown } from "../parts/text.ts";
import { callsText } from "../servers/servers-view.ts";
import { callsOf, type Filter } from "./activity-filter.ts";

/** How many answers of the audit are read at most. */
const MOST_ANSWERS = 50;

/** By name. */
type Sums = ReadonlyMap<string, Sum>;

interface Sum {
  calls: number;
  failed: number;
  /** Of a person the servers, of a server what was called. */
  readonly of: Map<string, Sum>;
}

interface CallSummary {
  readonly people: Sums;
  readonly count: number;
  /** The time of the oldest call that was counted, if there are older ones. */
  readonly since: string | null;
}

export function CallSums({ app, filter }: ViewProps & { readonly filter: Filter }): ComponentChild {
  const [sums, setSums] = useState<CallSummary | null>(null);
  const run = (): Promise<unknown> =>
    app.attempt("Sum up", async () => setSums(await sumsOf(app, callsOf(filter, Date.now()))));
  // The button stays, as it has the focus.
  const again = actionRow(h(WorkButton, { label: "Sum up by person and tool", run }));
  if (sums === null) return again;
  const rest =
    sums.since === null
      ? ""
      : `, back to ${dateText(Date.parse(sums.since))}: choose a shorter time for the rest`;
  return [again, line("hint", `${pluralize(sums.count, "call")}${rest}`), tableOf(sums.people)];
}

function tableOf(sums: Sums, titles = ["Who", "Server", "What"], label = "Calls, summed up"): ComponentChild {
  const [title = "", ...parts] = titles;
  return h(Table, {
    ...{ label, titles: [title, "Calls", ...parts.slice(0, 1)] },
    rows: [...sums]
      .toSorted(([, one], [, other]) => other.calls - one.calls)
      .map(([name, { calls, failed, of }]) => ({
        key: name,
        cells: [
          shown(name),
          callsText(calls, failed),
          ...(of.size === 0 ? [] : [shown(firstNames([...of.keys()], String))]),
        ],
        ...(of.size === 0 ? {} : { card: () => tableOf(of, parts, `Calls of ${shown(name)}`) }),
      })),
  });
}

async function sumsOf(app: App, request: AuditRequest): Promise<CallSummary> {
  const people = new Map<string, Sum>();
  let count = 0;
  let oldest: string | null = null;
  let next: string | null = null;
  for (let answers = 0; answers < MOST_ANSWERS && (answers === 0 || next !== null); answers += 1) {
    const beyond: Pick<AuditRequest, "before"> = next === null ? {} : { before: next };
    const answer = await app.requests.call("audit", { ...request, limit: MOST_RECORDS, ...beyond });
    for (const { time, principal, backend, target, outcome } of answer.records) {
      oldest = time;
      if (target == null) continue;
      count += 1;
      let of = people;
      for (const name of [principal ?? "not known", backend ?? "no server", target.replace(/^tool:/, "")]) {
        const sum = of.get(name) ?? { calls: 0, failed: 0, of: new Map<string, Sum>() };
        of.set(name, sum);
        sum.calls += 1;
        if (outcome !== "ok") sum.failed += 1;
        ({ of } = sum);
      }
    }
    next = answer.next;
  }
  return { people, count, since: next === null ? null : oldest };
}
