// Keeps secrets out of text: a registered secret never appears, in whichever encoding.

export type Redaction = ReturnType<typeof createRedaction>;

const REPLACEMENT = "[redacted]";

export function createRedaction() {
  const spellings = new Set<string>();
  let pattern: RegExp | null = null;
  return {
    /** From now on the secret never appears in what `clean` gives. An empty one is ignored. */
    redact(secret: string): void {
      if (secret === "") return;
      for (const spelling of spellingsOf(secret)) spellings.add(spelling);
      // The longest first, so that a secret that begins like another one leaves no rest.
      const alternatives = [...spellings].sort((a, b) => b.length - a.length).map(asPattern);
      pattern = new RegExp(alternatives.join("|"), "g");
    },
    clean: (text: string): string => (pattern === null ? text : text.replace(pattern, REPLACEMENT)),
  };
}

function asPattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/gu, "\\$&");
}

/** As it is, as inside JSON, and as inside a URL. */
function spellingsOf(secret: string): readonly string[] {
  const wellFormed = secret.toWellFormed();
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(wellFormed), encodeURI(wellFormed)];
}
