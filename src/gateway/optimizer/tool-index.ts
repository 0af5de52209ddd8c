// The search index of all tools. When the catalog changes, changed tools are indexed in short slices, so that
// requests are served in between.

import MiniSearch from "minisearch";
import { textOf } from "../../runtime/text/json-object.ts";
import type { CatalogEntry } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { conceptsOf, termsOf } from "./terms.ts";

/** Number of tools that are indexed without a pause: at most 2 ms of work. */
const SLICE = 8;
/** In characters. Later text rarely explains what a tool does. */
const LONGEST_DESCRIPTION = 2_000;
const MOST_ARGUMENTS = 100;
const FIELD_WEIGHTS = {
  name: 3,
  nameConcepts: 1,
  backend: 1.5,
  args: 1.2,
  description: 1,
  concepts: 0.3,
};
const FIELDS = ["name", "nameConcepts", "backend", "args", "description", "concepts"] as const;
/** Weights of words that only begin with a word of the query, or are spelled similarly. */
const GUESSED = { prefix: 0.2, fuzzy: 0.2 };
/**
 * A word of a query that occurs in no tool is compared with the words of all tools. These constants limit the number
 * and the length of these words.
 */
const MOST_GUESSED = 8;
const LONGEST_GUESSED = 24;
/** This many of the best matches of single words are ranked again, by how much of the query they cover. */
const RANKED = 200;
/** The fraction of a word's letters that may differ. */
const FUZZY = 0.2;

type IndexedTool = Pick<CatalogEntry, "name" | "backend" | "originalName" | "definition">;

type Document = ReturnType<typeof documentOf>;

interface Indexed {
  readonly definition: JsonObject;
  readonly document: Document;
  readonly words: ToolWords;
}

export class ToolIndex {
  readonly #search = new MiniSearch<Document>({
    fields: [...FIELDS],
    tokenize: (text) => text.split(" "),
    processTerm: (term) => (term === "" ? null : term),
    autoVacuum: false,
  });
  readonly #indexed = new Map<string, Indexed>();
  readonly #toolsWith = new Map<string, number>();
  #wanted: ReadonlyMap<string, IndexedTool> = new Map();
  #work: Iterator<void> | null = null;
  #ready: PromiseWithResolvers<void> | null = null;

  get size(): number {
    return this.#indexed.size;
  }

  /** A later call replaces an earlier one. */
  follow(tools: ReadonlyMap<string, IndexedTool>): void {
    if (tools === this.#wanted) return;
    this.#wanted = tools;
    const isAtWork = this.#work !== null;
    this.#work = this.#changes(tools);
    this.#ready ??= Promise.withResolvers<void>();
    if (!isAtWork) setImmediate(this.#slice);
  }

  /** Null: the newest tools are indexed. */
  get ready(): Promise<void> | null {
    return this.#ready?.promise ?? null;
  }

  /** Returns the names of the best matches, the best first. */
  search(question: string, most: number, isWanted: (name: string) => boolean): readonly string[] {
    const words = [...new Set(termsOf(question))];
    const terms = [...words, ...conceptsOf(words)];
    if (terms.length === 0) return [];
    const unknown = words.filter((word) => !this.#toolsWith.has(word) && word.length <= LONGEST_GUESSED);
    const guessed = new Set(unknown.slice(0, MOST_GUESSED).filter(({ length }) => length >= 4));
    const found = this.#search.search(terms.join(" "), {
      boost: FIELD_WEIGHTS,
      prefix: (term) => guessed.has(term),
      fuzzy: (term) => (guessed.has(term) ? FUZZY : false),
      weights: GUESSED,
      filter: ({ id }) => isWanted(id),
    });
    const coverage = coverageOf(words, this.size, (term) => this.#toolsWith.get(term) ?? 0);
    const ranked = found.slice(0, RANKED).map(({ id, score }) => {
      const tool = this.#indexed.get(id)?.words;
      // The square root keeps one word, repeated many times, from outweighing the others.
      return { id, score: tool === undefined ? 0 : Math.sqrt(score) * coverage(tool) };
    });
    ranked.sort((one, other) => other.score - one.score);
    return ranked.slice(0, most).map(({ id }) => id);
  }

  readonly #slice = (): void => {
    if (this.#work?.next().done === false) {
      setImmediate(this.#slice);
      return;
    }
    this.#work = null;
    this.#ready?.resolve();
    this.#ready = null;
  };

  *#changes(tools: ReadonlyMap<string, IndexedTool>): Generator<void, void> {
    let count = 0;
    for (const [name, indexed] of this.#indexed) {
      if (tools.has(name)) continue;
      this.#drop(indexed);
      count += 1;
      if (count % SLICE === 0) yield;
    }
    for (const tool of tools.values()) {
      const indexed = this.#indexed.get(tool.name);
      if (indexed?.definition === tool.definition && indexed.document.backend === backendTerms(tool))
        continue;
      this.#add(tool, indexed);
      count += 1;
      if (count % SLICE === 0) yield;
    }
  }

  #add({ definition, ...tool }: IndexedTool, before: Indexed | undefined): void {
    const document = documentOf({ definition, ...tool });
    if (before !== undefined && FIELDS.every((field) => before.document[field] === document[field])) {
      this.#indexed.set(tool.name, { ...before, definition });
      return;
    }
    if (before !== undefined) this.#drop(before);
    const terms = new Set(FIELDS.flatMap((field) => document[field].split(" ")));
    const words = { name: wordsWithConcepts(document.name.split(" ")), terms };
    this.#indexed.set(tool.name, { definition, document, words });
    this.#search.add(document);
    for (const term of terms) this.#toolsWith.set(term, (this.#toolsWith.get(term) ?? 0) + 1);
  }

  #drop({ document, words }: Indexed): void {
    this.#indexed.delete(document.id);
    this.#search.remove(document);
    for (const term of words.terms) {
      const left = (this.#toolsWith.get(term) ?? 1) - 1;
      if (left === 0) this.#toolsWith.delete(term);
      else this.#toolsWith.set(term, left);
    }
  }
}

