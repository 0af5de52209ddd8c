// The lists of one instance: read at the start, read again when the server says so, replaced as a whole.
import { isDeepStrictEqual } from "node:util";
import type { Timer } from "../../../runtime/time/clock.ts";
import { type Listings, NO_LISTINGS } from "../../catalog/listings.ts";
import { LIST_KINDS, type ListKind } from "../../protocol.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { type Oddity, type ReadKind, readKind } from "./lists.ts";
import type { ServerSession } from "./session.ts";

/** A server that says without end that its lists change is listened to that often, ms. */
const BETWEEN_READS_MS = 100;

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

interface KindState {
  reading: boolean;
  again: boolean;
  readAtMs: number;
  timer: Timer | null;
  staleBecause: string | null;
}

const unread = (): KindState => ({
  reading: false,
  again: false,
  readAtMs: Number.NEGATIVE_INFINITY,
  timer: null,
  staleBecause: null,
});

export class InstanceLists implements Disposable {
  /** Null until all were read for the first time. */
  listings: Listings | null = null;
  readonly #options: InstanceOptions;
  readonly #session: ServerSession;
  readonly #onStale: () => void;
  readonly #states = { tools: unread(), resources: unread(), prompts: unread() };
  readonly #oddities = new Set<string>();
  #disposed = false;

  constructor(options: InstanceOptions, session: ServerSession, onStale: () => void) {
    this.#options = options;
    this.#session = session;
    this.#onStale = onStale;
  }

  get staleBecause(): string | null {
    const { tools, resources, prompts } = this.#states;
    return tools.staleBecause ?? resources.staleBecause ?? prompts.staleBecause;
  }

  /** Reads everything for the first time, all at once; null: it is all there. */
  async readFirst(): Promise<LinkFailure | null> {
    const outcomes = await Promise.all(LIST_KINDS.map((kind) => this.#read(kind)));
    let all = NO_LISTINGS;
    for (const outcome of outcomes) {
      if (outcome.kind === "failed") return outcome.failure;
      all = { ...all, ...outcome.part };
    }
    if (this.#disposed) return null;
    this.listings = all;
    for (const kind of LIST_KINDS) if (this.#states[kind].again) this.#begin(kind);
    return null;
  }

  /** One kind changed. While it is being read, at most one more reading follows. */
  changed(kind: ListKind): void {
    if (this.#session.declares(kind)) this.#begin(kind);
  }

  /** All kinds may have changed. */
  refresh(): void {
    for (const kind of LIST_KINDS) this.#begin(kind);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
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
    state.reading = true;
    state.again = false;
    const outcome: ReadKind = this.#session.declares(kind)
      ? await readKind(kind, { ask: this.#session.ask, clock, timeoutMs, onOddity: this.#onOddity })
      : { kind: "read", part: NOTHING[kind] };
    state.reading = false;
    state.readAtMs = clock.monotonicMs();
    return outcome;
  }

  async #readAgain(kind: ListKind): Promise<void> {
    const outcome = await this.#read(kind);
    if (this.#disposed || this.listings === null) return;
    const { backend, logger } = this.#options;
    const state = this.#states[kind];
    const staleBefore = this.staleBecause;
    if (outcome.kind === "read") {
      state.staleBecause = null;
      const next = { ...this.listings, ...outcome.part };
      if (!isDeepStrictEqual(next, this.listings)) {
        this.listings = next;
        this.#options.onListings();
      }
    } else if (outcome.failure.kind !== "session_lost") {
      // A lost session is renewed, and everything read again then.
      const { message: reason } = outcome.failure;
      state.staleBecause = reason;
      logger.warn("a backend's list could not be read again", { backend, kind, reason });
    }
    if (this.staleBecause !== staleBefore) this.#onStale();
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
