// A tree with the positions of keys and values in a text. The parsers build it; it gives errors their line
// and column.
import type { Locator } from "./source-text.ts";

export interface PositionTree {
  keyOffset: number;
  valueOffset: number;
  readonly children: Map<string | number, PositionTree>;
}

export function createPositionTree(keyOffset: number, valueOffset: number): PositionTree {
  return { keyOffset, valueOffset, children: new Map() };
}

/** The child under `segment`, made with these offsets if it does not exist. */
export function childPosition(
  parent: PositionTree,
  segment: string | number,
  keyOffset: number,
  valueOffset: number,
): PositionTree {
  const known = parent.children.get(segment);
  if (known !== undefined) return known;
  const made = createPositionTree(keyOffset, valueOffset);
  parent.children.set(segment, made);
  return made;
}

/** Locates a path. A path that is not in the tree gets the offset of its closest ancestor's key. */
export function treeLocator(root: PositionTree): Locator {
  return (path, at) => {
    let node = root;
    for (const segment of path) {
      const next = node.children.get(segment);
      if (next === undefined) return node.keyOffset;
      node = next;
    }
    return at === "key" ? node.keyOffset : node.valueOffset;
  };
}
