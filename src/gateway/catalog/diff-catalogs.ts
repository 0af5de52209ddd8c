// Finds the differences between two catalogs, as events.
import { isDeepStrictEqual } from "node:util";
import type { GatewayTransition } from "../gateway-transitions.ts";
import { type Catalog, type Collision, entryKey } from "./catalog.ts";

const LISTS = ["tools", "resources", "templates", "prompts", "skills"] as const;
const MAX_ANNOUNCED = 20;

export function catalogTransitions(before: Catalog, after: Catalog): readonly GatewayTransition[] {
  const transitions: GatewayTransition[] = [];
  const added = namesBeyond(before, after);
  const removed = namesBeyond(after, before);
  const changed = changedNames(before, after);
  if (added.length + removed.length + changed.length > 0) {
    transitions.push({
      name: "catalog.changed",
      tools: after.tools.size,
      resources: after.resources.size + after.templates.size,
      prompts: after.prompts.size,
      added: added.slice(0, MAX_ANNOUNCED),
      removed: removed.slice(0, MAX_ANNOUNCED),
      changed: changed.slice(0, MAX_ANNOUNCED),
    });
  }
  const collisions = newCollisions(before, after);
  for (const [index, { kind, name: entry, kept, hidden }] of collisions.slice(0, MAX_ANNOUNCED).entries()) {
    const more = index === MAX_ANNOUNCED - 1 ? collisions.length - MAX_ANNOUNCED : 0;
    transitions.push({ name: "catalog.collision", kind, entry, kept, hidden, ...(more > 0 && { more }) });
  }
  return transitions;
}

/**
 * Returns the collisions of `after` that are not in `before`, each once. If `before` is null, returns all collisions
 * of `after`.
 */
export function newCollisions(before: Catalog | null, after: Catalog): readonly Collision[] {
  const known = new Set(before?.collisions.map(collisionKey));
  const byKey = new Map(after.collisions.map((collision) => [collisionKey(collision), collision]));
  return [...byKey].flatMap(([key, collision]) => (known.has(key) ? [] : [collision]));
}

/** The names in `catalog` that `other` lacks, as `tool:NAME` or `resource:URI`. */
function namesBeyond(other: Catalog, catalog: Catalog): readonly string[] {
  return LISTS.flatMap((list) =>
    [...catalog[list].values()].flatMap(({ kind, name }) =>
      other[list].has(name) ? [] : [entryKey(kind, name)],
    ),
  );
}

function changedNames(before: Catalog, after: Catalog): readonly string[] {
  return LISTS.flatMap((list) =>
    [...after[list].values()].flatMap(({ kind, name, backend, definition }) => {
      const was = before[list].get(name);
      if (was === undefined) return [];
      // The objects are compared first, because a list that is read again keeps its unchanged objects.
      const isSame =
        was.backend === backend &&
        (was.definition === definition || isDeepStrictEqual(was.definition, definition));
      return isSame ? [] : [entryKey(kind, name)];
    }),
  );
}

function collisionKey({ kind, name, kept, hidden }: Collision): string {
  return JSON.stringify([kind, name, kept, hidden]);
}
