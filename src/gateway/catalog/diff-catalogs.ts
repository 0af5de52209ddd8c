// The announcements of what changed between two catalogs.
import { isDeepStrictEqual } from "node:util";
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { Catalog, Collision } from "./catalog.ts";

const LISTS = ["tools", "resources", "templates", "prompts", "skills"] as const;
const MAX_ANNOUNCED = 20;

/** Nothing, when no name came or went, nothing that clients get of one is another, and nobody new collides. */
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

/** Each once, however often a backend offers the name. `before` null: all are new. */
export function newCollisions(before: Catalog | null, after: Catalog): readonly Collision[] {
  const known = new Set(before?.collisions.map(collisionKey));
  const byKey = new Map(after.collisions.map((collision) => [collisionKey(collision), collision]));
  return [...byKey].flatMap(([key, collision]) => (known.has(key) ? [] : [collision]));
}

/** What `catalog` has and `other` has not: `tool:NAME`, `resource:URI`, …, in the order of the lists. */
function namesBeyond(other: Catalog, catalog: Catalog): readonly string[] {
  return LISTS.flatMap((list) =>
    [...catalog[list].values()].flatMap(({ kind, name }) =>
      other[list].has(name) ? [] : [`${kind}:${name}`],
    ),
  );
}

/** What both have, with another definition or of another backend. */
function changedNames(before: Catalog, after: Catalog): readonly string[] {
  return LISTS.flatMap((list) =>
    [...after[list].values()].flatMap(({ kind, name, backend, definition }) => {
      const was = before[list].get(name);
      if (was === undefined) return [];
      // Mostly the same object: a server's list that is read again, and is the same, is not kept.
      const isSame =
        was.backend === backend &&
        (was.definition === definition || isDeepStrictEqual(was.definition, definition));
      return isSame ? [] : [`${kind}:${name}`];
    }),
  );
}

function collisionKey({ kind, name, kept, hidden }: Collision): string {
  return JSON.stringify([kind, name, kept, hidden]);
}
