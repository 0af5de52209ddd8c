// Reads the lists of a server, within limits of time, pages, entries and characters.

import { isDeepStrictEqual } from "node:util";
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { ownTurn, turnGiver } from "../../../runtime/time/turns.ts";
import {
  ENTRY_LISTS,
  type EntryKind,
  type Freshness,
  freshnessOf,
  type ListFreshness,
  type Listings,
  leastFresh,
  NO_LISTINGS,
  NOT_FRESH,
} from "../../catalog/catalog.ts";
import { cleanEntry } from "../../catalog/clean-text.ts";
import { checkEntry } from "../../catalog/entry-checks.ts";
import { SOUND } from "../../catalog/schema-faults.ts";
import { judgePage, verdictOf } from "../../catalog/schema-verdicts.ts";
import { templateBudget } from "../../catalog/uri-template.ts";
import {
  isError,
  isJsonObject,
  isWritable,
  type JsonObject,
  jsonLength,
  jsonOf,
  METHOD_NOT_FOUND,
} from "../../json-rpc.ts";
import { paramHeadersOf } from "../../param-headers.ts";
import { entryDigest, keepText, pinOf } from "../../pins/pinned-entry.ts";
import { LIST_KINDS, type ListKind, MODERN_VERSION, SKILLS_EXTENSION } from "../../protocol.ts";
import { tooManyValues } from "../../written-results.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { errorAnswer, isSameFailure, noAnswer, oneLine } from "./failures.ts";
import { entryBudget, tooMuch } from "./list-bounds.ts";
import type { SendRequest } from "./pending.ts";
import type { ServerSession } from "./session.ts";

/** For one list, at most this many withheld entries are reported, and at most this many corrected entries. */
const MOST_REPORTED = 100;

/** An entry that strict clients would refuse. */
interface FaultyEntry {
  /** The entry on one line, shortened: `tool "read"`. */
  readonly entry: string;
  readonly faults: string;
  /** "none": the entry was corrected, and all clients get it. */
  readonly withheldFrom: "all" | "modern" | "none";
}

type List = (typeof ENTRY_LISTS)[number];

/** `no_such_list`: the list is treated as empty. The others: the entry is skipped. */
type Oddity = "no_such_list" | "nameless_entry" | "unwritable_entry";

interface ReadOptions {
  readonly send: SendRequest;
  readonly clock: Clock;
  /** Limit for all pages of one list together. */
  readonly timeoutMs: number;
  /** Why the link cannot carry a call of the tool; null: it can. */
  readonly toolFault: (tool: JsonObject) => string | null;
  /** A list that the server does not declare counts as empty. */
  readonly declares: (list: keyof Listings) => boolean;
  readonly isModern: boolean;
  readonly onOddity: (method: string, oddity: Oddity) => void;
  /** The lists before: an entry that is as it was stays the same object, so all that is known of it stays known. */
  readonly before: Listings | null;
}

/** The parts of a server's lists that were read. `part` lacks the lists that could not be read. */
export interface ReadKind {
  readonly part: Partial<Listings>;
  readonly faulty: Partial<Readonly<Record<keyof Listings, readonly FaultyEntry[]>>>;
  readonly freshness: ListFreshness;
  readonly failure: TransportFailure | null;
  /** Lists whose later pages could not be read. */
  readonly partial: readonly (keyof Listings)[];
}

/** Reads all lists that a change notice of this kind may be about. */
export async function readKind(kind: ListKind, options: ReadOptions): Promise<ReadKind> {
  const part: { -readonly [Key in keyof Listings]?: Listings[Key] } = {};
  const faulty: { -readonly [Key in keyof ReadKind["faulty"]]: ReadKind["faulty"][Key] } = {};
  const freshness: { -readonly [Key in keyof ListFreshness]: ListFreshness[Key] } = {};
  const partial: (keyof Listings)[] = [];
  let failure: TransportFailure | null = null;
  const isRead = (list: keyof Listings): boolean => list !== "skills" || options.declares(list);
  // Templates and skills do not have their own notice, so a notice about resources covers them.
  const ofKind = ENTRY_LISTS.filter(({ filter, list }) => filter === kind && isRead(list)).reverse();
  const reads = ofKind.map(async (listed) => ({
    list: listed.list,
    read: await readList(listed, options).catch(unreadable),
  }));
  for (const { list, read } of await Promise.all(reads)) {
    if ("kind" in read) {
      failure ??= read;
      continue;
    }
    failure ??= read.failure;
    if (read.failure !== null) partial.push(list);
    part[list] = read.entries;
    faulty[list] = read.faulty;
    freshness[list] = read.freshness;
  }
  return { part, faulty, freshness, failure, partial };
}

