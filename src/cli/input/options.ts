// Options that several commands share, and the printing of results.
import type { Paint } from "../../runtime/text/paint.ts";
import { paintFor } from "../../runtime/text/paint.ts";
import type { CommandContext } from "./command.ts";

export const SHARE_OPTIONS = {
  "--share <name>": {
    about: "only this share; repeatable",
    isList: true,
    completes: "shares",
  },
  "--all": { about: "all shares, as without --share", conflicts: ["share"] },
} as const;

const USUAL_WAIT_SECS = 30;
const LONGEST_WAIT_SECS = 86_400;

/** `--wait`, read as milliseconds. */
export const WAIT_OPTION = {
  "--wait <seconds>": {
    about: `how long to wait for the outcome; 0: do not wait (default: ${USUAL_WAIT_SECS})`,
    read: (text: string) => {
      const seconds = /^\d{1,5}(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
      return seconds <= LONGEST_WAIT_SECS ? seconds * 1000 : null;
    },
    expected: `a number of seconds from 0 to ${LONGEST_WAIT_SECS}`,
    otherwise: USUAL_WAIT_SECS * 1000,
  },
} as const;

/** The number of a history entry; null if the text is not a number. */
export function entryNumber(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** Names given by `--share`; null stands for all shares. */
export function chosenShares(share: readonly string[]): readonly string[] | null {
  return share.length === 0 ? null : share;
}

export function showJson({ print }: Pick<CommandContext, "print">, result: unknown): void {
  print(`${JSON.stringify(result, null, 2)}\n`);
}

/** Prints a command's result: as JSON with `--json`, otherwise the text or lines that `text` returns. */
export function showResult(
  context: Pick<CommandContext, "print" | "json" | "stdoutStyle">,
  result: unknown,
  text: (paint: Paint) => string | readonly string[],
): void {
  if (context.json) showJson(context, result);
  else showText(context, text);
}

export function showText(
  { print, stdoutStyle }: Pick<CommandContext, "print" | "stdoutStyle">,
  text: (paint: Paint) => string | readonly string[],
): void {
  const shown = text(paintFor(stdoutStyle));
  print(typeof shown === "string" ? shown : shown.map((line) => `${line}\n`).join(""));
}

export function doneLine({ green, symbols }: Paint, text: string): string {
  return `${green(symbols.good)} ${text}`;
}

export function warningLine({ yellow, symbols }: Paint, text: string): string {
  return `${yellow(symbols.warning)} ${text}`;
}
