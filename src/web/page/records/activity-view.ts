// Activity: log and audit as one stream with filters; a burst of one kind is one line.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { AuditEntry, LogLine } from "../../../api/contract/records.ts";
import { sentence } from "../../../api/labels/actions.ts";
import { logLabel, transitionLabel } from "../../../api/labels/event-labels.ts";
import { msText, type Tone, wholeText } from "../../../api/labels/label.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import type { App, ViewProps } from "../parts/app.ts";
import {
  alertLine,
  choiceField,
  code,
  loading,
  mark,
  nothing,
  searchField,
  section,
  WorkButton,
  withCode,
} from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
const TONES = { debug: "plain", info: "plain", warn: "warning", error: "bad" } as const satisfies Record<
  LogLine["level"],
  Tone
>;
/** A burst is one row, and may be longer than a page: further pages are read for up to this many new rows. */
const ROWS = 20;
const MOST_PAGES = 10;
/** Typed words filter the list after this time without typing, ms. */
const QUIET_MS = 300;
const MOST_ITEMS = 2000;
const KINDS = ["everything", "the log", "calls and audit"] as const;

interface Filter {
  readonly text: string;
  readonly kind: (typeof KINDS)[number];
  readonly level: LogLine["level"];
}

export function ActivityView({ app }: ViewProps): ComponentChild {
  return section("What happened", h(Stream, { app }));
}

/** A line of the log or a record of the audit. */
interface Entry {
  readonly at: string;
  readonly tone: Tone;
  /** The level of a line, or the outcome of a call. */
  readonly status: string;
  readonly what: string;
  readonly facts: ComponentChild;
  readonly isAudit: boolean;
  /** The script that ran (`isRun`), or that made the call. */
  readonly script?: { readonly id: string; readonly isRun: boolean };
  /** Equal for entries of one kind, which become one line when they come in a burst. */
  readonly kind: string;
  /** The calls of a script, or the entries of a burst, newest first. */
  readonly calls?: readonly Entry[];
}

/** Cursors of the next older page. null: no older page; absent: no page was read yet. */
interface Ends {
  readonly log?: string | null;
  readonly audit?: string | null;
}

interface Page {
  readonly items: readonly Entry[];
  readonly ends: Ends;
  readonly isAudited: boolean;
}

function Stream({ app }: ViewProps): ComponentChild {
  const [filter, setFilter] = useState<Filter>({ text: "", kind: "everything", level: "info" });
  const [page, setPage] = useState<Page | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const read = async (known: Page | null, signal: AbortSignal): Promise<void> => {
    try {
      const rows = known === null ? 0 : rowsOf(known).length;
      let page = known;
      for (let pages = 0; pages < MOST_PAGES; pages += 1) {
        const next: Page = await loadBoth(app, filter, page?.ends ?? {}, signal);
        page = { ...next, items: [...(page?.items ?? []), ...next.items].slice(0, MOST_ITEMS) };
        const shown = rowsOf(page).length;
        if (!hasMore(page) || shown >= rows + ROWS || shown === wholeEntries(page).length) break;
      }
      setPage(page);
      setProblem(null);
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      if (error.code !== "aborted") setProblem(error.message);
    }
  };
  useEffect(() => {
    const end = new AbortController();
    void read(null, end.signal);
    return () => end.abort();
  }, [JSON.stringify(filter)]);
  const put = (change: Partial<Filter>): void => setFilter((last) => ({ ...last, ...change }));
  const now = Date.now();
  const entries = page === null ? null : rowsOf(page);
  return h(
    "div",
    {},
    h(
      "div",
      { class: "filters", role: "search" },
      h(SearchField, { onValue: (text: string) => put({ text }) }),
      choiceField("activity-kind", "Show", KINDS, filter.kind, (kind) => put({ kind })),
      choiceField("activity-level", "From level", LEVELS, filter.level, (level) => put({ level })),
    ),
    alertLine(problem),
    page?.isAudited !== false || filter.kind === "the log"
      ? null
      : h(
          "p",
          { class: "hint" },
          "Single calls are not recorded. To see them here, add ",
          code("[audit]"),
          " with ",
          code("enabled = true"),
          " in ",
          h("a", { href: "#/settings/configuration" }, "Settings"),
          ".",
        ),
    entries === null
      ? loading(null, "Reading …")
      : entries.length === 0
        ? nothing("Nothing fits these filters.")
        : h(
            "ol",
            { class: "stream" },
            entries.map((entry, index) => entryRow(entry, index, now)),
          ),
    page !== null && hasMore(page)
      ? h(WorkButton, { label: "Older", run: () => read(page, new AbortController().signal) })
      : null,
  );
}

function rowsOf(page: Page): readonly Entry[] {
  return inBursts(folded(wholeEntries(page)));
}

function hasMore({ items, ends }: Page): boolean {
  return (ends.log !== null || ends.audit !== null) && items.length < MOST_ITEMS;
}

async function loadBoth(app: App, filter: Filter, ends: Ends, signal: AbortSignal): Promise<Page> {
  const { text, kind, level } = filter;
  const matching = text === "" ? {} : { text };
  const least = LEVELS.indexOf(level);
  const before = (cursor: string | undefined) => (cursor === undefined ? {} : { before: cursor });
  const [log, audit] = await Promise.all([
    kind === "calls and audit" || ends.log === null
      ? null
      : app.requests.call("daemonLog", { level, ...matching, ...before(ends.log) }, { signal }),
    kind === "the log" || ends.audit === null
      ? null
      : app.requests.call("audit", { ...matching, ...before(ends.audit) }, { signal }),
  ]);
  // The log also has the notices of the audit.
  const isNew = ({ event }: AuditEntry): boolean => event === undefined || log === null;
  const records = (audit?.records ?? []).filter(isNew).map(auditEntry);
  return {
    items: [
      ...(log?.lines ?? []).flatMap(lineEntry),
      ...records.filter(({ tone }) => (tone === "bad" ? 3 : 1) >= least),
    ],
    ends: { log: log?.next ?? null, audit: audit?.next ?? null },
    isAudited: audit?.enabled ?? true,
  };
}

