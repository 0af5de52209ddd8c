// Owns the difference of two texts, line by line, in the unified form that people and `patch` read.

const CONTEXT_LINES = 3;
/** Beyond so many changed lines the shortest way is not looked for: memory and time grow with its square. */
const MOST_STEPS = 1500;

interface Change {
  /** Lines `[from, to)` of the old text are replaced by lines `[newFrom, newTo)` of the new one. */
  readonly from: number;
  readonly to: number;
  readonly newFrom: number;
  readonly newTo: number;
}

/** Lines with their line breaks. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** The kept lines as pairs of indices, by Myers' greedy search; null when there are too many changes. */
function keptLines(old: readonly string[], fresh: readonly string[]): [number, number][] | null {
  const most = Math.min(old.length + fresh.length, MOST_STEPS);
  const frontiers: Int32Array[] = [];
  const frontier = new Int32Array(2 * most + 3);
  for (let steps = 0; steps <= most; steps += 1) {
    // Only the part that the next round can have changed is worth keeping.
    frontiers.push(frontier.slice(most + 1 - steps, most + 2 + steps));
    for (let diagonal = -steps; diagonal <= steps; diagonal += 2) {
      const at = most + 1 + diagonal;
      const below = frontier[at + 1] ?? 0;
      const left = frontier[at - 1] ?? 0;
      let x = diagonal === -steps || (diagonal !== steps && left < below) ? below : left + 1;
      let y = x - diagonal;
      while (x < old.length && y < fresh.length && old[x] === fresh[y]) {
        x += 1;
        y += 1;
      }
      frontier[at] = x;
      if (x >= old.length && y >= fresh.length) return walkBack(old.length, fresh.length, frontiers);
    }
  }
  return null;
}

function walkBack(
  oldLength: number,
  newLength: number,
  frontiers: readonly Int32Array[],
): [number, number][] {
  const kept: [number, number][] = [];
  let x = oldLength;
  let y = newLength;
  for (let steps = frontiers.length - 1; steps >= 0; steps -= 1) {
    const frontier = frontiers[steps] ?? new Int32Array(0);
    const value = (diagonal: number): number => frontier[diagonal + steps] ?? 0;
    const diagonal = x - y;
    const down = diagonal === -steps || (diagonal !== steps && value(diagonal - 1) < value(diagonal + 1));
    const previous = down ? diagonal + 1 : diagonal - 1;
    const fromX = steps === 0 ? 0 : value(previous);
    const fromY = steps === 0 ? 0 : fromX - previous;
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      kept.push([x, y]);
    }
    x = fromX;
    y = fromY;
  }
  return kept.reverse();
}

function changesBetween(old: readonly string[], fresh: readonly string[]): Change[] {
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let tail = 0;
  while (
    tail < old.length - start &&
    tail < fresh.length - start &&
    old[old.length - 1 - tail] === fresh[fresh.length - 1 - tail]
  ) {
    tail += 1;
  }
  const oldEnd = old.length - tail;
  const newEnd = fresh.length - tail;
  const kept = keptLines(old.slice(start, oldEnd), fresh.slice(start, newEnd)) ?? [];
  const changes: Change[] = [];
  let from = start;
  let newFrom = start;
  for (const [x, y] of [...kept, [oldEnd - start, newEnd - start] as const]) {
    const to = start + x;
    const newTo = start + y;
    if (to > from || newTo > newFrom) changes.push({ from, to, newFrom, newTo });
    from = to + 1;
    newFrom = newTo + 1;
  }
  return changes;
}

/** Changes whose context would touch go into one hunk. */
function hunksOf(changes: readonly Change[]): Change[][] {
  const hunks: Change[][] = [];
  for (const change of changes) {
    const hunk = hunks.at(-1);
    const last = hunk?.at(-1);
    if (hunk !== undefined && last !== undefined && change.from - last.to <= 2 * CONTEXT_LINES) {
      hunk.push(change);
    } else hunks.push([change]);
  }
  return hunks;
}

function rangeText(from: number, to: number): string {
  const count = to - from;
  const first = count === 0 ? from : from + 1;
  return count === 1 ? String(first) : `${first},${count}`;
}

function marked(mark: string, lines: readonly string[]): string {
  return lines
    .map((line) =>
      line.endsWith("\n") ? `${mark}${line}` : `${mark}${line}\n\\ No newline at end of file\n`,
    )
    .join("");
}

function hunkText(old: readonly string[], fresh: readonly string[], hunk: readonly Change[]): string {
  const first = hunk[0];
  const last = hunk.at(-1);
  if (first === undefined || last === undefined) return "";
  const before = Math.min(CONTEXT_LINES, first.from);
  const after = Math.min(CONTEXT_LINES, old.length - last.to);
  const oldRange = rangeText(first.from - before, last.to + after);
  const newRange = rangeText(first.newFrom - before, last.newTo + after);
  let text = `@@ -${oldRange} +${newRange} @@\n`;
  let at = first.from - before;
  for (const { from, to, newFrom, newTo } of hunk) {
    text += marked(" ", old.slice(at, from));
    text += marked("-", old.slice(from, to)) + marked("+", fresh.slice(newFrom, newTo));
    at = to;
  }
  return text + marked(" ", old.slice(at, last.to + after));
}

/**
 * A unified diff with three lines of context; empty when the texts are equal. Right always, and the shortest there is
 * unless more than 1,500 lines changed.
 */
export function diffText(
  before: string,
  after: string,
  names: { readonly before: string; readonly after: string },
): string {
  if (before === after) return "";
  const old = linesOf(before);
  const fresh = linesOf(after);
  const hunks = hunksOf(changesBetween(old, fresh)).map((hunk) => hunkText(old, fresh, hunk));
  return `--- ${names.before}\n+++ ${names.after}\n${hunks.join("")}`;
}
