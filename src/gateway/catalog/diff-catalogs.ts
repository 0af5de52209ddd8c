// Owns what became different between two catalogs, for the announcements.
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { Catalog, CatalogEntry, Collision } from "./catalog.ts";

interface CatalogDiff {
  /** `tool:NAME`, `resource:URI`, `template:TEMPLATE`, `prompt:NAME`; in the order of the lists. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Those that were none before. */
  readonly collisions: readonly Collision[];
}

const LISTS = ["tools", "resources", "templates", "prompts"] as const;
const MAX_ANNOUNCED = 20;

/** `before` null: nothing was published. */
export function diffCatalogs(before: Catalog | null, after: Catalog): CatalogDiff {
  const added: string[] = [];
  const removed: string[] = [];
  for (const list of LISTS) {
    for (const entry of after[list].values()) {
      if (before?.[list].has(entry.name) !== true) added.push(label(entry));
    }
    for (const entry of before?.[list].values() ?? []) {
      if (!after[list].has(entry.name)) removed.push(label(entry));
    }
  }
  return { added, removed, collisions: newCollisions(before, after) };
}

/** Each once, however often a backend offers the name. */
export function newCollisions(before: Catalog | null, after: Catalog): Collision[] {
  const known = new Set(before?.collisions.map(collisionKey));
  const collisions: Collision[] = [];
  for (const collision of after.collisions) {
    const key = collisionKey(collision);
    if (known.has(key)) continue;
    known.add(key);
    collisions.push(collision);
  }
  return collisions;
}

/** What is announced of it: nothing, when no name came or went and nobody new collides. */
export function catalogTransitions(before: Catalog | null, after: Catalog): readonly GatewayTransition[] {
  const { added, removed, collisions } = diffCatalogs(before, after);
  const transitions: GatewayTransition[] = [];
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
  for (const { kind, name, kept, hidden } of collisions) {
    transitions.push({ name: "catalog.collision", kind, entry: name, kept, hidden });
  }
  return transitions;
}

function label({ kind, name }: CatalogEntry): string {
  return `${kind}:${name}`;
}

function collisionKey({ kind, name, kept, hidden }: Collision): string {
  return JSON.stringify([kind, name, kept, hidden]);
}
