// The lines that an edit removed and added, with their numbers.
import { diffText } from "../../config/history/text-diff.ts";

export interface ChangedLine {
  readonly mark: "-" | "+";
  /** Counted from 1; in the old text for a removed line, in the new text for an added one. */
  readonly number: number;
  readonly text: string;
}

export function changedLines(before: string, after: string): readonly ChangedLine[] {
  const lines: ChangedLine[] = [];
  let old = 0;
  let fresh = 0;
  for (const line of diffText(before, after, { before: "before", after: "after" }).split("\n").slice(2)) {
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (hunk !== null) {
      old = firstLine(hunk[1], hunk[2]);
      fresh = firstLine(hunk[3], hunk[4]);
      continue;
    }
    const text = line.slice(1).replace(/\r$/, "");
    if (line.startsWith("-")) lines.push({ mark: "-", number: old++, text });
    else if (line.startsWith("+")) lines.push({ mark: "+", number: fresh++, text });
    else if (line.startsWith(" ")) {
      old += 1;
      fresh += 1;
    }
  }
  return lines;
}

/** In a unified diff, an empty range names the line before it. */
function firstLine(start: string | undefined, count: string | undefined): number {
  return Number(start) + (count === "0" ? 1 : 0);
}
