// Reads one list of a server to its end, within bounds of time, pages, entries and bytes.

import { isDeepStrictEqual } from "node:util";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import {
  ENTRY_LISTS,
  type Freshness,
  freshnessOf,
  type ListFreshness,
  type Listings,
  leastFresh,
  NO_LISTINGS,
} from "../../catalog/catalog.ts";
import { type CheckedEntry, checkEntry } from "../../catalog/entry-checks.ts";
import { isError, isJsonObject, isWritable, type JsonObject, METHOD_NOT_FOUND } from "../../json-rpc.ts";
import { paramHeadersOf } from "../../param-headers.ts";
import { LIST_KINDS, type ListKind, MODERN_VERSION, SKILLS_EXTENSION } from "../../protocol.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { errorAnswer, isSameFailure, noAnswer, oneLine } from "./failures.ts";
import type { Ask } from "./pending.ts";
import type { ServerSession } from "./session.ts";

const MAX_PAGES = 1_000;
const MAX_ENTRIES = 100_000;
const MAX_CHARACTERS = 64 * 1024 * 1024;

/** Of one list, of each kind of faulty entries; a server may have any number. */
const TOLD_AT_MOST = 100;

/** An entry that strict clients would refuse as the server gives it. */
export interface FaultyEntry {
  /** One line, bounded: `tool "read"`. */
  readonly entry: string;
  readonly faults: string;
  /** Else it was mended. */
  readonly isWithheld: boolean;
  /** Clients of older versions get it. */
  readonly isForOlder?: boolean;
}

type List = (typeof ENTRY_LISTS)[number];

/** The list cannot be what the server means it to be. `unwritable_entry`: one would take all lists down with it. */
export type Oddity = "no_such_list" | "nameless_entry" | "unwritable_entry";

interface ReadOptions {
  readonly ask: Ask;
  readonly clock: Clock;
  /** Of one list, all its pages. */
  readonly timeoutMs: number;
  /** Why a tool cannot be called over the link; null: it can. */
  readonly toolFault: (tool: JsonObject) => string | null;
  /** Which of the kind's lists the server declares; absent: all but skills. */
  readonly declares?: (list: keyof Listings) => boolean;
  /** The server speaks 2026-07-28. */
  readonly isModern?: boolean;
  readonly onOddity: (method: string, oddity: Oddity) => void;
}

export interface ReadKind {
  /** The lists that were read. */
  readonly part: Partial<Listings>;
  /** Of each of them. */
  readonly faulty: Partial<Readonly<Record<keyof Listings, readonly FaultyEntry[]>>>;
  /** Of each of them, where the server speaks 2026-07-28. */
  readonly freshness: ListFreshness;
  /** How long the server says that its skills hold, ms; absent: it does not, or they were not read. */
  readonly skillsTtlMs?: number;
  /** Why one of them was not read; null: all were. */
  readonly failure: LinkFailure | null;
}

const USUAL = (list: keyof Listings): boolean => list !== "skills";

/** Reads what a notice of that kind is about: for resources the templates, too, both at a time. */
export async function readKind(kind: ListKind, options: ReadOptions): Promise<ReadKind> {
  const part: { -readonly [Key in keyof Listings]?: Listings[Key] } = {};
  const faulty: { -readonly [Key in keyof ReadKind["faulty"]]: ReadKind["faulty"][Key] } = {};
  const freshness: { -readonly [Key in keyof ListFreshness]: ListFreshness[Key] } = {};
  let failure: LinkFailure | null = null;
  let skillsTtlMs: number | undefined;
  const { declares = USUAL } = options;
  // A change of templates or skills has no notice of its own.
  const ofKind = ENTRY_LISTS.filter(({ filter }) => filter === kind).reverse();
  const declared = ofKind.filter(({ list }) => declares(list));
  const reads = declared.map(async (listed) => ({ listed, read: await readList(listed, options) }));
  for (const { listed, read } of await Promise.all(reads)) {
    if (read.kind === "failed") failure ??= read.failure;
    else {
      part[listed.list] = read.entries;
      faulty[listed.list] = read.faulty;
      if (listed.list === "skills") skillsTtlMs = read.freshness?.ttlMs;
      if (options.isModern === true) freshness[listed.list] = read.freshness;
    }
  }
  const read = { part, faulty, freshness, failure };
  return skillsTtlMs === undefined ? read : { ...read, skillsTtlMs };
}

type ReadList =
  | {
      readonly kind: "read";
      readonly entries: readonly JsonObject[];
      readonly faulty: readonly FaultyEntry[];
      /** Of its pages together; null: there is no such list. */
      readonly freshness: Freshness | null;
    }
  | { readonly kind: "failed"; readonly failure: LinkFailure };

