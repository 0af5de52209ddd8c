// Removes invisible characters from texts that describe an entry. Texts that the server interprets (keys, values of an
// enum, patterns, URIs) stay, but are also reported.
import { memoized } from "../../runtime/memo.ts";
import { invisibleText, stripInvisible } from "../../runtime/text/invisible-characters.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

interface CleanedEntry {
  /** The entry without invisible characters; the same object if nothing was removed. */
  readonly entry: JsonObject;
  readonly faults: readonly string[];
}

/** Members whose texts are for people and models. */
const TEXT_KEYS: ReadonlySet<string> = new Set(["title", "description", "$comment"]);
const TEXT_KEYS_AND_NAME: ReadonlySet<string> = new Set([...TEXT_KEYS, "name"]);
/** Keys that hold a value and not a schema, so their content stays unchanged. */
const VALUES: ReadonlySet<string> = new Set(["enum", "const", "default", "examples", "_meta"]);
/** Maximum number of faults that are reported for one entry. */
const MOST_FAULTS = 10;

/** `isNameShown`: the name is only displayed, and does not identify the entry. */
export function cleanEntry(entry: JsonObject, isNameShown: boolean): CleanedEntry {
  return (isNameShown ? cleanedWithName : cleanedWithoutName)(entry);
}

const cleanedWithName = memoized((entry: JsonObject) => cleanedEntry(entry, TEXT_KEYS_AND_NAME));
const cleanedWithoutName = memoized((entry: JsonObject) => cleanedEntry(entry, TEXT_KEYS));

function cleanedEntry(entry: JsonObject, textKeys: ReadonlySet<string>): CleanedEntry {
  const faults: string[] = [];
  return { entry: cleanObject(entry, "", { textKeys, faults }), faults };
}

interface Cleaning {
  /** Keys whose texts are for people and models. The set is empty inside values, because their texts stay unchanged. */
  readonly textKeys: ReadonlySet<string>;
  readonly faults: string[];
}

const NOTHING: ReadonlySet<string> = new Set();

function cleanObject(value: JsonObject, path: string, { textKeys, faults }: Cleaning): JsonObject {
  const isValue = textKeys === NOTHING;
  let copy: Record<string, unknown> | null = null;
  for (const key of Object.keys(value)) {
    const member = value[key];
    addFault(faults, path, "the name of a member", key);
    let fresh = member;
    if (typeof member === "string") {
      addFault(faults, path, key, member);
      if (textKeys.has(key)) fresh = stripInvisible(member);
    } else if (typeof member === "object" && member !== null) {
      const below = { textKeys: isValue || VALUES.has(key) ? NOTHING : TEXT_KEYS, faults };
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
    if (typeof part === "string") addFault(cleaning.faults, path, "", part);
    if (typeof part !== "object" || part === null) continue;
    const fresh = cleanPart(part, `${path}[${index}]`, cleaning);
    if (fresh === part) continue;
    copy ??= [...value];
    copy[index] = fresh;
  }
  return copy ?? value;
}

function addFault(faults: string[], path: string, key: string, text: string): void {
  const found = invisibleText(text);
  if (found === null || faults.length >= MOST_FAULTS) return;
  faults.push(`${[path, key].filter((part) => part !== "").join(".")}: ${found}`);
}