/** Of a large page, an entry that cannot be read is known only when it is looked into. */
function unreadable(error: unknown): TransportFailure {
  const refused = tooManyValues(error);
  if (refused === null) throw error;
  return transportFailure("overloaded", refused.error.message);
}

interface ReadList {
  readonly entries: readonly JsonObject[];
  readonly faulty: readonly FaultyEntry[];
  /** Null: the server does not have the list. */
  readonly freshness: Freshness | null;
  /** Why the entries after these could not be read; null: these are all. */
  readonly failure: TransportFailure | null;
}

async function readList(listed: List, options: ReadOptions): Promise<ReadList | TransportFailure> {
  const { send, clock, timeoutMs, toolFault, declares, isModern, onOddity, before } = options;
  const { list, method, key } = listed;
  const entries: JsonObject[] = [];
  const faulty: FaultyEntry[] = [];
  let freshness: Freshness | null = null;
  const readUpTo = (failure: TransportFailure | null): ReadList => ({ entries, faulty, freshness, failure });
  if (!declares(list)) return readUpTo(null);
  const dueMs = clock.monotonicMs() + timeoutMs;
  const report = (
    entry: JsonObject,
    faults: readonly string[],
    withheldFrom: FaultyEntry["withheldFrom"],
  ): void => {
    const isMended = withheldFrom === "none";
    if (faulty.filter((each) => (each.withheldFrom === "none") === isMended).length >= MOST_REPORTED) return;
    const name = JSON.stringify(String(entry[key]).slice(0, 100));
    const named = `${listed.kind === "template" ? "resource template" : listed.kind} ${name}`;
    faulty.push({ entry: oneLine(named), faults: oneLine(faults.join(", ")), withheldFrom });
  };
  const templateFault = templateBudget();
  const sizeFault = entryBudget();
  const faultOf = (entry: JsonObject): string | null =>
    list === "tools" ? toolFault(entry) : list === "resourceTemplates" ? templateFault(entry[key]) : null;
  const othersFirst = turnGiver(clock);
  const known = new Map(before?.[list]?.map((entry) => [entry[key], entry]));
  const cursors = new Set<string | number>();
  const ofEarlierPages = new Set<unknown>();
  const mostEntries = mostOf(list);
  let given = 0;
  let characters = 0;
  let cursor: string | number | null = null;
  for (;;) {
    const remainingMs = dueMs - clock.monotonicMs();
    const ended = (failure: TransportFailure): ReadList | TransportFailure =>
      cursor === null || failure.kind === "session_lost" || failure.kind === "closed"
        ? failure
        : readUpTo(missingPages(failure, cursors.size + 1));
    if (remainingMs <= 0) return ended(noAnswer(`all of ${method}`, timeoutMs));
    const outcome = await send(method, cursor === null ? undefined : { cursor }, remainingMs);
    if (outcome.kind === "failed") {
      return ended(clock.monotonicMs() >= dueMs ? noAnswer(method, timeoutMs) : outcome.failure);
    }
    if (isError(outcome.reply)) {
      const { error } = outcome.reply;
      if (error.code !== METHOD_NOT_FOUND || cursor !== null) return ended(errorAnswer(method, error));
      // Many servers declare resources but have no templates, so that is not reported.
      if (list !== "resourceTemplates") onOddity(method, "no_such_list");
      return readUpTo(null);
    }
    const { result } = outcome.reply;
    freshness = leastFresh(freshness, freshnessOf(result));
    const page: unknown = result[list];
    if (!Array.isArray(page))
      return transportFailure("protocol", `${method} was answered without a list of ${list}`);
    // Entries are counted before they are checked, because a page may hold millions of faulty ones.
    const free = mostEntries - given;
    given += page.length;
    const valid: JsonObject[] = [];
    const fresh: JsonObject[] = [];
    const texts: string[] = [];
    for (const entry of page.slice(0, free)) {
      const turn = othersFirst();
      if (turn !== null) await turn;
      if (!isJsonObject(entry) || typeof entry[key] !== "string") onOddity(method, "nameless_entry");
      else if (!isWritable(entry)) onOddity(method, "unwritable_entry");
      else {
        const json = jsonOf(entry);
        const fault = sizeFault(json) ?? faultOf(entry);
        const checked = fault === null ? checkEntry(list, entry, isModern) : { entry: null, faults: [fault] };
        if (checked.faults.length > 0) report(entry, checked.faults, checked.entry === null ? "all" : "none");
        if (checked.entry === null) continue;
        characters += json?.length ?? 0;
        const own = known.get(checked.entry[key]);
        const isKnown = own !== undefined && isDeepStrictEqual(own, checked.entry);
        const sound = isKnown ? own : checked.entry;
        valid.push(sound);
        if (!isKnown) {
          fresh.push(sound);
          texts.push((sound === entry ? json : jsonOf(sound)) ?? "null");
          for (const work of workOn(sound, listed.kind)) {
            work();
            const next = othersFirst();
            if (next !== null) await next;
          }
        }
        const headers = list === "tools" ? paramHeadersOf(sound["inputSchema"]) : [];
        if ("fault" in headers) report(entry, [headers.fault], "modern");
      }
    }
    if (characters > TEXT_BOUNDS.list.most) return tooMuch(method, "16 MiB");
    const judging = list === "tools" ? judgePage(fresh, texts, clock) : null;
    if (judging !== null && !(await judging))
      return transportFailure("overloaded", `${method} gives schemas that could not be judged within 10 s`);
    const sound: JsonObject[] = [];
    for (const entry of valid) {
      const turn = othersFirst();
      if (turn !== null) await turn;
      // The catalog publishes a tool without its faults; pins remember it as the server gave it.
      const { withheld, faults } = list === "tools" ? verdictOf(entry) : SOUND;
      if (withheld !== null) report(entry, [withheld], "all");
      else sound.push(entry);
      if (withheld === null && faults.length > 0) report(entry, faults, "none");
    }
    // Pages shift while entries come and go, and some servers give the first page for every cursor.
    for (const entry of sound) if (!ofEarlierPages.has(entry[key])) entries.push(entry);
    for (const entry of sound) ofEarlierPages.add(entry[key]);
    if (given > mostEntries) return readUpTo(tooMuch(method, `${mostEntries} entries`));
    const next: unknown = result["nextCursor"];
    // Some servers end with an empty cursor, and would start over if it were sent back. Others count their pages.
    if ((typeof next !== "string" && typeof next !== "number") || next === "") return readUpTo(null);
    if (cursors.has(next)) {
      return readUpTo(transportFailure("protocol", `${method} gives the same page again and again`));
    }
    cursors.add(next);
    if (cursors.size >= TEXT_BOUNDS.pages.most) return tooMuch(method, `${TEXT_BOUNDS.pages.most} pages`);
    cursor = next;
  }
}

