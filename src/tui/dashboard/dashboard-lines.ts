// The text of the dashboard: its rows as lines, the part of them that fits, and the newest events below.
import type { BackendStatus, ShareStatus } from "../../api/contract/contract.ts";
import { backendFacts, backendWords, callFacts, togetherText } from "../../api/words/backend-words.ts";
import { routeWords, shareWords } from "../../api/words/share-words.ts";
import { SEVERITY_TONES, type StateWords, type Words, wholeText } from "../../api/words/words.ts";
import { counted, padded } from "../../runtime/text/plain-text.ts";
import { eventLine, type KeptEvent } from "../events/event-ring.ts";
import {
  cutLine,
  hangingLines,
  type Line,
  lineColumns,
  type Span,
  span,
  type Tone,
} from "../terminal/line.ts";
import { fieldLines, nameSpan } from "../terminal/list-state.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import { toneMark, type View } from "../terminal/terminal-style.ts";
import { type ChoiceRow, type DashboardRow, isChoice } from "./dashboard-rows.ts";

/**
 * Minimum height at which LEAST_EVENTS lines are reserved for events; on lower screens, events only get the
 * lines that the rows leave free.
 */
const ROOMY_HEIGHT = 18;
const LEAST_EVENTS = 4;
const HOLDERS_SHOWN = 3;

/** `events`: newest first; read only as far as they are shown. */
export function dashboardLines(
  rows: readonly DashboardRow[],
  chosen: ChoiceRow | null,
  events: Iterable<KeptEvent>,
  size: ScreenSize,
): readonly Line[] {
  const drawn = rows.map((row) => ({ row, lines: rowLines(row, row === chosen, size) }));
  const all = drawn.flatMap(({ row, lines }) => lines.map((line) => ({ row, line })));
  const kept = size.height >= ROOMY_HEIGHT ? LEAST_EVENTS : 0;
  const listHeight = Math.max(1, Math.min(all.length, size.height - kept));
  const first = all.findIndex(({ row }) => row === chosen);
  const last = all.findLastIndex(({ row }) => row === chosen);
  const part = windowAround(all.length, listHeight, first, last);
  const shown = all.slice(part, part + listHeight).map(({ line }) => line);
  if (part + listHeight < all.length) {
    const more = all.length - part - listHeight + 1;
    shown[shown.length - 1] = [span(`  ${size.symbols.ellipsis} ${more} more lines`, "faint")];
  }
  const eventRoom = size.height - shown.length;
  return [...shown, ...eventsPart(events, size, eventRoom)];
}

/** Index of the first visible line: `first` to `last` are visible, and as many lines above them as fit. */
function windowAround(count: number, height: number, first: number, last: number): number {
  if (first < 0 || last < height - 1) return 0;
  return Math.min(Math.max(0, count - height), Math.max(0, Math.min(first, last - height + 2)));
}

function eventsPart(events: Iterable<KeptEvent>, size: ScreenSize, room: number): readonly Line[] {
  if (room < 2) return [];
  const lines: Line[] = [[span("Events", "strong"), span("  newest first; e shows all", "faint")]];
  for (const event of events) {
    if (lines.length >= room) break;
    lines.push(eventLine(event, false, size));
  }
  if (lines.length === 1) lines.push([span("  none yet", "faint")]);
  return lines;
}

function rowLines(row: DashboardRow, isChosen: boolean, size: ScreenSize): readonly Line[] {
  const { width, symbols } = size;
  const fit = (line: Line): Line => cutLine(line, width, symbols.ellipsis);
  const lead = span(isChoice(row) ? `${isChosen ? symbols.focus : " "} ` : "", "accent");
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
      return [fit([lead, ...clientSpans(row.words, isChosen, size)])];
    case "waiting":
      return [fit([lead, span(`${symbols.warning} ${row.summary}`, "warning")])];
    case "condition":
      return conditionLines(row, lead, size);
  }
}

const STATE_WIDTH = 26;

function stateSpans(
  name: string,
  words: StateWords,
  facts: string,
  isChosen: boolean,
  view: View,
): readonly Span[] {
  const { text, tone, why } = words;
  return [
    span(`${toneMark(tone, view.symbols)} `, tone),
    nameSpan(name, isChosen, view),
    span(padded(span(text).text, STATE_WIDTH), tone),
    ...(why === null ? [] : [span(` ${why} `, tone === "good" ? "warning" : tone)]),
    span(facts === "" ? "" : ` ${facts}`),
  ];
}

function shareSpans(share: ShareStatus, isChosen: boolean, view: View): readonly Span[] {
  const { carried } = share;
  const silent = ({ isUsed, tone }: Words & { readonly isUsed: boolean }): boolean =>
    !isUsed && tone === "bad";
  const facts = [
    ...(carried === undefined ? [] : [counted(carried.connections, "connection")]),
    ...routeWords(share)
      .filter(silent)
      .map(({ label, text }) => `${label}: ${text}`),
  ];
  return stateSpans(share.name, shareWords(share), facts.join(", "), isChosen, view);
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

function backendSpans(backend: BackendStatus, isChosen: boolean, view: View): readonly Span[] {
  const together = togetherText(backend);
  const facts = [
    ...backendFacts(backend),
    ...callFacts(backend),
    ...(together === null ? [] : [together]),
  ].join(", ");
  return stateSpans(backend.name, backendWords(backend), facts, isChosen, view);
}

function clientSpans([name = "", ...words]: readonly string[], isChosen: boolean, view: View): Line {
  const error = words.at(-1) ?? "";
  const [user = "", speaks = "", since = "", calls = ""] = words;
  return [
    nameSpan(name, isChosen, view),
    span(`${user}  ${speaks}  for ${since}  ${calls} calls`),
    ...(error === "" ? [] : [span(`  ${error}`, "bad")]),
  ];
}

/** A condition's text and hint, folded where they do not fit: the hint is never cut off. */
function conditionLines(
  { subject, condition: { severity, title, hint } }: Extract<DashboardRow, { kind: "condition" }>,
  lead: Span,
  view: View,
): readonly Line[] {
  const { width, symbols } = view;
  const tone = severity === "info" ? "faint" : SEVERITY_TONES[severity];
  const mark = severity === "info" ? symbols.on : toneMark(SEVERITY_TONES[severity], symbols);
  const text = wholeText({ about: subject, text: title });
  const whole = [
    lead,
    span(`${mark} `, tone),
    span(text, tone),
    span(hint === null ? "" : `  ${hint}`, "faint"),
  ];
  if (lineColumns(whole) <= width) return [whole];
  const part = (words: string, own: Tone): readonly Line[] => hangingLines(span("    "), words, own, view);
  const [first = [], ...others] = part(text, tone);
  return [
    [lead, span(`${mark} `, tone), ...first.slice(1)],
    ...others,
    ...(hint === null ? [] : part(hint, "faint")),
  ];
}

export function detailLines(row: ChoiceRow, size: ScreenSize): readonly Line[] {
  const about = (title: string, record: object): readonly Line[] => [
    [span(title, "strong")],
    ...fieldLines(record, size),
  ];
  switch (row.kind) {
    case "share":
      return about(`Share ${row.share.name}`, row.share);
    case "backend":
      return about(`Server ${row.backend.name}`, row.backend);
    case "client":
      return about(`Client ${row.client.name}`, row.client);
    case "condition":
      return about(row.subject ?? "This machine", row.condition);
    case "waiting":
      return about("Waits for approval", { entry: row.summary });
  }
}
