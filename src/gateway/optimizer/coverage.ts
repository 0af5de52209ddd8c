// How much of a question a tool meets, and how much of its name the question says. Pure.
import { conceptsOf } from "./terms.ts";

/** A word's concept in place of the word itself: in the tool for the question's word, in the question for the name's. */
const BY_CONCEPT = { question: 0.7, name: 0.6 };
/** A word that one tool of many thousands has says no more than one that one in 400 has. */
const MOST_RARITY = 6;
/** Of a word that no tool has, and no concept of it either: little, as it leads nowhere. */
const UNKNOWN_RARITY = 0.5;
/** A name of which nothing is asked counts half at least, and a short one is not right by its only word. */
const NAME = { least: 0.5, further: 0.5 };

/** What counts of a tool. */
export interface Said {
  /** Each word of its name with the concepts of that word. */
  readonly name: readonly (readonly string[])[];
  /** All terms under which it is found. */
  readonly terms: ReadonlySet<string>;
}

/** Each with its concepts; the word itself comes first. */
export function wordsWithConcepts(words: readonly string[]): readonly (readonly string[])[] {
  return words.map((word) => [word, ...conceptsOf([word])]);
}

/** A factor of each tool's score, from 0 to 1.5: more, the more it has of the question. `toolsWith`: of `size` tools. */
export function coverageOf(
  words: readonly string[],
  size: number,
  toolsWith: (term: string) => number,
): (tool: Said) => number {
  const asked = wordsWithConcepts(words).map((forms) => ({ forms, rarity: rarity(forms, size, toolsWith) }));
  const whole = asked.reduce((sum, one) => sum + one.rarity, 0);
  const askedTerms = new Set(asked.flatMap(({ forms }) => forms));
  return ({ name, terms }) => {
    const met = asked.reduce(
      (sum, one) => sum + one.rarity * share(one.forms, terms, BY_CONCEPT.question),
      0,
    );
    const named = name.reduce((sum, forms) => sum + share(forms, askedTerms, BY_CONCEPT.name), 0);
    return (met / whole) * (NAME.least + named / (name.length + NAME.further));
  };
}

/** 1: the word itself is among them; 0: neither that nor one of its concepts. */
function share(
  [word = "", ...concepts]: readonly string[],
  among: ReadonlySet<string>,
  less: number,
): number {
  if (among.has(word)) return 1;
  return concepts.some((concept) => among.has(concept)) ? less : 0;
}

function rarity(
  [word = "", ...concepts]: readonly string[],
  size: number,
  toolsWith: (term: string) => number,
) {
  const count = toolsWith(word) || Math.max(0, ...concepts.map(toolsWith));
  return count === 0 ? UNKNOWN_RARITY : Math.min(MOST_RARITY, Math.log(1 + size / count));
}