/** What publishing an entry needs of it, which stays known. */
function workOn(entry: JsonObject, kind: EntryKind): readonly (() => unknown)[] {
  const pin = pinOf(kind, entry);
  const cleaned = (): JsonObject => cleanEntry(entry, kind === "resource" || kind === "template").entry;
  return [
    cleaned,
    () => keepText(pin),
    () => entryDigest(pin),
    () => entryDigest(cleaned()),
    () => jsonLength(entry),
  ];
}

function mostOf(list: keyof Listings): number {
  return TEXT_BOUNDS[list === "tools" || list === "resources" ? list : "prompts"].most;
}

/** `page` counts from 1. */
function missingPages({ kind, message }: TransportFailure, page: number): TransportFailure {
  const hint = "if the server needs longer, raise `timeouts.cap_fetch`";
  return transportFailure(kind, `${message}; its pages from ${page} on are missing; ${hint}`);
}

/** The entries of the last reading stay for the pages that could not be read. */
function withMissing(now: Listings, before: Listings, partial: readonly (keyof Listings)[]): Listings {
  return partial.reduce((all, list) => {
    const key = ENTRY_LISTS.find((one) => one.list === list)?.key ?? "name";
    const names = new Set(all[list]?.map((entry) => entry[key]));
    const missing = (before[list] ?? []).filter((entry) => !names.has(entry[key]));
    return { ...all, [list]: [...(all[list] ?? []), ...missing].slice(0, mostOf(list)) };
  }, now);
}

