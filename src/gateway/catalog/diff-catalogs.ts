// Finds the differences between two catalogs, as events.
import { isDeepStrictEqual } from "node:util";
import type { GatewayTransition } from "../gateway-transitions.ts";
import { type Catalog, type CatalogEntry, entryKey } from "./catalog.ts";

/** Two entries have one name, and neither can be renamed. */
interface Collision extends Pick<CatalogEntry, "kind" | "name"> {
  readonly kept: string;
  readonly hidden: string;
}

const LISTS = ["tools", "resources", "templates", "prompts"] as const;
const MAX_ANNOUNCED = 20;

export function catalogTransitions(before: Catalog, after: Catalog): readonly GatewayTransition[] {
  if (before === after) return [];
  const transitions: GatewayTransition[] = [];
  const added: string[] = [];
  const removed: string[] = [];
  const changed: string[] = [];
  for (const list of LISTS) {
    const [was, is] = [before[list], after[list]];
    for (const [name, entry] of is) {
      const old = was.get(name);
      if (old === undefined) added.push(entryKey(entry.kind, name));
      else if (!isSame(old, entry)) changed.push(entryKey(entry.kind, name));
    }
    for (const [name, { kind }] of was) if (!is.has(name)) removed.push(entryKey(kind, name));
  }
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
  const known = new Set(before === null ? [] : collisionsIn(before).map(collisionKey));
  const byKey = new Map(collisionsIn(after).map((collision) => [collisionKey(collision), collision]));
  return [...byKey].flatMap(([key, collision]) => (known.has(key) ? [] : [collision]));
}

function isSame(one: CatalogEntry, other: CatalogEntry): boolean {
  if (one.backend !== other.backend) return false;
  // The objects are compared first, because a list that is read again keeps its unchanged objects.
  return one.definition === other.definition || isDeepStrictEqual(one.definition, other.definition);
}

export function collisionsIn({ entries }: Catalog): readonly Collision[] {
  return entries.flatMap(({ kind, name, backend, reasons: [reason] }) =>
    reason?.status === "collided" ? [{ kind, name, kept: reason.kept, hidden: backend }] : [],
  );
}

function collisionKey({ kind, name, kept, hidden }: Collision): string {
  return JSON.stringify([kind, name, kept, hidden]);
}
