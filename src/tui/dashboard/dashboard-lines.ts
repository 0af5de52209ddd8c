// The text of the dashboard: its rows as lines, the part of them that fits, and the newest events below.
import type { BackendStatus, GlobalStatus, ShareStatus } from "../../api/contract/contract.ts";
import { backendFacts, backendLabel, callFacts } from "../../api/labels/backend-labels.ts";
import { CLIENT_TITLES } from "../../api/labels/client-labels.ts";
import { type Label, type StateLabel, troublesOf, wholeText } from "../../api/labels/label.ts";
import { routeLabels, shareLabel } from "../../api/labels/share-labels.ts";
import { shareFacts } from "../../api/labels/traffic-labels.ts";
import { backendWhy, shareWhy } from "../../api/labels/why.ts";
import { backendBlock } from "../../api/views/gateway-view.ts";
import { shareBlock } from "../../api/views/status-view.ts";
import {
  conditionLines,
  conditionText,
  labelled,
  marked,
  nameColumns,
  type StatusViewOptions,
  viewOf,
} from "../../api/views/view-lines.ts";
import { ruleLines } from "../../api/views/why-view.ts";
import { toneMark } from "../../runtime/text/paint.ts";
import { columns, padded, printable } from "../../runtime/text/plain-text.ts";
import { eventLine, type StoredEvent } from "../events/event-ring.ts";
import { cutLine, cutText, type Line, paintedLines, type Span, span, type View } from "../terminal/line.ts";
import { nameSpan } from "../terminal/list-state.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import { type ChoiceRow, type DashboardRow, isChoice } from "./dashboard-rows.ts";

/**
 * Minimum height at which LEAST_EVENTS lines are reserved for events; on lower screens, events only get the
 * lines that the rows leave free.
 */
const ROOMY_HEIGHT = 18;
const LEAST_EVENTS = 3;
const HOLDERS_SHOWN = 3;
/** The most lines for what is wrong or waits, on a screen on which not everything fits. */
const TROUBLE_LINES = 5;
/** Columns; with less room for names, a cause begins after them as usual. */
const SHORTEST_NAMES = 12;

/** `events`: newest first; read only as far as they are shown. */
export function dashboardLines(
  rows: readonly DashboardRow[],
  chosen: ChoiceRow | null,
  events: Iterable<StoredEvent>,
  size: ScreenSize,
  nowMs: number,
): readonly Line[] {
  const view: RowView = { ...size, nowMs, ...columnsOf(rows, size) };
  const drawn = rows.map((row): DrawnRow => ({ row, lines: rowLines(row, row === chosen, view) }));
  const reserved = size.height >= ROOMY_HEIGHT ? LEAST_EVENTS : 0;
  const lineCount = drawn.reduce((sum, { lines }) => sum + lines.length, 0);
  const fitting = lineCount <= size.height - reserved ? drawn : withFewTroubles(drawn, chosen, view);
  const all = fitting.flatMap(({ row, lines }) => lines.map((line) => ({ row, line })));
  const listHeight = Math.max(1, Math.min(all.length, size.height - reserved));
  const first = all.findIndex(({ row }) => row === chosen);
  const last = all.findLastIndex(({ row }) => row === chosen);
  const part = windowAround(all.length, listHeight, first, last);
  const shown = all.slice(part, part + listHeight).map(({ line }) => line);
  if (part + listHeight < all.length) {
    const more = all.length - part - listHeight + 1;
    shown[shown.length - 1] = [span(`  ${size.symbols.ellipsis} ${more} more lines`, "faint")];
  }
  const eventHeight = size.height - shown.length;
  return [...shown, ...eventsPart(events, size, eventHeight)];
}

interface DrawnRow {
  readonly row: DashboardRow;
  readonly lines: readonly Line[];
}

/** One line for each trouble, the chosen one among them; the last line counts those that are left out. */
function withFewTroubles(
  drawn: readonly DrawnRow[],
  chosen: ChoiceRow | null,
  view: RowView,
): readonly DrawnRow[] {
  const { symbols } = view;
  const troubles = drawn.filter(({ row }) => isTrouble(row));
  const shownCount = troubles.length > TROUBLE_LINES ? TROUBLE_LINES - 1 : troubles.length;
  const at = troubles.findIndex(({ row }) => row === chosen);
  const start = Math.max(0, at - shownCount + 1);
  const shown = new Set(troubles.slice(start, start + shownCount));
  const hidden = troubles.length - shownCount;
  const more: Line = [span(`  ${symbols.ellipsis} ${hidden} more; the arrows lead to them`, "faint")];
  return drawn.map((one) => {
    const { row, lines } = one;
    if (!isTrouble(row)) return one;
    const short =
      row.kind === "condition"
        ? conditionRow(shortened(row, view), leadOf(row, row === chosen, view), view)
        : lines;
    const first = shown.has(one) ? short.slice(0, 1) : [];
    const isLast = hidden > 0 && one === troubles.at(-1);
    return { row, lines: isLast ? [...first, more] : first };
  });
}

