// Globs over names, URIs and methods. They do not become regular expressions, so a match takes at most as many steps
// as the text's length times the pattern's length.

/** The number of UTF-16 units that match at `at`; 0: no match. */
type Token = (text: string, at: number) => number;

type Piece = "star" | { readonly token: Token; readonly literal: string | null };

/**
 * True if any pattern matches the whole text. `*` matches any characters, also `/`; `?` one character;
 * `[abc]` and `[a-z]` one of these, `[!abc]` one other. `\` escapes. An unclosed `[` matches itself.
 */
export function compileGlobs(patterns: readonly string[]): (text: string) => boolean {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  const others: (readonly Piece[])[] = [];
  for (const pattern of patterns) {
    const pieces = parseGlob(pattern);
    const isPrefix = pieces.at(-1) === "star";
    const literal = textOf(isPrefix ? pieces.slice(0, -1) : pieces);
    if (literal === null) others.push(pieces);
    else if (isPrefix) prefixes.push(literal);
    else exact.add(literal);
  }
  if (prefixes.includes("")) return () => true;
  return (text) =>
    exact.has(text) ||
    prefixes.some((prefix) => text.startsWith(prefix)) ||
    others.some((pieces) => matches(pieces, text));
}

/** The only text that the pattern matches; null: it has wildcards. */
export function literalOf(pattern: string): string | null {
  return textOf(parseGlob(pattern));
}

function textOf(pieces: readonly Piece[]): string | null {
  let text = "";
  for (const piece of pieces) {
    if (piece === "star" || piece.literal === null) return null;
    text += piece.literal;
  }
  return text;
}

/** Only the last star is extended: extending an earlier one could not help. */
function matches(pieces: readonly Piece[], text: string): boolean {
  let index = 0;
  let at = 0;
  let afterStar = -1;
  let starAt = 0;
  while (at < text.length) {
    const piece = pieces[index];
    if (piece === "star") {
      index++;
      afterStar = index;
      starAt = at;
      continue;
    }
    const width = piece === undefined ? 0 : piece.token(text, at);
    if (width > 0) {
      at += width;
      index++;
    } else if (afterStar >= 0) {
      starAt += widthAt(text, starAt);
      at = starAt;
      index = afterStar;
    } else return false;
  }
  while (pieces[index] === "star") index++;
  return index === pieces.length;
}

function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

function parseGlob(pattern: string): readonly Piece[] {
  const characters = [...pattern];
  const pieces: Piece[] = [];
  let at = 0;
  while (at < characters.length) {
    const character = characters[at] ?? "";
    if (character === "*") {
      if (pieces.at(-1) !== "star") pieces.push("star");
      at++;
    } else if (character === "?") {
      pieces.push({ token: widthAt, literal: null });
      at++;
    } else if (character === "[") {
      const set = parseSet(characters, at);
      pieces.push(set === null ? literalPiece("[") : { token: set.token, literal: null });
      at = set === null ? at + 1 : set.end;
    } else if (character === "\\" && at + 1 < characters.length) {
      pieces.push(literalPiece(characters[at + 1] ?? ""));
      at += 2;
    } else {
      pieces.push(literalPiece(character));
      at++;
    }
  }
  return pieces;
}

function literalPiece(literal: string): Piece {
  return { token: (text, at) => (text.startsWith(literal, at) ? literal.length : 0), literal };
}

/** Returns null if the set is not closed. A `]` at the start is a member of the set. */
function parseSet(characters: readonly string[], start: number) {
  let at = start + 1;
  const negated = characters[at] === "!" || characters[at] === "^";
  if (negated) at++;
  const first = at;
  const ranges: (readonly [number, number])[] = [];
  const member = (): number => {
    if (characters[at] === "\\" && at + 1 < characters.length) at++;
    const code = (characters[at] ?? "").codePointAt(0) ?? 0;
    at++;
    return code;
  };
  while (at < characters.length) {
    if (characters[at] === "]" && at > first) {
      const token: Token = (text, index) => {
        const code = text.codePointAt(index) ?? 0;
        const isMember = ranges.some(([low, high]) => code >= low && code <= high);
        return isMember === negated ? 0 : widthAt(text, index);
      };
      return { token, end: at + 1 };
    }
    const low = member();
    const next = characters[at + 1];
    if (characters[at] === "-" && next !== undefined && next !== "]") {
      at++;
      ranges.push([low, member()]);
    } else ranges.push([low, low]);
  }
  return null;
}
