// The text of the sync status: the status line, the problems, and the table of events.

import type { ConnectionStatus } from "../../api/client/daemon-connection.ts";
import type { SyncReport } from "../../api/contract/config.ts";
import { type EventRow, FILE_MISSING_TEXT, watchLabel } from "../../api/labels/sync-labels.ts";
import { toneMark } from "../../runtime/text/paint.ts";
import { columns } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/clock.ts";
import {
  cell,
  cutLine,
  cutStart,
  cutText,
  type Line,
  lineColumns,
  markedLines,
  type Span,
  span,
  type Tone,
  type View,
} from "../terminal/line.ts";

export type SyncStatus = Omit<SyncReport, "events">;

const HASH_SHOWN = 8;
/** Minimum columns for a shortened path; with fewer, the path gets a separate line. */
const PATH_MIN = 24;
const GAP = "  ";

/** Local wall time `HH:MM:SS` of an ISO time. */
function clockText(iso: string | null): string {
  const date = new Date(iso ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? "--:--:--" : localClock(date);
}

/** `Config PATH  Hash 8 chars…  Last sync HH:MM:SS  ● live`; two lines if the terminal is narrow. */
export function statusLines(
  status: SyncStatus | null,
  connection: ConnectionStatus,
  view: View,
): readonly Line[] {
  const { symbols, width } = view;
  if (status === null) return [[span("Config ", "faint"), span(symbols.ellipsis, "faint")]];
  // While no daemon runs, the last known state is no longer true.
  const watching = connection.kind === "waiting" ? "idle" : status.watching;
  const facts: Line = [
    span("Hash ", "faint"),
    span(`${status.sha256.slice(0, HASH_SHOWN)}${symbols.ellipsis}`),
    span(`${GAP}Last sync `, "faint"),
    span(clockText(status.last_sync)),
    span(GAP),
    watchingSpan(watching, view),
    ...(status.file_missing && connection.kind !== "waiting"
      ? [span(`${GAP}${symbols.bad} file missing`, "bad")]
      : []),
  ];
  const label = span("Config ", "faint");
  const beside = width - lineColumns([label, ...facts]) - GAP.length;
  const path = span(status.config_path).text;
  if (columns(path) <= beside || beside >= PATH_MIN) {
    return [[label, span(cutStart(path, beside, symbols.ellipsis)), span(GAP), ...facts]];
  }
  return [
    [label, span(cutStart(path, width - columns(label.text), symbols.ellipsis))],
    cutLine(facts, width, symbols.ellipsis),
  ];
}

function watchingSpan(watching: SyncStatus["watching"], { symbols }: View): Span {
  const { text, tone } = watchLabel(watching);
  return span(`${toneMark(tone, symbols)} ${text}`, tone === "plain" ? "faint" : tone);
}

/** What is wrong, most important first; at most `limit` lines. */
export function problemLines(
  status: SyncStatus | null,
  connection: ConnectionStatus,
  view: View,
  limit: number,
): readonly Line[] {
  const { symbols } = view;
  if (connection.kind === "waiting") {
    const text = `waiting for the daemon: ${connection.reason}`;
    return markedLines(symbols.warning, text, "warning", view, limit);
  }
  if (status === null) return [];
  const lines: Line[] = [];
  if (status.last_error !== null) {
    const { reason, since } = status.last_error;
    const after = status.watching === "stopped" ? " Correct it, then Ctrl-S here or mountaineer reload." : "";
    const text = `${reason} (since ${clockText(since)})${after}`;
    lines.push(...markedLines(symbols.bad, text, "bad", view, limit));
  }
  if (status.file_missing) {
    const text = `${FILE_MISSING_TEXT} mountaineer config rollback 0 writes it again.`;
    lines.push(...markedLines(symbols.bad, text, "bad", view, limit - lines.length));
  }
  const [first, ...others] = status.waiting ?? [];
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    const text = `Waits for approval: ${first}${more}. Press a to review it.`;
    lines.push(...markedLines(symbols.warning, text, "warning", view, limit - lines.length));
  }
  if (status.degraded !== null) {
    const text = `only polling: ${status.degraded}`;
    lines.push(...markedLines(symbols.warning, text, "warning", view, limit - lines.length));
  }
  return lines;
}

const TIME_WIDTH = 10;
const EVENT_WIDTH = 20;

/** The table, newest event first, in at most `height` lines including its head. */
export function tableLines(rows: readonly EventRow[], view: View, height: number): readonly Line[] {
  if (height <= 0) return [];
  const head: Line = [span(`${"Time".padEnd(TIME_WIDTH)}${"Event".padEnd(EVENT_WIDTH)}Details`, "strong")];
  const newest = rows.slice(Math.max(0, rows.length - (height - 1))).reverse();
  if (newest.length === 0 && height > 1) return [head, [span("no events yet", "faint")]];
  return [head, ...newest.map((row) => rowLine(row, view))];
}

function rowLine({ time, type, details, count }: EventRow, view: View): Line {
  const { symbols, width } = view;
  const times = count > 1 ? ` ${symbols.times}${count}` : "";
  const events: Readonly<Record<EventRow["type"], readonly [text: string, tone: Tone]>> = {
    changed: [`${symbols.changed} changed`, "accent"],
    "no-change": [`${symbols.good} no changes${times}`, "faint"],
    error: [`${symbols.bad} error`, "bad"],
  };
  const [event, tone] = events[type];
  const shown = type === "no-change" && /^no.changes?$/.test(details) ? "" : span(details).text;
  const columns = Math.max(0, width - TIME_WIDTH - EVENT_WIDTH);
  return [
    span(cell(time, TIME_WIDTH, view), "faint"),
    span(cell(event, EVENT_WIDTH, view), tone),
    span(cutText(shown, columns, symbols.ellipsis), type === "error" ? "bad" : "plain"),
  ];
}
