// A tree of the positions of keys and values in a text. The parsers fill it; mistakes get their line and column from
// it.
import type { KeyPath } from "../values/mistakes.ts";
import type { Locator } from "./source-text.ts";

export interface PlaceTree {
  keyOffset: number;
  valueOffset: number;
  readonly children: Map<string | number, PlaceTree>;
}

export function createPlaceTree(keyOffset: number, valueOffset: number): PlaceTree {
  return { keyOffset, valueOffset, children: new Map() };
}

/** The child under `segment`, made with these offsets if it does not exist. */
export function childPlace(
  parent: PlaceTree,
  segment: string | number,
  keyOffset: number,
  valueOffset: number,
): PlaceTree {
  const known = parent.children.get(segment);
  if (known !== undefined) return known;
  const made = createPlaceTree(keyOffset, valueOffset);
  parent.children.set(segment, made);
  return made;
}

/** Locates a path; one that is not in the tree, at the key of its closest ancestor. */
export function treeLocator(root: PlaceTree): Locator {
  return {
    offsetOf(path: KeyPath, at) {
      let place = root;
      for (const segment of path) {
        const next = place.children.get(segment);
        if (next === undefined) return place.keyOffset;
        place = next;
      }
      return at === "key" ? place.keyOffset : place.valueOffset;
    },
  };
}
