// Activity: the log and the audit as one table, with filters that the address keeps.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { AuditEntry, LogLine, LogRequest } from "../../../api/contract/records.ts";
import { msText } from "../../../api/labels/label.ts";
import { editOutcome } from "../../../api/labels/outcome-labels.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import {
  alertLine,
  choiceField,
  code,
  line,
  loading,
  mark,
  nothing,
  section,
  WorkButton,
  withCode,
} from "../parts/elements.ts";
import { LockedLine, useMayRunCommands } from "../parts/owner-lock.ts";
import { Table, type TableRow } from "../parts/table.ts";
import { dateText, shown } from "../parts/text.ts";
import {
  addressOf,
  callsOf,
  type Filter,
  filterFrom,
  LEVELS,
  OUTCOMES,
  RANGES,
  SHOWN,
  timesOf,
} from "./activity-filter.ts";
import { CallSums } from "./call-sums.ts";
import { auditEntry, type Entry, inBursts, logEntries, TONE_LEVELS, withScripts } from "./entries.ts";

/** A burst is one row, and may be longer than a page: further pages are read for up to this many new rows. */
const ROWS = 20;
const MOST_PAGES = 10;
/** Typed words filter the list after this time without typing, ms. */
const QUIET_MS = 300;
const MOST_ITEMS = 2000;
const TITLES = ["Time", "Who", "On", "What", "Outcome", "Took"];

export function ActivityView({ app }: ViewProps): ComponentChild {
  return section("What happened", h(Stream, { app }));
}

/** Cursors of the next older page. null: no older page; absent: no page was read yet. */
interface Ends {
  readonly log?: string | null;
  readonly audit?: string | null;
}

interface Page {
  readonly lines: readonly LogLine[];
  readonly records: readonly AuditEntry[];
  readonly ends: Ends;
  readonly isAudited: boolean;
}

const NO_PAGE: Page = { lines: [], records: [], ends: {}, isAudited: true };

