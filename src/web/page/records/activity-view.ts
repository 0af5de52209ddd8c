// Activity: the day as bars, and below it all that was logged and asked, in one stream with filters.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { AuditEntry, LogLine } from "../../../api/records-contract.ts";
import { transitionOf, transitionWords } from "../../../api/words/event-words.ts";
import { msText, type Tone, wholeText } from "../../../api/words/words.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { choiceField, code, mark, nothing, searchField, section, WorkButton } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { TimelineView } from "../timeline/timeline-view.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
const TONES = { debug: "plain", info: "plain", warn: "warning", error: "bad" } as const satisfies Record<
  LogLine["level"],
  Tone
>;
/** A request for each letter would be too many. */
const RESTS_MS = 300;
const KINDS = ["everything", "the log", "calls and audit"] as const;

interface Filter {
  readonly text: string;
  readonly kind: (typeof KINDS)[number];
  readonly level: LogLine["level"];
}

export function ActivityView({ app }: ViewProps): ComponentChild {
  return [h(TimelineView, { key: "day", app }), section("What happened", h(Stream, { key: "stream", app }))];
}

/** A line of the log or a record of the audit. */
interface Entry {
  readonly at: string;
  readonly tone: Tone;
  /** Its level, or what came of it. */
  readonly word: string;
  readonly what: string;
  readonly facts: ComponentChild;
  readonly isAudit: boolean;
}

function Stream({ app }: ViewProps): ComponentChild {
  const [filter, setFilter] = useState<Filter>({ text: "", kind: "everything", level: "info" });
  const [isAudited, setAudited] = useState(true);
  const { items, next, problem, hasMore, more } = usePages<Entry>(
    JSON.stringify(filter),
    async (before, signal) => {
      const page = await loadBoth(app, filter, before, signal);
      setAudited(page.isAudited);
      return page;
    },
  );
  const put = (change: Partial<Filter>): void => setFilter((last) => ({ ...last, ...change }));
  const now = Date.now();
  const entries = items === null ? null : wholeEntries(items, next);
  return h(
    "div",
    {},
    h(
      "div",
      { class: "filters", role: "search" },
      h(WordsField, { onValue: (text: string) => put({ text }) }),
      choiceField("activity-kind", "Show", KINDS, filter.kind, (kind) => put({ kind })),
      choiceField("activity-level", "From level", LEVELS, filter.level, (level) => put({ level })),
    ),
    problem === null ? null : h("p", { class: "problem", role: "alert" }, shown(problem)),
    isAudited || filter.kind === "the log"
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
      ? nothing("Reading …")
      : entries.length === 0
        ? nothing("Nothing fits these filters.")
        : h(
            "ol",
            { class: "stream" },
            entries.map((entry, index) => entryRow(entry, index, now)),
          ),
    hasMore ? h(WorkButton, { label: "Older", run: more }) : null,
  );
}

/** Where the next page of each begins; null: it has no older one. */
interface Ends {
  readonly log: string | null;
  readonly audit: string | null;
}

const NOTHING_OLDER = { next: null, items: [] };

async function loadBoth(app: App, { text, kind, level }: Filter, before: string | null, signal: AbortSignal) {
  // Written below.
  const ends = before === null ? null : (JSON.parse(before) as Ends);
  const words = text === "" ? {} : { text };
  const least = LEVELS.indexOf(level);
  const from = (end: keyof Ends) => (ends?.[end] == null ? {} : { before: ends[end] });
  const readLog = async () => {
    if (kind === "calls and audit" || ends?.log === null) return NOTHING_OLDER;
    const { lines, next } = await app.requests.ask(
      "daemonLog",
      { level, ...words, ...from("log") },
      { signal },
    );
    return { next, items: lines.map(lineEntry) };
  };
  const readAudit = async () => {
    if (kind === "the log" || ends?.audit === null) return { ...NOTHING_OLDER, enabled: true };
    const { enabled, records, next } = await app.requests.ask(
      "audit",
      { ...words, ...from("audit") },
      { signal },
    );
    const fitting = records.map(auditEntry).filter(({ tone }) => (tone === "bad" ? 3 : 1) >= least);
    return { enabled, next, items: fitting };
  };
  const [log, audit] = await Promise.all([readLog(), readAudit()]);
  const next: Ends = { log: log.next, audit: audit.next };
  return {
    items: [...log.items, ...audit.items],
    next: next.log === null && next.audit === null ? null : JSON.stringify(next),
    isAudited: audit.enabled,
  };
}

