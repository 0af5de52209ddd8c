// Owns other spellings of a URI: what a server may take for the same thing must not slip past a filter or a policy
// that is written in one of them.

const MAX_ROUNDS = 3;

/** Whether a step up or a step in place (`/../`, `/./`, also escaped) stands in it: it may mean any other URI. */
export function hasDotSegments(uri: string): boolean {
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

/** Without escapes, its scheme in lower case. */
export function plainSpelling(uri: string): string {
  return unescaped(uri).replace(/^[A-Za-z][A-Za-z\d+.-]*:/, (scheme) => scheme.toLowerCase());
}

function unescaped(text: string): string {
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