async function readList(listed: List, options: ReadOptions): Promise<ReadList> {
  const { ask, clock, timeoutMs, toolFault, isModern, onOddity } = options;
  const dueMs = clock.monotonicMs() + timeoutMs;
  const entries: JsonObject[] = [];
  const faulty: FaultyEntry[] = [];
  const note = (name: string, { entry, faults }: CheckedEntry, isForOlder = false): void => {
    const isWithheld = entry === null;
    if (faulty.filter((each) => each.isWithheld === isWithheld).length >= TOLD_AT_MOST) return;
    const named = `${listed.kind === "template" ? "resource template" : listed.kind} ${JSON.stringify(name.slice(0, 100))}`;
    const told = { entry: oneLine(named), faults: oneLine(faults.join(", ")), isWithheld };
    faulty.push(isForOlder ? { ...told, isForOlder } : told);
  };
  const cursors = new Set<string>();
  let given = 0;
  let characters = 0;
  let firstPage: readonly JsonObject[] | null = null;
  let cursor: string | null = null;
  let freshness: Freshness | null = null;
  for (;;) {
    const leftMs = dueMs - clock.monotonicMs();
    if (leftMs <= 0) return { kind: "failed", failure: noAnswer(`all of ${listed.method}`, timeoutMs) };
    const asked = await ask(listed.method, cursor === null ? undefined : { cursor }, leftMs);
    if (asked.kind === "failed") {
      const late = asked.failure.kind === "unreachable" && clock.monotonicMs() >= dueMs;
      return { kind: "failed", failure: late ? noAnswer(listed.method, timeoutMs) : asked.failure };
    }
    if (isError(asked.reply)) {
      const { error } = asked.reply;
      if (error.code !== METHOD_NOT_FOUND || cursor !== null)
        return failed(errorAnswer(listed.method, error));
      // Many servers have resources and no templates; one that declares a list and has none means an empty one.
      if (listed.list !== "resourceTemplates") onOddity(listed.method, "no_such_list");
      return { kind: "read", entries, faulty, freshness };
    }
    const { result } = asked.reply;
    freshness = leastFresh(freshness, freshnessOf(result));
    const page: unknown = result[listed.list];
    if (!Array.isArray(page))
      return failed(
        linkFailure("protocol", `${listed.method} was answered without a list of ${listed.list}`),
      );
    // Before anything is made of them: a page may hold millions of faulty ones.
    given += page.length;
    if (given > MAX_ENTRIES) return failed(tooMuch(listed, `${MAX_ENTRIES} entries`));
    const kept: JsonObject[] = [];
    for (const entry of page) {
      if (!isJsonObject(entry) || typeof entry[listed.key] !== "string") {
        onOddity(listed.method, "nameless_entry");
      } else if (!isWritable(entry)) onOddity(listed.method, "unwritable_entry");
      else {
        const fault = listed.list === "tools" ? toolFault(entry) : null;
        const checked =
          fault === null ? checkEntry(listed.list, entry, isModern) : { entry: null, faults: [fault] };
        if (checked.entry !== null) kept.push(checked.entry);
        if (checked.faults.length > 0) note(String(entry[listed.key]), checked);
        const unusable =
          listed.list === "tools" && checked.entry !== null ? headerFault(checked.entry) : null;
        if (unusable !== null) note(String(entry[listed.key]), { entry: null, faults: [unusable] }, true);
      }
    }
    for (const entry of kept) entries.push(entry);
    const next: unknown = result["nextCursor"];
    // Some servers end with an empty cursor, and would begin anew if it were sent back.
    if (typeof next !== "string" || next === "") return { kind: "read", entries, faulty, freshness };
    if (cursors.has(next))
      return failed(linkFailure("protocol", `${listed.method} gives the same page again and again`));
    cursors.add(next);
    if (cursors.size >= MAX_PAGES) return failed(tooMuch(listed, `${MAX_PAGES} pages`));
    // A list of one page is bounded by the link already; only what adds up is measured.
    if (cursor === null) firstPage = kept;
    else {
      if (firstPage !== null) characters += sizeOf(firstPage);
      firstPage = null;
      characters += sizeOf(kept);
    }
    if (characters > MAX_CHARACTERS) return failed(tooMuch(listed, "64 MiB"));
    cursor = next;
  }
}

/** Why clients of 2026-07-28 must not use a tool, over whatever link it is called. */
function headerFault({ inputSchema }: JsonObject): string | null {
  const wanted = paramHeadersOf(inputSchema);
  return "fault" in wanted ? wanted.fault : null;
}

/** Characters of its JSON. */
function sizeOf(entries: readonly JsonObject[]): number {
  return JSON.stringify(entries).length;
}

function failed(failure: LinkFailure): ReadList {
  return { kind: "failed", failure };
}

function tooMuch(listed: List, bound: string): LinkFailure {
  return linkFailure("overloaded", `${listed.method} gives more than ${bound}`);
}

