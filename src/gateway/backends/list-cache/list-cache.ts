// The list cache: what each server listed last, stored across restarts, so that its lists are served before the server
// has answered.
import { createHmac } from "node:crypto";
import { valueOr } from "../../../runtime/errors.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { ENTRY_LISTS, type ListFreshness, type Listings } from "../../catalog/catalog.ts";
import { type FaultyTools, faultyTools, remember } from "../../catalog/schema-verdicts.ts";
import { isJsonObject, type JsonObject, jsonLength, jsonOf } from "../../json-rpc.ts";
import { NO_PIN_STORE, type PinStore } from "../../pins/pin-store.ts";
import { type ReadValue, StoredValue } from "../../pins/stored-value.ts";
import { LEGACY_VERSIONS, MODERN_VERSION, type SpokenVersion } from "../../protocol.ts";
import type { InitializeResult } from "../instance/backend-instance.ts";

/** In characters. The server of a longer record is started to be asked, as if nothing were remembered. */
const LONGEST_RECORD = 2 * 1024 * 1024;
/** All records together, in characters. */
const MOST_CHARACTERS = 16 * 1024 * 1024;
/** Maximum number of connections (routes, and earlier configurations) of one backend. */
const MOST_CONNECTIONS = 8;
/** Servers list one after the other at a start; their records share a write. */
const WRITE_AFTER_MS = 2_000;
/** The time of an unchanged list is written again after this time, ms. */
const SAME_FOR_MS = 3_600_000;

const MESSAGES = {
  unread: "the remembered lists of servers cannot be read yet",
  untrusted: "the remembered lists of servers cannot be trusted; each server is asked again",
  unwritten: "the lists of servers are not remembered over a restart",
};

/** What a server said of itself, and what it listed. */
export interface ServerLists {
  readonly initialized: InitializeResult;
  readonly listings: Listings;
  readonly freshness: ListFreshness;
  /** Wall ms. */
  readonly askedAtMs: number;
}

export interface ListStore extends PinStore {
  /**
   * The secret that turns a connection key into the id of its record, because that key is a plain hash over secrets.
   * Makes one if there is none and `mayMake`; null: it cannot be had now. Default: if this process writes.
   */
  secret(mayMake?: boolean): Promise<string | null>;
}

const NO_LIST_STORE: ListStore = { ...NO_PIN_STORE, secret: async () => null };

interface RememberedOptions extends RuntimeTools {
  /** Absent: lists are remembered until the process ends. */
  readonly listStore?: ListStore;
}

interface StoredRecord {
  readonly askedAtMs: number;
  /** JSON. */
  readonly text: string;
}

/** By backend, then by the record's id. */
type Book = ReadonlyMap<string, ReadonlyMap<string, StoredRecord>>;

export class ListCache {
  /** Must be loaded before the first backend is configured. */
  readonly storedBook: StoredValue<Book>;
  readonly #store: ListStore;
  #book: Book = new Map();
  #secret: string | null = null;
  /** The lists since the start, by backend and connection key. */
  readonly #fresh = new Map<string, Map<string, StoredRecord>>();
  #isConfigured: (backend: string) => boolean = () => true;

  constructor(options: RememberedOptions) {
    const { listStore: store = NO_LIST_STORE } = options;
    this.#store = store;
    this.storedBook = new StoredValue({
      ...options,
      store,
      messages: MESSAGES,
      parse: readBook,
      take: (read) => this.#take(read),
      plain: () => this.#plain(),
      onChanged: () => void this.#requestSecret(),
    });
  }

  async load(): Promise<void> {
    await this.storedBook.load();
    await this.#requestSecret();
  }

