// Accepted contents of the configuration: what each changed, and the way back to one.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ConfigReport, HistoryEntry } from "../../../api/contract.ts";
import { editOutcome } from "../../../api/words/outcome-words.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { CodeDiff } from "../code/code-text.ts";
import { useStore } from "../daemon/store.ts";
import type { App } from "../parts/app.ts";
import { Chooser } from "../parts/chooser.ts";
import { code, nothing, WorkButton } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

/** What an entry looks like beside what is in the file. */
interface Compared {
  readonly entry: HistoryEntry;
  readonly text: string;
  /** The one before it; null: it is the first. */
  readonly older: string | null;
  /** The file of now. */
  readonly file: ConfigReport;
}

export function ConfigHistory({ app }: { readonly app: App }): ComponentChild {
  const version = useStore(app.store, (state) => state.configVersion);
  const { report, problem, setProblem } = useLoaded(
    (signal) => app.requests.ask("history", null, { signal }),
    version,
  );
  const entries = report?.entries ?? null;
  const [chosen, setChosen] = useState<string | null>(null);
  const [compared, setCompared] = useState<Compared | null>(null);
  useEffect(() => {
    const end = new AbortController();
    const entry = entries?.find((each) => keyOf(each) === chosen);
    setCompared(null);
    if (entry === undefined || entries === null) return;
    void compare(app, entry, entries, end.signal).then(
      (found) => {
        if (!end.signal.aborted) setCompared(found);
      },
      (error: unknown) => {
        if (!(error instanceof MountaineerError)) throw error;
        if (error.code !== "aborted") setProblem(error.message);
      },
    );
    return () => end.abort();
  }, [chosen, entries]);
  if (entries === null) return nothing(problem === null ? "Reading the history …" : shown(problem));
  if (entries.length === 0) return nothing("There is no history yet.");
  const now = Date.now();
  return h(
    "div",
    { class: "two" },
    h(Chooser<HistoryEntry>, {
      label: "Accepted contents, newest first",
      items: entries,
      keyOf,
      chosen,
      choose: setChosen,
      draw: ({ n, time, source, summary }) => [
        h("strong", {}, n === 0 ? "Runs now" : clockText(Date.parse(time), now)),
        h("span", { class: "tool-line" }, `${shown(summary)} (by ${shown(source)})`),
      ],
    }),
    h(
      "div",
      { class: "form" },
      problem === null ? null : h("p", { class: "problem", role: "alert" }, shown(problem)),
      compared === null
        ? nothing(chosen === null ? "Choose one to see what it changed." : "Comparing …")
        : h(ComparedView, { app, compared }),
    ),
  );
}

/** Its number grows with each content that comes after it. */
function keyOf({ time, sha256 }: HistoryEntry): string {
  return `${time} ${sha256}`;
}

async function compare(
  app: App,
  entry: HistoryEntry,
  entries: readonly HistoryEntry[],
  signal: AbortSignal,
): Promise<Compared> {
  const textOf = (n: number): Promise<string> => app.requests.ask("historyText", { n }, { signal });
  const before = entries.find(({ n }) => n === entry.n + 1);
  const [mine, older, file] = await Promise.all([
    textOf(entry.n),
    before === undefined ? null : textOf(before.n),
    app.requests.ask("config", null, { signal }),
  ]);
  return { entry, text: mine, older, file };
}

function ComparedView({ app, compared }: { readonly app: App; readonly compared: Compared }): ComponentChild {
  const { entry, text, older, file } = compared;
  const { format } = file;
  return h(
    "div",
    { class: "card plain" },
    h(
      "p",
      {},
      `${shown(entry.time)}, by ${shown(entry.source)}: ${shown(entry.summary)} `,
      code(entry.sha256.slice(0, 12)),
    ),
    h("h3", {}, "What it changed"),
    older === null
      ? h("p", { class: "hint" }, "It is the oldest that is kept.")
      : older === text
        ? h("p", { class: "hint" }, "Nothing.")
        : h(CodeDiff, {
            before: older,
            after: text,
            format,
            labels: { before: "Before", after: "This one" },
          }),
    h(
      "div",
      { class: "row" },
      h(WorkButton, {
        label: "Go back to it …",
        kind: "danger",
        off: file.text === text,
        run: () => rollBack(app, compared),
      }),
      file.text === text ? h("span", { class: "dim" }, "The file says the same.") : null,
    ),
  );
}

async function rollBack(app: App, { entry, text, file }: Compared): Promise<void> {
  const yes = await app.ask({
    title: "Go back to this content?",
    body: [
      h(
        "p",
        { key: "about" },
        "The file's text becomes what it was. What it would run anew waits for approval all the same.",
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
    const report = await app.requests.ask("rollback", {
      n: entry.n,
      sha256: entry.sha256,
      expected_sha256: file.sha256,
    });
    const { tone, text } = editOutcome(report);
    app.notify(tone, `Rollback: ${text}`);
    app.refresh();
  });
}
