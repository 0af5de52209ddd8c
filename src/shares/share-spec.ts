// A configured share as the engine uses it.
import type { GlobalConfig, RouteConfig, ShareConfig } from "../config/snapshot.ts";

export type RouteName = "tb" | "fallback";
export const ROUTE_NAMES: readonly RouteName[] = ["tb", "fallback"];

/** The configured routes, the preferred one first. */
export function routesOf({ routes }: Pick<ShareSpec, "routes">): readonly RouteName[] {
  return ROUTE_NAMES.filter((name) => routes[name].host !== null || routes[name].folder !== null);
}

/** The route whose host names the share in the mount table and in messages, even while another route is in use. */
export function preferredRoute(share: Pick<ShareSpec, "routes">): RouteSpec {
  return share.routes[routesOf(share)[0] ?? "tb"];
}

export function otherRoute(route: RouteName): RouteName {
  return route === "tb" ? "fallback" : "tb";
}

/**
 * A route without a host is up while its folder exists (driver `local`). A route with neither host nor folder is not
 * configured.
 */
export type RouteSpec = RouteConfig;

export type DriverName = ShareConfig["driver"];

type PolicyKey = "onRouteChange" | "wake" | "onlyOn";

export interface ShareSpec extends Omit<ShareConfig, "password" | PolicyKey> {
  /** The resolved password; null: guest. Never logged. */
  readonly password: string | null;
  /**
   * The reference of the password if the reference has no value (see `ResolvedSecret.missing`); the share is then not
   * mounted. null: the reference has a value, or there is no reference.
   */
  readonly missingVariable: string | null;
  /** The secret reference of the password, even if the secret has no value; null or absent: there is no reference. */
  readonly passwordFrom?: string | null;
  /** `<mount_root>/<NAME>`. */
  readonly mountPath: string;
  /** The symlink for people, `<shares_root>/<NAME>`. */
  readonly stablePath: string;
}

/** On macOS, a user without a password: macOS looks it up in its Keychain, which Mountaineer does not read. */
export function isKeychainLogin({ driver, username, password }: ShareSpec): boolean {
  return driver === "netfs" && password === null && !/^(guest)?$/i.test(username);
}

type Timing = "checkIntervalMs" | "connectTimeoutMs" | "mountHangMs" | "outagePatienceMs";

/** Without `wake` the NAS is not woken; without `onlyOn` the share is used on any network. */
export interface SharePolicy
  extends Pick<GlobalConfig, Timing | "autoFailback" | "lsofRecheck">,
    Pick<ShareConfig, "onRouteChange">,
    Partial<Pick<ShareConfig, Exclude<PolicyKey, "onRouteChange">>> {
  readonly stableMs: number;
}
