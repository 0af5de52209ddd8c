// The Audit screen: audit records, newest first; older pages are read when the user reaches them.
import type { AuditEntry, AuditReport } from "../../api/contract/records.ts";
import { type Clock, localClock, localDay } from "../../runtime/time/clock.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { attempt, errorLine, repeat } from "../terminal/attempt.ts";
import { absenceLines, failureLines } from "../terminal/connection.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { cell, cutLine, type Line, span, type Tone } from "../terminal/line.ts";
import {
  chosenId,
  detailsPart,
  drawnRows,
  EMPTY_LIST,
  fieldLines,
  filterLine,
  type ListState,
  pressListKey,
  rowMark,
} from "../terminal/list-state.ts";
import type { KeyHelp, Screen, ScreenSize } from "../terminal/screen.ts";
import { createStore } from "../terminal/store.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "up, down, Space", does: "choose a record; older ones are read as you come to them" },
  { keys: "Enter", does: "all of the record; Esc goes back" },
  { keys: "/", does: "only records with this text; Enter asks for them, Esc drops it" },
  {
    keys: "b, p, o, w",
    does: "only those of the same backend, principal, outcome or tool (what) as the chosen one",
  },
  { keys: "n", does: "the newest again" },
  { keys: "Tab", does: "the events" },
];

const PAGE = 100;
/** Maximum number of records kept in memory; a filter finds older ones. */
const MOST_KEPT = 2_000;
/** Time between two reads while the top of the list is shown, ms; no event announces new records. */
const AGAIN_MS = 2_000;

type AuditFilters = Readonly<Partial<Record<"text" | "backend" | "principal" | "outcome" | "tool", string>>>;

interface AuditState {
  readonly list: ListState;
  readonly filters: AuditFilters;
  /** Newest first; null until they are read. */
  readonly records: readonly AuditEntry[] | null;
  readonly isEnabled: boolean;
  /** Cursor of the next older page; null: no older records. */
  readonly next: string | null;
  readonly loading: "newest" | "older" | null;
  readonly failure: string | null;
}

const EMPTY: AuditState = {
  list: EMPTY_LIST,
  filters: {},
  records: null,
  isEnabled: true,
  next: null,
  loading: null,
  failure: null,
};

export function createAuditScreen(
  link: DaemonLink,
  clock: Clock,
  showEvents: () => void,
  ended: AbortSignal,
): Screen {
  const state = createStore<AuditState>(EMPTY);
  /** Number of requests so far. Only the answer to the newest one is used. */
  let requests = 0;
  const { put } = state;
  const load = async (before: string | null): Promise<void> => {
    const { filters, loading } = state.get();
    if (before !== null && loading === "older") return;
    requests += 1;
    const own = requests;
    put({ loading: before === null ? "newest" : "older" });
    await attempt(
      async () => {
        const request = { limit: PAGE, ...filters, ...(before === null ? {} : { before }) };
        const report = await link.ask("audit", request, ended);
        if (own === requests) put({ ...withPage(state.get(), report, before), loading: null, failure: null });
      },
      (error) => {
        if (own === requests) put({ loading: null, failure: errorLine(error) });
      },
      ended,
    );
  };
  const ask = (filters: AuditFilters): true => {
    put({
      filters,
      records: null,
      next: null,
      loading: "newest",
      list: { ...state.get().list, chosen: null },
    });
    void load(null);
    return true;
  };
  return {
    key: "E",
    view: "Activity",
    title: "Audit",
    about: "who asked for what, and what came of it",
    keys: KEYS,
    changes: state,
    open(signal) {
      const look = async (): Promise<void> => {
        const { list, loading } = state.get();
        if (isAtTop(list) && !list.isTyping && loading === null) await load(null);
      };
      void repeat(look, AGAIN_MS, clock, signal);
    },
    draw: (size) => auditLines(state.get(), absenceLines(link.connection.get(), size), size),
    hints: () => hintsOf(state.get()),
    // Keys act on the chosen record, so they wait for the first page.
    holdsKeys: () => state.get().records === null && state.get().loading !== null,
    onKey(key) {
      const now = state.get();
      if (!now.list.isTyping && isNamed(key, "tab")) {
        showEvents();
        return true;
      }
      const filters = filtersAfter(now, key);
      if (filters !== null) return ask(filters);
      const list = pressListKey(now.list, key, idsOf(now));
      if (list === null) {
        const isEscape = isNamed(key, "escape");
        return isEscape && Object.keys(now.filters).length > 0 ? ask({}) : false;
      }
      put({ list });
      const isDone = now.list.isTyping && !list.isTyping;
      const { text: _, ...others } = now.filters;
      const text = list.filter.text.trim();
      if (isDone) return ask(text === "" ? others : { ...others, text });
      if (!list.isTyping && now.list.filter.text !== "" && text === "") return ask(others);
      if (isNearEnd(state.get()) && now.next !== null) void load(now.next);
      return true;
    },
  };
}

/** Ids count from the oldest record, so that a record keeps its id when newer ones arrive. */
function idsOf({ records }: AuditState): readonly number[] {
  const count = records?.length ?? 0;
  return Array.from({ length: count }, (_, index) => count - index);
}

