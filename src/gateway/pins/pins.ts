// The pins of the running gateway: finds changes in lists and instructions, decides which tools are withheld until a
// person approves them, and remembers approvals.
import type { PinMode, ServedBackend } from "../../config/snapshot.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { type CatalogSource, ENTRY_LISTS, entryKey, type Listings, NO_LISTINGS } from "../catalog/catalog.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { JsonObject } from "../json-rpc.ts";
import { checkPins, type PendingEntry, type PinCheck } from "./check-pins.ts";
import {
  approvedAs,
  bookValue,
  EMPTY_BOOK,
  type PinBook,
  readBook,
  recalledLists,
  withinBounds,
} from "./pin-book.ts";
import type { PinStore } from "./pin-store.ts";
import {
  entryText,
  forgetText,
  type MemberChange,
  memberChanges,
  pinKey,
  type Shown,
  shownOf,
} from "./pinned-entry.ts";
import { type ReadValue, StoredValue } from "./stored-value.ts";

/** Maximum number of changes of one list that are announced one by one. */
const MOST_ANNOUNCED = 20;
const MESSAGES = {
  unread: "the pins cannot be checked yet",
  untrusted: "the pins cannot be trusted",
  unwritten: "the pins cannot be written",
};

interface PinRules {
  readonly trust: { readonly pin: PinMode };
  readonly backends: readonly Pick<ServedBackend, "name" | "pin">[];
  /** True: other machines may add backends later. `trust` sets the pin mode of these backends. */
  readonly importsBackends?: boolean;
}

export interface PendingChange extends PendingEntry {
  readonly backend: string;
  readonly isWithheld: boolean;
}

/** An entry as a person saw it. If it has changed since, it is not approved. */
export interface ApprovedItem {
  readonly backend: string;
  /** The server's own name or URI. Entries of different kinds may have the same name. */
  readonly name: string;
  readonly digest: string;
}

export interface PinsState {
  readonly pending: readonly PendingChange[];
  /** How many entries exceed `MOST_PINNED`, by backend. */
  readonly beyond: ReadonlyMap<string, { readonly count: number; readonly isWithheld: boolean }>;
  readonly lost: string | null;
  /** The stored pins are not verified yet, so nothing can be approved. */
  readonly isUnread: boolean;
  readonly unsavedBecause: string | null;
}

interface PinsOptions extends RuntimeTools {
  readonly store: PinStore;
  readonly announce: (transition: GatewayTransition) => void;
  /** Called when the pins have changed: `admit` must then be called again. */
  readonly onChanged: () => void;
}

/** What a check used, and what it found. */
interface PinReview extends Pick<PinCheck, "pending" | "beyond"> {
  /** The pins were brought up to date. */
  readonly isRecorded: boolean;
  readonly mode: PinMode;
  readonly approvals: number;
  readonly source: CatalogSource;
  readonly admitted: CatalogSource;
}

interface WaitingText {
  readonly digest: string;
  readonly text: string;
}

export class Pins {
  readonly storedBook: StoredValue<PinBook>;
  readonly #options: PinsOptions;
  #book: PinBook = EMPTY_BOOK;
  #reviews = new Map<string, PinReview>();
  #admitted: readonly CatalogSource[] = [];
  #configured: ReadonlySet<string> = new Set();
  /** Number of approvals and loads so far. After each of them, all sources are checked again. */
  #approvals = 0;
  /** The last two different texts of each entry that waits, by backend and pin key. */
  readonly #waiting = new Map<string, ReadonlyMap<string, readonly WaitingText[]>>();

