// The lists of one instance: read at the start, after change notices, and when a client lists and they have become too old.
// A new list replaces the old one as a whole.

import { isDeepStrictEqual } from "node:util";
import type { Timer } from "../../../runtime/time/clock.ts";
import { ownTurn } from "../../../runtime/time/turns.ts";
import {
  ENTRY_LISTS,
  type ListFreshness,
  type Listings,
  leastFresh,
  NO_LISTINGS,
  NOT_FRESH,
} from "../../catalog/catalog.ts";
import { LIST_KINDS, type ListKind, MODERN_VERSION } from "../../protocol.ts";
import type { TransportFailure } from "../transports/backend-transport.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { isSameFailure } from "./failures.ts";
import { agedBy, dueMs, isAwaited, isUnsteady, type ListAge, type ListUse, UNREAD } from "./list-age.ts";
import {
  type FaultyEntry,
  type Oddity,
  type ReadKind,
  type ReadOptions,
  readKind,
  withMissing,
} from "./read-kind.ts";
import type { ServerSession } from "./session.ts";

/**
 * Minimum time between two reads of a list, because some servers send a change notice after each read. It doubles while
 * the lists stay equal.
 */
const BETWEEN_READS_MS = { first: 100, most: 5_000 };

const ODD: Readonly<Record<Oddity, string>> = {
  no_such_list: "a server declares a list that it does not have",
  nameless_entry: "a server lists entries without a name; they are skipped",
  unwritable_entry: "a server lists entries that are nested too deep; they are skipped",
};

interface KindState {
  /** Settles when the open reading has been applied; null: none is open. */
  reading: Promise<unknown> | null;
  again: boolean;
  age: ListAge;
  /** When it was last read at the start or after a notice, monotonic ms. */
  noticeReadAtMs: number;
  /** Reads after notices since the list changed, or since the server was quiet for `BETWEEN_READS_MS.most`. */
  equalReads: number;
  timer: Timer | null;
  /** The last reading did not wait for its timer: the next one does. */
  wasEarly: boolean;
  staleBecause: string | null;
  faulty: ReadKind["faulty"];
}

const unread = (): KindState => ({
  reading: null,
  again: false,
  age: UNREAD,
  noticeReadAtMs: Number.NEGATIVE_INFINITY,
  equalReads: 0,
  timer: null,
  wasEarly: false,
  staleBecause: null,
  faulty: {},
});

function faultyOf({ faulty }: KindState): readonly FaultyEntry[] {
  const { tools = [], resources = [], resourceTemplates = [], prompts = [] } = faulty;
  return [...tools, ...resources, ...resourceTemplates, ...prompts];
}

interface ListsEvents {
  /** `staleBecause` or `withheld` has changed. */
  onStale(): void;
  /** A list has entries, and none is declared. */
  onUndeclared(): void;
  /** `isUnsteady`: a list differs each time it is read. */
  onSteadiness(isUnsteady: boolean): void;
}

export class InstanceLists implements Disposable {
  /** Null until all lists were read for the first time. */
  listings: Listings | null = null;
  /** `onListings` reports changes. */
  freshness: ListFreshness = {};
  /** One text for each entry that no client gets, and for what was refused. A new array after each change. */
  withheld: readonly string[] = [];
  readonly #options: InstanceOptions;
  readonly #session: ServerSession;
  readonly #toolFault: ReadOptions["toolFault"];
  readonly #events: ListsEvents;
  readonly #states = { tools: unread(), resources: unread(), prompts: unread() };
  readonly #oddities = new Set<string>();
  /** The server wants no request before this time, monotonic ms. */
  #notBeforeMs = 0;
  #disposed = false;

  constructor(
    options: InstanceOptions,
    session: ServerSession,
    toolFault: ReadOptions["toolFault"],
    events: ListsEvents,
  ) {
    this.#options = options;
    this.#session = session;
    this.#toolFault = toolFault;
    this.#events = events;
  }

  get staleBecause(): string | null {
    const { tools, resources, prompts } = this.#states;
    return tools.staleBecause ?? resources.staleBecause ?? prompts.staleBecause;
  }

