// The options that several commands share, and how results are printed.
import type { CommandContext } from "./command.ts";

export const SHARE_OPTIONS = {
  "--share <name>": { about: "only this share; may be given again for more", isList: true },
  "--all": { about: "all shares (what happens without --share, too)", conflicts: ["share"] },
} as const;

/** How long a command waits for what comes of it, seconds. */
const USUAL_WAIT_SECS = 30;
const LONGEST_WAIT_SECS = 86_400;

/** Milliseconds. */
export const WAIT_OPTION = {
  "--wait <seconds>": {
    about: `how long to wait for what comes of it; 0: not at all (default: ${USUAL_WAIT_SECS})`,
    read: (text: string) => {
      const seconds = /^\d{1,5}(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
      return seconds <= LONGEST_WAIT_SECS ? seconds * 1000 : null;
    },
    expected: `a number of seconds from 0 to ${LONGEST_WAIT_SECS}`,
    otherwise: USUAL_WAIT_SECS * 1000,
  },
} as const;

/** A number of a history; null: it is none. */
export function entryNumber(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** null: all. */
export function chosenShares(share: readonly string[]): readonly string[] | null {
  return share.length === 0 ? null : share;
}

type Printing = Pick<CommandContext, "print">;

export function showJson({ print }: Printing, result: unknown): void {
  print(`${JSON.stringify(result, null, 2)}\n`);
}

/** Prints a command's result: as JSON if that is asked for, otherwise as `text` has it for people. */
export function showResult(
  context: Printing & Pick<CommandContext, "json">,
  result: unknown,
  text: () => string,
): void {
  if (context.json) showJson(context, result);
  else context.print(text());
}
