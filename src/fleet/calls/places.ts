// What a machine tells of its exported backends beside their names, so that others can take their tools for one: which
// folders of its shares they work on, and how well. Of another machine none of it is believed before its form is right.
import { posix } from "node:path";
import { isObject } from "../../runtime/text/json-object.ts";

/** Of a path; bytes are at most three times as many. */
const LONGEST_ROOT = 1_024;
const MOST_ROOTS = 16;
const MOST_REQUIRED = 16;
const LONGEST_REQUIRED = 256;
const STANDINGS = ["tb", "fallback", "none"] as const;

export interface LentPlace {
  /** Folders below its shares that its command names, relative. */
  readonly roots: readonly string[];
  readonly requires: readonly string[];
  /** How the worst of the shares that it requires is mounted there; null: it requires none. */
  readonly standing: (typeof STANDINGS)[number] | null;
  /** Calls under way there. */
  readonly busy: number;
}

/** One that is approved here. */
export interface KnownPlace extends LentPlace {
  readonly machine: string;
  readonly backend: string;
  readonly sharesRoot: string;
}

/** An absolute path, as short as it can be written. */
export function isSharesRoot(value: unknown): value is string {
  return isPath(value) && value.startsWith("/") && value !== "/";
}

export function isPlace(value: unknown): value is LentPlace {
  if (!isObject(value)) return false;
  const { roots, requires, standing, busy } = value;
  const isStanding = standing === null || STANDINGS.some((one) => one === standing);
  const isBusy = typeof busy === "number" && Number.isSafeInteger(busy) && busy >= 0;
  return (
    isStanding && isBusy && isListOf(roots, MOST_ROOTS, isRoot) && isListOf(requires, MOST_REQUIRED, isName)
  );
}

/** Its place among what another machine told; none where that is not of the right form. */
export function placeIn(
  places: Readonly<Record<string, unknown>>,
  name: string,
): readonly [string, LentPlace][] {
  const value = Object.hasOwn(places, name) ? places[name] : null;
  if (!isPlace(value)) return [];
  const { roots, requires, standing, busy } = value;
  return [[name, { roots: inOrder(roots), requires: inOrder(requires), standing, busy }]];
}

function isRoot(value: unknown): value is string {
  return value === "" || (isPath(value) && !value.startsWith("/"));
}

function isPath(value: unknown): value is string {
  if (typeof value !== "string" || value === "" || value.length > LONGEST_ROOT || isUnclean(value))
    return false;
  const isWhole = !value.endsWith("/") && value !== "." && !value.split("/").includes("..");
  return isWhole && posix.normalize(value) === value;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= LONGEST_REQUIRED && !isUnclean(value);
}

function isUnclean(text: string): boolean {
  return /[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029]/u.test(text);
}

function isListOf<T>(value: unknown, most: number, isOne: (one: unknown) => one is T): value is readonly T[] {
  return Array.isArray(value) && value.length <= most && value.every(isOne);
}

function inOrder(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}
