// The texts of one call that policies and `folders` check. Over all of them they have one budget, and each is decoded once.
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { isUnclear, otherSpellings } from "./uri-template.ts";

/** As many characters take as long to check as a part of a path. */
const PART_CHARACTERS = 16;

/** null: the text may be read as a different path. */
type Spellings = readonly string[] | null;

export class CallTexts {
  /** Why the call is refused; null: its texts can be checked. */
  excess: string | null = null;
  readonly #texts = new Set<string>();
  readonly #spellings = new Map<string, Spellings>();
  #parts = 0;

  /** Counts a text once. False: it is too much, or one before it was. */
  count(text: string): boolean {
    if (this.excess !== null || this.#texts.has(text)) return this.excess === null;
    this.#texts.add(text);
    const slashes = text.length > TEXT_BOUNDS.pathText.most ? 0 : text.split(/[/\\]/).length;
    this.#parts += Math.max(slashes, Math.min(text.length, TEXT_BOUNDS.pathText.most) / PART_CHARACTERS);
    const { texts, parts } = TEXT_BOUNDS;
    if (this.#texts.size > texts.most) this.excess = `it has more than ${texts.most} texts to check`;
    else if (this.#parts > parts.most)
      this.excess = `its texts have more than ${parts.most} parts of paths to check`;
    return this.excess === null;
  }

  /** The text in each spelling that servers take for the same. */
  spellings(text: string): Spellings {
    const known = this.#spellings.get(text);
    if (known !== undefined) return known;
    const read = isUnclear(text) ? null : [text, ...otherSpellings(text)];
    this.#spellings.set(text, read);
    return read;
  }
}

const known = new WeakMap<object, CallTexts>();

/** Why a call with these arguments is refused, as far as its texts were counted; null: nothing is against it. */
export function excessOf(given: unknown): string | null {
  return typeof given === "object" && given !== null ? (known.get(given)?.excess ?? null) : null;
}

/** The same object for the same arguments of a call. */
export function textsOfCall(given: unknown): CallTexts {
  if (typeof given !== "object" || given === null) return new CallTexts();
  const texts = known.get(given) ?? new CallTexts();
  known.set(given, texts);
  return texts;
}
