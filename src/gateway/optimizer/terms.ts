// Search terms of tools and queries: words without endings, and concepts, which stand for words of similar meaning.
// Only for English; words of other languages stay as they are.

import words from "./words.json" with { type: "json" };

/** Limit for a query, and for each text of a tool. */
const MOST_TERMS = 400;

const STOP_WORDS: ReadonlySet<string> = new Set(words.stop.split(" "));

/**
 * Each line is one concept: the first word names the concept. A text that contains any word of the line also gets the
 * concept.
 */
const CONCEPTS: readonly string[] = words.concepts;

const CONCEPT = "~";

/** In names of tools, the first word of a line replaces the others. */
const SAME: readonly string[] = words.same;

/** Phrases, each with the word that replaces it. */
const JOINED: readonly (readonly [RegExp, string])[] = [
  [/\bto-?\s?do\b(?= (?:item|list|task|app))|\bto-do/g, "todo"],
  [/\blook(?:ing)? up\b|\blook for\b/g, "search"],
  [/\b(?:get|getting) rid of\b|\bthrow away\b/g, "delete"],
  [/\bone ?note\b/g, "onenote"],
  [/\bshare ?point\b/g, "sharepoint"],
];

/** Made at their first use: a start does not need them. */
let canonicalTerms: ReadonlyMap<string, string> | undefined;
let conceptsByTerm: ReadonlyMap<string, readonly string[]> | undefined;

function canonicalOf(term: string): string {
  canonicalTerms ??= new Map(
    SAME.flatMap((words) => {
      const [first = "", ...others] = words.split(" ");
      return others.map((other) => [stem(other), stem(first)] as const);
    }),
  );
  return canonicalTerms.get(term) ?? term;
}

/** Returns the words of the text in order, with repetitions. camelCase and snake_case are split. */
export function termsOf(text: string): readonly string[] {
  const terms: string[] = [];
  for (const word of wordsOf(text)) {
    if (STOP_WORDS.has(word)) continue;
    terms.push(canonicalOf(stem(word)));
    if (terms.length >= MOST_TERMS) break;
  }
  return terms;
}

/**
 * The concepts of these terms, without repetition. Each concept begins with `CONCEPT`, so that it never equals a
 * word.
 */
export function conceptsOf(terms: readonly string[]): readonly string[] {
  conceptsByTerm ??= conceptTable();
  const concepts = conceptsByTerm;
  return [...new Set(terms.flatMap((term) => concepts.get(term) ?? []))];
}

function wordsOf(given: string): readonly string[] {
  const apart = given
    .normalize("NFKC")
    .replaceAll(/(\p{Ll}|\p{N})(\p{Lu})/gu, "$1 $2")
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1 $2")
    .toLowerCase();
  const joined = JOINED.reduce((text, [words, one]) => text.replace(words, one), apart);
  return joined.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

/** The stem of a word: equal for all forms of the word, but not necessarily a word. */
export function stem(word: string): string {
  if (word.length <= 3 || !/^[a-z]+$/.test(word)) return word;
  let rest = word;
  if (rest.endsWith("ies") && rest.length > 4) rest = `${rest.slice(0, -3)}y`;
  else if (/(?:ss|sh|ch|x|z)es$/.test(rest)) rest = rest.slice(0, -2);
  else if (rest.endsWith("s") && !/(?:ss|us|is)$/.test(rest)) rest = rest.slice(0, -1);
  for (const ending of ["ing", "ed"]) {
    const left = rest.slice(0, -ending.length);
    if (rest.endsWith(ending) && left.length >= 3 && /[aeiouy]/.test(left)) {
      rest = /([bdfgmnprt])\1$/.test(left) ? left.slice(0, -1) : left;
      break;
    }
  }
  if (/[st]ion$/.test(rest) && rest.length > 6) rest = rest.slice(0, -3);
  if (rest.endsWith("ment") && rest.length > 8) rest = rest.slice(0, -4);
  if (rest.endsWith("e") && rest.length > 4) rest = rest.slice(0, -1);
  if (rest.endsWith("at") && rest.length > 6) rest = rest.slice(0, -2);
  return rest.endsWith("y") && rest.length > 4 ? `${rest.slice(0, -1)}i` : rest;
}

function conceptTable(): Map<string, string[]> {
  const pairs = CONCEPTS.flatMap((line) => {
    const words = line.split(" ");
    const terms = new Set(words.map(stem).map(canonicalOf));
    return [...terms].map((term) => ({ term, concept: `${CONCEPT}${words[0]}` }));
  });
  const byTerm = Map.groupBy(pairs, ({ term }) => term);
  return new Map([...byTerm].map(([term, of]) => [term, of.map(({ concept }) => concept)]));
}
