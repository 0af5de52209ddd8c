// The ways to a backend's server, in order of preference.
import type { BackendConfig, BackendRoute } from "./snapshot.ts";

/** What the only route is called where the file names none. */
const ONLY_ROUTE = "1";

type Route<Connection> = Omit<BackendRoute, "connection"> & { readonly connection: Connection };

/** At least one, the preferred one first. */
export function routesOf<Connection>({
  connection,
  routes,
}: {
  readonly connection: Connection;
  readonly routes?: BackendConfig["routes"];
}): readonly (BackendRoute | Route<Connection>)[] {
  return routes ?? [{ name: ONLY_ROUTE, connection }];
}

/** Where a route's keys stand in the file, below `backends.NAME`. */
export function routeKeys(
  { routes }: Pick<BackendConfig, "routes">,
  index: number,
): readonly (string | number)[] {
  return (routes ?? null) === null ? [] : ["routes", index];
}
