// Removes registered secrets from texts, in every encoding.

export type Redaction = ReturnType<typeof createRedaction>;

const REPLACEMENT = "[redacted]";
/** Shorter secrets, and plain words, are parts of other words: these are removed only as whole words. */
const SHORTEST_ANYWHERE = 8;
const LETTERS_OR_DIGITS = /^(?:[A-Z]?[a-z]+|[A-Z]+|\d{1,8})$/;

export function createRedaction(replacement = REPLACEMENT) {
  const anywhere = new Set<string>();
  const tokens = new Set<string>();
  let pattern: RegExp | null = null;
  const clean = (text: string, isName = false): string =>
    pattern === null
      ? text
      : text.replace(pattern, (found: string, ...more: readonly unknown[]) => {
          if (anywhere.has(found)) return replacement;
          return isName || isInPath(text, Number(more.at(-2))) ? found : replacement;
        });
  return {
    /** `clean` removes this secret from now on. An empty secret is ignored. */
    redact(secret: string): void {
      if (secret === "") return;
      const isToken = secret.length < SHORTEST_ANYWHERE || LETTERS_OR_DIGITS.test(secret);
      for (const spelling of spellingsOf(secret)) (isToken ? tokens : anywhere).add(spelling);
      // The longest first: if one secret begins with another, replacing the shorter one first would leave the
      // rest of the longer one.
      const alternatives = [...anywhere, ...tokens]
        .sort((a, b) => b.length - a.length)
        .map((spelling) => {
          const escaped = spelling.replace(/[\\^$.*+?()[\]{}|/]/gu, "\\$&");
          return anywhere.has(spelling) ? escaped : `(?<![\\p{L}\\p{N}_-])${escaped}(?![\\p{L}\\p{N}_-])`;
        });
      pattern = new RegExp(alternatives.join("|"), "gu");
    },
    clean: (text: string): string => clean(text),
    /** As `clean`, for a text that names something: only secrets that are neither short nor plain words are removed. */
    cleanName: (text: string): string => clean(text, true),
  };
}

/** True if the word at `offset` is in an absolute path: folders are called like people and servers. */
function isInPath(text: string, offset: number): boolean {
  const begin =
    text
      .slice(Math.max(0, offset - 1_024), offset)
      .split(/[\s"'`=(,[]/)
      .at(-1) ?? "";
  return /^(?:~|\.{1,2})?\//.test(begin);
}

/** The spellings of the secret: as it is, in JSON, and in a URL. */
function spellingsOf(secret: string): readonly string[] {
  const wellFormed = secret.toWellFormed();
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(wellFormed), encodeURI(wellFormed)];
}