function isAtTop({ chosen, details }: ListState): boolean {
  return chosen === null && details === null;
}

function isNearEnd({ list, records }: AuditState): boolean {
  return list.chosen !== null && list.chosen <= 10 && (records?.length ?? 0) < MOST_KEPT;
}

function withPage(state: AuditState, report: AuditReport, before: string | null): Partial<AuditState> {
  const { enabled: isEnabled, records: page, next } = report;
  if (before === null) {
    // Drops the page if the user has left the top of the list meanwhile: the chosen id would then mean
    // another record.
    if (state.records !== null && !isAtTop(state.list)) return {};
    return { isEnabled, records: page, next };
  }
  // Ids count from the oldest record, so adding older records raises all present ids.
  const chosen = state.list.chosen === null ? null : state.list.chosen + page.length;
  return { isEnabled, records: [...(state.records ?? []), ...page], next, list: { ...state.list, chosen } };
}

function chosenRecord(state: AuditState): AuditEntry | null {
  const ids = idsOf(state);
  const id = chosenId(state.list, ids);
  return id === null ? null : (state.records?.[ids.indexOf(id)] ?? null);
}

/** The filters after a key; null if the key is not for a filter. */
function filtersAfter(state: AuditState, key: Key): AuditFilters | null {
  if (key.kind !== "character" || state.list.isTyping || state.list.details !== null) return null;
  if (key.text === "n") return state.filters;
  const record = chosenRecord(state);
  if (record === null) return null;
  const { backend, principal, outcome, target } = record;
  const tool = target?.startsWith("tool:") === true ? target.slice("tool:".length) : null;
  const values: Readonly<Record<string, AuditFilters | null>> = {
    b: typeof backend === "string" ? { backend } : null,
    p: typeof principal === "string" ? { principal } : null,
    o: outcome === undefined ? null : { outcome },
    w: tool === null ? null : { tool },
  };
  const wanted = Object.hasOwn(values, key.text) ? values[key.text] : undefined;
  return wanted === undefined ? null : { ...state.filters, ...(wanted ?? {}) };
}

function auditLines(state: AuditState, above: readonly Line[], size: ScreenSize): readonly Line[] {
  const { list, filters, records, failure, isEnabled, next } = state;
  const { width, height, symbols } = size;
  const only = Object.entries(filters).map(([name, value]) => `${name} ${value}`);
  const head = [
    span("Audit", "strong"),
    span(`  ${records?.length ?? 0}${next === null ? "" : "+"} records, newest first`, "faint"),
    ...(only.length === 0 ? [] : [span(`  only ${only.join(", ")}`, "accent")]),
  ];
  const top = [
    ...above,
    cutLine(head, width, symbols.ellipsis),
    ...failureLines(failure, size),
    ...filterLine(list, size),
  ];
  const room = Math.max(1, height - top.length);
  if (!isEnabled)
    return [...top, [span("  nothing is audited: [audit] is not in the configuration", "faint")]];
  if (records === null) return [...top, [span(`  ${symbols.ellipsis}`, "faint")]];
  const chosen = chosenRecord(state);
  if (chosen === null) return [...top, [span("  none", "faint")]];
  if (list.details !== null)
    return [...top, ...detailsPart(fieldLines(chosen, size), list.details, room, size)];
  const at = records.indexOf(chosen);
  return [...top, ...drawnRows(records, room, at, (record, isChosen) => recordLine(record, isChosen, size))];
}

const OUTCOME_WIDTH = 14;
const WHO_WIDTH = 14;

function recordLine(record: AuditEntry, isChosen: boolean, size: ScreenSize): Line {
  const {
    kind,
    principal,
    target,
    method,
    backend,
    outcome,
    duration_ms: took,
    reason,
    summary,
    event,
  } = record;
  const what = [target ?? method ?? event, summary, reason, backend == null ? null : `on ${backend}`].filter(
    (part) => typeof part === "string",
  );
  const result = outcome ?? kind;
  return cutLine(
    [
      rowMark(isChosen, size),
      span(`${timeText(record.time)}  `, "faint"),
      span(cell(result, OUTCOME_WIDTH, size), toneOf(result)),
      span(cell(principal ?? "", WHO_WIDTH, size), "strong"),
      span(what.join("  ")),
      span(took === undefined ? "" : `  ${Math.round(took)} ms`, "faint"),
    ],
    size.width,
    size.symbols.ellipsis,
  );
}

function timeText(iso: string): string {
  const at = new Date(iso);
  return `${localDay(at).slice(5)} ${localClock(at)}`;
}

function toneOf(outcome: string): Tone {
  if (outcome === "ok") return "good";
  return /^(denied|refused|error|tool_error|lost)/.test(outcome) ? "bad" : "warning";
}

function hintsOf({ list }: AuditState): readonly string[] {
  if (list.isTyping) return ["type words", "Enter ask", "Esc drop"];
  if (list.details !== null) return ["arrows scroll", "Esc back"];
  return ["Enter details", "/ text", "b p o w same as this", "Esc all", "? help", "q quit"];
}
