// The announcements of what changed between two catalogs.
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { Catalog, Collision } from "./catalog.ts";

const LISTS = ["tools", "resources", "templates", "prompts"] as const;
const MAX_ANNOUNCED = 20;

/** Nothing, when no name came or went and nobody new collides. */
export function catalogTransitions(before: Catalog, after: Catalog): readonly GatewayTransition[] {
  const transitions: GatewayTransition[] = [];
  const added = namesBeyond(before, after);
  const removed = namesBeyond(after, before);
  if (added.length + removed.length > 0) {
    transitions.push({
      name: "catalog.changed",
      tools: after.tools.size,
      resources: after.resources.size + after.templates.size,
      prompts: after.prompts.size,
      added: added.slice(0, MAX_ANNOUNCED),
      removed: removed.slice(0, MAX_ANNOUNCED),
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

function collisionKey({ kind, name, kept, hidden }: Collision): string {
  return JSON.stringify([kind, name, kept, hidden]);
}