  /** Records of other backends are dropped at the next write. */
  configure(backends: Iterable<string>): void {
    const configured = new Set(backends);
    this.#isConfigured = (backend) => configured.has(backend);
    for (const backend of this.#fresh.keys()) if (!configured.has(backend)) this.#fresh.delete(backend);
  }

  /** What the server of this connection listed last; null: it was never asked, or its lists cannot be read. */
  find(backend: string, connectionKey: string): ServerLists | null {
    const fresh = this.#fresh.get(backend)?.get(connectionKey);
    const id = this.#secret === null ? null : idOf(this.#secret, connectionKey);
    const record = fresh ?? (id === null ? undefined : this.#book.get(backend)?.get(id));
    return record === undefined ? null : readRecord(record);
  }

  /** Returns false if the lists are too long to be remembered. */
  record(backend: string, connectionKey: string, { askedAtMs, ...lists }: ServerLists): boolean {
    const json = isLong(lists.listings)
      ? null
      : jsonOf({ ...lists, faulty: faultyTools(lists.listings.tools) });
    const isStorable = json !== null && json.length <= LONGEST_RECORD;
    // A list that cannot be kept must not leave an older one in its place.
    const text = isStorable ? json : "";
    const records = this.#fresh.get(backend) ?? new Map<string, StoredRecord>();
    this.#fresh.set(backend, records);
    const before = records.get(connectionKey);
    if (before?.text === text && askedAtMs - before.askedAtMs < SAME_FOR_MS) return isStorable;
    records.delete(connectionKey);
    records.set(connectionKey, { askedAtMs, text });
    this.storedBook.saveLater(WRITE_AFTER_MS);
    return isStorable;
  }

  /**
   * Python orders a set differently in each process, so a server that writes one into a description would seem to change at
   * each start: this seed stays the same. null: the home has no key yet, or the key cannot be read.
   */
  hashSeed(backend: string): number | null {
    if (this.#secret === null) return null;
    return createHmac("sha256", this.#secret).update(`PYTHONHASHSEED ${backend}`).digest().readUInt32BE();
  }

  async #requestSecret(): Promise<void> {
    this.#secret ??= await this.#store.secret().catch(() => null);
  }

  #take(read: ReadValue<Book>): void {
    this.#book = read.kind === "stored" ? read.value : new Map();
  }

  async #plain(): Promise<unknown> {
    await this.#requestSecret();
    const secret = this.#secret;
    if (secret === null) throw new Error("the key of the ids cannot be read");
    const book = new Map<string, Map<string, StoredRecord>>();
    for (const [backend, records] of this.#book) book.set(backend, new Map(records));
    for (const [backend, records] of this.#fresh) {
      const all = book.get(backend) ?? new Map<string, StoredRecord>();
      for (const [key, record] of records) {
        const id = idOf(secret, key);
        // The newest comes last.
        all.delete(id);
        all.set(id, record);
      }
      book.set(backend, all);
    }
    this.#book = withinBounds(book, this.#isConfigured);
    const plain = [...this.#book].map(([backend, records]) => [
      backend,
      [...records].map(([id, { askedAtMs, text }]) => [id, askedAtMs, text]),
    ]);
    return { version: 1, backends: plain };
  }
}

/** Entry by entry, so that no time is lost on lists that are much longer. */
function isLong(listings: Listings): boolean {
  let left = LONGEST_RECORD;
  const fits = (entry: JsonObject): boolean => {
    left -= jsonLength(entry);
    return left >= 0;
  };
  return !ENTRY_LISTS.every(({ list }) => (listings[list] ?? []).every(fits));
}

function idOf(secret: string, connectionKey: string): string {
  return createHmac("sha256", secret).update(connectionKey).digest("base64url");
}

function withinBounds(book: Book, isConfigured: (backend: string) => boolean): Book {
  let characters = 0;
  const retained = new Map<string, ReadonlyMap<string, StoredRecord>>();
  for (const [backend, records] of book) {
    if (!isConfigured(backend)) continue;
    const newest = [...records].slice(-MOST_CONNECTIONS).filter(([, { text }]) => {
      const fits =
        text !== "" && text.length <= LONGEST_RECORD && characters + text.length <= MOST_CHARACTERS;
      if (fits) characters += text.length;
      return fits;
    });
    if (newest.length > 0) retained.set(backend, new Map(newest));
  }
  return retained;
}

/** Null: this version cannot read the value. */
function readBook(value: unknown): Book | null {
  const { version, backends } = objectOf(value);
  if (version !== 1 || !Array.isArray(backends)) return null;
  const book = new Map<string, ReadonlyMap<string, StoredRecord>>();
  for (const entry of backends) {
    const [backend, list]: readonly unknown[] = Array.isArray(entry) ? entry : [];
    if (typeof backend !== "string" || !Array.isArray(list)) return null;
    const records = new Map<string, StoredRecord>();
    for (const one of list) {
      const [id, askedAtMs, text]: readonly unknown[] = Array.isArray(one) ? one : [];
      if (typeof id !== "string" || typeof askedAtMs !== "number" || typeof text !== "string") return null;
      records.set(id, { askedAtMs, text });
    }
    book.set(backend, records);
  }
  return book;
}

/** Null: another version wrote the record. */
function readRecord({ askedAtMs, text }: StoredRecord): ServerLists | null {
  if (text === "" || text.length > LONGEST_RECORD) return null;
  const record = objectOf(valueOr(() => parseExactly(text), null));
  const initialized = readInitialized(record["initialized"]);
  const listings = readListings(record["listings"]);
  const { freshness, faulty } = record;
  if (initialized === null || listings === null || !isJsonObject(freshness) || !Array.isArray(faulty))
    return null;
  // The seal proves that this program wrote freshness and verdicts, so their members have their types.
  remember(listings.tools, faulty as FaultyTools);
  return { initialized, listings, freshness: freshness as ListFreshness, askedAtMs };
}

function readInitialized(value: unknown): InitializeResult | null {
  const { protocolVersion, capabilities, serverInfo, instructions } = objectOf(value);
  const { name, version } = objectOf(serverInfo);
  if (!isSpoken(protocolVersion) || !isJsonObject(capabilities)) return null;
  if (typeof name !== "string" || typeof version !== "string") return null;
  if (instructions !== null && typeof instructions !== "string") return null;
  return { protocolVersion, capabilities, serverInfo: { name, version }, instructions };
}

function isSpoken(value: unknown): value is SpokenVersion {
  return value === MODERN_VERSION || LEGACY_VERSIONS.some((version) => version === value);
}

function readListings(value: unknown): Listings | null {
  const lists = objectOf(value);
  const read: Record<string, readonly JsonObject[]> = {};
  for (const { list, key } of ENTRY_LISTS) {
    const entries: unknown = lists[list];
    if (!Array.isArray(entries) || !entries.every((one) => isJsonObject(one) && typeof one[key] === "string"))
      return null;
    read[list] = entries;
  }
  const { tools, resources, resourceTemplates, prompts } = read;
  if (!tools || !resources || !resourceTemplates || !prompts) return null;
  return { tools, resources, resourceTemplates, prompts };
}