/** Newest first, as far back as both of them are known: what one has not told yet belongs between. */
export function wholeEntries<Item extends Pick<Entry, "at" | "isAudit">>(
  items: readonly Item[],
  next: string | null,
): readonly Item[] {
  const ends: Ends = next === null ? { log: null, audit: null } : JSON.parse(next);
  const oldest = (isAudit: boolean, end: string | null): string =>
    end === null ? "" : (items.findLast((item) => item.isAudit === isAudit)?.at ?? "");
  const known = [oldest(false, ends.log), oldest(true, ends.audit)].toSorted().at(-1) ?? "";
  return items.filter(({ at }) => at >= known).toSorted((one, other) => (one.at < other.at ? 1 : -1));
}

/** A transition in the words that every face has for it; another line as it was written. */
function lineEntry({ at, level, message, fields = {} }: LogLine): Entry {
  const transition = transitionOf({ message, fields });
  const told = transition === null ? null : transitionWords(transition);
  const common = { at, tone: TONES[level], word: level, isAudit: false };
  if (told !== null) return { ...common, what: wholeText(told), facts: null };
  const facts = Object.entries(fields).map(([name, value]) => [
    ` ${shown(name)} `,
    code(typeof value === "string" ? value : JSON.stringify(value)),
  ]);
  return { ...common, what: message, facts };
}

function auditEntry(record: AuditEntry): Entry {
  const { time, kind, principal, method, target, backend, outcome, duration_ms: ms, event } = record;
  const facts = [
    ...(principal == null ? [] : [`by ${principal}`]),
    ...(backend == null ? [] : [`of ${backend}`]),
    ...(ms === undefined ? [] : [msText(ms)]),
    ...[record.entry, record.summary, record.reason].filter((text) => text !== undefined),
    ...(record.count === undefined ? [] : [counted(record.count, "time")]),
    ...(record.dropped === undefined ? [] : [`${record.dropped} lost`]),
  ].join(", ");
  const given = record.arguments;
  return {
    at: time,
    tone: outcome === undefined || outcome === "ok" ? "plain" : "bad",
    word: outcome ?? kind,
    what: target ?? method ?? event ?? kind,
    facts: [shown(facts), given === undefined ? null : [" ", code(JSON.stringify(given).slice(0, 1000))]],
    isAudit: true,
  };
}

function entryRow({ at, tone, word, what, facts }: Entry, index: number, now: number): ComponentChild {
  return h(
    "li",
    { key: `${at} ${index}`, class: tone },
    h("time", { class: "dim", dateTime: at }, clockText(Date.parse(at), now)),
    mark(tone, word),
    h("p", {}, h("strong", {}, shown(what)), " ", h("span", { class: "facts" }, facts)),
  );
}

/** What is typed holds once it rests. */
function WordsField({ onValue }: { readonly onValue: (value: string) => void }): ComponentChild {
  const [typed, setTyped] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => onValue(typed.trim()), RESTS_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return searchField("activity-text", "Words", typed, setTyped);
}

// Records that come by pages: the first for a filter, and older ones behind it.

interface PageOf<Item> {
  readonly items: readonly Item[];
  /** Where older ones are; null: there are none. */
  readonly next: string | null;
}

/** What a browser can show and search in. */
const MOST_ITEMS = 2000;

/**
 * Loads anew whenever `filter` says something else; `load` gives the page before `before`. `items` are null until the first
 * page has come; `next` is as the newest page gave it.
 */
function usePages<Item>(
  filter: string,
  load: (before: string | null, signal: AbortSignal) => Promise<PageOf<Item>>,
) {
  const [items, setItems] = useState<readonly Item[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const take = async (before: string | null, signal: AbortSignal, known: readonly Item[]): Promise<void> => {
    try {
      const page = await load(before, signal);
      setItems([...known, ...page.items].slice(0, MOST_ITEMS));
      setNext(page.next);
      setProblem(null);
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      if (error.code !== "aborted") setProblem(error.message);
    }
  };
  useEffect(() => {
    const end = new AbortController();
    void take(null, end.signal, []);
    return () => end.abort();
  }, [filter]);
  return {
    items,
    next,
    problem,
    hasMore: next !== null && (items?.length ?? 0) < MOST_ITEMS,
    more: () => take(next, new AbortController().signal, items ?? []),
  };
}