type ConditionRow = Extract<DashboardRow, { kind: "condition" }>;

/** Cuts the servers' names, so that their common cause fits in the same line. */
function shortened(row: ConditionRow, { width, symbols }: View): ConditionRow {
  const { title, cause } = row.condition;
  const text = wholeText({ about: row.subject, text: title });
  const end = cause === undefined || !text.endsWith(cause.text) ? "" : `: ${cause.text}`;
  // The row begins with its choice and its mark, of two columns each.
  const namesWidth = width - 4 - columns(printable(end));
  if (end === "" || namesWidth < SHORTEST_NAMES) return row;
  const names = cutText(printable(text.slice(0, -end.length)), namesWidth, symbols.ellipsis);
  return { ...row, subject: null, condition: { ...row.condition, title: `${names}${end}` } };
}

function isTrouble(row: DashboardRow): boolean {
  return row.kind === "waiting" || (row.kind === "condition" && row.condition.severity !== "info");
}

/** Index of the first visible line: `first` to `last` are visible, and as many lines above them as fit. */
function windowAround(count: number, height: number, first: number, last: number): number {
  if (first < 0 || last < height - 1) return 0;
  return Math.min(Math.max(0, count - height), Math.max(0, Math.min(first, last - height + 2)));
}

function eventsPart(events: Iterable<StoredEvent>, size: ScreenSize, rows: number): readonly Line[] {
  if (rows < 2) return [];
  const lines: Line[] = [[span("Events", "strong"), span("  newest first; e shows all", "faint")]];
  for (const event of events) {
    if (lines.length >= rows) break;
    lines.push(eventLine(event, false, size));
  }
  if (lines.length === 1) lines.push([span("  none yet", "faint")]);
  return lines;
}

function rowLines(row: DashboardRow, isChosen: boolean, size: RowView): readonly Line[] {
  const { width, symbols } = size;
  const fit = (line: Line): Line => cutLine(line, width, symbols.ellipsis);
  const lead = leadOf(row, isChosen, size);
  switch (row.kind) {
    case "head":
      return [fit([span(row.text, "strong")])];
    case "share":
      return [fit([lead, ...shareSpans(row.share, isChosen, size)])];
    case "ready":
      return readyLines(row.text, row.share, size).map(fit);
    case "backend":
      return [fit([lead, ...backendSpans(row.backend, isChosen, size)])];
    case "client":
      return [fit([lead, ...clientSpans(row.cells, isChosen, size)])];
    case "waiting":
      return [fit([lead, span(`${symbols.warning} ${row.summary}`, "warning")])];
    case "condition":
      return conditionRow(row, lead, size);
  }
}

function leadOf(row: DashboardRow, isChosen: boolean, { symbols }: View): Span {
  return span(isChoice(row) ? `${isChosen ? symbols.focus : " "} ` : "", "accent");
}

interface RowView extends ScreenSize {
  readonly nowMs: number;
  /** Columns of the names and of the states. */
  readonly nameWidth: number;
  readonly stateWidth: number;
}

/** As wide as the longest name and state, but narrow enough to leave room for what is wrong. */
function columnsOf(
  rows: readonly DashboardRow[],
  { width }: View,
): Pick<RowView, "nameWidth" | "stateWidth"> {
  const named = rows.flatMap((row): { name: string; state: string }[] => {
    if (row.kind === "share") return [{ name: row.share.name, state: shareLabel(row.share).text }];
    if (row.kind === "backend") return [{ name: row.backend.name, state: backendLabel(row.backend).text }];
    return row.kind === "client" ? [{ name: row.cells[0] ?? "", state: "" }] : [];
  });
  const states = named.map(({ state }) => ({ name: state }));
  return {
    nameWidth: nameColumns(named, Math.floor(width / 4)) + 1,
    stateWidth: nameColumns(states, Math.floor((width * 2) / 5)),
  };
}

