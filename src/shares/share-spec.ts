// A configured share as the engine uses it.
import type { GlobalConfig, RouteConfig, ShareConfig } from "../config/snapshot.ts";

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

/** Without a host it is reachable while its folder exists (driver `local`); with neither there is no route. */
export type RouteSpec = RouteConfig;

export type DriverName = ShareConfig["driver"];

export interface ShareSpec
  extends Pick<ShareConfig, "name" | "shareName" | "username" | "driver" | "routes"> {
  /** A resolved password, null for guest. Never logged. */
  readonly password: string | null;
  /** The reference of a password without a value, as `ResolvedSecret.missing`; then the share is not mounted. */
  readonly missingVariable: string | null;
  /** The reference of the password, as `ResolvedSecret.missing` would name it; null or absent: there is none. */
  readonly passwordFrom?: string | null;
  /** Where it is mounted: `<mount_root>/<NAME>`. */
  readonly mountPath: string;
  /** The symlink that people use: `<shares_root>/<NAME>`. */
  readonly stablePath: string;
}

type Timing = "checkIntervalMs" | "connectTimeoutMs" | "mountHangMs" | "outagePatienceMs";

/** Absent: it is not woken, and any network is its own. */
export interface SharePolicy
  extends Pick<GlobalConfig, Timing | "autoFailback" | "lsofRecheck">,
    Pick<ShareConfig, "carry">,
    Partial<Pick<ShareConfig, "wake" | "onlyOn">> {
  readonly stableMs: number;
}
