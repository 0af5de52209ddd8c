// A configured share as the engine uses it.

export type RouteName = "tb" | "fallback";
export const ROUTE_NAMES: readonly RouteName[] = ["tb", "fallback"];

/** Those that the share has, the preferred one first: one address makes one route. */
export function routesOf({ routes }: Pick<ShareSpec, "routes">): readonly RouteName[] {
  return ROUTE_NAMES.filter((name) => routes[name].host !== null || routes[name].folder !== null);
}

/** The share is named after its host in the mount table and in messages, whatever route is in use. */
export function preferredRoute(share: Pick<ShareSpec, "routes">): RouteSpec {
  return share.routes[routesOf(share)[0] ?? "tb"];
}

export function otherRoute(route: RouteName): RouteName {
  return route === "tb" ? "fallback" : "tb";
}

export interface RouteSpec {
  /** null: the route has no host. It is reachable while its folder exists (driver `local`); with neither there is none. */
  readonly host: string | null;
  readonly port: number;
  readonly interfaceName: string | null;
  /** The folder of this route for driver `local`, else null. */
  readonly folder: string | null;
}

export type DriverName = "rclone" | "local" | "netfs" | "cifs";

export interface ShareSpec {
  readonly name: string;
  /** The share's name on the server. */
  readonly shareName: string;
  readonly username: string;
  /** A resolved password, null for guest. Never logged. */
  readonly password: string | null;
  /** The reference of a password without a value, as `ResolvedSecret.missing`; then the share is not mounted. */
  readonly missingVariable: string | null;
  /** The reference of the password, as `ResolvedSecret.missing` would name it; null or absent: there is none. */
  readonly passwordFrom?: string | null;
  readonly driver: DriverName;
  readonly routes: Readonly<Record<RouteName, RouteSpec>>;
  /** Where it is mounted: `<mount_root>/<NAME>`. */
  readonly mountPath: string;
  /** The symlink that people use: `<shares_root>/<NAME>`. */
  readonly stablePath: string;
}

export interface SharePolicy {
  readonly checkIntervalMs: number;
  readonly connectTimeoutMs: number;
  readonly mountHangMs: number;
  /** How long programs on a carried share wait without a route. */
  readonly outagePatienceMs: number;
  readonly autoFailback: boolean;
  readonly stableMs: number;
  readonly lsofRecheck: boolean;
  /** Whether the mount stays while its route moves beneath it. */
  readonly carry: "auto" | "on" | "off";
  /** Absent: off. */
  readonly wake?: "auto" | "off";
  /** The marks of its networks; absent: any network. */
  readonly onlyOn?: readonly string[];
}
