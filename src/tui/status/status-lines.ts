// The text of the sync status: the status line, what is wrong, and the table of events.

import { type EventRow, FILE_MISSING_TEXT, watchingWords } from "../../api/words/sync-words.ts";
import { columns, padded } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/clock.ts";
import type { Connection } from "../terminal/connection.ts";
import {
  cutLine,
  cutStart,
  cutText,
  type Line,
  lineColumns,
  paragraph,
  type Span,
  span,
  type Tone,
} from "../terminal/line.ts";
import { toneMark, type View } from "../terminal/terminal-style.ts";
import type { SyncStatus } from "./sync-source.ts";

const HASH_SHOWN = 8;
/** A path cut to less says too little to share its line. */
const PATH_MIN = 24;
const GAP = "  ";

/** Local wall time `HH:MM:SS` of an ISO time. */
function clockText(iso: string | null): string {
  const date = new Date(iso ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? "--:--:--" : localClock(date);
}

/** `Config PATH  Hash 8 chars…  Last sync HH:MM:SS  ● live`, on two lines where one is too narrow. */
export function statusLines(status: SyncStatus | null, connection: Connection, view: View): readonly Line[] {
  const { symbols, width } = view;
  if (status === null) return [[span("Config ", "faint"), span(symbols.ellipsis, "faint")]];
  // A daemon that is gone watches nothing, whatever it said last.
  const watching = connection.kind === "waiting" ? "idle" : status.watching;
  const facts: Line = [
    span("Hash ", "faint"),
    span(`${status.sha256.slice(0, HASH_SHOWN)}${symbols.ellipsis}`),
    span(`${GAP}Last sync `, "faint"),
    span(clockText(status.last_sync)),
    span(GAP),
    watchingSpan(watching, view),
    ...(status.file_missing && connection.kind !== "waiting"
      ? [span(`${GAP}${symbols.error} file missing`, "bad")]
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
  const { text, tone } = watchingWords(watching);
  return span(`${toneMark(tone, symbols)} ${text}`, tone === "plain" ? "faint" : tone);
}

/** No daemon; else the standing error with its place, a file that is gone, and what works worse than asked for. At most `limit` lines. */
export function problemLines(
  status: SyncStatus | null,
  connection: Connection,
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
    const after = status.watching === "stopped" ? " Mend it, then Ctrl-S here or mountaineer reload." : "";
    const text = `${reason} (since ${clockText(since)})${after}`;
    lines.push(...markedLines(symbols.error, text, "bad", view, limit));
  }
  if (status.file_missing) {
    const text = `${FILE_MISSING_TEXT} mountaineer config rollback 0 writes it again.`;
    lines.push(...markedLines(symbols.error, text, "bad", view, limit - lines.length));
  }
  const [first, ...others] = status.waiting ?? [];
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    const text = `Waits for approval: ${first}${more}. Press a to look at it.`;
    lines.push(...markedLines(symbols.warning, text, "warning", view, limit - lines.length));
  }
  if (status.degraded !== null) {
    const text = `only polling: ${status.degraded}`;
    lines.push(...markedLines(symbols.warning, text, "warning", view, limit - lines.length));
  }
  return lines;
}

/** A paragraph behind a mark, its lines under each other. */
export function markedLines(
  mark: string,
  text: string,
  tone: Tone,
  { width, symbols }: View,
  limit: number,
): readonly Line[] {
  const indent = " ".repeat(columns(mark) + 1);
  return paragraph(text, width - indent.length, limit, symbols.ellipsis).map((line, index) => [
    span(index === 0 ? `${mark} ` : indent, tone),
    span(line, tone),
  ]);
}

const TIME_WIDTH = 10;
const EVENT_WIDTH = 20;

/** The table, newest event first, in exactly `height` lines or fewer; its head is one of them. */
export function tableLines(rows: readonly EventRow[], view: View, height: number): readonly Line[] {
  if (height <= 0) return [];
  const head: Line = [span(`${"Time".padEnd(TIME_WIDTH)}${"Event".padEnd(EVENT_WIDTH)}Details`, "strong")];
  const newest = rows.slice(Math.max(0, rows.length - (height - 1))).reverse();
  if (newest.length === 0 && height > 1) return [head, [span("no events yet", "faint")]];
  return [head, ...newest.map((row) => rowLine(row, view))];
}

function rowLine({ time, type, details, count }: EventRow, { symbols, width }: View): Line {
  const times = count > 1 ? ` ${symbols.times}${count}` : "";
  const [event, tone]: [string, Tone] = {
    changed: [`${symbols.changed} changed`, "accent"] as [string, Tone],
    "no-change": [`${symbols.same} no changes${times}`, "faint"] as [string, Tone],
    error: [`${symbols.error} error`, "bad"] as [string, Tone],
  }[type];
  const said = type === "no-change" && /^no.changes?$/.test(details) ? "" : details;
  const room = width - TIME_WIDTH - EVENT_WIDTH;
  const text = span(said).text;
  return [
    span(padded(cutText(span(time).text, TIME_WIDTH - 1, symbols.ellipsis), TIME_WIDTH), "faint"),
    span(padded(cutText(event, EVENT_WIDTH - 1, symbols.ellipsis), EVENT_WIDTH), tone),
    span(cutText(text, Math.max(0, room), symbols.ellipsis), type === "error" ? "bad" : "plain"),
  ];
}
