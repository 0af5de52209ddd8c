// Matches URIs with URI templates. The match only selects a backend, so it is as lenient as servers are: an expression
// in braces stands for any text.
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";

/** Characters that one read may compare with all templates together. */
const MOST_STEPS = 100_000;

/** The rest of `MOST_STEPS`. */
export interface Steps {
  left: number;
}

export const steps = (): Steps => ({ left: MOST_STEPS });

export interface UriTemplate {
  /** The text before the first expression. */
  readonly beginning: string;
  /** Deducts what it costs, and is false if too little is left. */
  fits(uri: string, left?: Steps): boolean;
}

/** Returns null if the template is invalid. */
export function compileUriTemplate(template: string): UriTemplate | null {
  if (template.length > TEXT_BOUNDS.template.most) return null;
  const literals = template.split(/\{[^{}]+\}/);
  if (literals.some((text) => /[{}]/.test(text))) return null;
  const [beginning = "", ...rest] = literals;
  const end = rest.pop();
  return { beginning, fits: (uri, left = steps()) => fits({ beginning, middle: rest, end }, uri, left) };
}

/** In characters. */
const USUAL_URI_LENGTH = 200;

/**
 * For the templates of one server, in order: why a read must not try the given one; null: it may. All of a server's templates
 * together may cost what one read of a usual URI may.
 */
export function templateBudget(): (template: unknown) => string | null {
  let left = MOST_STEPS;
  return (template) => {
    const holes = String(template).split("{").length - 1;
    left -= 1 + (holes > 1 ? holes + USUAL_URI_LENGTH : 0);
    return left >= 0 ? null : "with the templates before it, a read would take too long";
  };
}

interface Literals {
  readonly beginning: string;
  readonly middle: readonly string[];
  /** Undefined: the template has no expression. */
  readonly end: string | undefined;
}

/** Finds each literal from the left, at its first place. */
function fits({ beginning, middle, end }: Literals, uri: string, left: Steps): boolean {
  left.left -= 1;
  if (left.left < 0 || uri.length > TEXT_BOUNDS.uri.most || !uri.startsWith(beginning)) return false;
  if (end === undefined) return uri === beginning;
  if (!uri.endsWith(end)) return false;
  let at = beginning.length;
  for (const literal of middle) {
    const found = uri.indexOf(literal, at);
    left.left -= (found === -1 ? uri.length : found) - at + 1;
    if (found === -1 || left.left < 0) return false;
    at = found + literal.length;
  }
  return at + end.length <= uri.length;
}

// A filter or policy must apply to every spelling of a URI that a server may treat as the same.

const MAX_ROUNDS = 3;

/** True if the URI may be read as a different URI: it has dot segments, or characters that URL parsers drop. */
export function isUnclear(uri: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no URI holds them; parsers drop tabs and line ends
  return /[\u0000-\u001f\u007f]|^ | $/.test(uri) || hasDotSegments(uri);
}

/** True if the URI contains `/../` or `/./`, also in escaped form. */
function hasDotSegments(uri: string): boolean {
  let text = uri;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (/(?:^|[/\\:])\.{1,2}(?:$|[/\\?#])/.test(text)) return true;
    const decoded = unescaped(text);
    if (decoded === text) return false;
    text = decoded;
  }
  // No honest client escapes a URI this often, so the URI is treated as unclear.
  return true;
}

/** Other spellings of the URI: without escapes, without empty segments, and normalized as the URL standard says. */
export function otherSpellings(uri: string): readonly string[] {
  const spellings = new Set<string>();
  for (const one of URL.canParse(uri) ? [uri, new URL(uri).href] : [uri]) {
    const plain = plainSpelling(one);
    spellings.add(one).add(plain).add(withoutEmptySegments(plain));
  }
  spellings.delete(uri);
  return [...spellings];
}

function withoutEmptySegments(uri: string): string {
  return uri.replace(
    /^([^:/?#]+:\/\/[^/]*|[^:/?#]+:|)(.*)$/s,
    (_, before: string, path: string) => before + path.replace(/\/{2,}/g, "/"),
  );
}

function plainSpelling(uri: string): string {
  return unescaped(uri).replace(/^[A-Za-z][A-Za-z\d+.-]*:/, (scheme) => scheme.toLowerCase());
}

export function unescaped(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    // The decoded bytes are not valid UTF-8, so only ASCII characters are decoded.
    return text.replace(/%([0-7][\dA-Fa-f])/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
}