// The lists of one instance: read at the start, read again when the server says so, replaced as a whole.

/** A server that says without end that its lists change is listened to that often, ms. */
const BETWEEN_READS_MS = 100;

/**
 * Skills are listed again when the server says that they no longer hold; if it says nothing, that often, ms. There is no
 * notice of their change, and of servers that tell of resources it is not certain that they mean skills, too.
 */
const SKILLS_MS = { atLeast: 30_000, usual: 300_000, atMost: 3_600_000 };

const ODD: Readonly<Record<Oddity, string>> = {
  no_such_list: "a backend declares a list that it does not have",
  nameless_entry: "a backend lists entries without a name; they are skipped",
  unwritable_entry: "a backend lists entries that are nested too deep; they are skipped",
};

const NOTHING: Readonly<Record<ListKind, Partial<Listings>>> = {
  tools: { tools: [] },
  resources: { resources: [], resourceTemplates: [] },
  prompts: { prompts: [] },
};

const NO_SUCH_LIST: Readonly<Record<ListKind, ListFreshness>> = {
  tools: { tools: null },
  resources: { resources: null, resourceTemplates: null },
  prompts: { prompts: null },
};

interface KindState {
  reading: boolean;
  again: boolean;
  readAtMs: number;
  timer: Timer | null;
  staleBecause: string | null;
  faulty: ReadKind["faulty"];
}

const unread = (): KindState => ({
  reading: false,
  again: false,
  readAtMs: Number.NEGATIVE_INFINITY,
  timer: null,
  staleBecause: null,
  faulty: {},
});

function faultyOf({ faulty }: KindState): readonly FaultyEntry[] {
  const { tools = [], resources = [], resourceTemplates = [], prompts = [], skills = [] } = faulty;
  return [...tools, ...resources, ...resourceTemplates, ...prompts, ...skills];
}

export class InstanceLists implements Disposable {
  /** Null until all were read for the first time. */
  listings: Listings | null = null;
  /** How long each list holds, where the server says so. Another one with other `listings`, or `onListings`. */
  freshness: ListFreshness = {};
  /** Entries that no client may see, in words; another list when it changed. */
  withheld: readonly string[] = [];
  readonly #options: InstanceOptions;
  readonly #session: ServerSession;
  readonly #toolFault: (tool: JsonObject) => string | null;
  readonly #onStale: () => void;
  readonly #states = { tools: unread(), resources: unread(), prompts: unread() };
  readonly #oddities = new Set<string>();
  #skillsTimer: Timer | null = null;
  #disposed = false;

  /** `toolFault`: why a tool cannot be called over the link. */
  constructor(
    options: InstanceOptions,
    session: ServerSession,
    toolFault: (tool: JsonObject) => string | null,
    onStale: () => void,
  ) {
    this.#options = options;
    this.#session = session;
    this.#toolFault = toolFault;
    this.#onStale = onStale;
  }

  get staleBecause(): string | null {
    const { tools, resources, prompts } = this.#states;
    return tools.staleBecause ?? resources.staleBecause ?? prompts.staleBecause;
  }

