// The difference of two texts, line by line, in the unified form that people and `patch` read.
import { type StructuredPatchHunk, structuredPatch } from "diff";

const CONTEXT_LINES = 3;
/**
 * Up to this many changed lines, the diff is the shortest one; the time to find it grows with the square of
 * their number.
 */
const MOST_CHANGES = 1500;

/**
 * A unified diff with three lines of context; empty if the texts are equal. With more than 1,500 changed
 * lines, the diff replaces the whole text; otherwise it is the shortest one.
 */
export function diffText(
  before: string,
  after: string,
  names: { readonly before: string; readonly after: string },
): string {
  if (before === after) return "";
  const options = { context: CONTEXT_LINES, maxEditLength: MOST_CHANGES };
  const patch = structuredPatch("", "", before, after, undefined, undefined, options);
  const hunks = (patch?.hunks ?? [replacement(before, after)]).map(hunkText);
  return `--- ${names.before}\n+++ ${names.after}\n${hunks.join("")}`;
}

function replacement(before: string, after: string): StructuredPatchHunk {
  const [old, fresh] = [marked("-", before), marked("+", after)];
  const lines = [...old.lines, ...fresh.lines];
  return { oldStart: 1, oldLines: old.count, newStart: 1, newLines: fresh.count, lines };
}

function marked(mark: string, text: string): { readonly lines: string[]; readonly count: number } {
  if (text === "") return { lines: [], count: 0 };
  const lines = text.split("\n").map((line) => mark + line);
  if (text.endsWith("\n")) return { lines: lines.slice(0, -1), count: lines.length - 1 };
  return { lines: [...lines, "\\ No newline at end of file"], count: lines.length };
}

function hunkText({ oldStart, oldLines, newStart, newLines, lines }: StructuredPatchHunk): string {
  const head = `@@ -${rangeText(oldStart, oldLines)} +${rangeText(newStart, newLines)} @@`;
  return `${[head, ...lines].join("\n")}\n`;
}

/** An empty range has the number of the line before it, as in `diff -u`. */
function rangeText(start: number, count: number): string {
  return count === 1 ? String(start) : `${count === 0 ? start - 1 : start},${count}`;
}