function stateSpans(
  name: string,
  label: StateLabel,
  facts: string,
  isChosen: boolean,
  view: RowView,
): readonly Span[] {
  const { text, tone, why } = label;
  return [
    span(`${toneMark(tone, view.symbols)} `, tone),
    nameSpan(name, isChosen, view.nameWidth, view),
    // What is wrong gets the room that the column would take.
    span(why === null ? padded(span(text).text, view.stateWidth) : text, tone),
    ...(why === null ? [] : [span(`: ${why} `, tone === "good" ? "warning" : tone)]),
    span(facts === "" ? "" : ` ${facts}`),
  ];
}

function shareSpans(share: ShareStatus, isChosen: boolean, view: RowView): readonly Span[] {
  const silent = ({ isUsed, tone }: Label & { readonly isUsed: boolean }): boolean =>
    !isUsed && tone === "bad";
  const facts = [
    ...shareFacts(share),
    ...routeLabels(share)
      .filter(silent)
      .map(({ label, text }) => `${label}: ${text}`),
  ];
  return stateSpans(share.name, shareLabel(share), facts.join(", "), isChosen, view);
}

/** Says that Thunderbolt is back, with the keys that switch to it and the programs that keep files open. */
function readyLines(text: string, { conditions }: ShareStatus, { symbols }: View): readonly Line[] {
  const holders = conditions.flatMap(({ holders: own = [] }) => own);
  const shown = holders.slice(0, HOLDERS_SHOWN);
  const more = holders.length - shown.length;
  const how = holders.length === 0 ? "t switches now" : "t tries now, ! forces it; these files are open:";
  return [
    [span(`    ${symbols.warning} ${text} ${how}`, "warning")],
    ...shown.map(({ command, pid, path }): Line => [span(`      ${command} (${pid}) `), span(path, "faint")]),
    ...(more > 0 ? [[span(`      and ${more} more`, "faint")]] : []),
  ];
}

function backendSpans(backend: BackendStatus, isChosen: boolean, view: RowView): readonly Span[] {
  const facts = [...backendFacts(backend), ...(backend.enabled ? callFacts(backend) : [])].join(", ");
  const label = backendLabel(backend);
  // How often it failed stands above; on a narrow screen it would push the cause out of the line.
  const why = troublesOf(backend.conditions)[0]?.cause?.text ?? label.why;
  return stateSpans(backend.name, { ...label, why }, facts, isChosen, view);
}

function clientSpans([name = "", ...cells]: readonly string[], isChosen: boolean, view: RowView): Line {
  const error = cells.at(-1) ?? "";
  const [user = "", speaks = "", since = "", calls = ""] = cells;
  return [
    nameSpan(name, isChosen, view.nameWidth, view),
    span(`${user}  ${speaks}  for ${since}  ${calls} calls`),
    ...(error === "" ? [] : [span(`  ${error}`, "bad")]),
  ];
}

/**
 * A condition as `status` shows it, but for the files that are open, which the share's own lines name, and the hints of
 * notes, which Enter shows.
 */
function conditionRow({ subject, condition }: ConditionRow, lead: Span, view: RowView): readonly Line[] {
  const title = wholeText({ about: subject, text: condition.title });
  const width = view.width - columns(lead.text);
  const hint = condition.severity === "info" ? null : condition.hint;
  const texts = conditionText(
    { ...condition, title, hint },
    "",
    viewOf({ ...view.style, width, now: view.nowMs }),
  );
  return paintedLines(texts, width).map((line, at) => [
    at === 0 ? lead : span(" ".repeat(columns(lead.text))),
    ...line,
  ]);
}

/** All that is known of the row, in the words of `mountaineer status`. */
export function detailLines(
  row: ChoiceRow,
  global: GlobalStatus,
  size: ScreenSize,
  nowMs: number,
): readonly Line[] {
  const options = { ...size.style, width: size.width, now: nowMs };
  return paintedLines(detailTexts(row, global, options), size.width);
}

function detailTexts(row: ChoiceRow, global: GlobalStatus, options: StatusViewOptions): readonly string[] {
  const view = viewOf(options);
  switch (row.kind) {
    case "share":
      return [...shareBlock(row.share, global, options), ...ruleLines(shareWhy(row.share), view)];
    case "backend":
      return [...backendBlock([row.backend], view), ...ruleLines(backendWhy(row.backend), view)];
    case "client":
      return CLIENT_TITLES.flatMap((title, at) => labelled(title, row.cells[at] || "none", view));
    case "condition": {
      const title = wholeText({ about: row.subject, text: row.condition.title });
      return conditionLines([{ ...row.condition, title }], "", view);
    }
    case "waiting":
      return marked(view.paint.symbols.warning, printable(row.summary), "", view.paint.yellow, view);
  }
}
