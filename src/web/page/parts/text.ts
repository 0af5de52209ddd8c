// Texts for the page: foreign text with its invisible characters spelled out, times and sizes in words. Pure.
import { sinceText } from "../../../api/labels/label.ts";
import { printable } from "../../../runtime/text/plain-text.ts";

/** Foreign text on one line: tabs and line ends become spaces, invisible characters are spelled out. */
export function shown(text: string): string {
  return printable(text);
}

/** On one line, without the marks of code, for places that draw text only. */
export function unmarked(text: string): string {
  return shown(text).replaceAll("`", "");
}

/** The command can be run as it is: it names no path that only the reader knows. */
export function isWhole(command: string): boolean {
  return !command.includes("/path/to/");
}

/** "for 5 min"; null if the time is unknown or in the future. */
export function forText(sinceIso: string | null, nowMs: number): string | null {
  const since = sinceText(sinceIso, nowMs);
  return since === null ? null : `for ${since}`;
}

/** "14:32:05", with the day if it is not today. */
export function clockText(ms: number, nowMs: number): string {
  return new Date(ms).toDateString() === new Date(nowMs).toDateString()
    ? new Date(ms).toLocaleTimeString(undefined, { hour12: false })
    : dateText(ms);
}

/** "5 Jan 14:32:05" */
export function dateText(ms: number): string {
  const at = new Date(ms);
  const day = at.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  return `${day} ${at.toLocaleTimeString(undefined, { hour12: false })}`;
}
