// Owns reading one list of a server to its end, within bounds of time, pages, entries and bytes.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { Listings } from "../../catalog/listings.ts";
import { isError, isJsonObject, isWritable, type JsonObject, METHOD_NOT_FOUND } from "../../json-rpc.ts";
import type { ListKind } from "../../protocol.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import { errorAnswer, noAnswer } from "./failures.ts";
import type { Ask } from "./pending.ts";

const MAX_PAGES = 1_000;
const MAX_ENTRIES = 100_000;
const MAX_CHARACTERS = 64 * 1024 * 1024;

interface List {
  readonly key: keyof Listings;
  readonly method: string;
  /** By what an entry is known. */
  readonly name: string;
}

const LISTS: Readonly<Record<ListKind, readonly List[]>> = {
  tools: [{ key: "tools", method: "tools/list", name: "name" }],
  resources: [
    { key: "resources", method: "resources/list", name: "uri" },
    { key: "resourceTemplates", method: "resources/templates/list", name: "uriTemplate" },
  ],
  prompts: [{ key: "prompts", method: "prompts/list", name: "name" }],
};

/** The list cannot be what the server means it to be. `unwritable_entry`: one would take all lists down with it. */
export type Oddity = "no_such_list" | "nameless_entry" | "unwritable_entry";

interface ReadOptions {
  readonly ask: Ask;
  readonly clock: Clock;
  /** Of one list, all its pages. */
  readonly timeoutMs: number;
  readonly onOddity: (method: string, oddity: Oddity) => void;
}

export type ReadKind =
  | { readonly kind: "read"; readonly part: Partial<Listings> }
  | { readonly kind: "failed"; readonly failure: LinkFailure };

/** Reads what a notice of that kind is about: for resources the templates, too, both at a time. */
export async function readKind(kind: ListKind, options: ReadOptions): Promise<ReadKind> {
  const lists = LISTS[kind];
  const entries = await Promise.all(lists.map((list) => readList(list, options)));
  const part: { -readonly [Key in keyof Listings]?: Listings[Key] } = {};
  for (const [index, list] of lists.entries()) {
    const read = entries[index];
    if (read === undefined) continue;
    if (read.kind === "failed") return read;
    part[list.key] = read.entries;
  }
  return { kind: "read", part };
}

type ReadList =
  | { readonly kind: "read"; readonly entries: readonly JsonObject[] }
  | { readonly kind: "failed"; readonly failure: LinkFailure };

async function readList(list: List, options: ReadOptions): Promise<ReadList> {
  const { ask, clock, timeoutMs, onOddity } = options;
  const dueMs = clock.monotonicMs() + timeoutMs;
  const entries: JsonObject[] = [];
  const cursors = new Set<string>();
  let characters = 0;
  let firstPage: readonly JsonObject[] | null = null;
  let cursor: string | null = null;
  for (;;) {
    const leftMs = dueMs - clock.monotonicMs();
    if (leftMs <= 0) return { kind: "failed", failure: noAnswer(`all of ${list.method}`, timeoutMs) };
    const asked = await ask(list.method, cursor === null ? undefined : { cursor }, leftMs);
    if (asked.kind === "failed") {
      const late = asked.failure.kind === "unreachable" && clock.monotonicMs() >= dueMs;
      return { kind: "failed", failure: late ? noAnswer(list.method, timeoutMs) : asked.failure };
    }
    if (isError(asked.reply)) {
      const { error } = asked.reply;
      if (error.code !== METHOD_NOT_FOUND || cursor !== null) return failed(errorAnswer(list.method, error));
      // Many servers have resources and no templates; one that declares a list and has none means an empty one.
      if (list.key !== "resourceTemplates") onOddity(list.method, "no_such_list");
      return { kind: "read", entries };
    }
    const { result } = asked.reply;
    const page: unknown = result[list.key];
    if (!Array.isArray(page))
      return failed(linkFailure("protocol", `${list.method} was answered without a list of ${list.key}`));
    const kept: JsonObject[] = [];
    for (const entry of page) {
      if (!isJsonObject(entry) || typeof entry[list.name] !== "string") {
        onOddity(list.method, "nameless_entry");
      } else if (isWritable(entry)) kept.push(entry);
      else onOddity(list.method, "unwritable_entry");
    }
    for (const entry of kept) entries.push(entry);
    if (entries.length > MAX_ENTRIES) return failed(tooMuch(list, `${MAX_ENTRIES} entries`));
    const next: unknown = result["nextCursor"];
    // Some servers end with an empty cursor, and would begin anew if it were sent back.
    if (typeof next !== "string" || next === "") return { kind: "read", entries };
    if (cursors.has(next))
      return failed(linkFailure("protocol", `${list.method} gives the same page again and again`));
    cursors.add(next);
    if (cursors.size >= MAX_PAGES) return failed(tooMuch(list, `${MAX_PAGES} pages`));
    // A list of one page is bounded by the link already; only what adds up is measured.
    if (cursor === null) firstPage = kept;
    else {
      if (firstPage !== null) characters += sizeOf(firstPage);
      firstPage = null;
      characters += sizeOf(kept);
    }
    if (characters > MAX_CHARACTERS) return failed(tooMuch(list, "64 MiB"));
    cursor = next;
  }
}

/** Characters of its JSON. */
function sizeOf(entries: readonly JsonObject[]): number {
  return JSON.stringify(entries).length;
}

function failed(failure: LinkFailure): ReadList {
  return { kind: "failed", failure };
}

function tooMuch(list: List, bound: string): LinkFailure {
  return linkFailure("overloaded", `${list.method} gives more than ${bound}`);
}
