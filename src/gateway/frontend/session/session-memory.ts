// What a daemon knows of sessions that are not in memory: those of the previous daemon whose clients have not returned, those
// that were evicted, and those that have ended. Each is known by the hash of its id.
import { dropOldestOfMost } from "../../../runtime/bounded-map.ts";
import { isJsonObject, jsonOf } from "../../json-rpc.ts";
import { LIST_KINDS, type ListKind, type McpLogLevel } from "../../protocol.ts";
import type { SealedSession } from "./sealed-session.ts";

/** The digest of each list that the client knows; "": the client still has to be notified of a change. */
export type ListDigests = Readonly<Record<ListKind, string>>;

export interface SessionMemory {
  /** Whose session it is (`principalKey`), because a user who has used an anonymous session keeps it; null: as the id says. */
  readonly owner: string | null;
  readonly logLevel: McpLogLevel | null;
  readonly subscriptions: readonly string[];
  readonly lists: ListDigests | null;
  /** Null: the id contains it. */
  readonly client: SealedSession | null;
}

/** What a client has changed in its session. */
export type SessionChange =
  | { readonly kind: "level"; readonly level: McpLogLevel }
  | { readonly kind: "subscribed" | "unsubscribed"; readonly uri: string }
  | { readonly kind: "owned"; readonly owner: string }
  /** It continues at any daemon, also if its id does not contain it. */
  | { readonly kind: "handed"; readonly memory: SessionMemory }
  | { readonly kind: "ended" };

/** What the next daemon has to know; the newest sessions come last. */
export interface HandedSessions {
  readonly known: readonly (readonly [hash: string, memory: SessionMemory])[];
  readonly ended: readonly (readonly [hash: string, owner: string])[];
}

export const NO_SESSIONS: HandedSessions = { known: [], ended: [] };

const MOST_KNOWN = 1_000;
const MOST_ENDED = 4_000;
/** Bounds of what one daemon hands to the next, in characters: of one session, and in all. */
const LONGEST_HANDED = 8 * 1024;
const MOST_HANDED = 8 * 1024 * 1024;

export class SessionMemories {
  readonly #known = new Map<string, SessionMemory>();
  /** The values are the sessions' owners. */
  readonly #ended = new Map<string, string>();

  get(hash: string): SessionMemory | "ended" | null {
    return this.#ended.has(hash) ? "ended" : (this.#known.get(hash) ?? null);
  }

  keep(hash: string, memory: SessionMemory): void {
    this.#known.delete(hash);
    this.#known.set(hash, memory);
    dropOldestOfMost(this.#known, MOST_KNOWN, ({ owner }) => owner ?? "");
  }

  /** The session is in memory now. */
  taken(hash: string): void {
    this.#known.delete(hash);
  }

  /** From now on the id is unknown. */
  end(hash: string, owner: string): void {
    this.#known.delete(hash);
    this.#ended.set(hash, owner);
    dropOldestOfMost(this.#ended, MOST_ENDED, (of) => of);
  }

  /** Takes what the client of a session that is not in memory has changed at another daemon. */
  change(hash: string, change: SessionChange): void {
    const before = this.#known.get(hash) ?? NOTHING;
    if (change.kind === "ended") this.end(hash, before.owner ?? "");
    else if (!this.#ended.has(hash)) this.keep(hash, changed(before, change));
  }

  /** `inMemory`: the sessions that are in memory, the one used last at the end. */
  handOver(inMemory: HandedSessions["known"]): HandedSessions {
    const known: (readonly [string, SessionMemory])[] = [];
    let remaining = MOST_HANDED;
    for (const [hash, memory] of [...this.#known, ...inMemory].reverse()) {
      const short = sizeOf(memory) <= LONGEST_HANDED ? memory : { ...memory, subscriptions: [] };
      const size = sizeOf(short);
      if (size > LONGEST_HANDED || size > remaining) continue;
      remaining -= size;
      known.push([hash, short]);
    }
    return { known: known.reverse(), ended: [...this.#ended] };
  }

  follow({ known, ended }: HandedSessions): void {
    for (const [hash, memory] of known) this.keep(hash, memory);
    for (const [hash, owner] of ended) this.end(hash, owner);
  }
}

const NOTHING: SessionMemory = { owner: null, logLevel: null, subscriptions: [], lists: null, client: null };

function changed(before: SessionMemory, change: Exclude<SessionChange, { kind: "ended" }>): SessionMemory {
  const { subscriptions } = before;
  switch (change.kind) {
    case "level":
      return { ...before, logLevel: change.level };
    case "subscribed":
      return { ...before, subscriptions: [...new Set(subscriptions).add(change.uri)] };
    case "unsubscribed":
      return { ...before, subscriptions: subscriptions.filter((uri) => uri !== change.uri) };
    case "owned":
      return { ...before, owner: change.owner };
    case "handed":
      return change.memory;
  }
}

function sizeOf(memory: SessionMemory): number {
  return jsonOf({ ...memory })?.length ?? Number.POSITIVE_INFINITY;
}

export function listsOf(value: unknown): ListDigests {
  const lists = { tools: "", resources: "", prompts: "" };
  for (const kind of LIST_KINDS) {
    const digest = isJsonObject(value) ? value[kind] : undefined;
    if (typeof digest === "string") lists[kind] = digest;
  }
  return lists;
}
