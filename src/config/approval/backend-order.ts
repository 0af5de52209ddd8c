// The order of backends, which decides whose name wins when two offer the same: which order is approved, and what a
// person reads of another one. Pure.
import type { BackendConfig, MountaineerConfig } from "../snapshot.ts";

/** The id of its entry. */
export const BACKEND_ORDER = "backends";

/** Names of the backends that are on. */
export function orderOf({ backends }: Pick<MountaineerConfig, "backends">): readonly string[] {
  return backends.filter(({ enabled }) => enabled).map(({ name }) => name);
}

/** `names` in the approved order; names that are not in it come last, in their own order. */
export function asApproved(names: readonly string[], approved: readonly string[]): readonly string[] {
  const placeOf = placesIn(approved);
  return names.toSorted((one, other) => placeOf(one) - placeOf(other));
}

/** Backends in the approved order; those that do not run come last. */
export function inOrder(
  backends: readonly BackendConfig[],
  approved: readonly string[],
): readonly BackendConfig[] {
  const placeOf = placesIn(approved);
  const rank = ({ name, enabled }: BackendConfig): number => (enabled ? placeOf(name) : approved.length + 1);
  return backends.toSorted((one, other) => rank(one) - rank(other));
}

function placesIn(approved: readonly string[]): (name: string) => number {
  const places = new Map(approved.map((name, place) => [name, place]));
  return (name) => places.get(name) ?? approved.length;
}

/** The order of `names` once a person has approved it; the names of `before` that are not among them follow. */
export function orderWith(names: readonly string[], before: readonly string[]): readonly string[] {
  return [...names, ...before.filter((name) => !names.includes(name))];
}

/** Whether an edit moves backends. Removed backends, and new ones at the end, move none. */
export function movesBackends(before: readonly BackendConfig[], after: readonly BackendConfig[]): boolean {
  const were = before.map(({ name }) => name);
  const are = after.map(({ name }) => name);
  const left = were.filter((name) => are.includes(name));
  return orderWith(left, are).some((name, place) => are[place] !== name);
}