  constructor(options: PinsOptions) {
    this.#options = options;
    this.storedBook = new StoredValue({
      ...options,
      messages: MESSAGES,
      parse: readBook,
      take: (read) => this.#take(read),
      plain: () => {
        this.#book = withinBounds(this.#book, this.#configured);
        return bookValue(this.#book);
      },
    });
  }

  /** Loads the pins if any backend needs them. Await the result before the first call of `admit`. */
  load({ trust, backends, importsBackends = false }: PinRules): Promise<void> {
    const pins = [...backends.map(({ pin }) => pin), ...(importsBackends ? [null] : [])];
    return this.storedBook.load(pins.some((pin) => (pin ?? trust.pin) !== "off"));
  }

  get state(): PinsState {
    const beyond = new Map<string, { count: number; isWithheld: boolean }>();
    for (const [backend, review] of this.#reviews) {
      const count = review.beyond.length;
      if (count > 0) beyond.set(backend, { count, isWithheld: review.mode === "block" });
    }
    const { lost } = this.#book;
    const { isUnread, unsavedBecause } = this.storedBook;
    return { pending: this.pending, beyond, lost, isUnread, unsavedBecause };
  }

  /** In the sources' order. */
  get pending(): readonly PendingChange[] {
    return [...this.#reviews].flatMap(([backend, { pending, mode }]) =>
      pending.map((one) => ({ ...one, backend, isWithheld: mode === "block" })),
    );
  }

  /**
   * Returns the sources, with the entries that wait for approval apart. It is the same list, with the same members,
   * while nothing changes. The lists of a source that is away change no pins.
   */
  admit(sources: readonly CatalogSource[], rules: PinRules): readonly CatalogSource[] {
    const modeOf = pinModes(rules);
    this.#configured = new Set(rules.backends.map(({ name }) => name));
    for (const name of this.#waiting.keys()) if (!this.#configured.has(name)) this.#waiting.delete(name);
    this.#reviews = new Map(
      sources.map((source) => [source.backend, this.#review(source, modeOf(source.backend))]),
    );
    const admitted = [...this.#reviews.values()].map((one) => one.admitted);
    const isSame =
      admitted.length === this.#admitted.length && admitted.every((one, at) => one === this.#admitted[at]);
    if (!isSame) this.#admitted = admitted;
    return this.#admitted;
  }

  /**
   * Call `admit` afterwards. `all` also accepts the loss of earlier pins; items that have changed since they were
   * shown are returned in `left`.
   */
  approve(items: readonly ApprovedItem[], all: boolean) {
    const approved: ApprovedItem[] = [];
    const left: ApprovedItem[] = [];
    if (this.storedBook.isUnread) return { approved, left: [...items] };
    const backends = new Map(this.#book.backends);
    const byBackend = Map.groupBy(items, ({ backend }) => backend);
    for (const [backend, wanted] of byBackend) {
      const pending = Map.groupBy(this.#reviews.get(backend)?.pending ?? [], pendingKey);
      const pins = new Map(backends.get(backend));
      for (const item of wanted) {
        const meant = pending.get(pendingKey(item)) ?? [];
        (meant.length === 0 ? left : approved).push(item);
        for (const { kind, name, definition } of meant) {
          const key = pinKey(kind, name);
          pins.set(key, approvedAs(pins.get(key), definition));
        }
      }
      backends.set(backend, pins);
    }
    const lost = all ? null : this.#book.lost;
    if (approved.length === 0 && lost === this.#book.lost) return { approved, left };
    this.#book = { backends, lost };
    this.#approvals += 1;
    for (const [backend, of] of Map.groupBy(approved, ({ backend }) => backend)) {
      const tools = of.slice(0, MOST_ANNOUNCED).map(({ name }) => shownName(name));
      this.#options.announce({ name: "catalog.tools_approved", backend, count: of.length, tools });
    }
    this.storedBook.save();
    return { approved, left };
  }

  /** Returns the sources whose pins contain tools, with these tools as their lists. */
  recalled(unlisted: readonly Omit<CatalogSource, "listings">[]): readonly CatalogSource[] {
    return unlisted.flatMap((source) => {
      const pinned = this.#book.backends.get(source.backend);
      const listings = pinned === undefined ? NO_LISTINGS : recalledLists(pinned);
      return listings.tools.length === 0 ? [] : [{ ...source, listings, isUnavailable: true }];
    });
  }

  #take(read: ReadValue<PinBook>): void {
    if (!this.storedBook.isUnread) this.#approvals += 1;
    if (read.kind === "stored") this.#book = read.value;
    else if (read.kind === "none") this.#book = EMPTY_BOOK;
    else this.#book = { ...(this.storedBook.isUnread ? this.#book : EMPTY_BOOK), lost: read.reason };
  }

  #review(source: CatalogSource, mode: PinMode): PinReview {
    const { backend, listings, filters } = source;
    const before = this.#reviews.get(backend);
    const isReviewed =
      before !== undefined &&
      ENTRY_LISTS.every(({ list }) => before.source.listings[list] === listings[list]) &&
      (before.source.instructions ?? "") === (source.instructions ?? "") &&
      before.source.filters === filters &&
      before.mode === mode &&
      before.approvals === this.#approvals &&
      (before.isRecorded || source.isUnavailable === true);
    if (isReviewed) {
      if (before.source === source) return before;
      return { ...before, source, admitted: withoutWithheld(source, before.mode, before) };
    }
    const isRecorded = source.isUnavailable !== true;
    const outcome = { mode, approvals: this.#approvals, source, isRecorded };
    const shown = shownOf(source);
    const { pending, beyond } =
      mode === "off"
        ? { pending: [], beyond: [] }
        : isRecorded
          ? this.#check(backend, shown, mode)
          : checkPins(shown, this.#known(backend), mode);
    for (const { definition } of shown) forgetText(definition);
    return { ...outcome, pending, beyond, admitted: withoutWithheld(source, mode, { pending, beyond }) };
  }

  #check(backend: string, listed: readonly Shown[], mode: "tell" | "block") {
    const { store, announce: emit } = this.#options;
    const announce = store.isOurs === false ? () => {} : emit;
    const known = this.#known(backend);
    const checked = checkPins(listed, known, mode);
    const { pins, first, added, gone, beyond } = checked;
    const pending = this.#withEarlier(backend, checked.pending);
    const keyOf = ({ kind, name }: PendingEntry): string => pinKey(kind, name);
    const unsteady = new Set(pending.filter(({ earlier }) => earlier !== undefined).map(keyOf));
    const unannounced = checked.unannounced.filter((one) => !unsteady.has(keyOf(one)));
    if (pins !== known.pins) {
      const { backends, lost } = this.#book;
      this.#book = { backends: new Map(backends).set(backend, pins), lost };
      if (first > 0) this.storedBook.save();
      else this.storedBook.saveLater();
    }
    if (first > 0) announce({ name: "catalog.tools_pinned", backend, count: first });
    for (const [index, one] of unannounced.slice(0, MOST_ANNOUNCED).entries()) {
      const changes = one.change === "new" ? [] : memberChanges(one.before, one.definition);
      const more = index === MOST_ANNOUNCED - 1 ? unannounced.length - MOST_ANNOUNCED : 0;
      announce({
        name: one.change === "new" ? "catalog.tool_new" : "catalog.tool_changed",
        backend,
        kind: one.kind,
        tool: shownName(one.name),
        members: changes.map(({ member }) => member),
        diff: shortDiff(changes),
        withheld: mode === "block",
        more: Math.max(0, more),
      });
    }
    if (added.length > 0) announce(listedTools("catalog.tools_added", backend, added));
    if (gone.length > 0) announce(listedTools("catalog.tools_gone", backend, gone));
    return { pending, beyond };
  }

  #withEarlier(backend: string, pending: readonly PendingEntry[]): readonly PendingEntry[] {
    const before = this.#waiting.get(backend);
    const waiting = new Map<string, readonly WaitingText[]>();
    this.#waiting.set(backend, waiting);
    return pending.map((one) => {
      const key = pinKey(one.kind, one.name);
      const { digest, definition } = one;
      const texts = before?.get(key) ?? [];
      const own = texts.find((each) => each.digest === digest) ?? { digest, text: entryText(definition) };
      const [earlier = own] = [...texts.filter((each) => each !== own), own].slice(-2);
      waiting.set(key, earlier === own ? [own] : [earlier, own]);
      return earlier === own ? one : { ...one, earlier: earlier.text };
    });
  }

  #known(backend: string) {
    const { backends, lost } = this.#book;
    return { pins: backends.get(backend) ?? new Map<string, never>(), isLost: lost !== null };
  }
}

/** Unconfigured backends belong to other machines. */
export function pinModes({ trust, backends }: PinRules): (backend: string) => PinMode {
  const modes = new Map(backends.map(({ name, pin }) => [name, pin ?? trust.pin]));
  return (backend) => modes.get(backend) ?? trust.pin;
}

function listedTools(
  name: "catalog.tools_added" | "catalog.tools_gone",
  backend: string,
  tools: readonly string[],
): GatewayTransition {
  return { name, backend, count: tools.length, tools: tools.slice(0, MOST_ANNOUNCED).map(shownName) };
}

function pendingKey({ name, digest }: Pick<PendingEntry, "name" | "digest">): string {
  return `${digest} ${name}`;
}

/** Moves waiting entries to `unapproved`. */
function withoutWithheld(
  source: CatalogSource,
  mode: PinMode,
  { pending, beyond }: Pick<PinReview, "pending" | "beyond">,
): CatalogSource {
  if (mode !== "block") return source;
  const { listings, instructions = null } = source;
  const waiting = [...pending, ...beyond.map((one) => ({ ...one, change: "beyond" as const }))];
  if (waiting.length === 0) return source;
  const unapproved = waiting.flatMap(({ kind, name, change }) =>
    kind === "instructions" ? [] : [{ kind, name, change }],
  );
  const withheld = new Set(unapproved.map(({ kind, name }) => entryKey(kind, name)));
  const left: Partial<Listings> = Object.fromEntries(
    ENTRY_LISTS.flatMap(({ kind, list, key }) => {
      const isPublished = (entry: JsonObject): boolean => !withheld.has(entryKey(kind, String(entry[key])));
      const all = listings[list] ?? [];
      return all.every(isPublished) ? [] : [[list, all.filter(isPublished)]];
    }),
  );
  const isSilenced = pending.some(({ kind }) => kind === "instructions");
  return {
    ...source,
    listings: { ...listings, ...left },
    unapproved,
    instructions: isSilenced ? null : instructions,
  };
}

// A short diff for the log and for events. `tools diff` shows all of it.

/** Characters on both sides of a difference. */
const CONTEXT = 30;
const LONGEST = 300;
const LONGEST_NAME = 100;

/** Two lines for each member, `-` before and `+` after. */
export function shortDiff(changes: readonly MemberChange[]): readonly string[] {
  return changes.flatMap(({ member, before, after }) => {
    const [old, fresh] = [before ?? "", after ?? ""];
    const start = commonStart(old, fresh);
    const end = commonEnd(old, fresh, start);
    return [
      ...(before === null ? [] : [`- ${member}: ${excerpt(old, start, end)}`]),
      ...(after === null ? [] : [`+ ${member}: ${excerpt(fresh, start, end)}`]),
    ];
  });
}

/** Returns the name without control characters, cut to `LONGEST_NAME` characters. */
export function shownName(name: string): string {
  const text = printable(name.slice(0, LONGEST_NAME));
  return name.length > LONGEST_NAME ? `${text}…` : text;
}

function commonStart(one: string, other: string): number {
  let at = 0;
  while (at < one.length && at < other.length && one[at] === other[at]) at++;
  return at;
}

function commonEnd(one: string, other: string, start: number): number {
  let length = 0;
  const most = Math.min(one.length, other.length) - start;
  while (length < most && one.at(-1 - length) === other.at(-1 - length)) length++;
  return length;
}

function excerpt(text: string, start: number, end: number): string {
  const from = Math.max(0, start - CONTEXT);
  const to = Math.min(text.length, text.length - end + CONTEXT);
  const cut = Math.min(to, from + LONGEST);
  const shown = printable(text.slice(from, cut).toWellFormed());
  return `${from > 0 ? "…" : ""}${shown}${cut < text.length ? "…" : ""}`;
}