function Stream({ app }: ViewProps): ComponentChild {
  const [filter, setFilter] = useState<Filter>(() => filterFrom(globalThis.location?.hash ?? ""));
  const [page, setPage] = useState<Page | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const read = async (known: Page | null, signal: AbortSignal): Promise<void> => {
    try {
      const rows = known === null ? 0 : rowsOf(known, filter).length;
      let page = known ?? NO_PAGE;
      for (let pages = 0; pages < MOST_PAGES; pages += 1) {
        page = await nextPage(page, app, filter, signal);
        const shown = rowsOf(page, filter).length;
        if (!hasMore(page) || shown >= rows + ROWS || shown === wholePart(page).length) break;
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
    globalThis.history?.replaceState(null, "", addressOf(filter));
    void read(null, end.signal);
    return () => end.abort();
  }, [JSON.stringify(filter)]);
  useEffect(() => {
    const follow = (): void => setFilter(filterFrom(location.hash));
    globalThis.addEventListener?.("hashchange", follow);
    return () => globalThis.removeEventListener?.("hashchange", follow);
  }, []);
  const entries = page === null ? null : rowsOf(page, filter);
  return h(
    "div",
    {},
    h(Filters, { app, filter, page, put: (change) => setFilter((last) => ({ ...last, ...change })) }),
    alertLine(problem),
    page?.isAudited === false && filter.show !== "the log"
      ? h(AuditSwitch, { app, onDone: () => void read(null, new AbortController().signal) })
      : null,
    page?.isAudited === true && filter.show !== "the log"
      ? h(CallSums, { key: JSON.stringify(filter), app, filter })
      : null,
    entries === null
      ? loading(null, "Reading …")
      : entries.length === 0
        ? nothing(
            page !== null && hasMore(page)
              ? "Nothing so far fits these filters."
              : "Nothing fits these filters.",
          )
        : h(Table, { label: "Events and calls", titles: TITLES, most: MOST_ITEMS, rows: entries.map(rowOf) }),
    page !== null && hasMore(page)
      ? h(WorkButton, { label: "Older", run: () => read(page, new AbortController().signal) })
      : isCut(page) &&
          h(
            "p",
            { class: "hint" },
            `Only the newest ${MOST_ITEMS} are shown: choose a shorter time or more filters.`,
          ),
  );
}

interface FiltersProps extends ViewProps {
  readonly filter: Filter;
  readonly page: Page | null;
  readonly put: (change: Partial<Filter>) => void;
}

function Filters({ app, filter, page, put }: FiltersProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const names = [...(status?.backends ?? []), ...(status?.shares ?? [])].map(({ name }) => name);
  const of = (pick: (record: AuditEntry) => string | null | undefined): readonly string[] =>
    [...new Set((page?.records ?? []).flatMap((record) => pick(record) ?? []))].sort();
  const typed = (key: "text" | "person" | "tool" | "on", label: string, known: readonly string[] = []) =>
    h(TypedFilter, {
      key,
      id: `activity-${key}`,
      label,
      known,
      value: filter[key],
      onValue: (value) => put({ [key]: value }),
    });
  return h(
    "div",
    { class: "filters activity", role: "search" },
    typed("text", "Words"),
    choiceField("activity-range", "When", RANGES, filter.range, (range) => put({ range })),
    filter.range === "from – to" ? [moment("from", filter, put), moment("to", filter, put)] : null,
    typed(
      "person",
      "Who",
      of(({ principal }) => principal),
    ),
    typed("on", "Server or share", names),
    typed(
      "tool",
      "Tool",
      of(({ target }) => (target?.startsWith("tool:") ? target.slice(5) : null)),
    ),
    choiceField("activity-outcome", "Outcome", OUTCOMES, filter.outcome, (outcome) => put({ outcome })),
    choiceField("activity-kind", "Show", SHOWN, filter.show, (show) => put({ show })),
    choiceField("activity-level", "From level", LEVELS, filter.level, (level) => put({ level })),
  );
}

function moment(key: "from" | "to", filter: Filter, put: FiltersProps["put"]): ComponentChild {
  const onChange = ({ target }: Event): void => put({ [key]: (target as HTMLInputElement).value });
  const id = `activity-${key}`;
  return h(
    "div",
    { class: "field", key },
    h("label", { for: id }, key === "from" ? "From" : "To"),
    h("input", { id, type: "datetime-local", value: filter[key], onChange }),
  );
}

interface TypedFilterProps {
  readonly id: string;
  readonly label: string;
  readonly known: readonly string[];
  readonly value: string;
  readonly onValue: (value: string) => void;
}

/** A field that reports its words once nothing was typed for `QUIET_MS`. */
function TypedFilter({ id, label, known, value, onValue }: TypedFilterProps): ComponentChild {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed.trim() === value) return;
    const timer = setTimeout(() => onValue(typed.trim()), QUIET_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const onInput = ({ target }: Event): void => setTyped((target as HTMLInputElement).value);
  const list = known.length === 0 ? {} : { list: `${id}-known` };
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h("input", { id, value: typed, onInput, type: "search", autocomplete: "off", ...list }),
    known.length === 0
      ? null
      : h(
          "datalist",
          { id: `${id}-known` },
          known.map((name) => h("option", { key: name, value: name })),
        ),
  );
}

/** The first row where calls are not recorded: switches the audit on. */
function AuditSwitch({ app, onDone }: ViewProps & { readonly onDone: () => void }): ComponentChild {
  const may = useMayRunCommands(app);
  const begin = (): Promise<unknown> =>
    app.attempt("Record calls", async () => {
      const { sha256 } = await app.requests.call("config", null, {});
      const edits = [{ key: "audit.enabled", value: "true" }];
      const report = await app.requests.call("edit", { edits, expected_sha256: sha256, source: "page" });
      const { tone, text } = editOutcome(report);
      app.notify(tone, text);
      onDone();
    });
  return h(
    "div",
    { class: "note" },
    h("p", {}, h("strong", {}, "Calls are not recorded.")),
    h(
      "p",
      { class: "hint" },
      "Once they are, ",
      code("audit.jsonl"),
      " in Mountaineer's home has who called which tool of which server, when, for how long and with which outcome, but no arguments and no results. The newest 60 MiB are kept.",
    ),
    may
      ? h("p", { class: "row actions" }, h(WorkButton, { label: "Record calls", kind: "main", run: begin }))
      : h(LockedLine, { app, what: "record calls" }),
  );
}

function hasMore(page: Page): boolean {
  return (page.ends.log !== null || page.ends.audit !== null) && !isCut(page);
}

