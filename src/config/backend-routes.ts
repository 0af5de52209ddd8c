// The routes to a backend's server, in order of preference.
import type { BackendConfig, BackendRoute } from "./snapshot.ts";

/** The name of the only route where the file has no `routes`. */
const ONLY_ROUTE = "1";

type Route<Connection> = Omit<BackendRoute, "connection"> & { readonly connection: Connection };

/** The backend's routes, the preferred one first; there is at least one. */
export function routesOf<Connection>({
  connection,
  routes,
}: {
  readonly connection: Connection;
  readonly routes?: BackendConfig["routes"];
}): readonly (BackendRoute | Route<Connection>)[] {
  return routes ?? [{ name: ONLY_ROUTE, connection }];
}

/** The path of a route's keys in the file, below `backends.NAME`. */
export function routeKeys(
  { routes }: Pick<BackendConfig, "routes">,
  index: number,
): readonly (string | number)[] {
  return (routes ?? null) === null ? [] : ["routes", index];
}
