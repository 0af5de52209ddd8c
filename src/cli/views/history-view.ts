// The configuration's history as text. Pure except for the machine's time zone.

import type { HistoryEntry } from "../../api/contract/config.ts";
import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { columns, padded, printable } from "../../runtime/text/plain-text.ts";
import { localClock, localDay } from "../../runtime/time/clock.ts";

export function renderHistory(entries: readonly HistoryEntry[], style: TerminalStyle): string {
  const paint = paintFor(style);
  const width = String(entries.length - 1).length;
  const sourceWidth = Math.max(0, ...entries.map(({ source }) => columns(printable(source))));
  return entries
    .map(({ n, time, sha256, source, summary }) => {
      const number = paint.bold(String(n).padStart(width));
      const hash = paint.dim(printable(sha256.slice(0, 8)));
      return `${number}  ${localTime(time)}  ${hash}  ${padded(printable(source), sourceWidth)}  ${printable(summary)}\n`;
    })
    .join("");
}

/** `2026-11-20 14:32:05` in the machine's time zone; a text that is not a time stays unchanged. */
export function localTime(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? printable(iso) : `${localDay(date)} ${localClock(date)}`;
}