  /**
   * Resolves with null if the lists were read. A list that could not be read, or not to its end, is not a failure if
   * there are entries.
   */
  async readFirst(): Promise<TransportFailure | null> {
    this.withheld = this.#session.refused;
    const outcomes = await Promise.all(
      LIST_KINDS.map(async (kind) => ({ kind, ...(await this.#read(kind)) })),
    );
    let all = NO_LISTINGS;
    for (const { part, freshness } of outcomes) {
      all = { ...all, ...part };
      this.freshness = { ...this.freshness, ...freshness };
    }
    for (const { kind, failure } of outcomes) {
      if (failure === null) continue;
      const hasOthers = Object.values(all).some((list) => (list?.length ?? 0) > 0);
      // The server answered, so the failure may concern only one list: some servers never answer for prompts.
      const isOfOneList =
        failure.kind === "protocol" || failure.kind === "overloaded" || failure.kind === "unreachable";
      if (!hasOthers || !isOfOneList) return failure;
      this.#notRead(kind, failure);
    }
    this.listings = all;
    for (const kind of LIST_KINDS) {
      const state = this.#states[kind];
      const nowMs = this.#options.clock.monotonicMs();
      const hasFailed = outcomes.some((one) => one.kind === kind && one.failure !== null);
      // The time that the server takes for its first answers says little about later ones.
      state.age = agedBy(
        { ...UNREAD, begunAtMs: nowMs },
        { nowMs, differs: false, hasFailed, isNoticed: true },
      );
      state.noticeReadAtMs = nowMs;
      if (state.again) this.#begin(kind);
    }
    return null;
  }

  /** A change during a reading causes one more reading. */
  changed(kind: ListKind): void {
    if (this.#mayHave(kind)) this.#begin(kind);
  }

  #mayHave(kind: ListKind): boolean {
    return this.#session.declares(kind) || !this.#session.declaresAnything;
  }

  refresh(): void {
    for (const kind of LIST_KINDS) {
      this.#states[kind].equalReads = 0;
      this.#begin(kind);
    }
  }

  /** The server wants no request for this long. */
  pause(ms: number): void {
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#options.clock.monotonicMs() + ms);
  }

  /** For how long clients may still keep the list; Infinity: the server has no such list. */
  remainingMs(list: keyof Listings): number {
    const { [list]: freshness = NOT_FRESH } = this.freshness;
    const kind = ENTRY_LISTS.find((one) => one.list === list)?.filter ?? "tools";
    const readMs = this.#options.clock.monotonicMs() - this.#states[kind].age.readAtMs;
    return freshness === null ? Number.POSITIVE_INFINITY : freshness.ttlMs - readMs;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const kind of LIST_KINDS) this.#states[kind].timer?.[Symbol.dispose]();
  }

  #begin(kind: ListKind): void {
    const { clock } = this.#options;
    const state = this.#states[kind];
    if (this.#disposed || state.timer !== null) return;
    if (state.reading !== null || this.listings === null) {
      state.again = true;
      return;
    }
    const { first, most } = BETWEEN_READS_MS;
    const quietMs = clock.monotonicMs() - state.noticeReadAtMs;
    if (quietMs >= 2 * most) state.equalReads = 0;
    const waitMs = Math.min(most, first * 2 ** state.equalReads) - quietMs;
    if (waitMs <= 0) this.#readAgain(kind, true);
    else {
      state.timer = clock.setTimer(waitMs, () => this.#readAgain(kind, true));
    }
  }

  /**
   * Reads the lists of these kinds that are due for this use, each once for all that wait. Resolves when they are known; null:
   * nothing is worth waiting for.
   */
  readDue(use: ListUse, kinds: readonly ListKind[] = LIST_KINDS): Promise<unknown> | null {
    if (this.#disposed || this.listings === null) return null;
    const nowMs = this.#options.clock.monotonicMs();
    const readings = kinds.flatMap((kind) => {
      const state = this.#states[kind];
      const isKnown = state.timer !== null;
      const atMs = Math.max(this.#notBeforeMs, dueMs(state.age, this.#ttlMs(kind), use));
      const isEarly = isKnown && use !== "list" && !state.wasEarly;
      const isDue = isEarly || (this.#mayHave(kind) && nowMs >= atMs);
      if (state.reading === null && isDue) this.#readAgain(kind, isKnown, isEarly);
      return state.reading !== null && isAwaited(state.age, nowMs) ? [state.reading] : [];
    });
    return readings.length === 0 ? null : Promise.all(readings);
  }

  /** For how long all lists of the kind are good, as the server says. */
  #ttlMs(kind: ListKind): number {
    const own = ENTRY_LISTS.filter(({ filter }) => filter === kind);
    return own.map(({ list }) => this.freshness[list] ?? null).reduce(leastFresh, null)?.ttlMs ?? 0;
  }

  async #read(kind: ListKind): Promise<ReadKind> {
    const { clock, listMs: timeoutMs } = this.#options;
    const { result, declaresAnything } = this.#session;
    const isModern = result?.protocolVersion === MODERN_VERSION;
    this.#states[kind].again = false;
    const read = await readKind(kind, {
      send: this.#session.send,
      clock,
      timeoutMs,
      toolFault: this.#toolFault,
      isDeclared: this.#mayHave(kind),
      isModern,
      onOddity: this.#onOddity,
      before: this.listings ?? this.#options.listings ?? null,
    });
    this.#foundFaulty(kind, read.faulty);
    const hasEntries = Object.values(read.part).some((list) => (list?.length ?? 0) > 0);
    if (!declaresAnything && hasEntries) this.#events.onUndeclared();
    return {
      ...read,
      // It also says which lists were read.
      freshness: isModern
        ? read.freshness
        : Object.fromEntries(Object.keys(read.freshness).map((list) => [list, NOT_FRESH])),
      // A list that was not declared need not exist.
      failure: declaresAnything ? read.failure : null,
    };
  }

  /** Logs each reason once. */
  #notRead(kind: ListKind, { message: reason }: TransportFailure): void {
    const { backend, logger } = this.#options;
    const state = this.#states[kind];
    if (state.staleBecause !== null && isSameFailure(state.staleBecause, reason)) return;
    state.staleBecause = reason;
    logger.warn("a server's list could not be read", { backend, kind, reason });
  }

  /** Logs the faulty entries if they have changed. */
  #foundFaulty(kind: ListKind, found: ReadKind["faulty"]): void {
    const { backend, logger } = this.#options;
    const state = this.#states[kind];
    const before = faultyOf(state);
    // A list that was not read keeps its faulty entries.
    state.faulty = { ...state.faulty, ...found };
    const faulty = faultyOf(state);
    if (isDeepStrictEqual(faulty, before)) return;
    const entries = LIST_KINDS.flatMap((each) => faultyOf(this.#states[each]))
      .filter(({ withheldFrom }) => withheldFrom !== "none")
      .map(({ entry, faults, withheldFrom }) => {
        const from = withheldFrom === "modern" ? ` from clients of ${MODERN_VERSION}` : "";
        return `${entry} is withheld${from}: ${faults}`;
      });
    this.withheld = [...this.#session.refused, ...entries];
    const [mended = [], withheld = []] = [true, false].map((isMended) =>
      faulty
        .filter(({ withheldFrom }) => (withheldFrom === "none") === isMended)
        .map(({ entry, faults }) => `${entry}: ${faults}`),
    );
    if (withheld.length > 0)
      logger.warn("malformed entries of a server's list withheld", { backend, entries: withheld });
    if (mended.length > 0)
      logger.info("malformed entries of a server's list repaired", { backend, entries: mended });
  }

  #readAgain(kind: ListKind, isNoticed: boolean, isEarly = false): void {
    const state = this.#states[kind];
    state.wasEarly = isEarly;
    state.timer?.[Symbol.dispose]();
    state.timer = null;
    state.age = { ...state.age, begunAtMs: this.#options.clock.monotonicMs() };
    const { promise, resolve } = Promise.withResolvers<void>();
    state.reading = promise;
    void this.#replace(kind, isNoticed).finally(() => {
      state.reading = null;
      resolve();
      if (state.again) this.#begin(kind);
    });
  }

  async #replace(kind: ListKind, isNoticed: boolean): Promise<void> {
    const { staleBecause, withheld } = this;
    let read = await this.#read(kind);
    // A lost session is renewed by now: the list is read in the new one.
    if (read.failure?.kind === "session_lost") read = await this.#read(kind);
    // Publishing takes a separate turn.
    await ownTurn();
    if (this.#disposed || this.listings === null) return;
    const state = this.#states[kind];
    const { part, failure, partial } = read;
    const next = withMissing({ ...this.listings, ...part }, this.listings, partial);
    const isSame = isDeepStrictEqual(next, this.listings);
    const wasUnsteady = this.#isUnsteady;
    const nowMs = this.#options.clock.monotonicMs();
    const differs = !isSame && haveSameNames(next, this.listings);
    state.age = agedBy(state.age, { nowMs, differs, hasFailed: failure !== null, isNoticed });
    if (isNoticed) {
      state.noticeReadAtMs = nowMs;
      state.equalReads = isSame && failure === null ? state.equalReads + 1 : 0;
    }
    if (failure === null) state.staleBecause = null;
    // After a lost session, all lists are read again. Without a notice, the list is probably as it was.
    else if (isNoticed && failure.kind !== "session_lost") this.#notRead(kind, failure);
    const freshness = { ...this.freshness, ...read.freshness };
    const isAsFresh = isDeepStrictEqual(published(freshness), published(this.freshness));
    this.freshness = freshness;
    if (!isSame || !isAsFresh) {
      this.listings = isSame ? this.listings : next;
      this.#options.onListings();
    }
    if (this.#isUnsteady !== wasUnsteady) this.#events.onSteadiness(!wasUnsteady);
    if (this.staleBecause !== staleBecause || this.withheld !== withheld) this.#events.onStale();
  }

  get #isUnsteady(): boolean {
    return LIST_KINDS.some((kind) => isUnsteady(this.#states[kind].age));
  }

  readonly #onOddity = (method: string, oddity: Oddity): void => {
    const { backend, logger } = this.#options;
    const key = `${method} ${oddity}`;
    const isExpected = oddity === "no_such_list" && !this.#session.declaresAnything;
    if (isExpected || this.#oddities.has(key)) return;
    this.#oddities.add(key);
    logger.warn(ODD[oddity], { backend, method });
  };
}

/** What differs is then only what the server says of its entries, not which ones it has. */
function haveSameNames(one: Listings, other: Listings): boolean {
  return ENTRY_LISTS.every(({ list, key }) =>
    isDeepStrictEqual(
      one[list]?.map((entry) => entry[key]),
      other[list]?.map((entry) => entry[key]),
    ),
  );
}

/** What the catalog has of it: whether the server says a time, whatever is left of it now. */
function published(freshness: ListFreshness): unknown {
  return Object.entries(freshness).map(([list, one]) => [
    list,
    one?.cacheScope,
    one !== null && one.ttlMs > 0,
  ]);
}
