// What a machine tells of its exported backends beside their names, so that others can take their tools for one: which
// folders of its shares they work on, and how well. Of another machine none of it is believed before its form is right.
import { posix } from "node:path";
import { choice, list, nullable, numberThat, object, reader, textThat } from "../../runtime/shape.ts";

/** Of a path; bytes are at most three times as many. */
const LONGEST_ROOT = 1_024;
const MOST_ROOTS = 16;
const MOST_REQUIRED = 16;
const LONGEST_REQUIRED = 256;
export interface LentPlace {
  /** Folders below its shares that its command names, relative. */
  readonly roots: readonly string[];
  readonly requires: readonly string[];
  /** How the worst of the shares that it requires is mounted there; null: it requires none. */
  readonly standing: "tb" | "fallback" | "none" | null;
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

const placeShape = object({
  roots: list(textThat("a relative path", isRoot), MOST_ROOTS),
  requires: list(textThat("a share's name", isName), MOST_REQUIRED),
  standing: nullable(choice("tb", "fallback", "none")),
  busy: numberThat("a count", (calls) => Number.isSafeInteger(calls) && calls >= 0),
});
/** null: it is none, or not of the right form. */
export const placeOf: (value: unknown) => LentPlace | null = reader(placeShape);

/** Its place among what another machine told; none where that is not of the right form. */
export function placeIn(
  places: Readonly<Record<string, unknown>>,
  name: string,
): readonly [string, LentPlace][] {
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
