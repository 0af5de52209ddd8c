// The index in which tools are searched: names, descriptions, names of arguments. It follows the catalog in short slices
// between which whatever has come in is served, and takes up only what is another one than before.
import MiniSearch from "minisearch";
import type { CatalogEntry } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { conceptsOf, termsOf } from "./terms.ts";

/** Tools that are taken up before others get their turn: 2 ms or less. */
const SLICE = 8;
/** Of a description: what comes later rarely says what a tool is for. */
const LONGEST_DESCRIPTION = 2_000;
const MOST_ARGUMENTS = 100;
/** A shared concept is a hint, and the word itself is better; names say most. */
const FIELD_WEIGHTS = {
  name: 3,
  nameConcepts: 1,
  backend: 1.5,
  args: 1.2,
  description: 1,
  concepts: 0.3,
};
const FIELDS = ["name", "nameConcepts", "backend", "args", "description", "concepts"] as const;
/** What is only like a word that was asked for counts for less. */
const GUESSED = { prefix: 0.2, fuzzy: 0.2 };
/** Each guess looks through the words of all tools; no honest question has more of them, or longer ones. */
const MOST_GUESSED = 8;
const LONGEST_GUESSED = 24;
/** Of the first by single words: these are ranked by how much they meet of the question. */
const RANKED = 200;
/** One letter in so many may be another. */
const FUZZY = 0.2;

type IndexedTool = Pick<CatalogEntry, "name" | "backend" | "originalName" | "definition">;

type Document = ReturnType<typeof documentOf>;

interface Taken {
  readonly definition: JsonObject;
  readonly document: Document;
  readonly said: Said;
}

export class ToolIndex {
  readonly #search = new MiniSearch<Document>({
    fields: [...FIELDS],
    tokenize: (text) => text.split(" "),
    processTerm: (term) => (term === "" ? null : term),
    autoVacuum: false,
  });
  readonly #taken = new Map<string, Taken>();
  /** How many tools have each term. */
  readonly #known = new Map<string, number>();
  #wanted: ReadonlyMap<string, IndexedTool> = new Map();
  #work: Iterator<void> | null = null;
  #ready: PromiseWithResolvers<void> | null = null;

  /** Tools that can be found now. */
  get size(): number {
    return this.#taken.size;
  }

  /** Takes up what is another one than before; `ready` tells when that is done. Again: the newest counts. */
  follow(tools: ReadonlyMap<string, IndexedTool>): void {
    if (tools === this.#wanted) return;
    this.#wanted = tools;
    const isAtWork = this.#work !== null;
    this.#work = this.#changes(tools);
    this.#ready ??= Promise.withResolvers<void>();
    if (!isAtWork) setImmediate(this.#slice);
  }

  /** Null: it has followed already. */
  get ready(): Promise<void> | null {
    return this.#ready?.promise ?? null;
  }

  /** Names, best first; only those that `isWanted`. */
  search(question: string, most: number, isWanted: (name: string) => boolean): readonly string[] {
    const words = [...new Set(termsOf(question))];
    const terms = [...words, ...conceptsOf(words)];
    if (terms.length === 0) return [];
    // Words that no tool has may be misspelt, or the beginning of one.
    const strange = words.filter((word) => !this.#known.has(word) && word.length <= LONGEST_GUESSED);
    const guessed = new Set(strange.slice(0, MOST_GUESSED));
    const isStrange = (term: string): boolean => guessed.has(term);
    const found = this.#search.search(terms.join(" "), {
      boost: FIELD_WEIGHTS,
      prefix: (term) => isStrange(term) && term.length >= 4,
      fuzzy: (term) => (isStrange(term) && term.length >= 4 ? FUZZY : false),
      weights: GUESSED,
      filter: ({ id }) => isWanted(id),
    });
    const coverage = coverageOf(words, this.#taken.size, (term) => this.#known.get(term) ?? 0);
    const ranked = found.slice(0, RANKED).map(({ id, score }) => {
      const said = this.#taken.get(id)?.said;
      // The square root: one word said many times must not outweigh all the others.
      return { id, score: said === undefined ? 0 : Math.sqrt(score) * coverage(said) };
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
    for (const [name, taken] of this.#taken) {
      if (tools.has(name)) continue;
      this.#drop(taken);
      count += 1;
      if (count % SLICE === 0) yield;
    }
    for (const tool of tools.values()) {
      const taken = this.#taken.get(tool.name);
      if (taken?.definition === tool.definition && taken.document.backend === backendTerms(tool)) continue;
      this.#take(tool, taken);
      count += 1;
      if (count % SLICE === 0) yield;
    }
  }

  #take(tool: IndexedTool, before: Taken | undefined): void {
    const document = documentOf(tool);
    const isSame = before !== undefined && isEqual(before.document, document);
    if (before !== undefined && !isSame) this.#drop(before);
    const said = isSame
      ? before.said
      : { name: wordsWithConcepts(document.name.split(" ")), terms: termsIn(document) };
    this.#taken.set(tool.name, { definition: tool.definition, document, said });
    if (isSame) return;
    this.#search.add(document);
    for (const term of said.terms) this.#known.set(term, (this.#known.get(term) ?? 0) + 1);
  }

  #drop({ document, said }: Taken): void {
    this.#taken.delete(document.id);
    this.#search.remove(document);
    for (const term of said.terms) {
      const left = (this.#known.get(term) ?? 1) - 1;
      if (left === 0) this.#known.delete(term);
      else this.#known.set(term, left);
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
  // That its server is named there, too, makes a tool no better than the server's others.
  const described = termsOf(textOr(description).slice(0, LONGEST_DESCRIPTION)).filter(
    (term) => !owner.has(term),
  );
  const named = new Set([...termsOf(names), ...termsOf(textOr(shownTitle))]);
  return {
    id: name,
    name: [...named].join(" "),
    nameConcepts: conceptsOf([...named]).join(" "),
    backend: backendTerms(tool),
    args: [...new Set(termsOf(argumentNames.join(" ")))].join(" "),
    description: described.join(" "),
    /** Of the description. */
    concepts: conceptsOf(described).join(" "),
  };
}

function backendTerms({ backend }: IndexedTool): string {
  return termsOf(backend).join(" ");
}

function textOr(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isEqual(one: Document, other: Document): boolean {
  return FIELDS.every((field) => one[field] === other[field]);
}

function termsIn(document: Document): ReadonlySet<string> {
  return new Set(FIELDS.flatMap((field) => document[field].split(" ")));
}

// How much of a question a tool meets, and how much of its name the question says. Pure.

/** A word's concept in place of the word itself: in the tool for the question's word, in the question for the name's. */
const BY_CONCEPT = { question: 0.7, name: 0.6 };
/** A word that one tool of many thousands has says no more than one that one in 400 has. */
const MOST_RARITY = 6;
/** Of a word that no tool has, and no concept of it either: little, as it leads nowhere. */
const UNKNOWN_RARITY = 0.5;
/** A name of which nothing is asked counts half at least, and a short one is not right by its only word. */
const NAME = { least: 0.5, further: 0.5 };

/** What counts of a tool. */
interface Said {
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
