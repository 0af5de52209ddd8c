// Globs over names, URIs and methods: `*`, `?`, `[abc]` and `\` escapes, without regular expressions, so that no
// pattern of a configuration and no text of a client takes more than text × pattern steps.

/** How many UTF-16 units the token takes at that place; 0: it does not match there. */
type Token = (text: string, at: number) => number;

type Piece = "star" | { readonly token: Token; readonly literal: string | null };

/**
 * Whether any of the patterns matches the whole text. `*` is any characters, `/` too; `?` is one; `[abc]`, `[a-z]`
 * and `[!abc]` one of these, or none of these; `\` takes what follows it as it is. A `[` that is not closed stands for
 * itself. No pattern matches nothing.
 */
export function compileGlobs(patterns: readonly string[]): (text: string) => boolean {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  const others: (readonly Piece[])[] = [];
  for (const pattern of patterns) {
    const pieces = parseGlob(pattern);
    const literal = literalOf(pieces);
    if (literal !== null) exact.add(literal);
    else if (pieces.at(-1) === "star" && literalOf(pieces.slice(0, -1)) !== null) {
      prefixes.push(literalOf(pieces.slice(0, -1)) ?? "");
    } else others.push(pieces);
  }
  if (prefixes.includes("")) return () => true;
  return (text) =>
    exact.has(text) ||
    prefixes.some((prefix) => text.startsWith(prefix)) ||
    others.some((pieces) => matches(pieces, text));
}

function literalOf(pieces: readonly Piece[]): string | null {
  let text = "";
  for (const piece of pieces) {
    if (piece === "star" || piece.literal === null) return null;
    text += piece.literal;
  }
  return text;
}

/** On a mismatch only the last star gives way: an earlier one could gain nothing by taking more. */
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

/** A set begins at `start`; null when it does not end. `]` in the first place is one of its members. */
function parseSet(
  characters: readonly string[],
  start: number,
): { readonly token: Token; readonly end: number } | null {
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
      const token: Token = (text, place) => {
        const code = text.codePointAt(place) ?? 0;
        const isMember = ranges.some(([low, high]) => code >= low && code <= high);
        return isMember === negated ? 0 : widthAt(text, place);
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
