// The pins of all backends, and their form in the store. Plain data, bounded.
import { machineOf } from "../../config/values/backend-names.ts";
import { memoized } from "../../runtime/memo.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { isSkillPin } from "./pinned-entry.ts";

/** Maximum number of pinned entries per backend. */
export const MOST_PINNED = 5_000;
/**
 * Number of approved versions that are kept per entry, so that an earlier version needs no second approval.
 */
const MOST_APPROVED = 8;
/**
 * Longest text that is kept, in characters. Only the digest of a longer text is kept, so no diff can show
 * that text.
 */
const LONGEST_TEXT = 64 * 1024;
/** Maximum length of all kept texts together, in characters. */
const MOST_TEXT = 16 * 1024 * 1024;
/** Maximum number of backends that are pinned but no longer configured. */
const MOST_FORMER_BACKENDS = 200;

export interface Pinned {
  /** Approved digests, the current digest first. */
  readonly approved: readonly string[];
  /** The text of the version with the first digest of `approved`; null: not kept. */
  readonly text: string | null;
  /** The digest that was last announced as a change, so that a change is announced once. */
  readonly announced: string | null;
  /** The entry was in the last list. */
  readonly isListed: boolean;
}

/** By backend, then by `pinKey`. */
export interface PinBook {
  readonly backends: ReadonlyMap<string, ReadonlyMap<string, Pinned>>;
  /** Why earlier pins cannot be trusted, else null. Until a person approves all, no backend counts as new. */
  readonly lost: string | null;
}

export const EMPTY_BOOK: PinBook = { backends: new Map(), lost: null };

/** Returns the entry with this digest approved, as its current one. */
export function approvedAs(pinned: Pinned | undefined, digest: string, text: string): Pinned {
  const others = pinned?.approved.filter((each) => each !== digest) ?? [];
  return {
    approved: [digest, ...others].slice(0, MOST_APPROVED),
    text: text.length <= LONGEST_TEXT ? text : null,
    announced: null,
    isListed: true,
  };
}

/**
 * Keeps the book within its bounds: drops backends that are not configured any more, then entries (those that
 * are no longer listed first), and then texts.
 */
export function withinBounds({ backends, lost }: PinBook, configured: ReadonlySet<string>): PinBook {
  const dropped = excessFormer([...backends.keys()].filter((name) => !configured.has(name)));
  let characters = 0;
  const kept = new Map<string, ReadonlyMap<string, Pinned>>();
  for (const [name, pins] of backends) {
    if (dropped.has(name)) continue;
    const entries = [...pins];
    const listed = entries.filter(([, { isListed }]) => isListed);
    const gone = entries.filter(([, { isListed }]) => !isListed);
    const room = Math.max(0, MOST_PINNED - listed.length);
    const most = [...listed.slice(0, MOST_PINNED), ...(room === 0 ? [] : gone.slice(-room))];
    kept.set(
      name,
      new Map(
        most.map(([key, pinned]) => {
          characters += pinned.text?.length ?? 0;
          return [key, characters > MOST_TEXT ? { ...pinned, text: null } : pinned];
        }),
      ),
    );
  }
  return { backends: kept, lost };
}

/**
 * The unconfigured backends to forget. They are taken from the machine that has the most, so that a machine
 * that keeps renaming its backends does not displace those of another machine.
 */
function excessFormer(former: readonly string[]): ReadonlySet<string> {
  const dropped = new Set<string>();
  const byMachine = [...Map.groupBy(former, machineOf).values()];
  while (former.length - dropped.size > MOST_FORMER_BACKENDS) {
    const most = byMachine.reduce((one, other) => (other.length > one.length ? other : one));
    dropped.add(most.shift() ?? "");
  }
  return dropped;
}

/** The book as plain JSON. */
export function bookValue({ backends, lost }: PinBook): unknown {
  const pins = (of: ReadonlyMap<string, Pinned>): unknown =>
    [...of].map(([key, { approved, text, announced, isListed }]) => [
      key,
      approved,
      text,
      announced,
      isListed,
    ]);
  return { version: 1, lost, backends: [...backends].map(([name, of]) => [name, pins(of)]) };
}

/** The reverse of `bookValue`; null for any other value. */
export function readBook(value: unknown): PinBook | null {
  const { version, lost, backends } = objectOf(value) as Readonly<Record<string, unknown>>;
  const book = readMap(backends, ([pins]) => readMap(pins, readPinned));
  return version === 1 && isTextOrNull(lost) && book !== null ? { backends: book, lost } : null;
}

/**
 * Reads a map from a list of lists, each of which begins with its key; null if the value has another form, or
 * if `read` returns null.
 */
function readMap<Value>(value: unknown, read: (rest: readonly unknown[]) => Value | null) {
  if (!Array.isArray(value)) return null;
  const map = new Map<string, Value>();
  for (const entry of value) {
    const [key, ...rest]: readonly unknown[] = Array.isArray(entry) ? entry : [];
    const found = read(rest);
    if (typeof key !== "string" || found === null) return null;
    map.set(key, found);
  }
  return map;
}

function readPinned([approved, text, announced, isListed]: readonly unknown[]): Pinned | null {
  if (typeof isListed !== "boolean" || !Array.isArray(approved)) return null;
  if (!isTextOrNull(text) || !isTextOrNull(announced)) return null;
  return { approved: approved.filter((digest) => typeof digest === "string"), text, announced, isListed };
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

/** A backend's approved tools from its pins, while the backend has not listed any. Only tools whose whole text is kept. */
export const recalledTools = memoized((pinned: ReadonlyMap<string, Pinned>) =>
  [...pinned].flatMap(([name, { approved, text, isListed }]): JsonObject[] => {
    if (!isListed || approved.length === 0 || text === null) return [];
    const tool: unknown = parseExactly(text);
    return isJsonObject(tool) && tool["name"] === name && !isSkillPin(tool) ? [tool] : [];
  }),
);
