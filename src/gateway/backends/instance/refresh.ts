// The lists of one instance: read at the start, read again when the server says so, replaced as a whole.
import { isDeepStrictEqual } from "node:util";
import type { Timer } from "../../../runtime/time/clock.ts";
import { type ListFreshness, type Listings, NO_LISTINGS } from "../../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../../json-rpc.ts";
import { LIST_KINDS, type ListKind, MODERN_VERSION, SKILLS_EXTENSION } from "../../protocol.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { isSameFailure } from "./failures.ts";
import { type FaultyEntry, type Oddity, type ReadKind, readKind } from "./lists.ts";
import type { ServerSession } from "./session.ts";

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
