// Holds what a server shows against what is remembered of it. Pure.
import type { JsonObject } from "../json-rpc.ts";
import { approvedAs, MOST_PINNED, type Pinned } from "./pin-book.ts";
import {
  entryDigest,
  entryPin,
  INSTRUCTIONS_KEY,
  isAsEarlierVersionsSaw,
  isSilence,
  pinKey,
  type Shown,
  type ShownKind,
} from "./pinned-entry.ts";

/** Something that waits for a person: it never was approved, or is not as it was then. */
export interface PendingEntry extends Shown {
  readonly change: "changed" | "new";
  readonly digest: string;
  /** The approved text; null: there is none, or it was too long to keep. */
  readonly before: string | null;
}

export interface PinCheck {
  /** What to remember from now on, by `pinKey`; the same object when nothing of it changed. */
  readonly pins: ReadonlyMap<string, Pinned>;
  readonly pending: readonly PendingEntry[];
  /** Those of `pending` that were not told before. */
  readonly news: readonly PendingEntry[];
  /** How many were pinned because the backend was never seen. */
  readonly first: number;
  /** New to a known backend, and pinned at once; a tool by its name, anything else as `prompt NAME`. */
  readonly added: readonly string[];
  readonly gone: readonly string[];
  /** Beyond what is remembered of one backend. */
  readonly beyond: readonly Shown[];
}

interface Known {
  /** By `pinKey`; empty: the backend was never seen. */
  readonly pins: ReadonlyMap<string, Pinned>;
  /** What was remembered is lost: nothing is taken for new that is not pinned. */
  readonly isLost: boolean;
}

/**
 * What a backend that was never seen shows is pinned, and so is, once, what versions before did not remember. Under
 * "block" what is new of a known backend is pending, under "tell" it is pinned and told.
 */
export function checkPins(
  listed: readonly Shown[],
  { pins: known, isLost }: Known,
  mode: "tell" | "block",
  digestOf: (definition: JsonObject) => string = entryDigest,
): PinCheck {
  let changed: Map<string, Pinned> | null = null;
  const remember = (key: string, pinned: Pinned): void => {
    changed ??= new Map(known);
    changed.set(key, pinned);
  };
  const remembersInstructions = known.has(INSTRUCTIONS_KEY);
  const remembersLists = known.size > (remembersInstructions ? 1 : 0);
  const isFirst = (kind: ShownKind): boolean => {
    if (isLost) return false;
    if (kind === "instructions") return !remembersInstructions;
    const wasCovered = remembersInstructions || kind === "tool" || kind === "skill";
    return !remembersLists || !wasCovered;
  };
  const pending: PendingEntry[] = [];
  const news: PendingEntry[] = [];
  const added: string[] = [];
  const gone: string[] = [];
  const beyond: Shown[] = [];
  const seen = new Set<string>();
  let first = 0;
  for (const shown of listed) {
    const { kind, name, definition } = shown;
    const key = pinKey(kind, name);
    // Of two with one name only the first is published, so its verdict holds for both.
    if (seen.has(key)) continue;
    if (seen.size >= MOST_PINNED) {
      beyond.push(shown);
      continue;
    }
    seen.add(key);
    const pinned = known.get(key);
    const isNew = pinned === undefined || pinned.approved.length === 0;
    const isPinnedAtOnce = isSilence(shown) || isFirst(kind) || mode === "tell";
    if (isNew && isPinnedAtOnce) {
      const { digest, text } = entryPin(definition);
      remember(key, approvedAs(pinned, digest, text));
      if (isSilence(shown)) continue;
      if (isFirst(kind)) first += 1;
      else added.push(toldName(key));
      continue;
    }
    const digest = digestOf(definition);
    if (pinned?.approved[0] === digest) {
      if (!pinned.isListed || pinned.told !== null) remember(key, { ...pinned, told: null, isListed: true });
      continue;
    }
    const isKnown = isSilence(shown) || pinned?.approved.includes(digest) === true;
    const isAsEarlier = pinned !== undefined && isAsEarlierVersionsSaw(definition, pinned.approved);
    if (isKnown || isAsEarlier) {
      const { text } = entryPin(definition);
      remember(key, approvedAs(isKnown ? pinned : undefined, digest, text));
      if (isSilence(shown)) gone.push(toldName(key));
      continue;
    }
    const one: PendingEntry = {
      ...shown,
      change: isNew ? "new" : "changed",
      digest,
      before: pinned?.text ?? null,
    };
    pending.push(one);
    if (pinned?.told !== digest) news.push(one);
    if (pinned?.told !== digest || !pinned.isListed) {
      const { approved = [], text = null } = pinned ?? {};
      remember(key, { approved, text, told: digest, isListed: true });
    }
  }
  for (const [key, pinned] of known) {
    if (!pinned.isListed || seen.has(key)) continue;
    gone.push(toldName(key));
    remember(key, { ...pinned, isListed: false });
  }
  return { pins: changed ?? known, pending, news, first: remembersLists ? 0 : first, added, gone, beyond };
}

/** As a person reads it: what `pinKey` set before the name tells the kind. */
function toldName(key: string): string {
  return key.startsWith("\n") ? key.slice(1) : key;
}
