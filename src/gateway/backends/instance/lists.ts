// Reads one list of a server to its end, within bounds of time, pages, entries and bytes.
import type { Clock } from "../../../runtime/time/clock.ts";
import { ENTRY_LISTS, type Freshness, type ListFreshness, type Listings } from "../../catalog/catalog.ts";
import { type CheckedEntry, checkEntry } from "../../catalog/entry-checks.ts";
import { freshnessOf, leastFresh } from "../../catalog/freshness.ts";
import { isError, isJsonObject, isWritable, type JsonObject, METHOD_NOT_FOUND } from "../../json-rpc.ts";
import { paramHeadersOf } from "../../param-headers.ts";
import type { ListKind } from "../../protocol.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import { errorAnswer, noAnswer, oneLine } from "./failures.ts";
import type { Ask } from "./pending.ts";

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
