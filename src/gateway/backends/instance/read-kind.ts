// Reads the lists of a server, within limits of time, pages, entries and characters.

import { isDeepStrictEqual } from "node:util";
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { countInvisible } from "../../../runtime/text/invisible-characters.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { turnGiver } from "../../../runtime/time/turns.ts";
import {
  ENTRY_LISTS,
  type EntryKind,
  type Freshness,
  freshnessOf,
  type ListFreshness,
  type Listings,
  leastFresh,
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
import type { ListKind } from "../../protocol.ts";
import { tooManyValues } from "../../written-results.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";
import { errorAnswer, noAnswer, oneLine } from "./failures.ts";
import { entryBudget, tooMuch } from "./list-bounds.ts";
import type { SendRequest } from "./pending.ts";

/**
 * Entries without a fault, as a server of 2026-07-28 (true) or an earlier version gave them. One that is equal the next time needs
 * no check.
 */
const plain = new WeakMap<JsonObject, boolean>();

/** For one list, at most this many withheld entries are reported, and at most this many corrected entries. */
const MOST_REPORTED = 100;

/** An entry that strict clients would refuse. */
export interface FaultyEntry {
  /** The entry on one line, shortened: `tool "read"`. */
  readonly entry: string;
  readonly faults: string;
  /** "none": the entry was corrected, and all clients get it. */
  readonly withheldFrom: "all" | "modern" | "none";
}

type List = (typeof ENTRY_LISTS)[number];

/** `no_such_list`: the list is treated as empty. The others: the entry is skipped. */
export type Oddity = "no_such_list" | "nameless_entry" | "unwritable_entry";

export interface ReadOptions {
  readonly send: SendRequest;
  readonly clock: Clock;
  /** Limit for all pages of one list together. */
  readonly timeoutMs: number;
  /** Why the link cannot carry a call of the tool; null: it can. */
  readonly toolFault: (tool: JsonObject) => string | null;
  /** A list that the server does not declare counts as empty. */
  readonly isDeclared: boolean;
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
  // Templates do not have their own notice, so a notice about resources covers them.
  const ofKind = ENTRY_LISTS.filter(({ filter }) => filter === kind).reverse();
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
  const { send, clock, timeoutMs, toolFault, isDeclared, isModern, onOddity, before } = options;
  const { list, method, key } = listed;
  const entries: JsonObject[] = [];
  const faulty: FaultyEntry[] = [];
  let freshness: Freshness | null = null;
  const readUpTo = (failure: TransportFailure | null): ReadList => ({ entries, faulty, freshness, failure });
  if (!isDeclared) return readUpTo(null);
  const dueMs = clock.monotonicMs() + timeoutMs;
  const report = (
    entry: JsonObject,
    faults: readonly string[],
    withheldFrom: FaultyEntry["withheldFrom"],
  ): void => {
    const isMended = withheldFrom === "none";
    if (faulty.filter((each) => (each.withheldFrom === "none") === isMended).length >= MOST_REPORTED) return;
    const written = entry[key];
    const text = typeof written === "string" ? written : String(jsonOf(written));
    const name = JSON.stringify(text.slice(0, 100));
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
      const same = isJsonObject(entry) ? known.get(entry[key]) : undefined;
      if (same !== undefined && plain.get(same) === isModern && isDeepStrictEqual(same, entry)) {
        characters += jsonLength(same);
        valid.push(same);
      } else if (!isJsonObject(entry) || typeof entry[key] !== "string") onOddity(method, "nameless_entry");
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
        else if (checked.entry === entry && json !== null && list !== "resourceTemplates") {
          if (countInvisible(json) === 0) plain.set(sound, isModern);
        }
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
export function withMissing(now: Listings, before: Listings, partial: readonly (keyof Listings)[]): Listings {
  return partial.reduce((all, list) => {
    const key = ENTRY_LISTS.find((one) => one.list === list)?.key ?? "name";
    const names = new Set(all[list]?.map((entry) => entry[key]));
    const missing = (before[list] ?? []).filter((entry) => !names.has(entry[key]));
    return { ...all, [list]: [...(all[list] ?? []), ...missing].slice(0, mostOf(list)) };
  }, now);
}
