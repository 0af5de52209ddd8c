// The ways to a backend's server, in order of preference.
import type { BackendConfig, BackendRoute } from "./snapshot.ts";

/** What the only route is called where the file names none. */
const ONLY_ROUTE = "1";

/** At least one, the preferred one first. */
export function routesOf({
  connection,
  routes,
}: Pick<BackendConfig, "connection" | "routes">): readonly BackendRoute[] {
  return routes ?? [{ name: ONLY_ROUTE, connection }];
}

/** Where a route's keys stand in the file, below `backends.NAME`. */
export function routeKeys(
  { routes }: Pick<BackendConfig, "routes">,
  index: number,
): readonly (string | number)[] {
  return (routes ?? null) === null ? [] : ["routes", index];
}