function documentOf(tool: IndexedTool) {
  const { name, originalName, definition } = tool;
  const { description, title, annotations, inputSchema } = definition;
  const shownTitle = title ?? (isJsonObject(annotations) ? annotations["title"] : undefined);
  const names = name.endsWith(originalName) ? name : `${name} ${originalName}`;
  const properties = isJsonObject(inputSchema) ? inputSchema["properties"] : undefined;
  const argumentNames = isJsonObject(properties) ? Object.keys(properties).slice(0, MOST_ARGUMENTS) : [];
  const owner = new Set(termsOf(tool.backend));
  // Words of the backend's name are left out: they would rank one of the server's tools above its other tools.
  const described = termsOf(textOf(description).slice(0, LONGEST_DESCRIPTION)).filter(
    (term) => !owner.has(term),
  );
  const named = new Set([...termsOf(names), ...termsOf(textOf(shownTitle))]);
  return {
    id: name,
    name: [...named].join(" "),
    nameConcepts: conceptsOf([...named]).join(" "),
    backend: backendTerms(tool),
    args: [...new Set(termsOf(argumentNames.join(" ")))].join(" "),
    description: described.join(" "),
    concepts: conceptsOf(described).join(" "),
  };
}

function backendTerms({ backend }: IndexedTool): string {
  return termsOf(backend).join(" ");
}

// How much of a query a tool covers, and how much of the tool's name the query contains. Pure.

/** How much a match by a common concept counts, for a word of the query and for a word of the tool's name. */
const BY_CONCEPT = { query: 0.7, name: 0.6 };
/** Upper limit of a word's rarity, reached by a word that only one tool in 400 has. */
const MOST_RARITY = 6;
/** The rarity of a word if no tool has it. */
const UNKNOWN_RARITY = 0.5;
/**
 * `least`: the weight if no word of the name matches. `further` is added to the number of words in the name, so that
 * one matching word does not cover a short name.
 */
const NAME = { least: 0.5, further: 0.5 };

interface ToolWords {
  /** Each word, followed by its concepts. */
  readonly name: readonly (readonly string[])[];
  readonly terms: ReadonlySet<string>;
}

export function wordsWithConcepts(words: readonly string[]): readonly (readonly string[])[] {
  return words.map((word) => [word, ...conceptsOf([word])]);
}

/**
 * Returns a function that rates how well a tool covers the query `words`, from 0 to 1.5. `toolsWith`: how many of all
 * `size` tools have a term.
 */
export function coverageOf(
  words: readonly string[],
  size: number,
  toolsWith: (term: string) => number,
): (tool: ToolWords) => number {
  const weighted = wordsWithConcepts(words).map((forms) => ({
    forms,
    rarity: rarity(forms, size, toolsWith),
  }));
  const whole = weighted.reduce((sum, one) => sum + one.rarity, 0);
  const queryTerms = new Set(weighted.flatMap(({ forms }) => forms));
  return ({ name, terms }) => {
    const met = weighted.reduce(
      (sum, one) => sum + one.rarity * share(one.forms, terms, BY_CONCEPT.query),
      0,
    );
    const named = name.reduce((sum, forms) => sum + share(forms, queryTerms, BY_CONCEPT.name), 0);
    return (met / whole) * (NAME.least + named / (name.length + NAME.further));
  };
}

/** Returns 1 if `terms` has the word itself, `byConcept` if it has only one of the word's concepts, else 0. */
function share([word = "", ...concepts]: readonly string[], terms: ReadonlySet<string>, byConcept: number) {
  if (terms.has(word)) return 1;
  return concepts.some((concept) => terms.has(concept)) ? byConcept : 0;
}

function rarity(
  [word = "", ...concepts]: readonly string[],
  size: number,
  toolsWith: (term: string) => number,
) {
  const count = toolsWith(word) || Math.max(0, ...concepts.map(toolsWith));
  return count === 0 ? UNKNOWN_RARITY : Math.min(MOST_RARITY, Math.log(1 + size / count));
}
