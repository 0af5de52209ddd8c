// The configuration's accepted versions: what each one changed, and the rollback to one.
import { type ComponentChild, h } from "preact";
import type { ConfigReport, HistoryEntry } from "../../../api/contract/config.ts";
import { editOutcome } from "../../../api/labels/outcome-labels.ts";
import { CodeDiff } from "../code/code-text.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { alertLine, loading, nothing, row, WorkButton, withCode } from "../parts/elements.ts";
import { Table } from "../parts/table.ts";
import { clockText, shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

interface Compared {
  readonly entry: HistoryEntry;
  readonly text: string;
  /** The text of the previous entry; null: there is none. */
  readonly previous: string | null;
  /** The configuration file as it is now. */
  readonly file: ConfigReport;
}

export function ConfigHistory({ app }: ViewProps): ComponentChild {
  const version = useStore(app.store, (state) => state.configVersion);
  const { report, problem } = useLoaded((signal) => app.requests.call("history", null, { signal }), version);
  if (report === null) return loading(problem, "Reading the history …");
  const { entries } = report;
  if (entries.length === 0) return nothing("There is no history yet.");
  const now = Date.now();
  return [
    alertLine(problem),
    h(Table, {
      ...{ label: "Accepted contents, newest first", titles: ["Since", "What changed", "By"] },
      rows: entries.map((entry) => ({
        key: keyOf(entry),
        cells: [
          entry.n === 0 ? "Runs now" : clockText(Date.parse(entry.time), now),
          withCode(entry.summary),
          shown(entry.source),
        ],
        card: () => h(ComparedView, { app, entry, entries }),
      })),
    }),
  ];
}

/** A stable key of an entry; the entry's number would grow with each newer entry. */
function keyOf({ time, sha256 }: HistoryEntry): string {
  return `${time} ${sha256}`;
}

async function compare(
  app: App,
  entry: HistoryEntry,
  entries: readonly HistoryEntry[],
  signal: AbortSignal,
): Promise<Compared> {
  const textOf = (n: number): Promise<string> => app.requests.call("historyText", { n }, { signal });
  const before = entries.find(({ n }) => n === entry.n + 1);
  const [mine, previous, file] = await Promise.all([
    textOf(entry.n),
    before === undefined ? null : textOf(before.n),
    app.requests.call("config", null, { signal }),
  ]);
  return { entry, text: mine, previous, file };
}

interface ComparedProps extends ViewProps {
  readonly entry: HistoryEntry;
  readonly entries: readonly HistoryEntry[];
}

function ComparedView({ app, entry, entries }: ComparedProps): ComponentChild {
  const { report, problem } = useLoaded((signal) => compare(app, entry, entries, signal), entries);
  if (report === null) return loading(problem, "Comparing …");
  const { text, previous, file } = report;
  const { format } = file;
  return h(
    "div",
    { class: "card plain" },
    h("h3", {}, "What it changed"),
    previous === null
      ? h("p", { class: "hint" }, "This is the oldest stored content.")
      : previous === text
        ? h("p", { class: "hint" }, "Nothing.")
        : h(CodeDiff, {
            before: previous,
            after: text,
            format,
            labels: { before: "Before", after: "This one" },
          }),
    row(
      h(WorkButton, {
        label: "Go back to it …",
        kind: "danger",
        off: file.text === text,
        run: () => rollBack(app, report),
      }),
      file.text === text ? h("span", { class: "dim" }, "The file says the same.") : null,
    ),
  );
}

async function rollBack(app: App, { entry, text, file }: Compared): Promise<void> {
  const yes = await app.confirm({
    title: "Go back to this content?",
    body: [
      h(
        "p",
        { key: "about" },
        "The file gets this earlier text. Programs in it that are not approved wait for your approval.",
      ),
      h(CodeDiff, {
        key: "diff",
        before: file.text,
        after: text,
        format: file.format,
        labels: { before: "The file now", after: "After the rollback" },
      }),
    ],
    action: "Go back",
    destroys: true,
  });
  if (!yes) return;
  await app.attempt("Rollback", async () => {
    const report = await app.requests.call("rollback", {
      n: entry.n,
      sha256: entry.sha256,
      expected_sha256: file.sha256,
    });
    const { tone, text } = editOutcome(report);
    app.notify(tone, `Rollback: ${text}`);
    app.refresh();
  });
}
