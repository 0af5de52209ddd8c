// Takes characters that nobody sees out of what describes an entry. What names or means something to the server (keys,
// values of an enum, patterns, URIs) stays as it is, and is told.
import { unseenText, withoutUnseen } from "../../runtime/text/unseen-characters.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";

interface SeenEntry {
  /** The same object where there is nothing to take out. */
  readonly entry: JsonObject;
  readonly faults: readonly string[];
}

/** Whatever holds one of these is text for people and models. */
const WORDS: ReadonlySet<string> = new Set(["title", "description", "$comment"]);
/** Values, not schemas: nothing in them is taken out. */
const VALUES: ReadonlySet<string> = new Set(["enum", "const", "default", "examples", "_meta"]);
/** Of one entry; a server may have any number. */
const FAULTS_AT_MOST = 10;

// Looked at once for each of a server's objects, however often the catalog is built.
const known = new WeakMap<JsonObject, SeenEntry>();

/** `shownName`: the name is only shown, as a resource's is, and not what the entry is known by. */
export function seenEntry(entry: JsonObject, shownName: boolean): SeenEntry {
  const before = known.get(entry);
  if (before !== undefined) return before;
  const faults: string[] = [];
  const cleaned = cleanObject(entry, "", { words: shownName ? NAME_TOO : WORDS, faults });
  const seen = { entry: cleaned, faults: faults.length === 0 ? NO_FAULTS : faults };
  known.set(entry, seen);
  return seen;
}

const NAME_TOO: ReadonlySet<string> = new Set([...WORDS, "name"]);
const NO_FAULTS: readonly string[] = [];

interface Cleaning {
  /** Keys whose texts are cleaned; of values, none. */
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
      if (words.has(key)) fresh = withoutUnseen(member);
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
  const told = unseenText(text);
  if (told === null || faults.length >= FAULTS_AT_MOST) return;
  faults.push(`${[path, key].filter((part) => part !== "").join(".")}: ${told}`);
}
