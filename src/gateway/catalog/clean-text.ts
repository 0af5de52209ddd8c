// Removes invisible characters from texts that describe an entry. Texts that the server interprets (keys, values of an
// enum, patterns, URIs) stay, but are also reported.
import { memoized } from "../../runtime/memo.ts";
import { invisibleText, stripInvisible } from "../../runtime/text/invisible-characters.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

interface SeenEntry {
  /** The entry without invisible characters; the same object if nothing was removed. */
  readonly entry: JsonObject;
  readonly faults: readonly string[];
}

/** Members whose texts are for people and models. */
const WORDS: ReadonlySet<string> = new Set(["title", "description", "$comment"]);
const WORDS_AND_NAME: ReadonlySet<string> = new Set([...WORDS, "name"]);
/** Keys that hold a value and not a schema, so their content stays unchanged. */
const VALUES: ReadonlySet<string> = new Set(["enum", "const", "default", "examples", "_meta"]);
/** Maximum number of faults that are reported for one entry. */
const MOST_FAULTS = 10;

/** `isNameShown`: the name is only displayed, and does not identify the entry. */
export function cleanEntry(entry: JsonObject, isNameShown: boolean): SeenEntry {
  return (isNameShown ? seenWithName : seenWithoutName)(entry);
}

const seenWithName = memoized((entry: JsonObject) => cleanedEntry(entry, WORDS_AND_NAME));
const seenWithoutName = memoized((entry: JsonObject) => cleanedEntry(entry, WORDS));

function cleanedEntry(entry: JsonObject, words: ReadonlySet<string>): SeenEntry {
  const faults: string[] = [];
  return { entry: cleanObject(entry, "", { words, faults }), faults };
}

interface Cleaning {
  /** Keys whose texts are for people and models. The set is empty inside values, because their texts stay unchanged. */
  readonly words: ReadonlySet<string>;
  readonly faults: string[];
}

const NOTHING: ReadonlySet<string> = new Set();

function cleanObject(value: JsonObject, path: string, { words, faults }: Cleaning): JsonObject {
  const isValue = words === NOTHING;
  let copy: Record<string, unknown> | null = null;
  for (const key of Object.keys(value)) {
    const member = value[key];
    note(faults, path, "the name of a member", key);
    let fresh = member;
    if (typeof member === "string") {
      note(faults, path, key, member);
      if (words.has(key)) fresh = stripInvisible(member);
    } else if (typeof member === "object" && member !== null) {
      const below = { words: isValue || VALUES.has(key) ? NOTHING : WORDS, faults };
      fresh = cleanPart(member, path === "" ? key : `${path}.${key}`, below);
    }
    if (fresh === member) continue;
    copy ??= { ...value };
    Object.defineProperty(copy, key, { value: fresh, enumerable: true, writable: true, configurable: true });
  }
  return copy ?? value;
}

function cleanPart(value: object, path: string, cleaning: Cleaning): unknown {
  if (!Array.isArray(value)) return isJsonObject(value) ? cleanObject(value, path, cleaning) : value;
  let copy: unknown[] | null = null;
  for (const [index, part] of value.entries()) {
    if (typeof part === "string") note(cleaning.faults, path, "", part);
    if (typeof part !== "object" || part === null) continue;
    const fresh = cleanPart(part, `${path}[${index}]`, cleaning);
    if (fresh === part) continue;
    copy ??= [...value];
    copy[index] = fresh;
  }
  return copy ?? value;
}

function note(faults: string[], path: string, key: string, text: string): void {
  const found = invisibleText(text);
  if (found === null || faults.length >= MOST_FAULTS) return;
  faults.push(`${[path, key].filter((part) => part !== "").join(".")}: ${found}`);
}
