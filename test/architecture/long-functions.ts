// Finds long functions in sources as the formatter leaves them: a body that spans lines begins with a brace at a line's end.
import { scanSource } from "../../scripts/source-scan.ts";

interface LongFunction {
  /** "src/a.ts:12": its first line. */
  readonly place: string;
  readonly lines: number;
}

const NO_FUNCTION = /^\s*\}?\s*(if|else|for|while|do|switch|try|catch|finally|with)\b/;

/** Longest first; those of more than `most` lines, from the first line of the head to the closing brace. */
export function longFunctions(tree: ReadonlyMap<string, string>, most: number): LongFunction[] {
  const found = [...tree].flatMap(([file, source]) => {
    const lines = scanSource(source).code.split("\n");
    return blocksOf(lines).flatMap(({ head, end }) => {
      const first = headLine(lines, head);
      const text = lines.slice(first, head + 1).join(" ");
      if (end - first < most || !isFunction(text)) return [];
      return [{ place: `${file}:${first + 1}`, lines: end - first + 1 }];
    });
  });
  return found.sort((a, b) => b.lines - a.lines);
}

/** Lines that a block's braces stand in, from 0. */
function blocksOf(lines: readonly string[]): { readonly head: number; readonly end: number }[] {
  const open: number[] = [];
  const blocks: { head: number; end: number }[] = [];
  for (const [number, line] of lines.entries()) {
    for (const brace of line.matchAll(/[{}]/g)) {
      if (brace[0] === "{") open.push(number);
      else {
        const head = open.pop();
        if (head !== undefined && head !== number) blocks.push({ head, end: number });
      }
    }
  }
  return blocks;
}

/** Where the statement of a block begins: parameters on lines of their own stand deeper than it. */
function headLine(lines: readonly string[], head: number): number {
  const depth = indentOf(lines[head]);
  let first = head;
  while (first > 0 && /^\s*[)>]/.test(lines[first] ?? "")) {
    first--;
    while (first > 0 && indentOf(lines[first]) > depth) first--;
  }
  return first;
}

function indentOf(line = ""): number {
  return line.search(/\S|$/);
}

function isFunction(head: string): boolean {
  if (NO_FUNCTION.test(head)) return false;
  return /=>\s*\{\s*$/.test(head) || /\bfunction\b/.test(head) || /\)(\s*:.*)?\s*\{\s*$/.test(head);
}
