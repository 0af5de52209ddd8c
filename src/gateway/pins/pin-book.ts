// The pins of all backends, as plain data within bounds.
import { machineOf } from "../../config/values/backend-names.ts";
import { memoized } from "../../runtime/memo.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { type Listings, NO_LISTINGS } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { entryDigest, entryText } from "./pinned-entry.ts";

/** Maximum number of pinned entries of one backend. */
export const MOST_PINNED = 5_000;
/** Maximum number of approved versions kept for an entry. A return to a kept version needs no second approval. */
const MOST_APPROVED = 4;
/** In characters. A longer text is kept only as a digest, so no diff can show it. */
const LONGEST_TEXT = 64 * 1024;
/** All kept texts together, in characters. */
const MOST_TEXT = 16 * 1024 * 1024;
/** Maximum number of pinned backends that are kept although they are no longer configured. */
const MOST_FORMER_BACKENDS = 200;

export interface Pinned {
  /** Digests, the current one first. */
  readonly approved: readonly string[];
  /** The entry's text, of which the first digest in `approved` was made; null: the text is not kept. */
  readonly text: string | null;
  /** The change that was announced last, so that it is announced once. */
  readonly announced: string | null;
  /** The entry was in the last list. */
  readonly isListed: boolean;
}

/** Pins by backend, then by `pinKey`. */
export interface PinBook {
  readonly backends: ReadonlyMap<string, ReadonlyMap<string, Pinned>>;
  /** Why earlier pins cannot be trusted; null: they can. Until a person approves all, no backend counts as new. */
  readonly lost: string | null;
}

export const EMPTY_BOOK: PinBook = { backends: new Map(), lost: null };

export function approvedAs(pinned: Pinned | undefined, definition: JsonObject): Pinned {
  const [digest, text] = [entryDigest(definition), entryText(definition)];
  const others = pinned?.approved.filter((each) => each !== digest) ?? [];
  return {
    approved: [digest, ...others].slice(0, MOST_APPROVED),
    text: text.length <= LONGEST_TEXT ? text : null,
    announced: null,
    isListed: true,
  };
}

/** Drops what exceeds the bounds: first unconfigured backends, then entries (unlisted ones first), then texts. */
export function withinBounds({ backends, lost }: PinBook, configured: ReadonlySet<string>): PinBook {
  const dropped = excessFormer([...backends.keys()].filter((name) => !configured.has(name)));
  let characters = 0;
  const retained = new Map<string, ReadonlyMap<string, Pinned>>();
  for (const [name, pins] of backends) {
    if (dropped.has(name)) continue;
    const entries = [...pins];
    const listed = entries.filter(([, { isListed }]) => isListed);
    const gone = entries.filter(([, { isListed }]) => !isListed);
    const space = Math.max(0, MOST_PINNED - listed.length);
    const most = [...listed.slice(0, MOST_PINNED), ...(space === 0 ? [] : gone.slice(-space))];
    retained.set(
      name,
      new Map(
        most.map(([key, pinned]) => {
          characters += pinned.text?.length ?? 0;
          return [key, characters > MOST_TEXT ? { ...pinned, text: null } : pinned];
        }),
      ),
    );
  }
  return { backends: retained, lost };
}

/**
 * Chooses the backends to forget, from the machine that has the most of them. So a machine that renames its backends
 * does not displace the backends of other machines.
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

/** Returns null if `value` is not a book that this version can read. */
export function readBook(value: unknown): PinBook | null {
  const { version, lost, backends } = objectOf(value) as Readonly<Record<string, unknown>>;
  const book = readMap(backends, ([pins]) => readMap(pins, readPinned));
  return version === 1 && isTextOrNull(lost) && book !== null ? { backends: book, lost } : null;
}

/**
 * Reads a list of lists as a map: the first value of each inner list is its key. Null: `value` has another form, or
 * `read` returns null.
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

/**
 * Returns lists with the pinned tools whose whole text is kept. They are used for a backend that has not listed its
 * tools yet.
 */
export const recalledLists = memoized(
  (pinned: ReadonlyMap<string, Pinned>): Listings => ({
    ...NO_LISTINGS,
    tools: [...pinned].flatMap(([name, { approved, text, isListed }]): JsonObject[] => {
      if (!isListed || approved.length === 0 || text === null) return [];
      const tool: unknown = parseExactly(text);
      return isJsonObject(tool) && tool["name"] === name ? [tool] : [];
    }),
  }),
);
