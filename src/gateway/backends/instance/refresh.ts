// Owns the lists of one instance: read at the start, read again when the server says so, swapped as a whole.
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { type Listings, NO_LISTINGS } from "../../catalog/listings.ts";
import { LIST_KINDS, type ListKind } from "../../protocol.ts";
import type { LinkFailure } from "../links/backend-link.ts";
import { type Oddity, type ReadKind, readKind } from "./lists.ts";
import type { Ask } from "./pending.ts";

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

interface InstanceLists extends Disposable {
  /** Null until all were read for the first time. */
  readonly listings: Listings | null;
  readonly staleBecause: string | null;
  /** Reads everything for the first time, all at once; null: it is all there. */
  readFirst(): Promise<LinkFailure | null>;
  /** One kind changed. While it is being read, at most one more reading follows. */
  changed(kind: ListKind): void;
  /** All kinds may have changed. */
  refresh(): void;
}

interface InstanceListsOptions {
  readonly backend: string;
  readonly ask: Ask;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly timeoutMs: number;
  /** Whether the server has such lists. */
  readonly declared: (kind: ListKind) => boolean;
  readonly onListings: () => void;
  readonly onStale: () => void;
}

interface KindState {
  reading: boolean;
  again: boolean;
  readAtMs: number;
  timer: Timer | null;
  staleBecause: string | null;
}

export function createInstanceLists(options: InstanceListsOptions): InstanceLists {
  const { backend, ask, clock, logger, timeoutMs, declared } = options;
  let listings: Listings | null = null;
  let disposed = false;
  const fresh = (): KindState => ({
    reading: false,
    again: false,
    readAtMs: Number.NEGATIVE_INFINITY,
    timer: null,
    staleBecause: null,
  });
  const states: Readonly<Record<ListKind, KindState>> = {
    tools: fresh(),
    resources: fresh(),
    prompts: fresh(),
  };
  const oddities = new Set<string>();
  const onOddity = (method: string, oddity: Oddity): void => {
    const key = `${method} ${oddity}`;
    if (oddities.has(key)) return;
    oddities.add(key);
    logger.warn(ODD[oddity], { backend, method });
  };
  const staleBecause = (): string | null => {
    for (const kind of LIST_KINDS) if (states[kind].staleBecause !== null) return states[kind].staleBecause;
    return null;
  };

  const read = async (kind: ListKind): Promise<ReadKind> => {
    const state = states[kind];
    state.reading = true;
    state.again = false;
    const outcome: ReadKind = declared(kind)
      ? await readKind(kind, { ask, clock, timeoutMs, onOddity })
      : { kind: "read", part: NOTHING[kind] };
    state.reading = false;
    state.readAtMs = clock.monotonicMs();
    return outcome;
  };
  const readAgain = async (kind: ListKind): Promise<void> => {
    const outcome = await read(kind);
    if (disposed || listings === null) return;
    const state = states[kind];
    const staleBefore = staleBecause();
    if (outcome.kind === "read") {
      state.staleBecause = null;
      const next = { ...listings, ...outcome.part };
      if (!isDeepStrictEqual(next, listings)) {
        listings = next;
        options.onListings();
      }
    } else if (outcome.failure.kind !== "session_lost") {
      // A lost session is renewed, and everything read again then.
      state.staleBecause = outcome.failure.message;
      logger.warn("a backend's list could not be read again", {
        backend,
        kind,
        reason: outcome.failure.message,
      });
    }
    if (staleBecause() !== staleBefore) options.onStale();
    if (state.again) begin(kind);
  };
  const begin = (kind: ListKind): void => {
    const state = states[kind];
    if (disposed || state.timer !== null) return;
    if (state.reading || listings === null) {
      state.again = true;
      return;
    }
    const waitMs = state.readAtMs + BETWEEN_READS_MS - clock.monotonicMs();
    // The first notice after a quiet time is followed at once.
    if (waitMs <= 0 || state.readAtMs === Number.NEGATIVE_INFINITY) void readAgain(kind);
    else {
      state.timer = clock.setTimer(waitMs, () => {
        state.timer = null;
        void readAgain(kind);
      });
    }
  };

  return {
    get listings() {
      return listings;
    },
    get staleBecause() {
      return staleBecause();
    },
    async readFirst() {
      const outcomes = await Promise.all(LIST_KINDS.map(read));
      let all = NO_LISTINGS;
      for (const outcome of outcomes) {
        if (outcome.kind === "failed") return outcome.failure;
        all = { ...all, ...outcome.part };
      }
      if (disposed) return null;
      listings = all;
      for (const kind of LIST_KINDS) if (states[kind].again) begin(kind);
      return null;
    },
    changed(kind) {
      if (declared(kind)) begin(kind);
    },
    refresh() {
      for (const kind of LIST_KINDS) begin(kind);
    },
    [Symbol.dispose]() {
      disposed = true;
      for (const kind of LIST_KINDS) states[kind].timer?.[Symbol.dispose]();
    },
  };
}
