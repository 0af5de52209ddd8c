// Other spellings of a URI: what a server may take for the same resource must not slip past a filter or a policy that
// is written in one of them.

const MAX_ROUNDS = 3;

/** Whether it may mean any other URI: steps in it, or characters that URL parsers drop, and find steps behind them. */
export function isUnclear(uri: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no URI holds them; parsers drop tabs and line ends
  return /[\u0000-\u001f\u007f]|^ | $/.test(uri) || hasDotSegments(uri);
}

/** Whether a step up or a step in place (`/../`, `/./`, also escaped) stands in it: it may mean any other URI. */
function hasDotSegments(uri: string): boolean {
  let text = uri;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (/(?:^|[/\\:])\.{1,2}(?:$|[/\\?#])/.test(text)) return true;
    const decoded = unescaped(text);
    if (decoded === text) return false;
    text = decoded;
  }
  // Escaped over and over: nobody honest does that.
  return true;
}

/**
 * Spellings that servers take for the same thing: without escapes, as the URL standard writes it (letter case and port
 * of the host, `\\` for `/`, missing slashes), and without empty segments, as file systems read paths.
 */
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

/** Without escapes, its scheme in lower case. */
function plainSpelling(uri: string): string {
  return unescaped(uri).replace(/^[A-Za-z][A-Za-z\d+.-]*:/, (scheme) => scheme.toLowerCase());
}

/** Without percent escapes. */
export function unescaped(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    // Not all of it is UTF-8: what is ASCII is still meant.
    return text.replace(/%([0-7][\dA-Fa-f])/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
}
