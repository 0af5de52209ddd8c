// Where the characters of a text begin and end, as a person counts them. Pure.

/** In longer texts the caret goes by code points: to find graphemes costs too much. */
const SEGMENTED_LIMIT = 4_096;
const GRAPHEMES = new Intl.Segmenter();

/** Where the character before `column` begins. */
export function previousEdge(line: string, column: number): number {
  if (line.length <= SEGMENTED_LIMIT) return GRAPHEMES.segment(line).containing(column - 1)?.index ?? 0;
  const isPair = column > 1 && /[\uD800-\uDBFF][\uDC00-\uDFFF]/.test(line.slice(column - 2, column));
  return Math.max(0, column - (isPair ? 2 : 1));
}

/** Where the character at `column` ends. */
export function nextEdge(line: string, column: number): number {
  const found = line.length <= SEGMENTED_LIMIT ? GRAPHEMES.segment(line).containing(column) : undefined;
  if (found !== undefined) return found.index + found.segment.length;
  const code = line.codePointAt(column) ?? 0;
  return Math.min(line.length, column + (code > 0xffff ? 2 : 1));
}