/** Newest first, and only back to the time from which both log and audit are loaded. */
function wholeEntries({ items, ends }: Page): readonly Entry[] {
  const oldest = (isAudit: boolean, end: string | null | undefined): string =>
    end === null ? "" : (items.findLast((item) => item.isAudit === isAudit)?.at ?? "");
  const known = [oldest(false, ends.log), oldest(true, ends.audit)].toSorted().at(-1) ?? "";
  return items.filter(({ at }) => at >= known).toSorted((one, other) => (one.at < other.at ? 1 : -1));
}

/** A script is one entry with its calls in it. Calls of a script whose own entry is not there stay as they are. */
function folded(entries: readonly Entry[]): readonly Entry[] {
  const ofScripts = Map.groupBy(entries, ({ script }) => script?.id);
  const isFolded = ({ script }: Entry): boolean =>
    script?.isRun === false && ofScripts.get(script.id)?.some((one) => one.script?.isRun === true) === true;
  return entries
    .filter((entry) => !isFolded(entry))
    .map((entry) =>
      entry.script?.isRun === true
        ? { ...entry, calls: (ofScripts.get(entry.script.id) ?? []).filter((one) => one !== entry) }
        : entry,
    );
}

/** Of one kind, with at most this time between two of them, ms. */
const BURST_MS = 60_000;

/** Entries of one kind that follow each other within a minute are one, with all of them in it. */
function inBursts(entries: readonly Entry[]): readonly Entry[] {
  const bursts: Entry[][] = [];
  const open = new Map<string, Entry[]>();
  for (const entry of entries) {
    const key = `${entry.kind} ${entry.tone}`;
    const burst = entry.calls === undefined ? open.get(key) : undefined;
    const last = burst?.at(-1);
    if (burst !== undefined && last !== undefined && Date.parse(last.at) - Date.parse(entry.at) <= BURST_MS)
      burst.push(entry);
    else {
      const begun = [entry];
      bursts.push(begun);
      open.set(key, begun);
    }
  }
  return bursts.flatMap(([newest, ...others]) => {
    if (newest === undefined || others.length === 0) return newest ?? [];
    const calls = [newest, ...others];
    return [{ ...newest, what: `${calls.length} times, last: ${newest.what}`, calls }];
  });
}

/** Empty for a line that is not shown to people. */
function lineEntry({ at, level, ...line }: LogLine): readonly Entry[] {
  const known = logLabel(line);
  if (known === null) return [];
  return [
    {
      at,
      tone: TONES[level],
      status: level,
      what: wholeText(known),
      facts: null,
      isAudit: false,
      kind: known.name,
    },
  ];
}

function auditEntry(record: AuditEntry): Entry {
  const { time, kind, principal, method, target, backend, outcome, duration_ms: ms, event } = record;
  const notice = event === undefined ? null : transitionLabel({ ...record, name: event });
  const facts = [
    ...(principal == null ? [] : [`by ${principal}`]),
    ...(backend == null ? [] : [`of ${backend}`]),
    ...(ms === undefined ? [] : [msText(ms)]),
    ...(record.reason === undefined ? [] : [record.reason]),
    ...(record.count === undefined ? [] : [pluralize(record.count, "time")]),
    ...(record.dropped === undefined ? [] : [`${record.dropped} lost`]),
  ].join(", ");
  const given = record.arguments;
  return {
    at: time,
    tone: outcome === undefined || outcome === "ok" ? "plain" : "bad",
    status: outcome ?? kind,
    what: notice === null ? sentence(target?.replace(":", " ") ?? method ?? kind) : wholeText(notice),
    facts: [shown(facts), given === undefined ? null : [" ", code(JSON.stringify(given).slice(0, 1000))]],
    isAudit: true,
    kind: `${principal} ${method} ${target} ${outcome}`,
    ...(record.script === undefined
      ? {}
      : { script: { id: record.script, isRun: target === "tool:run_script" } }),
  };
}

function entryRow(
  { at, tone, status, what, facts, calls = [] }: Entry,
  index: number,
  now: number,
): ComponentChild {
  return h(
    "li",
    { key: `${at} ${index}`, class: tone },
    h("time", { class: "dim", dateTime: at }, clockText(Date.parse(at), now)),
    h(
      "p",
      {},
      tone === "plain" ? null : [mark(tone, status), " "],
      h("strong", {}, withCode(what)),
      " ",
      h("span", { class: "facts" }, facts),
    ),
    calls.length === 0
      ? null
      : h(
          "details",
          {},
          h(
            "summary",
            {},
            calls.some(({ isAudit }) => !isAudit) ? "Show all" : pluralize(calls.length, "call"),
          ),
          h(
            "ol",
            { class: "stream" },
            calls.map((call, nth) => entryRow(call, nth, now)),
          ),
        ),
  );
}

/** A search field that reports its words once nothing was typed for `QUIET_MS`. */
function SearchField({ onValue }: { readonly onValue: (value: string) => void }): ComponentChild {
  const [typed, setTyped] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => onValue(typed.trim()), QUIET_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return searchField("activity-text", "Words", typed, setTyped);
}
