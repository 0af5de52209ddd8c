// Searches by typed words: a text matches if it contains each of them, in any order and case.

export function typedWords(typed: string): readonly string[] {
  return typed
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
}

export function matcherOf(typed: string): (text: string) => boolean {
  const words = typedWords(typed);
  return (text) => {
    const lower = text.toLowerCase();
    return words.every((word) => lower.includes(word));
  };
}
