// Searches by typed words: a text matches if it contains each of them, in any order and case.

/** The words of a search, in lower case. */
export function typedWords(typed: string): readonly string[] {
  return typed
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
}

/** Tells whether a text contains every typed word. */
export function matcherOf(typed: string): (text: string) => boolean {
  const words = typedWords(typed);
  return (text) => {
    const lower = text.toLowerCase();
    return words.every((word) => lower.includes(word));
  };
}