function isCut(page: Page | null): boolean {
  return page !== null && page.lines.length + page.records.length >= MOST_ITEMS;
}

/** Adds the next older page of each. Stories need all lines, so their levels are compared here. */
async function nextPage(page: Page, app: App, filter: Filter, signal: AbortSignal): Promise<Page> {
  const { text, show, level, person, on, tool, outcome } = filter;
  const { ends } = page;
  const nowMs = Date.now();
  const beyond = (cursor: string | null | undefined) => (cursor == null ? {} : { before: cursor });
  const isOfCalls = person !== "" || tool !== "" || outcome !== "";
  const isShare = app.store.get().status?.shares.some(({ name }) => name === on) === true;
  const least = level === "debug" ? level : "info";
  // All lines of a server or share have its name, so that lines of others take no page.
  const words = text === "" ? on : text;
  const ofLog: LogRequest = {
    level: least,
    ...(words === "" ? {} : { text: words }),
    ...timesOf(filter, nowMs),
    ...beyond(ends.log),
  };
  const [log, audit] = await Promise.all([
    show === "calls and audit" || isOfCalls || ends.log === null
      ? null
      : app.requests.call("daemonLog", ofLog, { signal }),
    show === "the log" || isShare || ends.audit === null
      ? null
      : app.requests.call("audit", { ...callsOf(filter, nowMs), ...beyond(ends.audit) }, { signal }),
  ]);
  // The log also has the notices of the audit.
  const records = (audit?.records ?? []).filter(({ event }) => event === undefined || log === null);
  return {
    lines: [...page.lines, ...(log?.lines ?? [])],
    records: [...page.records, ...records],
    ends: { log: log?.next ?? null, audit: audit?.next ?? null },
    isAudited: audit?.enabled ?? page.isAudited,
  };
}

/** What is newer than the time from which both log and audit are loaded. */
function wholePart({ lines, records, ends }: Page) {
  const oldest = (times: readonly string[], end: string | null | undefined): string =>
    end === null ? "" : (times.at(-1) ?? "");
  const ofLog = oldest(
    lines.map(({ at }) => at),
    ends.log,
  );
  const ofAudit = oldest(
    records.map(({ time }) => time),
    ends.audit,
  );
  const known = ofLog > ofAudit ? ofLog : ofAudit;
  const whole = {
    lines: lines.filter(({ at }) => at >= known),
    records: records.filter(({ time }) => time >= known),
  };
  return { ...whole, length: whole.lines.length + whole.records.length };
}

/** Newest first. */
function rowsOf(page: Page, { level, on }: Filter): readonly Entry[] {
  const { lines, records } = wholePart(page);
  const least = LEVELS.indexOf(level);
  const isOn = (entry: Entry): boolean =>
    on === "" || entry.on === on || entry.parts?.some((part) => part.on === on) === true;
  const entries = [...logEntries(lines), ...records.map(auditEntry)]
    .filter((entry) => TONE_LEVELS[entry.tone] >= least && isOn(entry))
    .toSorted((one, other) => (one.at < other.at ? 1 : -1));
  return inBursts(withScripts(entries));
}

function rowOf(entry: Entry, index: number): TableRow {
  const { at, tone, person, client, on, what, outcome, ms, more, parts } = entry;
  const hasCard = more !== null || parts !== undefined;
  const own = parts?.map(rowOf) ?? [];
  return {
    key: `${at} ${index}`,
    cells: [
      h("time", { dateTime: at }, dateText(Date.parse(at))),
      [
        person === null ? "" : shown(person),
        client === null ? null : h("span", { class: "dim claim" }, shown(client)),
      ],
      on === null ? "" : shown(on),
      [withCode(what), parts === undefined ? null : h("span", { class: "dim" }, ` · ${parts.length} in it`)],
      outcome === null ? "" : tone === "plain" ? shown(outcome) : mark(tone, outcome),
      ms === null ? "" : msText(ms).replace(" ", "\u00a0"),
    ],
    ...(hasCard
      ? {
          card: () => [
            line("facts", more && shown(more)),
            own.length === 0
              ? null
              : h(Table, { label: "In it", titles: TITLES, rows: own, most: MOST_ITEMS }),
          ],
        }
      : {}),
  };
}
