// Compares a server's entries with their pins. Pure.
import { approvedAs, MOST_PINNED, type Pinned } from "./pin-book.ts";
import { areNoInstructions, entryDigest, INSTRUCTIONS_KEY, pinKey, type Shown } from "./pinned-entry.ts";

/** A new or changed entry that waits for a person's approval. */
export interface PendingEntry extends Shown {
  readonly change: "changed" | "new";
  readonly digest: string;
  /** The content as approved; null: it is unknown, or was too long to keep. */
  readonly before: string | null;
  /** The text that waited before this one: the entry changes again and again. Absent: no other text has waited. */
  readonly earlier?: string;
}

export interface PinCheck {
  /** The pins by `pinKey`; the object that was passed in if nothing changed. */
  readonly pins: ReadonlyMap<string, Pinned>;
  readonly pending: readonly PendingEntry[];
  /** The part of `pending` that was not announced yet. */
  readonly unannounced: readonly PendingEntry[];
  /** Pinned entries of a new backend. */
  readonly first: number;
  /** New entries of a known backend that were pinned at once: tools by name, others as `prompt NAME`. */
  readonly added: readonly string[];
  readonly gone: readonly string[];
  /** Entries that are not pinned, because the backend has more than `MOST_PINNED`. */
  readonly beyond: readonly Shown[];
}

interface Known {
  /** By `pinKey`. */
  readonly pins: ReadonlyMap<string, Pinned>;
  /** Earlier pins were lost, so a backend without pins is not necessarily new. */
  readonly isLost: boolean;
}

/**
 * Pins all entries of a new backend at once. In mode "block" other new entries wait for approval; in mode "tell" they
 * are pinned and announced.
 */
export function checkPins(
  listed: readonly Shown[],
  { pins: known, isLost }: Known,
  mode: "tell" | "block",
): PinCheck {
  let changed: Map<string, Pinned> | null = null;
  const remember = (key: string, pinned: Pinned): void => {
    changed ??= new Map(known);
    changed.set(key, pinned);
  };
  const isNewBackend = !isLost && known.size === 0;
  const remembersLists = known.size > (known.has(INSTRUCTIONS_KEY) ? 1 : 0);
  const hasNewLists = !isLost && !remembersLists;
  const pending: PendingEntry[] = [];
  const unannounced: PendingEntry[] = [];
  const added: string[] = [];
  const gone: string[] = [];
  const beyond: Shown[] = [];
  const visited = new Set<string>();
  let first = 0;
  for (const shown of listed) {
    const { kind, name, definition } = shown;
    const key = pinKey(kind, name);
    // Only the first entry of a name is published.
    if (visited.has(key)) continue;
    if (visited.size >= MOST_PINNED) {
      beyond.push(shown);
      continue;
    }
    visited.add(key);
    const pinned = known.get(key);
    const isNew = pinned === undefined || pinned.approved.length === 0;
    const isEmpty = areNoInstructions(shown);
    const isFirst = kind === "instructions" ? isNewBackend : hasNewLists;
    if (isNew && (isEmpty || isFirst || mode === "tell")) {
      remember(key, approvedAs(pinned, definition));
      if (isEmpty) continue;
      if (isFirst) first += 1;
      else added.push(readableKey(key));
      continue;
    }
    const digest = entryDigest(definition);
    if (pinned?.approved[0] === digest) {
      if (!pinned.isListed || pinned.announced !== null)
        remember(key, { ...pinned, announced: null, isListed: true });
      continue;
    }
    if (isEmpty || pinned?.approved.includes(digest) === true) {
      remember(key, approvedAs(pinned, definition));
      if (isEmpty) gone.push(readableKey(key));
      continue;
    }
    const one: PendingEntry = {
      ...shown,
      change: isNew ? "new" : "changed",
      digest,
      before: pinned?.text ?? null,
    };
    pending.push(one);
    if (pinned?.announced !== digest) unannounced.push(one);
    if (pinned?.announced !== digest || !pinned.isListed) {
      const { approved = [], text = null } = pinned ?? {};
      remember(key, { approved, text, announced: digest, isListed: true });
    }
  }
  for (const [key, pinned] of known) {
    if (!pinned.isListed || visited.has(key)) continue;
    gone.push(readableKey(key));
    remember(key, { ...pinned, isListed: false });
  }
  return {
    pins: changed ?? known,
    pending,
    unannounced,
    first: remembersLists ? 0 : first,
    added,
    gone,
    beyond,
  };
}

/** For people: the name of a tool, else kind and name. */
function readableKey(key: string): string {
  return key.startsWith("\n") ? key.slice(1) : key;
}