// The lists of one instance, read at the start and after change notices. A new list replaces the old one as a whole.

/**
 * Minimum time between two reads of a list, because some servers send a change notice after each read. It doubles while
 * the lists stay equal.
 */
const BETWEEN_READS_MS = { first: 100, most: 5_000 };

/**
 * Skills have no change notice, so they are read again after the server's own time within these limits.
 * `usual` holds without such a time.
 */
const SKILLS_MS = { atLeast: 30_000, usual: 300_000, atMost: 3_600_000 };

const ODD: Readonly<Record<Oddity, string>> = {
  no_such_list: "a server declares a list that it does not have",
  nameless_entry: "a server lists entries without a name; they are skipped",
  unwritable_entry: "a server lists entries that are nested too deep; they are skipped",
};

interface KindState {
  /** Settles when the open reading has been applied; null: none is open. */
  reading: Promise<unknown> | null;
  again: boolean;
  readAtMs: number;
  /** Reads since the list changed, or since the server was quiet for `BETWEEN_READS_MS.most`. */
  equalReads: number;
  timer: Timer | null;
  staleBecause: string | null;
  faulty: ReadKind["faulty"];
}

const unread = (): KindState => ({
  reading: null,
  again: false,
  readAtMs: Number.NEGATIVE_INFINITY,
  equalReads: 0,
  timer: null,
  staleBecause: null,
  faulty: {},
});

function faultyOf({ faulty }: KindState): readonly FaultyEntry[] {
  const { tools = [], resources = [], resourceTemplates = [], prompts = [], skills = [] } = faulty;
  return [...tools, ...resources, ...resourceTemplates, ...prompts, ...skills];
}