  /** Reads everything for the first time, all at once; null: it is there, but for lists that only fail themselves. */
  async readFirst(): Promise<LinkFailure | null> {
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
      if (!hasOthers || !isOfOneList(failure)) return failure;
      this.#notRead(kind, failure);
    }
    if (this.#disposed) return null;
    // Also where they could not be read: what is said of its skills is no longer the server's alone.
    if (this.#hasSkills) all = { ...all, skills: all.skills ?? [] };
    this.listings = all;
    for (const kind of LIST_KINDS) if (this.#states[kind].again) this.#begin(kind);
    return null;
  }

  /** One kind changed. While it is being read, at most one more reading follows. */
  changed(kind: ListKind): void {
    if (this.#declaresAnyOf(kind)) this.#begin(kind);
  }

  /** All kinds may have changed. */
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
    if (state.reading || this.listings === null) {
      state.again = true;
      return;
    }
    // The first notice after a quiet time is followed at once.
    const waitMs = state.readAtMs + BETWEEN_READS_MS - clock.monotonicMs();
    if (waitMs <= 0) void this.#readAgain(kind);
    else {
      state.timer = clock.setTimer(waitMs, () => {
        state.timer = null;
        void this.#readAgain(kind);
      });
    }
  }

  async #read(kind: ListKind): Promise<ReadKind> {
    const { clock, listMs: timeoutMs } = this.#options;
    const state = this.#states[kind];
    const isModern = this.#session.result?.protocolVersion === MODERN_VERSION;
    state.reading = true;
    state.again = false;
    const undeclared = { part: NOTHING[kind], freshness: isModern ? NO_SUCH_LIST[kind] : {} };
    let outcome: ReadKind = { ...undeclared, faulty: {}, failure: null };
    if (this.#declaresAnyOf(kind)) {
      const read = await readKind(kind, {
        ask: this.#session.ask,
        clock,
        timeoutMs,
        toolFault: this.#toolFault,
        declares: (list) => (list === "skills" ? this.#hasSkills : this.#session.declares(kind)),
        isModern,
        onOddity: this.#onOddity,
      });
      outcome = read;
      if (kind === "resources") this.#followSkills(read.skillsTtlMs ?? 0);
    }
    // They are gone with the session that declared them.
    if (kind === "resources" && !this.#hasSkills && this.listings?.skills)
      outcome = { ...outcome, part: { ...outcome.part, skills: null } };
    state.reading = false;
    state.readAtMs = clock.monotonicMs();
    this.#foundFaulty(kind, outcome.faulty);
    return outcome;
  }

  get #hasSkills(): boolean {
    const extensions = this.#session.result?.capabilities["extensions"];
    return isJsonObject(extensions) && isJsonObject(extensions[SKILLS_EXTENSION]);
  }

  #declaresAnyOf(kind: ListKind): boolean {
    return this.#session.declares(kind) || (kind === "resources" && this.#hasSkills);
  }

  /** They are read again when their time is over. */
  #followSkills(ttlMs: number): void {
    this.#skillsTimer?.[Symbol.dispose]();
    this.#skillsTimer = null;
    if (this.#disposed || !this.#hasSkills) return;
    const { atLeast, usual, atMost } = SKILLS_MS;
    const waitMs = ttlMs === 0 ? usual : Math.min(atMost, Math.max(atLeast, ttlMs));
    this.#skillsTimer = this.#options.clock.setTimer(waitMs, () => this.changed("resources"));
  }

  /** The same reason is not told again, however often the list is asked for. */
  #notRead(kind: ListKind, { message: reason }: LinkFailure): void {
    const { backend, logger } = this.#options;
    const state = this.#states[kind];
    if (state.staleBecause !== null && isSameFailure(state.staleBecause, reason)) return;
    state.staleBecause = reason;
    logger.warn("a backend's list could not be read", { backend, kind, reason });
  }

  /** The same faults are not told again, however often the list is read. */
  #foundFaulty(kind: ListKind, found: ReadKind["faulty"]): void {
    const { backend, logger } = this.#options;
    const state = this.#states[kind];
    const before = faultyOf(state);
    // A list that was not read is as it was.
    state.faulty = { ...state.faulty, ...found };
    const faulty = faultyOf(state);
    if (isDeepStrictEqual(faulty, before)) return;
    this.withheld = LIST_KINDS.flatMap((each) => faultyOf(this.#states[each]))
      .filter(({ isWithheld }) => isWithheld)
      .map(({ entry, faults, isForOlder }) => {
        const from = isForOlder === true ? ` from clients of ${MODERN_VERSION}` : "";
        return `${entry} is withheld${from}: ${faults}`;
      });
    const told = (wanted: boolean): readonly string[] =>
      faulty
        .filter(({ isWithheld }) => isWithheld === wanted)
        .map(({ entry, faults }) => `${entry}: ${faults}`);
    const [withheld, mended] = [told(true), told(false)];
    if (withheld.length > 0)
      logger.warn("malformed entries of a backend's list withheld", { backend, entries: withheld });
    if (mended.length > 0)
      logger.info("malformed entries of a backend's list mended", { backend, entries: mended });
  }

  async #readAgain(kind: ListKind): Promise<void> {
    const { staleBecause, withheld } = this;
    const { part, freshness: read, failure } = await this.#read(kind);
    if (this.#disposed || this.listings === null) return;
    const state = this.#states[kind];
    if (failure === null) state.staleBecause = null;
    // A lost session is renewed, and everything read again then.
    else if (failure.kind !== "session_lost") this.#notRead(kind, failure);
    const next = { ...this.listings, ...part };
    const freshness = { ...this.freshness, ...read };
    const isSame = isDeepStrictEqual(next, this.listings);
    if (!isSame || !isDeepStrictEqual(freshness, this.freshness)) {
      this.listings = isSame ? this.listings : next;
      this.freshness = freshness;
      this.#options.onListings();
    }
    if (this.staleBecause !== staleBecause || this.withheld !== withheld) this.#onStale();
    if (state.again) this.#begin(kind);
  }

  readonly #onOddity = (method: string, oddity: Oddity): void => {
    const { backend, logger } = this.#options;
    const key = `${method} ${oddity}`;
    if (this.#oddities.has(key)) return;
    this.#oddities.add(key);
    logger.warn(ODD[oddity], { backend, method });
  };
}

/** The server answered, and its other lists may be as they should. */
function isOfOneList({ kind }: LinkFailure): boolean {
  return kind === "protocol" || kind === "overloaded";
}
