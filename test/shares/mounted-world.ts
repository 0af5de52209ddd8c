// A world in which the share is mounted and all is well.
import type { RouteName } from "../../src/shares/share-spec.ts";
import { World } from "./world.ts";

/** Mounted over `route` by us, seen alive, nothing to do. */
export function mountedOver(
  route: RouteName,
  world = new World({ autoFailback: false, lsofRecheck: false }),
): World {
  world.addMount(route);
  if (route === "fallback") world.memory = { ...world.memory, held: "fallback" };
  world.advance(2500);
  world.memory = { ...world.memory, held: null };
  return world.fresh();
}

export const OTHER: Record<RouteName, RouteName> = { tb: "fallback", fallback: "tb" };