interface ListsEvents {
  /** `staleBecause` or `withheld` has changed. */
  onStale(): void;
  /** A list has entries, and none is declared. */
  onUndeclared(): void;
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
  #skillsTimer: Timer | null = null;
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
    // The server declares skills, so the gateway must answer for them even if they could not be read.
    if (this.#hasSkills) all = { ...all, skills: all.skills ?? [] };
    this.listings = all;
    for (const kind of LIST_KINDS) if (this.#states[kind].again) this.#begin(kind);
    return null;
  }

  /** A change during a reading causes one more reading. */
  changed(kind: ListKind): void {
    if (this.#mayHave(kind) || (kind === "resources" && this.#hasSkills)) this.#begin(kind);
  }

  #mayHave(kind: ListKind): boolean {
    return this.#session.declares(kind) || !this.#session.declaresAnything;
  }

  refresh(): void {
    for (const kind of LIST_KINDS) this.#begin(kind);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#skillsTimer?.[Symbol.dispose]();
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
    const quietMs = clock.monotonicMs() - state.readAtMs;
    if (quietMs >= 2 * most) state.equalReads = 0;
    const waitMs = Math.min(most, first * 2 ** state.equalReads) - quietMs;
    if (waitMs <= 0) this.#readAgain(kind);
    else {
      state.timer = clock.setTimer(waitMs, () => this.#readAgain(kind));
    }
  }

  /** Reads what has changed without a wait. Resolves when it is known; null: nothing is known to have changed. */
  readDue(): Promise<unknown> | null {
    const readings = LIST_KINDS.flatMap((kind) => {
      const state = this.#states[kind];
      if (state.timer !== null) this.#readAgain(kind);
      return this.listings === null ? [] : (state.reading ?? []);
    });
    return readings.length === 0 ? null : Promise.all(readings);
  }

  async #read(kind: ListKind): Promise<ReadKind> {
    const { clock, listMs: timeoutMs } = this.#options;
    const state = this.#states[kind];
    const { result, declaresAnything } = this.#session;
    const isModern = result?.protocolVersion === MODERN_VERSION;
    state.again = false;
    const read = await readKind(kind, {
      send: this.#session.send,
      clock,
      timeoutMs,
      toolFault: this.#toolFault,
      declares: (list) => (list === "skills" ? this.#hasSkills : this.#mayHave(kind)),
      isModern,
      onOddity: this.#onOddity,
      before: this.listings ?? this.#options.listings ?? null,
    });
    if (kind === "resources") this.#followSkills(read.freshness.skills?.ttlMs ?? 0);
    // A renewed session may no longer declare skills.
    const noSkills =
      kind === "resources" && !this.#hasSkills && this.listings?.skills ? { skills: null } : {};
    state.readAtMs = clock.monotonicMs();
    this.#foundFaulty(kind, read.faulty);
    const hasEntries = Object.values(read.part).some((list) => (list?.length ?? 0) > 0);
    if (!declaresAnything && hasEntries) this.#events.onUndeclared();
    return {
      ...read,
      part: { ...read.part, ...noSkills },
      // It also says which lists were read.
      freshness: isModern
        ? read.freshness
        : Object.fromEntries(Object.keys(read.freshness).map((list) => [list, NOT_FRESH])),
      // A list that was not declared need not exist.
      failure: declaresAnything ? read.failure : null,
    };
  }

  get #hasSkills(): boolean {
    const extensions = this.#session.result?.capabilities["extensions"];
    return isJsonObject(extensions) && isJsonObject(extensions[SKILLS_EXTENSION]);
  }

  /** `ttlMs` is 0 if the server gives no duration. */
  #followSkills(ttlMs: number): void {
    this.#skillsTimer?.[Symbol.dispose]();
    this.#skillsTimer = null;
    if (this.#disposed || !this.#hasSkills) return;
    const { atLeast, usual, atMost } = SKILLS_MS;
    const waitMs = ttlMs === 0 ? usual : Math.min(atMost, Math.max(atLeast, ttlMs));
    this.#skillsTimer = this.#options.clock.setTimer(waitMs, () => this.changed("resources"));
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

  #readAgain(kind: ListKind): void {
    const state = this.#states[kind];
    state.timer?.[Symbol.dispose]();
    state.timer = null;
    const { promise, resolve } = Promise.withResolvers<void>();
    state.reading = promise;
    void this.#replace(kind).finally(() => {
      state.reading = null;
      resolve();
      if (state.again) this.#begin(kind);
    });
  }

  async #replace(kind: ListKind): Promise<void> {
    const { staleBecause, withheld } = this;
    const { part, freshness: read, failure, partial } = await this.#read(kind);
    // Publishing takes a separate turn.
    await ownTurn();
    if (this.#disposed || this.listings === null) return;
    const state = this.#states[kind];
    if (failure === null) state.staleBecause = null;
    // A lost session is renewed, and then all lists are read again.
    else if (failure.kind !== "session_lost") this.#notRead(kind, failure);
    const next = withMissing({ ...this.listings, ...part }, this.listings, partial);
    const freshness = { ...this.freshness, ...read };
    const isSame = isDeepStrictEqual(next, this.listings);
    state.equalReads = isSame && failure === null ? state.equalReads + 1 : 0;
    if (!isSame || !isDeepStrictEqual(freshness, this.freshness)) {
      this.listings = isSame ? this.listings : next;
      this.freshness = freshness;
      this.#options.onListings();
    }
    if (this.staleBecause !== staleBecause || this.withheld !== withheld) this.#events.onStale();
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
