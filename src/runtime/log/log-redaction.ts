// Removes registered secrets from texts, in every encoding.

export type Redaction = ReturnType<typeof createRedaction>;

const REPLACEMENT = "[redacted]";

export function createRedaction() {
  const spellings = new Set<string>();
  let pattern: RegExp | null = null;
  return {
    /** `clean` removes this secret from now on. An empty secret is ignored. */
    redact(secret: string): void {
      if (secret === "") return;
      for (const spelling of spellingsOf(secret)) spellings.add(spelling);
      // The longest first: if one secret begins with another, replacing the shorter one first would leave the
      // rest of the longer one.
      const alternatives = [...spellings].sort((a, b) => b.length - a.length).map(asPattern);
      pattern = new RegExp(alternatives.join("|"), "g");
    },
    clean: (text: string): string => (pattern === null ? text : text.replace(pattern, REPLACEMENT)),
  };
}

function asPattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/gu, "\\$&");
}

/** The spellings of the secret: as it is, in JSON, and in a URL. */
function spellingsOf(secret: string): readonly string[] {
  const wellFormed = secret.toWellFormed();
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(wellFormed), encodeURI(wellFormed)];
}
