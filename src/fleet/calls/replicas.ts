// The place of an exported backend: the folders in shares on which the backend works, the route to these folders, and
// the backend's load. Other machines need places to merge common tools, and check each place before use.
import { posix } from "node:path";
import {
  choice,
  flag,
  list,
  nullable,
  numberThat,
  object,
  optional,
  reader,
  textThat,
} from "../../runtime/shape.ts";

/** Maximum length of a path, characters. */
const LONGEST_ROOT = 1_024;
const MOST_ROOTS = 16;
const MOST_REQUIRED = 16;
const LONGEST_REQUIRED = 256;

export interface ExportedReplica {
  /** Folders that the backend's command names, relative to the machine's shares. */
  readonly roots: readonly string[];
  readonly requires: readonly string[];
  /** The worst route among the mounts of the required shares; null: no share is required. */
  readonly standing: "tb" | "fallback" | "none" | null;
  /** Calls in flight. */
  readonly busy: number;
  /** A call starts it first. */
  readonly asleep?: boolean | undefined;
}

/** A backend of another machine that `[fleet].together` approves, with its place. */
export interface KnownReplica extends ExportedReplica {
  readonly machine: string;
  readonly backend: string;
  readonly sharesRoot: string;
}

/** True for an absolute, normalized path other than `/`. */
export function isSharesRoot(value: unknown): value is string {
  return isPath(value) && value.startsWith("/") && value !== "/";
}

const placeShape = object({
  roots: list(textThat("a relative path", isRoot), MOST_ROOTS),
  requires: list(textThat("a share's name", isName), MOST_REQUIRED),
  standing: nullable(choice("tb", "fallback", "none")),
  busy: numberThat("a count", (calls) => Number.isSafeInteger(calls) && calls >= 0),
  asleep: optional(flag),
});
export const placeOf: (value: unknown) => ExportedReplica | null = reader(placeShape);

/** The backend's name and place; empty if the place is missing or wrong. */
export function placeIn(
  places: Readonly<Record<string, unknown>>,
  name: string,
): readonly [string, ExportedReplica][] {
  const place = placeOf(Object.hasOwn(places, name) ? places[name] : null);
  if (place === null) return [];
  return [[name, { ...place, roots: inOrder(place.roots), requires: inOrder(place.requires) }]];
}

function isRoot(value: string): boolean {
  return value === "" || (isPath(value) && !value.startsWith("/"));
}

function isPath(value: unknown): value is string {
  if (typeof value !== "string" || value === "" || value.length > LONGEST_ROOT || isUnclean(value))
    return false;
  const isWhole = !value.endsWith("/") && value !== "." && !value.split("/").includes("..");
  return isWhole && posix.normalize(value) === value;
}

function isName(value: string): boolean {
  return value !== "" && value.length <= LONGEST_REQUIRED && !isUnclean(value);
}

function isUnclean(text: string): boolean {
  return /[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029]/u.test(text);
}

function inOrder(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}
