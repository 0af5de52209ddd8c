// What is remembered of what all backends show to models, and how it is written down. Plain data, bounded.
import { machineOf } from "../../config/values/backend-names.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { isSkillPin } from "./pinned-entry.ts";

/** Of one backend; what it lists beyond is not remembered. */
export const MOST_PINNED = 5_000;
/** Earlier versions of one entry that were approved: one that comes back is known. */
const MOST_APPROVED = 8;
/** A longer text is not kept: then only its digest is, and a change shows no old text. */
const LONGEST_TEXT = 64 * 1024;
/** Of all texts together. */
const MOST_TEXT = 16 * 1024 * 1024;
/** Backends of which nothing is configured any more. */
const MOST_FORMER_BACKENDS = 200;

export interface Pinned {
  /** Digests, the one in use first. */
  readonly approved: readonly string[];
  /** The text whose digest is the first; null: not kept. */
  readonly text: string | null;
  /** The last digest that was told as a change. */
  readonly told: string | null;
  /** The server listed it when it was looked at last. */
  readonly isListed: boolean;
}

/** By backend, then by `pinKey`. */
export interface PinBook {
  readonly backends: ReadonlyMap<string, ReadonlyMap<string, Pinned>>;
  /** Why earlier pins cannot be trusted; null: they can. Until a person approves all, no backend is a new one. */
  readonly lost: string | null;
}

export const EMPTY_BOOK: PinBook = { backends: new Map(), lost: null };

/** The same entry with this digest approved, and in use. */
export function approvedAs(pinned: Pinned | undefined, digest: string, text: string): Pinned {
  const others = pinned?.approved.filter((each) => each !== digest) ?? [];
  return {
    approved: [digest, ...others].slice(0, MOST_APPROVED),
    text: text.length <= LONGEST_TEXT ? text : null,
    told: null,
    isListed: true,
  };
}

/** Drops what is no longer listed first, then texts, so that the book stays within its bounds. */
export function withinBounds({ backends, lost }: PinBook, configured: ReadonlySet<string>): PinBook {
  const names = [...backends.keys()];
  const former = names.filter((name) => !configured.has(name));
  const dropped = formerBeyond(former);
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

/** Of whoever has most of them: a machine that changes the names of what it lends makes nobody else's forgotten. */
function formerBeyond(former: readonly string[]): ReadonlySet<string> {
  const dropped = new Set<string>();
  const byMachine = [...Map.groupBy(former, machineOf).values()];
  while (former.length - dropped.size > MOST_FORMER_BACKENDS) {
    const most = byMachine.reduce((one, other) => (other.length > one.length ? other : one));
    dropped.add(most.shift() ?? "");
  }
  return dropped;
}

/** As plain JSON. */
export function bookValue({ backends, lost }: PinBook): unknown {
  const pins = (of: ReadonlyMap<string, Pinned>): unknown =>
    [...of].map(([key, { approved, text, told, isListed }]) => [key, approved, text, told, isListed]);
  return { version: 1, lost, backends: [...backends].map(([name, of]) => [name, pins(of)]) };
}

/** Null: it is not of this form. Whether it is authentic is for whoever read it to know. */
export function readBook(value: unknown): PinBook | null {
  const { version, lost, backends } = objectOf(value) as Readonly<Record<string, unknown>>;
  if (version !== 1 || !Array.isArray(backends) || !(lost === null || typeof lost === "string")) return null;
  const book = new Map<string, Map<string, Pinned>>();
  for (const entry of backends) {
    if (!Array.isArray(entry)) return null;
    const [name, pins]: readonly unknown[] = entry;
    if (typeof name !== "string" || !Array.isArray(pins)) return null;
    const of = new Map<string, Pinned>();
    for (const each of pins) {
      const read = readPinned(each);
      if (read === null) return null;
      of.set(read.key, read.pinned);
    }
    book.set(name, of);
  }
  return { backends: book, lost };
}

function readPinned(entry: unknown): { readonly key: string; readonly pinned: Pinned } | null {
  if (!Array.isArray(entry)) return null;
  const [key, approved, text, told, isListed]: readonly unknown[] = entry;
  const isTextOrNull = (value: unknown): value is string | null =>
    value === null || typeof value === "string";
  if (typeof key !== "string" || typeof isListed !== "boolean") return null;
  if (!Array.isArray(approved) || !isTextOrNull(text) || !isTextOrNull(told)) return null;
  const digests = approved.filter((digest) => typeof digest === "string");
  return { key, pinned: { approved: digests, text, told, isListed } };
}

// The tools of a backend as they were approved, from what is remembered of them: for who asks before it has listed any.

// What is remembered is replaced, never changed.
const recalled = new WeakMap<ReadonlyMap<string, Pinned>, readonly JsonObject[]>();

/** Those that were listed last, and of which the whole text is kept. */
export function recalledTools(pinned: ReadonlyMap<string, Pinned>): readonly JsonObject[] {
  const known = recalled.get(pinned);
  if (known !== undefined) return known;
  const tools = [...pinned].flatMap(([name, { approved, text, isListed }]) => {
    if (!isListed || approved.length === 0 || text === null) return [];
    const tool: unknown = parseExactly(text);
    return isJsonObject(tool) && tool["name"] === name && !isSkillPin(tool) ? [tool] : [];
  });
  recalled.set(pinned, tools);
  return tools;
}
