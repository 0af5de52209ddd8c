// Merges a file with the fleet's layer, where the file's values win, and notes the origin of each value.
// Pure.

import { asTable } from "../read/tables.ts";
import type { KeyPath } from "../values/mistakes.ts";
import { nameKey } from "../values/names.ts";
import { define, emptyTable } from "../values/table.ts";

/**
 * Sections that are merged key by key. A key of `backends` and `groups` is a named entry, which is taken whole from one
 * text, because a mixture could have a meaning that neither text has.
 */
const BY_KEY: ReadonlySet<string> = new Set([
  ...[
    "global",
    "sync",
    "notify",
    "conflict_resolution",
    "limits",
    "optimizer",
    "scripts",
    "backend_defaults",
  ],
  ...["backends", "groups"],
]);
/** Lists of named entries. Each entry is taken whole, from the file or from the layer. */
const BY_NAME: ReadonlySet<string> = new Set(["shares", "aliases"]);
// A section that is neither in `BY_KEY` nor in `BY_NAME` is taken whole from the file, or from the layer if the file
// does not have it.

type Origin = "file" | "layer";

interface Place {
  readonly of: Origin;
  /** The path of the value; `of` says whether it is a path in the file or in the layer. */
  readonly path: KeyPath;
}

export function mergeUnder(file: unknown, layer: unknown) {
  const own = asTable(file) ?? {};
  const under = asTable(layer) ?? {};
  /** Places of the entries of merged lists, by section. */
  const lists = new Map<string, readonly Place[]>();
  const merged = emptyTable();
  for (const name of new Set([...Object.keys(own), ...Object.keys(under)])) {
    const [mine, theirs] = [own[name], under[name]];
    if (mine === undefined || theirs === undefined) define(merged, name, mine ?? theirs);
    else if (BY_NAME.has(name) && Array.isArray(mine) && Array.isArray(theirs)) {
      const { entries, places } = entriesOfBoth(name, mine, theirs);
      lists.set(name, places);
      define(merged, name, entries);
    } else if (BY_KEY.has(name)) define(merged, name, keysOfBoth(mine, theirs));
    else define(merged, name, mine);
  }
  const isOwn = (name: string): boolean => {
    if (own[name] === undefined) return false;
    if (!BY_KEY.has(name)) return true;
    const mine = asTable(own[name]) ?? {};
    return Object.keys(asTable(under[name]) ?? {}).every((key) => Object.hasOwn(mine, key));
  };
  return {
    value: merged,
    /** The sections that have a value from the layer. */
    sections: Object.keys(merged).filter((name) => !isOwn(name)),
    /** Returns where the value at `path` comes from: the text, and the path in that text. */
    placeOf(path: KeyPath): Place {
      const [section, key, ...rest] = path;
      if (section === undefined || key === undefined) return { of: originOf(own, section), path };
      const listed = typeof key === "number" ? lists.get(String(section))?.[key] : undefined;
      if (listed !== undefined) return { of: listed.of, path: [...listed.path, ...rest] };
      const mine = asTable(own[String(section)]);
      if (!BY_KEY.has(String(section)) || mine === null) return { of: originOf(own, section), path };
      return { of: Object.hasOwn(mine, key) ? "file" : "layer", path };
    },
  };
}

function originOf(own: Readonly<Record<string, unknown>>, section: string | number | undefined): Origin {
  return section === undefined || Object.hasOwn(own, section) ? "file" : "layer";
}

/**
 * Merges two tables key by key, the file's keys first: of several backends with a tool of the same name, the
 * first one wins. If either value is no table, returns the file's value; the schema refuses such values.
 */
function keysOfBoth(mine: unknown, theirs: unknown): unknown {
  const [own, under] = [asTable(mine), asTable(theirs)];
  if (own === null || under === null) return mine;
  const both = emptyTable();
  for (const [key, value] of Object.entries(own)) define(both, key, value);
  for (const [key, value] of Object.entries(under)) if (!Object.hasOwn(own, key)) define(both, key, value);
  return both;
}

function entriesOfBoth(section: string, mine: readonly unknown[], theirs: readonly unknown[]) {
  const taken = new Set(mine.map(keyOf).filter((key) => key !== null));
  const placed = (of: Origin, entries: readonly unknown[]) =>
    entries.map((entry, index) => ({ entry, place: { of, path: [section, index] } }));
  const added = placed("layer", theirs).filter(({ entry }) => {
    const key = keyOf(entry);
    return key === null || !taken.has(key);
  });
  const kept = [...placed("file", mine), ...added];
  return { entries: kept.map(({ entry }) => entry), places: kept.map(({ place }) => place) };
}

function keyOf(entry: unknown): string | null {
  const name = asTable(entry)?.["name"];
  return typeof name === "string" ? nameKey(name) : null;
}
