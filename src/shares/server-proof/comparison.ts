// Compares readings of a share's root over both routes. Pure.
import { printable } from "../../runtime/text/plain-text.ts";
import type { CreationTime } from "./program-output.ts";
import { alignedListings, type ListedEntry, type RootListing } from "./root-listing.ts";

export interface SideReading {
  readonly listing: RootListing;
  /** Creation times by name, "" for the root itself; null: unknown. */
  readonly creationTimes: ReadonlyMap<string, CreationTime> | null;
}

/** Readings over both routes at nearly the same time, the Thunderbolt route first. */
export type Reading = readonly [SideReading, SideReading];

/**
 * - `same`: the listings agree, apart from entries that changed on both sides between readings.
 * - `empty`: both roots are empty, which proves nothing.
 * - `ask_again`: another reading is needed: the entries that differ may just be changing.
 * - `different`: `text` continues a sentence that begins with the two sources.
 * - `changing`: all entries keep changing.
 */
export type Comparison =
  | { readonly kind: "same" }
  | { readonly kind: "empty" }
  | { readonly kind: "ask_again" }
  | { readonly kind: "changing" }
  | { readonly kind: "different"; readonly text: string };

/** One reading may fall between two writes of a file; a difference in three readings means two servers. */
export const READINGS_AT_MOST = 3;

/** Compares all readings so far, oldest first. */
export function compareReadings(readings: readonly Reading[]): Comparison {
  const views = readings.map(viewOf);
  const newest = views.at(-1);
  if (newest === undefined) return { kind: "ask_again" };
  if (newest.every(({ facts }) => facts.size === 0)) return { kind: "empty" };
  let stubborn = differingKeys(newest);
  if (stubborn.length === 0) return { kind: "same" };
  if (views.length === 1) return { kind: "ask_again" };
  for (const view of views) {
    const differing = new Set(differingKeys(view));
    stubborn = stubborn.filter((key) => differing.has(key));
  }
  // A fact that changed on both sides between the readings proves nothing.
  const still = stubborn.filter((key) => !(changes(views, 0, key) && changes(views, 1, key)));
  const undecided = still.filter((key) => changes(views, 0, key) || changes(views, 1, key));
  if (undecided.length > 0 && undecided.length === still.length && views.length < READINGS_AT_MOST) {
    return { kind: "ask_again" };
  }
  if (still.length > 0) return { kind: "different", text: differenceText(newest, still) };
  if (agreeingEntries(newest) > 0) return { kind: "same" };
  return views.length < READINGS_AT_MOST ? { kind: "ask_again" } : { kind: "changing" };
}

interface SideView {
  /** The facts that must agree, by key. */
  readonly facts: ReadonlyMap<string, string>;
  readonly entries: ReadonlyMap<string, ListedEntry>;
  readonly count: number;
}

type View = readonly [SideView, SideView];

const ENTRY = "entry ";
const CREATED = "created ";
const REST = "rest";

function viewOf([one, other]: Reading): View {
  const [first, second] = alignedListings(one.listing, other.listing);
  const queried = [...(one.creationTimes ?? new Map<string, CreationTime>()).keys()].filter((name) =>
    other.creationTimes?.has(name),
  );
  return [sideView(first, one.creationTimes, queried), sideView(second, other.creationTimes, queried)];
}

function sideView(
  listing: RootListing,
  creationTimes: ReadonlyMap<string, CreationTime> | null,
  queried: readonly string[],
): SideView {
  const entries = new Map(listing.entries.map((entry) => [entry.name, entry]));
  const facts = new Map<string, string>();
  for (const { name, isFolder, size, modifiedMs } of listing.entries) {
    facts.set(ENTRY + name, JSON.stringify([isFolder, size, modifiedMs]));
  }
  const { rest } = listing;
  if (rest !== null) facts.set(REST, `${rest.count} ${rest.digest}`);
  // The root's own creation time does not count while the root is empty.
  if (facts.size > 0) {
    for (const name of queried) facts.set(CREATED + name, String(creationTimes?.get(name)?.createdMs));
  }
  return { facts, entries, count: listing.count };
}

function differingKeys([one, other]: View): string[] {
  const differs = (key: string): boolean => one.facts.get(key) !== other.facts.get(key);
  const keys = [...new Set([...one.facts.keys(), ...other.facts.keys()])].filter(differs);
  // An entry that only one of the two has counts as one difference, so its creation time is left out.
  return keys.filter((key) => !key.startsWith(CREATED) || (one.facts.has(key) && other.facts.has(key)));
}

function changes(views: readonly View[], side: 0 | 1, key: string): boolean {
  return new Set(views.map((view) => view[side].facts.get(key))).size > 1;
}

function agreeingEntries([one, other]: View): number {
  let count = 0;
  for (const [key, fact] of one.facts) {
    if (key.startsWith(ENTRY) && other.facts.get(key) === fact) count += 1;
  }
  return count;
}

/** Says how two servers differ: "list different files: only the first has report.txt". */
function differenceText(view: View, keys: readonly string[]): string {
  const [one, other] = view;
  const names = keys.flatMap((key) => (key.startsWith(ENTRY) ? key.slice(ENTRY.length) : [])).toSorted();
  const onlyFirst = names.filter((name) => !other.entries.has(name));
  const onlySecond = names.filter((name) => !one.entries.has(name));
  const reasons = [
    ...(onlyFirst.length > 0 ? [`only the first has ${listed(onlyFirst)}`] : []),
    ...(onlySecond.length > 0 ? [`only the second has ${listed(onlySecond)}`] : []),
  ];
  if (reasons.length > 0) return `list different files: ${reasons.join(", ")}`;
  const [name] = names;
  if (name !== undefined) {
    const more = names.length > 1 ? ` (and ${names.length - 1} more differ)` : "";
    return `list different files: ${entryDifference(name, one.entries.get(name), other.entries.get(name))}${more}`;
  }
  const created = keys.find((key) => key.startsWith(CREATED))?.slice(CREATED.length);
  if (created === "") return "are two folders: they were created at different times";
  if (created !== undefined)
    return `hold copies: their ${shownName(created)} were created at different times`;
  return `list different files among their ${one.count} and ${other.count} entries`;
}

function entryDifference(name: string, one?: ListedEntry, other?: ListedEntry): string {
  const shown = shownName(name);
  if (one?.isFolder !== other?.isFolder) return `${shown} is a folder on one side, a file on the other`;
  if (one?.size !== other?.size)
    return `${shown} has ${one?.size} bytes on the first, ${other?.size} on the second`;
  return `${shown} was changed at different times`;
}

const NAMES_AT_MOST = 3;
const NAME_AT_MOST = 60;

function listed(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_AT_MOST).map(shownName).join(", ");
  return names.length > NAMES_AT_MOST ? `${shown} and ${names.length - NAMES_AT_MOST} more` : shown;
}

/** A server's name for a file, made safe and short for one line. */
export function shownName(name: string): string {
  const shown = printable(name);
  return shown.length > NAME_AT_MOST ? `${shown.slice(0, NAME_AT_MOST)}…` : shown;
}
